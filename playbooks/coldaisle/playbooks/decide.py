"""What people decide about runs: ``(run, request) -> event``, or the reason why not. Pure.

The event is to be appended with the run's version as the expected one: then no two decisions both count.
"""

from coldaisle.core.events.types import Plan, RunApproved, RunCancelled, RunProposed, RunRejected
from coldaisle.core.twin import ENDED_RUN_STATES, Run, Twin
from coldaisle.playbooks.errors import DecisionError, Expired, StalePlan, WrongState
from coldaisle.playbooks.plan import plan_hash


def propose(
    twin: Twin, run: str, plan: Plan, reason: str, *, alert: str = "", policy: str = ""
) -> RunProposed:
    """A run that waits for approval; ``run`` is its new id."""
    if run in twin.runs:
        raise WrongState(f"run {run!r} exists already; choose another id")
    _require_reason(reason, "why it should run")
    return RunProposed(run, plan, reason, alert, policy)


def approve(run: Run, approved_hash: str, now: int, note: str = "") -> RunApproved:
    """The approval of the very plan that has ``approved_hash``; ``now`` in UTC ns."""
    _require_state(run, "approved")
    if approved_hash != run.plan.hash or plan_hash(run.plan) != run.plan.hash:
        raise StalePlan(
            f"run {run.id!r} has plan {run.plan.hash[:12]}, the approval names "
            f"{approved_hash[:12] or 'none'}; read the plan again"
        )
    if now > run.plan.expires_at:
        late_seconds = (now - run.plan.expires_at) / 1e9
        raise Expired(f"the plan of run {run.id!r} expired {late_seconds:.0f} s ago; ask for a new run")
    return RunApproved(run.id, approved_hash, note)


def reject(run: Run, reason: str) -> RunRejected:
    """The refusal of a proposed run."""
    _require_state(run, "rejected")
    _require_reason(reason, "why it should not run")
    return RunRejected(run.id, reason)


def cancel(run: Run, reason: str) -> RunCancelled:
    """The end of a run that has not ended; steps taken stay taken, the runner starts no other."""
    if run.state in ENDED_RUN_STATES:
        raise WrongState(f"run {run.id!r} is {run.state}; there is nothing to cancel")
    _require_reason(reason, "why it is stopped")
    return RunCancelled(run.id, reason)


def _require_state(run: Run, wanted: str) -> None:
    if run.state != "proposed":
        raise WrongState(
            f"run {run.id!r} is {run.state}, only a proposed one can be {wanted}; look at it again"
        )


def _require_reason(reason: str, what: str) -> None:
    if not reason.strip():
        raise DecisionError(f"no reason given; say {what}")
