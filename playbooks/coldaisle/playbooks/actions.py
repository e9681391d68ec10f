"""What the runner needs of whoever acts. Integrations and the server's dispatcher fit by shape."""

from typing import Protocol

from coldaisle.core.actions import ActionRequest, ActionResult


class Actions(Protocol):
    """Carries actions out.

    ``perform`` is asked for at most once for each ``StepStarted``. ``probe`` must change nothing. ``undo``
    may be asked for again after a crash, so it must state a value and not a change. An exception counts as
    an unknown outcome.
    """

    async def carry_out(self, request: ActionRequest) -> ActionResult:
        """Do it, and say what became of it."""
        ...
