"""The agents that are connected, and the way to have one of them act on a device.

An agent that goes away while it acts leaves the outcome open. The hub then waits for it to come back and
asks it to probe; only where the probe says that nothing happened is the action performed again.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from coldaisle.core.actions import ActionRequest, ActionResult, Verb
from coldaisle.core.events.types import Argument
from coldaisle.v1 import agent_pb2

MAX_OUTBOX_MESSAGES = 256
AGENT_WAIT_SECONDS = 45.0
"""How long an action waits, at most, for its agent to connect (again)."""
AGENT_WAIT_SHARE = 0.8
"""The share of an action's own timeout that goes into that wait: then whoever asked still learns that
nothing was sent, where otherwise the outcome would count as unknown."""
ACT_SHARE = 0.9
"""The share of the time left that the agent is given; the rest is for its answer. With all of it, the answer
"not done" of a device that is silent came when nobody waited any more, and counted as unknown."""
ANSWER_GRACE_SECONDS = 5.0
"""What an agent may take beyond the action's own timeout."""

MAX_VALUES_BYTES = 16_384
MAX_REASON_CHARACTERS = 500
"""With these two, the events of a run fit one page of its stream, and each fits the store."""

IsWanted = Callable[[ActionRequest], bool]

_Outcome = agent_pb2.CommandResult
_Whole = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]  # more does not fit a snapshot of the twin
_Value = bool | _Whole | float | str
_values_decoder: msgspec.json.Decoder[dict[str, Argument]] = msgspec.json.Decoder(
    dict[str, _Value | list[_Value] | dict[str, _Value] | None]
)


class _Asked(msgspec.Struct, frozen=True):
    """What an agent was asked, and where its answer goes; None says that none will come."""

    verb: Verb
    answer: asyncio.Future[ActionResult | None]


class AgentLink:
    """One agent's open stream. ``seen`` is when it last spoke, UTC ns."""

    def __init__(self, hello: agent_pb2.Hello, address: str, now: int) -> None:
        self.agent = hello.agent
        self.assets = frozenset(hello.assets)
        self.address = address
        self.seen = now
        self.spool_events = 0
        self.received_events = 0
        self.outbox: asyncio.Queue[agent_pb2.ConnectResponse] = asyncio.Queue(MAX_OUTBOX_MESSAGES)
        self.ended = asyncio.Event()
        self._pending: dict[str, _Asked] = {}

    async def next_message(self) -> agent_pb2.ConnectResponse:
        """What to send next. A command that was given up while it waited here is not sent any more."""
        while True:
            message = await self.outbox.get()
            if message.WhichOneof("message") != "command" or self._is_awaited(message.command):
                return message

    def _is_awaited(self, command: agent_pb2.Command) -> bool:
        asked = self._pending.get(command.command_id)
        return asked is not None and asked.verb == command.verb

    async def ask(self, request: ActionRequest) -> ActionResult | None:
        """Have the agent act; None when its stream ended before it answered."""
        answer: asyncio.Future[ActionResult | None] = asyncio.get_running_loop().create_future()
        self._pending[request.id] = _Asked(request.verb, answer)
        try:
            async with asyncio.timeout(request.timeout_seconds + ANSWER_GRACE_SECONDS):
                await self.outbox.put(agent_pb2.ConnectResponse(command=command_message(request)))
                return await answer
        except TimeoutError:
            return ActionResult(
                "unknown", f"agent {self.agent} did not answer within {request.timeout_seconds:g} s"
            )
        finally:
            self._pending.pop(request.id, None)

    def answered(self, message: agent_pb2.CommandResult) -> None:
        """Take in a result; one that nobody waits for any more is too late and passed over.

        So is a perform's when a probe of the same step is asked by now: taken for the probe's, it would leave
        that one's answer to whatever is asked next.
        """
        asked = self._pending.get(message.command_id)
        if asked is not None and message.verb in ("", asked.verb) and not asked.answer.done():
            asked.answer.set_result(result_of(message))

    def end(self) -> None:
        """The stream is over: whoever waits for an answer learns that none will come."""
        self.ended.set()
        for asked in self._pending.values():
            if not asked.answer.done():
                asked.answer.set_result(None)


class AgentHub:
    """Finds the agent of an asset. Fits the runner's Actions.

    ``is_wanted`` is asked each time before an action is sent: it may have waited for its agent for long.
    """

    def __init__(self, is_wanted: IsWanted, agent_wait_seconds: float = AGENT_WAIT_SECONDS) -> None:
        self.links: dict[str, AgentLink] = {}
        self._is_wanted = is_wanted
        self._wait_seconds = agent_wait_seconds
        self._joined = asyncio.Event()
        self._closed = False

    def join(self, link: AgentLink) -> bool:
        """An agent connected; an older stream of the same agent ends. Answers whether there was one."""
        older = self.links.get(link.agent)
        if older is not None:
            older.end()
        self.links[link.agent] = link
        if self._closed:
            link.end()
        joined, self._joined = self._joined, asyncio.Event()
        joined.set()
        return older is not None

    def leave(self, link: AgentLink) -> bool:
        """A stream ended; answers whether its agent is gone with it, and not on a newer stream."""
        link.end()
        if self.links.get(link.agent) is not link:
            return False
        del self.links[link.agent]
        return True

    def close(self) -> None:
        """End every stream, also one that is just joining: the server stops."""
        self._closed = True
        for link in self.links.values():
            link.end()

    async def carry_out(self, request: ActionRequest) -> ActionResult:
        """Have the right agent do it, over lost connections; see the module."""
        verb = request.verb
        ends_at = asyncio.get_running_loop().time() + request.timeout_seconds
        wait_seconds = min(self._wait_seconds, AGENT_WAIT_SHARE * request.timeout_seconds)
        while (link := await self._link_for(request.asset, wait_seconds)) is not None:
            left_seconds = ends_at - asyncio.get_running_loop().time()
            if left_seconds <= 0:
                break
            if verb == "perform" and not self._is_wanted(request):
                return ActionResult("not_done", "the run ended before this was sent")
            result = await link.ask(replace(request, verb=verb, timeout_seconds=left_seconds * ACT_SHARE))
            if result is None:
                verb = "probe" if request.verb == "perform" else request.verb
            elif verb != request.verb and result.outcome == "not_done":
                verb = request.verb
            else:
                return result
        reason = f"no connected agent reaches {request.asset} (waited {wait_seconds:g} s): start its agent"
        never_sent = verb == "perform" and request.verb == "perform"
        return ActionResult("not_done" if never_sent else "unknown", reason)

    async def _link_for(self, asset: str, wait_seconds: float) -> AgentLink | None:
        try:
            async with asyncio.timeout(wait_seconds):
                while True:
                    for link in self.links.values():
                        if asset in link.assets and not link.ended.is_set():
                            return link
                    await self._joined.wait()
        except TimeoutError:
            return None


def command_message(request: ActionRequest) -> agent_pb2.Command:
    """A request as the wire carries it."""
    return agent_pb2.Command(
        command_id=request.id,
        verb=request.verb,
        action=request.action,
        asset=request.asset,
        arguments=msgspec.json.encode(request.arguments),
        timeout_seconds=request.timeout_seconds,
        sent_unix_nano=time.time_ns(),
    )


def result_of(message: agent_pb2.CommandResult) -> ActionResult:
    """The wire's result as ours; one that cannot be read, or kept, leaves the outcome unknown."""
    try:
        observed, undo = _values(message.observed) or {}, _values(message.undo)
    except msgspec.MsgspecError as error:
        return ActionResult("unknown", f"the agent's answer cannot be read: {error}")
    reason = message.reason[:MAX_REASON_CHARACTERS]
    match message.outcome:
        case _Outcome.OUTCOME_DONE:
            return ActionResult("done", reason, observed, undo)
        case _Outcome.OUTCOME_NOT_DONE:
            return ActionResult("not_done", reason, observed, undo)
        case _:
            return ActionResult("unknown", reason, observed, undo)


def _values(sent: bytes) -> dict[str, Argument] | None:
    """None where nothing was sent. Raises MsgspecError for what is no object, and for what is too much."""
    if len(sent) > MAX_VALUES_BYTES:
        raise msgspec.ValidationError(f"values of {len(sent)} bytes, {MAX_VALUES_BYTES} are allowed")
    return _values_decoder.decode(sent) if sent else None
