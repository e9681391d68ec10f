"""One run, driven to its end by one runner: read its stream, decide, act, append, and again.

Every append states the version that it was decided at, and a step's start is on disk before anything is
done. So a crash loses nothing but the answer of the step under way, and that one is probed.
"""

import asyncio
import logging
from collections.abc import Callable

from msgspec import Struct

from coldaisle.core.actions import ActionRequest, ActionResult, Verb
from coldaisle.core.errors import WrongVersion
from coldaisle.core.events.codec import encode
from coldaisle.core.events.ids import derived_id
from coldaisle.core.events.types import (
    AnyEvent,
    Argument,
    Condition,
    PlannedStep,
    RunFailed,
    RunSucceeded,
    StepFailed,
    StepStarted,
    StepSucceeded,
    StepUndone,
    VerificationStarted,
)
from coldaisle.core.store.live import LiveTwin
from coldaisle.core.store.port import EventStore
from coldaisle.core.twin import Run, Twin
from coldaisle.core.twin.model import StepState
from coldaisle.playbooks import moves
from coldaisle.playbooks.actions import Actions, request_id
from coldaisle.playbooks.history import RunHistory, read_history
from coldaisle.playbooks.language import WAIT_UNTIL
from coldaisle.playbooks.plan import wait_condition
from coldaisle.playbooks.watch import Verdict, Watch, bound_text, judge, wait_beyond, watch_condition

logger = logging.getLogger(__name__)


class Means(Struct, frozen=True):
    """What a runner works with. ``claim`` differs between any two runners that ever ran."""

    store: EventStore
    live_twin: LiveTwin
    actions: Actions
    actor: str
    clock: Callable[[], int]
    claim: str


class Drive:
    """Drives the run ``run_id``."""

    def __init__(self, means: Means, run_id: str) -> None:
        self._means = means
        self._run_id = run_id
        self._fresh: tuple[str, int] | None = None  # the start that this drive has just put on disk

    async def to_the_end(self) -> bool:
        """Move until nothing is to do, and until the twin has seen it; False when the run is not there."""
        while (history := await read_history(self._means.store, self._run_id)) is not None:
            move = moves.next_move(history, self._means.actor, self._means.clock())
            if isinstance(move, moves.Stop):
                await self._means.live_twin.at_least(history.last.position)
                return True
            try:
                await self._make(move, history)
            except WrongVersion:
                continue  # somebody else was first: read again, decide again
        return False

    async def _make(self, move: moves.Move, history: RunHistory) -> None:
        run = history.run
        match move:
            case moves.Wait(until=until):
                await self._wait(run, until)
            case moves.Start(step=step):
                await self._start(history, step, 1)
            case moves.Settle(step=step, attempt=attempt):
                await self._settle(history, step, attempt)
            case moves.Undo(step=step, arguments=arguments):
                await self._undo(step, arguments)
            case moves.BeginVerification():
                await self._append(history, VerificationStarted(run.id, self._means.clock()))
            case moves.Verify():
                await self._verify(history)
            case moves.Succeed():
                await self._append(history, RunSucceeded(run.id, _summary(run)))
            case moves.Fail():
                await self._fail(history, move)
            case moves.Stop():
                pass

    async def _wait(self, run: Run, until: int) -> None:
        live = self._means.live_twin
        while not self._moved_on(run, live.current):
            if not await wait_beyond(live, live.current.position, until - self._means.clock()):
                return

    def _moved_on(self, run: Run, twin: Twin) -> bool:
        known = twin.runs.get(run.id)
        return known is not None and known.version > run.version

    # --- steps

    async def _start(self, history: RunHistory, step: PlannedStep, attempt: int) -> None:
        started = StepStarted(history.run.id, step.id, attempt)
        # The claim keeps two runners' starts apart: under one id the second would pass for a repetition.
        await self._append(history, started, salt=f"{step.id}/{attempt}/{self._means.claim}")
        self._fresh = (step.id, attempt)

    async def _settle(self, history: RunHistory, step: PlannedStep, attempt: int) -> None:
        if step.action == WAIT_UNTIL:
            await self._wait_until(history, step)
            return
        fresh, self._fresh = self._fresh == (step.id, attempt), None
        result = await self._ask("perform", step, step.arguments) if fresh else None
        probed = result is None or result.outcome == "unknown"
        if result is None or result.outcome == "unknown":
            result = await self._ask("probe", step, step.arguments)
        is_over = history.run.state == "cancelled"
        if probed and result.outcome == "not_done" and attempt < moves.MAX_ATTEMPTS and not is_over:
            await self._start(history, step, attempt + 1)
        else:
            await self._record("started", step.id, self._outcome(step, result))

    def _outcome(self, step: PlannedStep, result: ActionResult) -> StepSucceeded | StepFailed:
        if result.outcome == "done":
            return StepSucceeded(self._run_id, step.id, result.observed, result.undo)
        return StepFailed(self._run_id, step.id, result.reason, outcome_unknown=result.outcome == "unknown")

    async def _wait_until(self, history: RunHistory, step: PlannedStep) -> None:
        """Telemetry is the outcome here, so a resumed wait is the same wait."""
        start = history.start_of(step.id)
        condition = wait_condition(step.id, step.asset, step.arguments)
        verdict = await self._watch(history.run, condition, start.time, start.position)
        if verdict is None:
            return
        observed: dict[str, Argument] = dict(verdict.observed)
        if verdict.holds:
            await self._record("started", step.id, StepSucceeded(self._run_id, step.id, observed))
        else:
            reason = f"{verdict.missing} within {condition.within_seconds:g} s"
            await self._record("started", step.id, StepFailed(self._run_id, step.id, reason))

    async def _undo(self, step: PlannedStep, arguments: dict[str, Argument]) -> None:
        """Only what still holds is undone: what somebody else has set since is not this run's to change."""
        seen = await self._ask("probe", step, step.arguments)
        if seen.outcome != "not_done":
            body = self._undone(step, await self._ask("undo", step, arguments))
        elif seen.observed == arguments:  # before a crash, perhaps
            body = StepUndone(self._run_id, step.id, seen.observed)
        else:
            reason = f"it was done, and changed since by somebody else: left as it is ({seen.reason})"
            body = StepFailed(self._run_id, step.id, reason)
        await self._record("succeeded", step.id, body)

    def _undone(self, step: PlannedStep, result: ActionResult) -> StepUndone | StepFailed:
        if result.outcome == "done":
            return StepUndone(self._run_id, step.id, result.observed)
        reason = f"it was done, and could not be undone: {result.reason}"
        return StepFailed(self._run_id, step.id, reason, outcome_unknown=result.outcome == "unknown")

    async def _ask(self, verb: Verb, step: PlannedStep, arguments: dict[str, Argument]) -> ActionResult:
        asked_as = request_id(self._run_id, step.id)
        request = ActionRequest(asked_as, verb, step.action, step.asset, arguments, step.timeout_seconds)
        try:
            async with asyncio.timeout(step.timeout_seconds):
                return await self._means.actions.carry_out(request)
        except TimeoutError:
            return ActionResult("unknown", f"no answer to {verb} within {step.timeout_seconds:g} s")
        except Exception as error:  # boundary: a faulty action must not stop the other runs
            logger.exception("action failed", extra={"request": request.id, "verb": verb})
            return ActionResult("unknown", f"{verb}: {type(error).__name__}: {error}")

    # --- the end

    async def _verify(self, history: RunHistory) -> None:
        run, condition = history.run, history.run.plan.verification
        assert condition is not None
        assert run.verifying_since is not None
        position = history.start_of_verification().position
        verdict = await self._watch(run, condition, run.verifying_since, position)
        if verdict is None:
            return
        if verdict.holds:
            await self._append(history, RunSucceeded(run.id, _summary(run), verdict.observed))
        else:
            await self._make(moves.undo_or_fail(run), history)

    async def _fail(self, history: RunHistory, move: moves.Fail) -> None:
        reason = move.reason
        condition, since = history.run.plan.verification, history.run.verifying_since
        if condition is not None and since is not None:
            position = history.start_of_verification().position
            _, verdict = await judge(self._means.store, Watch(condition, since), position)
            if not verdict.holds:
                reason = f"{verdict.missing} within {condition.within_seconds:g} s; {reason}"
        await self._append(history, RunFailed(history.run.id, reason, move.verification_failed))

    async def _watch(self, run: Run, condition: Condition, since: int, after: int) -> Verdict | None:
        return await watch_condition(
            self._means.store,
            self._means.live_twin,
            Watch(condition, since),
            after=after,
            clock=self._means.clock,
            stopped=lambda twin: self._moved_on(run, twin),
        )

    # --- recording

    async def _record(self, state: StepState, step: str, body: AnyEvent) -> None:
        """Record what became of a step that is in ``state``, also when the run was cancelled meanwhile."""
        while (history := await read_history(self._means.store, self._run_id)) is not None:
            if history.run.step(step).state != state:
                return
            try:
                await self._append(history, body, salt=step)
            except WrongVersion:
                continue
            return

    async def _append(self, history: RunHistory, body: AnyEvent, salt: str = "") -> None:
        """Append at the version that was decided at, under an id that follows from the decision."""
        last = history.last
        event = encode(
            body,
            id=derived_id(last.time, last.id, f"runner/{type(body).__name__}/{salt}", 0),
            time=self._means.clock(),
            actor=self._means.actor,
            correlation_id=history.correlation_id,
            causation_id=last.id,
        )
        await self._means.store.append(f"run-{history.run.id}", [event], expected=history.run.version)


def _summary(run: Run) -> str:
    steps = f"{len(run.steps)} steps done" if len(run.steps) != 1 else "1 step done"
    condition = run.plan.verification
    if condition is None:
        return f"{steps}; nothing to verify"
    return f"{steps}; {condition.metric} {bound_text(condition)} for {condition.for_seconds:g} s"
