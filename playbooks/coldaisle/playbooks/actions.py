"""What the runner needs of whoever acts. Integrations and the server's dispatcher fit by shape."""

from typing import Protocol

from coldaisle.core.actions import ActionRequest, ActionResult
from coldaisle.core.twin import ENDED_RUN_STATES, Twin


class Actions(Protocol):
    """Carries actions out.

    ``perform`` is asked for at most once for each ``StepStarted``. ``probe`` must change nothing. ``undo``
    may be asked for again after a crash, so it must state a value and not a change. An exception counts as
    an unknown outcome.
    """

    async def carry_out(self, request: ActionRequest) -> ActionResult:
        """Do it, and say what became of it."""
        ...


def request_id(run: str, step: str) -> str:
    """The id of every request for this step."""
    return f"{run}/{step}"


def is_wanted(twin: Twin, request: ActionRequest) -> bool:
    """Whether the run of a request goes on; it may have been cancelled since the step was started."""
    run = twin.runs.get(request.id.partition("/")[0])
    return run is not None and run.state not in ENDED_RUN_STATES
