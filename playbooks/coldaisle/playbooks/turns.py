"""Whose turn it is: of the approved runs that act on one asset, the first to be approved goes first. Pure.

Two at once would undo each other's settings: each goes back to what it found, and one found the other's.
Approvals have an order in the history, so several runners agree without asking each other.
"""

from collections.abc import Iterable

from coldaisle.core.twin import Run
from coldaisle.playbooks.language import WAIT_UNTIL
from coldaisle.playbooks.moves import left_open

_UNDER_WAY = frozenset({"running", "verifying"})


def is_active(run: Run) -> bool:
    """Whether a runner has, or will have, something to do with the run."""
    return run.state == "approved" or run.state in _UNDER_WAY or left_open(run) is not None


def waits_for(run: Run, others: Iterable[Run]) -> Run | None:
    """The run among ``others`` that has to end before this approved one may start; None: it may."""
    if run.state != "approved":
        return None
    assets = _acts_on(run)
    return next((other for other in others if _is_ahead(other, run) and assets & _acts_on(other)), None)


def _is_ahead(other: Run, run: Run) -> bool:
    """While a run is approved, its approval is its last event."""
    if other.state == "approved":
        return other.revision < run.revision
    return is_active(other)


def _acts_on(run: Run) -> set[str]:
    return {step.asset for step in run.plan.steps if step.asset and step.action != WAIT_UNTIL}
