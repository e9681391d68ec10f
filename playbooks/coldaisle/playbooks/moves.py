"""What a runner does next with a run: a pure function of the run's history. A crash changes nothing in it.

Order of a run: each step is started and settled in turn, then telemetry must show that it helped. When a
step failed or telemetry did not show it, the steps done are undone, last first. An unknown outcome ends the
run at once: a person must look.
"""

from msgspec import Struct

from coldaisle.core.events.types import Argument, Plan, PlannedStep
from coldaisle.core.twin import Run, Step
from coldaisle.playbooks.history import RunHistory
from coldaisle.playbooks.language import WAIT_UNTIL
from coldaisle.playbooks.plan import plan_hash

MAX_ATTEMPTS = 3
"""How often a step is started, when a probe says each time that it did not take effect."""

TAKEOVER_SECONDS = 10.0
"""How long past its due time a runner may be silent before another one takes its run over."""

_SECOND = 1_000_000_000


class Stop(Struct, frozen=True):
    """Nothing to do: the run has ended or waits for a person."""


class Wait(Struct, frozen=True):
    """Another runner has the run until then (UTC ns), unless it speaks."""

    until: int


class Start(Struct, frozen=True):
    """Record that this step is about to be taken."""

    step: PlannedStep


class Settle(Struct, frozen=True):
    """Take the step that was started, or find out what became of it; that alone once the run is cancelled."""

    step: PlannedStep
    attempt: int


class Undo(Struct, frozen=True):
    """Carry out the inverse of a step that is done."""

    step: PlannedStep
    arguments: dict[str, Argument]


class BeginVerification(Struct, frozen=True):
    """All steps are done."""


class Verify(Struct, frozen=True):
    """Wait for telemetry."""


class Succeed(Struct, frozen=True):
    """All steps are done and nothing is to be verified."""


class Fail(Struct, frozen=True):
    """The run is over."""

    reason: str
    verification_failed: bool = False


Move = Stop | Wait | Start | Settle | Undo | BeginVerification | Verify | Succeed | Fail


def next_move(history: RunHistory, actor: str, now: int) -> Move:
    """What the runner ``actor`` does next."""
    run = history.run
    if (open_step := left_open(run)) is not None:
        return _settle_left_open(history, open_step, actor, now)
    if run.state not in ("approved", "running", "verifying"):
        return Stop()
    held_until = _held_until(history)
    if history.owner not in ("", actor) and now < held_until:
        return Wait(held_until)
    if run.state == "approved" and (fault := _approval_fault(history, now)):
        return Fail(fault)
    return _next_move_of_owner(run)


def left_open(run: Run) -> PlannedStep | None:
    """The step that was under way when its run was cancelled, until it is known what became of it."""
    if run.state != "cancelled":
        return None
    for planned, step in zip(run.plan.steps, run.steps, strict=True):
        if step.state == "started" and planned.action != WAIT_UNTIL:
            return planned
    return None


def _settle_left_open(history: RunHistory, step: PlannedStep, actor: str, now: int) -> Move:
    """People must learn what was done. Who started it, if alive, is about to say so."""
    start = history.last_start_of(step.id)
    until = start.time + round((2 * step.timeout_seconds + TAKEOVER_SECONDS) * _SECOND)
    if start.actor != actor and now < until:
        return Wait(until)
    return Settle(step, history.run.step(step.id).attempt)


def undo_or_fail(run: Run) -> Undo | Fail:
    """The next inverse, last step first; when none is left, the end."""
    for planned, step in reversed(list(zip(run.plan.steps, run.steps, strict=True))):
        if step.state == "succeeded" and step.undo is not None:
            return Undo(planned, step.undo)
    return Fail(_failure(run), verification_failed=run.state == "verifying")


def _next_move_of_owner(run: Run) -> Move:
    states = {step.state for step in run.steps}
    if "unknown" in states:
        return Fail(_failure(run), verification_failed=run.state == "verifying")
    if states & {"failed", "undone"}:
        return undo_or_fail(run)
    for planned, step in zip(run.plan.steps, run.steps, strict=True):
        if step.state == "started":
            return Settle(planned, step.attempt)
        if step.state == "waiting":
            return Start(planned)
    if run.plan.verification is None:
        return Succeed()
    return Verify() if run.state == "verifying" else BeginVerification()


def _held_until(history: RunHistory) -> int:
    """When the owner should have spoken again: it performs and probes within the steps' timeouts."""
    run = history.run
    longest_seconds = max((step.timeout_seconds for step in run.plan.steps), default=0.0)
    until = history.last.time + round(2 * longest_seconds * _SECOND)
    if run.verifying_since is not None and run.plan.verification is not None:
        until = max(until, run.verifying_since + round(run.plan.verification.within_seconds * _SECOND))
    return until + round(TAKEOVER_SECONDS * _SECOND)


def _approval_fault(history: RunHistory, now: int) -> str:
    plan: Plan = history.run.plan
    if history.approved_hash != plan.hash or plan_hash(plan) != plan.hash:
        return "the approval is not of this plan"
    if now > plan.expires_at:
        return f"the plan expired {(now - plan.expires_at) / _SECOND:.0f} s before it could start"
    return ""


def _failure(run: Run) -> str:
    """Why the run failed and what is left of it, in one line."""
    parts = [_step_failure(step) for step in run.steps if step.state in ("failed", "unknown")]
    undone = [step.id for step in run.steps if step.state == "undone"]
    kept = [step.id for step in run.steps if step.state == "succeeded"]
    if undone:
        parts.append(f"undone: {', '.join(undone)}")
    if kept:
        parts.append(f"still in force: {', '.join(kept)}")
    return "; ".join(parts) or "nothing to undo"


def _step_failure(step: Step) -> str:
    what = "has an unknown outcome, a person must look" if step.state == "unknown" else "failed"
    return f"step {step.id} {what}: {step.reason}"
