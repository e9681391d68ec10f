"""Errors of the command line: each has a cause, a next step and an exit code.

ColdaisleError
├── CliError        a command cannot do what was asked
└── ReaderGone      nobody reads what a command prints any more
"""

from enum import IntEnum

from coldaisle.core.errors import ColdaisleError


class ExitCode(IntEnum):
    """What the process answers to its caller. The numbers are a published contract."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    NOT_VERIFIED = 5
    BLOCKED = 6
    WAITING = 7
    DAMAGED = 8
    UNAVAILABLE = 9
    INTERRUPTED = 130


EXIT_CODE_MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "ok",
    ExitCode.FAILED: "failed; `status` found problems",
    ExitCode.USAGE: "wrong usage, or a wrong value",
    ExitCode.NOT_FOUND: "not found",
    ExitCode.REFUSED: "not authenticated, or not allowed",
    ExitCode.NOT_VERIFIED: "the run finished, but telemetry does not show that it helped",
    ExitCode.BLOCKED: "blocked by simulation or policy",
    ExitCode.WAITING: "the run waits for approval",
    ExitCode.DAMAGED: "an integrity check failed",
    ExitCode.UNAVAILABLE: "the server is unavailable, or the deadline passed",
    ExitCode.INTERRUPTED: "interrupted",
}


class CliError(ColdaisleError):
    """Raised when a command cannot do what was asked; do what ``next_step`` says."""

    def __init__(self, cause: str, next_step: str = "", exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(cause)
        self.next_step = next_step
        self.exit_code = exit_code


class ReaderGone(ColdaisleError):  # noqa: N818 - named for the situation
    """Raised when nobody reads what a command prints any more, as after ``| head``; do nothing more."""
