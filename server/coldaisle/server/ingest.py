"""Agents' batches into appends: checked, grouped by stream, nothing thrown away.

Pure but for the store and the clock.

Agents may only report what they observed. What is not understood, or not theirs to say, is kept as an
InputRejected event with the reason, so that one bad event never holds up a batch.
"""

import time
from collections.abc import Iterable, Sequence

from msgspec import Struct

from coldaisle.core.errors import DuplicateEvent, EventError
from coldaisle.core.events import NewEvent, derived_id, encode, parse_body, stream_of
from coldaisle.core.events import types as t
from coldaisle.core.events.codec import SCHEMAS
from coldaisle.core.events.ids import ID_BYTES
from coldaisle.core.events.types import AnyEvent
from coldaisle.core.store import Append, EventStore
from coldaisle.core.store.port import MAX_EVENT_BYTES
from coldaisle.server.errors import InvalidRequest
from coldaisle.v1 import agent_pb2

MAX_BATCH_EVENTS = 5_000
MAX_BATCH_BYTES = 4 << 20
MAX_RAW_CHARACTERS = 4_096
MAX_NAME_CHARACTERS = 200
MAX_NEEDED_LINKS = 1_000_000
"""Of a redundant group; a number beyond 64 bits would fit no snapshot of the twin."""
MAX_QUOTED_CHARACTERS = 8_192
"""Of what reactors quote, some of it several times: their answers must fit into events too."""
MAX_AHEAD_SECONDS = 60
"""How far an agent's clock may be ahead of the server's. An event from further ahead happened now: else its
asset's next ones would count as late, and every other asset as silent, until the clocks have come there."""

NANOSECONDS = 1_000_000_000

OBSERVATIONS: frozenset[type[AnyEvent]] = frozenset({
    t.AssetObserved, t.AssetLinked, t.AssetRemoved, t.DeviceReached, t.DeviceLost, t.SamplesRecorded,
    t.LogLinesRecorded, t.TrapReceived, t.GapRecorded, t.InputRejected, t.AgentStarted,
})  # fmt: skip


class _Checked(Struct, frozen=True):
    """An event as it was sent, and what is stored for it; ``rejected`` when that says why it is not it."""

    sent: agent_pb2.AgentEvent
    stream: str
    new: NewEvent
    rejected: bool


async def store_batch(store: EventStore, agent: str, batch: agent_pb2.EventBatch) -> tuple[int, int]:
    """Append a batch; answers the position after it and how many events were not understood."""
    if len(batch.events) > MAX_BATCH_EVENTS or batch.ByteSize() > MAX_BATCH_BYTES:
        raise InvalidRequest(
            "batch", f"{len(batch.events)} events, {batch.ByteSize()} bytes; the bounds are "
            f"{MAX_BATCH_EVENTS} events and {MAX_BATCH_BYTES} bytes",
        )  # fmt: skip
    if not batch.events:
        return await store.head(), 0
    now = time.time_ns()
    return await _append(store, agent, [_checked(agent, event, now) for event in batch.events], now)


async def _append(store: EventStore, agent: str, checked: Sequence[_Checked], now: int) -> tuple[int, int]:
    """All at once. Where an agent recomposed a batch: in halves, so that each event still counts once."""
    try:
        done = await store.append_many(_grouped(checked))
    except DuplicateEvent:
        if len(checked) == 1 and checked[0].rejected:
            return await store.head(), 1  # another agent brought the same, and it is kept as that one's
        if len(checked) == 1:
            reason = "its id is already that of another event"
            return await _append(store, agent, [_rejected(agent, checked[0].sent, reason, now)], now)
        middle = len(checked) // 2
        first = await _append(store, agent, checked[:middle], now)
        second = await _append(store, agent, checked[middle:], now)
        return max(first[0], second[0]), first[1] + second[1]
    return max(each.position for each in done), sum(each.rejected for each in checked)


def _checked(agent: str, event: agent_pb2.AgentEvent, now: int) -> _Checked:
    try:
        if len(event.id) != ID_BYTES:
            raise EventError(f"{event.type}: an id of {len(event.id)} bytes, must be {ID_BYTES}")
        if len(event.data) > MAX_EVENT_BYTES:
            raise EventError(f"{event.type}: {len(event.data)} bytes, the bound is {MAX_EVENT_BYTES}")
        body = parse_body(event.type, event.data)
        _check_body(agent, body, event.schema)
    except EventError as error:
        return _rejected(agent, event, str(error), now)
    actor = f"agent/{agent}"
    new = NewEvent(event.id, event.type, event.schema, _time(event, now), actor, event.data)
    return _Checked(event, stream_of(body), new, rejected=False)


def _check_body(agent: str, body: AnyEvent, schema: int) -> None:
    name = type(body).__name__
    if type(body) not in OBSERVATIONS or (isinstance(body, t.AgentStarted) and body.agent != agent):
        raise EventError(f"{name}: not for this agent to say")
    if not 1 <= schema <= SCHEMAS[name]:
        raise EventError(f"{name}: schema {schema}, this server knows 1 to {SCHEMAS[name]}: upgrade it")
    if isinstance(body, t.SamplesRecorded) and len(body.metrics) != len(body.values):
        raise EventError(f"{name}: {len(body.metrics)} metrics, but {len(body.values)} values")
    if isinstance(body, t.AssetLinked) and not 0 <= body.need <= MAX_NEEDED_LINKS:
        raise EventError(f"{name}: need is not from 0 to {MAX_NEEDED_LINKS}")
    if len(stream_of(body)) > MAX_NAME_CHARACTERS:
        raise EventError(f"{name}: a name of more than {MAX_NAME_CHARACTERS} characters")
    if max(map(len, _quoted(body)), default=0) > MAX_QUOTED_CHARACTERS:
        raise EventError(
            f"{name}: a metric, program or reason of more than {MAX_QUOTED_CHARACTERS} characters"
        )


def _quoted(body: AnyEvent) -> Iterable[str]:
    match body:
        case t.SamplesRecorded(metrics=metrics):
            return metrics
        case t.LogLinesRecorded(lines=lines):
            return (line.app for line in lines)
        case t.DeviceLost(address=address, agent=agent, reason=reason):
            return address, agent, reason
        case _:
            return ()


def _time(event: agent_pb2.AgentEvent, now: int) -> int:
    is_possible = event.time_unix_nano <= now + MAX_AHEAD_SECONDS * NANOSECONDS
    return event.time_unix_nano if is_possible else now


def _rejected(agent: str, event: agent_pb2.AgentEvent, reason: str, now: int) -> _Checked:
    raw = event.data.decode("utf-8", "backslashreplace")[:MAX_RAW_CHARACTERS]
    body = t.InputRejected(agent, reason[:MAX_RAW_CHARACTERS], raw)
    new = encode(
        body,
        id=derived_id(event.time_unix_nano, event.id + event.type.encode() + event.data, "ingest", 0),
        time=_time(event, now),
        actor=f"agent/{agent}",
    )
    return _Checked(event, stream_of(body), new, rejected=True)


def _grouped(checked: Sequence[_Checked]) -> list[Append]:
    streams: dict[str, list[NewEvent]] = {}
    for each in checked:
        streams.setdefault(each.stream, []).append(each.new)
    return [Append(stream, grouped) for stream, grouped in streams.items()]
