"""Agents' batches into appends: checked, grouped by stream, nothing thrown away. Pure but for the store.

Agents may only report what they observed. What is not understood, or not theirs to say, is kept as an
InputRejected event with the reason, so that one bad event never holds up a batch.
"""

from collections.abc import Iterable

from coldaisle.core.errors import DuplicateEvent, EventError
from coldaisle.core.events import NewEvent, derived_id, encode, parse_body, stream_of
from coldaisle.core.events import types as t
from coldaisle.core.events.codec import SCHEMAS
from coldaisle.core.events.types import AnyEvent
from coldaisle.core.store import Append, EventStore
from coldaisle.server.errors import InvalidRequest
from coldaisle.v1 import agent_pb2

MAX_BATCH_EVENTS = 5_000
MAX_BATCH_BYTES = 4 << 20
MAX_RAW_CHARACTERS = 4_096
MAX_NAME_CHARACTERS = 200
ID_BYTES = 16

OBSERVATIONS: frozenset[type[AnyEvent]] = frozenset({
    t.AssetObserved, t.AssetLinked, t.AssetRemoved, t.DeviceReached, t.DeviceLost, t.SamplesRecorded,
    t.LogLinesRecorded, t.TrapReceived, t.GapRecorded, t.InputRejected, t.AgentStarted,
})  # fmt: skip


async def store_batch(store: EventStore, agent: str, batch: agent_pb2.EventBatch) -> tuple[int, int]:
    """Append a batch; answers the position after it and how many events were not understood."""
    if len(batch.events) > MAX_BATCH_EVENTS or batch.ByteSize() > MAX_BATCH_BYTES:
        raise InvalidRequest(
            "batch", f"{len(batch.events)} events, {batch.ByteSize()} bytes; the bounds are "
            f"{MAX_BATCH_EVENTS} events and {MAX_BATCH_BYTES} bytes",
        )  # fmt: skip
    if not batch.events:
        return await store.head(), 0
    checked = [_checked(agent, event) for event in batch.events]
    position = await _append(store, _grouped((stream, event) for stream, event, _ in checked))
    return position, sum(rejected for _, _, rejected in checked)


async def _append(store: EventStore, appends: list[Append]) -> int:
    """All at once; one by one where an agent recomposed a batch, so that each event still counts once."""
    try:
        return max(done.position for done in await store.append_many(appends))
    except DuplicateEvent:
        position = 0
        for append in appends:
            for event in append.events:
                position = max(position, (await store.append(append.stream, [event])).position)
        return position


def _checked(agent: str, event: agent_pb2.AgentEvent) -> tuple[str, NewEvent, bool]:
    """The event's stream, the event to store, and whether it stands for one that was rejected."""
    actor = f"agent/{agent}"
    try:
        if len(event.id) != ID_BYTES:
            raise EventError(f"{event.type}: an id of {len(event.id)} bytes, must be {ID_BYTES}")
        body = parse_body(event.type, event.data)
        _check_body(body, event.schema)
    except EventError as error:
        return _rejected(agent, event, str(error))
    new = NewEvent(event.id, event.type, event.schema, event.time_unix_nano, actor, event.data)
    return stream_of(body), new, False


def _check_body(body: AnyEvent, schema: int) -> None:
    name = type(body).__name__
    if type(body) not in OBSERVATIONS:
        raise EventError(f"{name}: not for an agent to say")
    if schema > SCHEMAS[name]:
        raise EventError(f"{name}: schema {schema} is newer than {SCHEMAS[name]}: upgrade the server")
    if isinstance(body, t.SamplesRecorded) and len(body.metrics) != len(body.values):
        raise EventError(f"{name}: {len(body.metrics)} metrics, but {len(body.values)} values")
    if len(stream_of(body)) > MAX_NAME_CHARACTERS:
        raise EventError(f"{name}: a name of more than {MAX_NAME_CHARACTERS} characters")


def _rejected(agent: str, event: agent_pb2.AgentEvent, reason: str) -> tuple[str, NewEvent, bool]:
    raw = event.data.decode("utf-8", "backslashreplace")[:MAX_RAW_CHARACTERS]
    body = t.InputRejected(agent, reason[:MAX_RAW_CHARACTERS], raw)
    new = encode(
        body,
        id=derived_id(event.time_unix_nano, event.id or event.data, "ingest", 0),
        time=event.time_unix_nano,
        actor=f"agent/{agent}",
    )
    return stream_of(body), new, True


def _grouped(events: Iterable[tuple[str, NewEvent]]) -> list[Append]:
    streams: dict[str, list[NewEvent]] = {}
    for stream, event in events:
        streams.setdefault(stream, []).append(event)
    return [Append(stream, grouped) for stream, grouped in streams.items()]
