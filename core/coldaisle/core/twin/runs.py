"""Run events into runs: the state machine of a run, pure.

proposed ─▶ approved ─▶ running ─▶ verifying ─▶ succeeded
    │           │          │  │         └─────▶ failed
    ├─▶ rejected└──────────┴──┼─▶ cancelled
    └─▶ cancelled             └─▶ failed | unknown
"""

from msgspec.structs import replace

from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Fact
from coldaisle.core.twin.model import ENDED_RUN_STATES, Run, Step

MAX_PAST_RUNS = 1_000
"""Runs that the twin remembers though they ended, or nobody approved them in time; older ones stay in the
history."""

RunBody = (
    t.RunProposed
    | t.RunApproved
    | t.RunRejected
    | t.RunCancelled
    | t.StepStarted
    | t.StepSucceeded
    | t.StepFailed
    | t.StepUndone
    | t.VerificationStarted
    | t.RunSucceeded
    | t.RunFailed
)


def apply_run_event(runs: dict[str, Run], fact: Fact, body: RunBody) -> None:
    """Replace the run that the event is about in ``runs``."""
    if isinstance(body, t.RunProposed):
        runs[body.run] = _proposed(fact, body)
        _forget_oldest(runs, fact.time)
        return
    run = runs.get(body.run)
    if run is None:
        return  # its proposal is older than what the twin remembers
    after = _after_step(run, fact, body) if isinstance(body, _StepBody) else _after(run, fact, body)
    runs[body.run] = replace(after, version=fact.version, revision=fact.position)
    if after.state in ENDED_RUN_STATES:
        _forget_oldest(runs, fact.time)


def _proposed(fact: Fact, body: t.RunProposed) -> Run:
    return Run(
        id=body.run,
        plan=body.plan,
        reason=body.reason,
        alert=body.alert,
        policy=body.policy,
        state="proposed",
        steps=tuple(Step(step.id) for step in body.plan.steps),
        proposed_time=fact.time,
        proposed_position=fact.position,
        proposer=fact.actor,
        version=fact.version,
        revision=fact.position,
    )


_RunOnlyBody = (
    t.RunApproved | t.RunRejected | t.RunCancelled | t.VerificationStarted | t.RunSucceeded | t.RunFailed
)


def _after(run: Run, fact: Fact, body: _RunOnlyBody) -> Run:
    match body:
        case t.RunApproved():
            return replace(run, state="approved", approver=fact.actor)
        case t.RunRejected(reason=reason):
            return replace(run, state="rejected", outcome=reason)
        case t.RunCancelled(reason=reason):
            return replace(run, state="cancelled", outcome=reason)
        case t.VerificationStarted(since=since):
            return replace(run, state="verifying", verifying_since=since)
        case t.RunSucceeded(summary=summary):
            return replace(run, state="succeeded", outcome=summary)
        case t.RunFailed(reason=reason):
            unknown = any(step.state == "unknown" for step in run.steps)
            return replace(run, state="unknown" if unknown else "failed", outcome=reason)


_StepBody = t.StepStarted | t.StepSucceeded | t.StepFailed | t.StepUndone


def _after_step(run: Run, fact: Fact, body: _StepBody) -> Run:
    steps = tuple(
        _step_after(step, fact, body) if step.id == body.step else step for step in run.steps
    )  # fmt: skip
    return replace(run, state="running" if run.state == "approved" else run.state, steps=steps)


def _step_after(step: Step, fact: Fact, body: _StepBody) -> Step:
    step = replace(step, position=fact.position)
    match body:
        case t.StepStarted(attempt=attempt):
            return replace(step, state="started", attempt=attempt)
        case t.StepSucceeded(observed=observed, undo=undo):
            return replace(step, state="succeeded", observed=observed, undo=undo)
        case t.StepFailed(reason=reason, outcome_unknown=unknown):
            return replace(step, state="unknown" if unknown else "failed", reason=reason)
        case t.StepUndone(observed=observed):
            return replace(step, state="undone", observed=observed)


def _forget_oldest(runs: dict[str, Run], now: int) -> None:
    if len(runs) <= MAX_PAST_RUNS:
        return
    past = sorted((run for run in runs.values() if _is_past(run, now)), key=lambda run: -run.revision)
    for run in past[MAX_PAST_RUNS:]:
        del runs[run.id]


def _is_past(run: Run, now: int) -> bool:
    """Whether nothing can become of the run any more."""
    return run.state in ENDED_RUN_STATES or (run.state == "proposed" and now > run.plan.expires_at)
