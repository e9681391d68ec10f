"""Child processes with a log each: started until ready, watched, and always stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from coldaisle.cli.errors import CliError, ExitCode

READY_SECONDS = 60.0
STOP_SECONDS = 10.0
KILL_SECONDS = 5.0
POLL_SECONDS = 0.05
MAX_RESTARTS = 20
LOG_LINES = 12
MAX_LOG_BYTES = 64 * 1024
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Program:
    """What to run; ``ready`` is what its log shows once it works, empty: it works at once.

    ``restarts`` is False where a second start would not be the same thing.
    """

    name: str
    arguments: tuple[str, ...]
    ready: str = ""
    restarts: bool = True


@dataclass(slots=True)
class _Child:
    program: Program
    process: "subprocess.Popen[bytes]"
    log_start: int
    restart_count: int = 0


class Children:
    """The children of this process. Leaving the context leaves none of them running.

    ``supervise`` starts again what dies, up to a bound; otherwise a death is an error.
    """

    def __init__(self, directory: Path, *, supervise: bool, tell: Callable[[str], None]) -> None:
        self._directory = directory
        self._supervise = supervise
        self._tell = tell
        self._children: dict[str, _Child] = {}

    def __enter__(self) -> "Children":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A second Ctrl-C must not cut the stopping short: it has a deadline of its own.
        before = {each: signal.signal(each, signal.SIG_IGN) for each in _STOPS}
        try:
            for child in reversed(self._children.values()):
                _stop(child.process)
                self._pid_file(child.program).unlink(missing_ok=True)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def start(self, program: Program) -> None:
        """Start a program and wait until it is ready; CliError with the end of its log when it is not."""
        child = self._launch(program)
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready(child):
            if child.process.poll() is not None:
                raise self._death(child)
            if time.monotonic() > deadline:
                raise CliError(
                    f"{program.name} was not ready after {READY_SECONDS:g} s{self._log_end(program)}",
                    f"look into {self._log(program)}",
                    ExitCode.UNAVAILABLE,
                )
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Start again what died, or raise CliError that shows why it died."""
        for child in list(self._children.values()):
            if child.process.poll() is not None:
                self._replace(child)

    def _replace(self, child: _Child) -> None:
        program = child.program
        if not (self._supervise and program.restarts) or child.restart_count >= MAX_RESTARTS:
            raise self._death(child)
        self._tell(f"{program.name} ended with {child.process.returncode}; starting it again")
        self._launch(program).restart_count = child.restart_count + 1

    def _launch(self, program: Program) -> _Child:
        log = self._log(program)
        log_start = log.stat().st_size if log.exists() else 0
        command = [sys.executable, "-m", "coldaisle.cli.demo.child", str(os.getpid()), *program.arguments]
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for this process, which stops them in order
            )
        child = _Child(program, process, log_start)
        self._children[program.name] = child
        self._pid_file(program).write_text(f"{process.pid}\n")
        return child

    def _is_ready(self, child: _Child) -> bool:
        if not child.program.ready:
            return True
        with self._log(child.program).open("rb") as log:
            log.seek(child.log_start)
            return child.program.ready.encode() in log.read(MAX_LOG_BYTES)

    def _death(self, child: _Child) -> CliError:
        program = child.program
        return CliError(
            f"{program.name} ended with {child.process.returncode}{self._log_end(program)}",
            f"look into {self._log(program)} (keep it with --keep)",
        )

    def _log_end(self, program: Program) -> str:
        lines = self._log(program).read_bytes()[-MAX_LOG_BYTES:].decode(errors="replace").splitlines()
        return "".join(f"\n  {program.name}: {line}" for line in lines[-LOG_LINES:])

    def _log(self, program: Program) -> Path:
        return self._directory / f"{program.name}.log"

    def _pid_file(self, program: Program) -> Path:
        return self._directory / f"{program.name}.pid"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, a deadline, SIGKILL."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(KILL_SECONDS)
