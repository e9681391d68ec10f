"""Carries out the server's commands: one at a time for each asset, and none twice while it runs.

A command whose outcome cannot be told is answered ``unknown``, never tried again from here.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self, assert_never

import msgspec
from msgspec.structs import replace

from coldaisle.agent.clock import MAX_OFFSET_SECONDS
from coldaisle.core.actions import ActionRequest, ActionResult, Outcome, Verb
from coldaisle.core.errors import ColdaisleError
from coldaisle.core.events.types import Argument
from coldaisle.v1 import agent_pb2

logger = logging.getLogger(__name__)

CarryOut = Callable[[ActionRequest], Awaitable[ActionResult]]
Answer = Callable[[agent_pb2.CommandResult], Awaitable[None]]
AgeSeconds = Callable[[int, int], float]
"""How long ago (seconds) the server sent something; takes when, by its clock, and now (UTC ns)."""

_MAX_RUNNING = 64
_MAX_TIMEOUT_SECONDS = 600.0
_DEFAULT_TIMEOUT_SECONDS = 30.0
_GRACE_SECONDS = 2.0  # an integration keeps its own timeout; this one catches those that do not
_MAX_REMEMBERED_UNDOS = 1_024
_arguments_decoder: msgspec.json.Decoder[dict[str, Argument]] = msgspec.json.Decoder(dict[str, Argument])
_VERBS: dict[str, Verb] = {"perform": "perform", "probe": "probe", "undo": "undo"}


class Actions:
    """An async context manager: commands run in its task group, ``answer`` receives each result."""

    def __init__(self, carriers: Mapping[str, CarryOut], answer: Answer, age_seconds: AgeSeconds) -> None:
        self._carriers = carriers
        self._answer = answer
        self._age_seconds = age_seconds
        self._running: set[tuple[str, str]] = set()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._undos: dict[str, dict[str, Argument]] = {}  # by the command's id, oldest first
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Without an answer the server takes the outcome for unknown, which is what it then is.
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)

    async def take(self, command: agent_pb2.Command) -> None:
        """Start a command; a repetition of one that runs is passed over, its answer is on the way.

        So is one that lay in a socket while this process, or its machine, stood still.
        """
        key = (command.command_id, command.verb)
        if key in self._running:
            logger.info("command repeated while it runs", extra={"command": command.command_id})
            return
        age_seconds = self._age_seconds(command.sent_unix_nano, time.time_ns())
        if age_seconds > _timeout_seconds(command) + MAX_OFFSET_SECONDS:
            old = _refused(command, f"it was sent {age_seconds:.0f} s ago and given up since")
            await self._answer(result_message(command, old))
            return
        if len(self._running) >= _MAX_RUNNING:
            busy = _refused(command, "the agent is busy: try again")
            await self._answer(result_message(command, busy))
            return
        self._running.add(key)
        ends_at = asyncio.get_running_loop().time() + _timeout_seconds(command)
        task = self._group.create_task(self._carry_out(command, key, ends_at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, command: agent_pb2.Command, key: tuple[str, str], ends_at: float) -> None:
        lock = self._locks[command.asset]
        try:
            async with lock:
                result = self._with_undo(command, await self._result(command, ends_at))
        finally:
            self._running.discard(key)
            if not lock.locked():
                self._locks.pop(command.asset, None)
        level = logging.INFO if result.outcome == "done" else logging.WARNING
        fields = {"command": command.command_id, "action": command.action, "asset": command.asset}
        logger.log(
            level, "command carried out", extra={**fields, "outcome": result.outcome, "reason": result.reason}
        )
        await self._answer(result_message(command, result))

    def _with_undo(self, command: agent_pb2.Command, result: ActionResult) -> ActionResult:
        """The way back is to what was there before the step was performed for the first time.

        A probe cannot see that any more, and a second perform may find what the first one set. So an answer
        that the server lost, in a crash of its own or on the way, does not cost the undo.
        """
        if command.verb == "undo":
            return result
        if result.undo is not None:
            self._undos.setdefault(command.command_id, result.undo)
        while len(self._undos) > _MAX_REMEMBERED_UNDOS:
            del self._undos[next(iter(self._undos))]
        return replace(result, undo=self._undos.get(command.command_id))

    async def _result(self, command: agent_pb2.Command, ends_at: float) -> ActionResult:
        carry_out = self._carriers.get(command.action.partition(".")[0])
        if carry_out is None:
            return _refused(command, f"this agent has no action {command.action!r}")
        # The server's patience began when it sent the command: behind others the turn may come after its end.
        left_seconds = ends_at - asyncio.get_running_loop().time()
        if left_seconds <= 0:
            return _refused(command, f"other commands of {command.asset} took all of its time")
        try:
            request = action_request(command, left_seconds)
        except ColdaisleError as error:
            return _refused(command, str(error))
        try:
            async with asyncio.timeout(request.timeout_seconds + _GRACE_SECONDS):
                return await carry_out(request)
        except TimeoutError:
            return ActionResult("unknown", f"no outcome within {request.timeout_seconds:.3g} s")
        except Exception as error:  # the boundary: one action's fault must not end collection
            logger.exception("action failed", extra={"command": command.command_id})
            return ActionResult("unknown", f"{type(error).__name__}: {error}")


def action_request(command: agent_pb2.Command, left_seconds: float) -> ActionRequest:
    """The command as the integrations know it; raises ColdaisleError that names what is wrong."""
    verb = _VERBS.get(command.verb)
    if verb is None:
        raise ColdaisleError(f"unknown verb {command.verb!r}: use perform, probe or undo")
    try:
        arguments = _arguments_decoder.decode(command.arguments or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ColdaisleError(f"arguments of {command.action}: {error}") from error
    return ActionRequest(command.command_id, verb, command.action, command.asset, arguments, left_seconds)


def _timeout_seconds(command: agent_pb2.Command) -> float:
    seconds = command.timeout_seconds
    return min(seconds, _MAX_TIMEOUT_SECONDS) if seconds > 0 else _DEFAULT_TIMEOUT_SECONDS


def result_message(command: agent_pb2.Command, result: ActionResult) -> agent_pb2.CommandResult:
    """The result of a command as the wire has it."""
    undo = b"" if result.undo is None else msgspec.json.encode(result.undo)
    return agent_pb2.CommandResult(
        command_id=command.command_id,
        verb=command.verb,
        outcome=_outcome(result.outcome),
        reason=result.reason,
        observed=msgspec.json.encode(result.observed),
        undo=undo,
    )


def _outcome(outcome: Outcome) -> agent_pb2.CommandResult.Outcome.ValueType:
    match outcome:
        case "done":
            return agent_pb2.CommandResult.OUTCOME_DONE
        case "not_done":
            return agent_pb2.CommandResult.OUTCOME_NOT_DONE
        case "unknown":
            return agent_pb2.CommandResult.OUTCOME_UNKNOWN
        case _:
            assert_never(outcome)


def _refused(command: agent_pb2.Command, reason: str) -> ActionResult:
    """Nothing was tried, so it is not done; what a probe asks about may be, and would else be done again."""
    return ActionResult("unknown" if command.verb == "probe" else "not_done", reason)
