"""Observations to batches, as they are spooled and sent. Pure.

A batch is the wire message without its number, so that what is repeated is the same to the byte.
Telemetry and facts never share a batch: when the spool is full, telemetry goes first.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from coldaisle.core.events.codec import SCHEMAS, encode_body
from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.ids import sequenced_id
from coldaisle.core.events.types import AnyEvent, InputRejected, LogLinesRecorded, SamplesRecorded
from coldaisle.v1 import agent_pb2

MAX_EVENT_BYTES = 1_048_576  # a message of gRPC holds 4 MiB by default
_MAX_RAW_CHARACTERS = 1024
_EVENT_OVERHEAD_BYTES = 64
_MAX_TIME = (1 << 63) - 1


class Bounds(Struct, frozen=True):
    """What one batch may hold."""

    max_events: int = 1000
    max_bytes: int = 1_048_576


class Batch(Struct, frozen=True):
    """One row of the spool to be; ``since`` and ``until`` are its events' earliest and latest time."""

    payload: bytes
    event_count: int
    is_telemetry: bool
    since: int
    until: int


class Origin(Struct, frozen=True):
    """Where ids come from: the agent's name and the salt of its spool's creation."""

    agent: str
    salt: str

    def event_id(self, time: int, sequence: int) -> bytes:
        """The id of this origin's ``sequence``-th event."""
        return sequenced_id(time, f"{self.agent}/{self.salt}", sequence)


def batches_of(
    observations: Iterable[Observation], origin: Origin, first_sequence: int, bounds: Bounds
) -> list[Batch]:
    """Number the observations from ``first_sequence``, facts first, and cut them into batches."""
    facts, telemetry = _parted(observations)
    numbered = enumerate([*facts, *telemetry], first_sequence)
    events = [(_event(observation, origin, sequence), sequence) for sequence, observation in numbered]
    border = first_sequence + len(facts)
    return [
        *_cut([event for event, sequence in events if sequence < border], bounds, is_telemetry=False),
        *_cut([event for event, sequence in events if sequence >= border], bounds, is_telemetry=True),
    ]


def events_of(payload: bytes) -> list[agent_pb2.AgentEvent]:
    """The events of a batch as the wire has them."""
    return list(agent_pb2.EventBatch.FromString(payload).events)


def _parted(observations: Iterable[Observation]) -> tuple[list[Observation], list[Observation]]:
    facts: list[Observation] = []
    telemetry: list[Observation] = []
    for observation in observations:
        kept = telemetry if isinstance(observation.body, SamplesRecorded | LogLinesRecorded) else facts
        kept.append(observation)
    return facts, telemetry


def _event(observation: Observation, origin: Origin, sequence: int) -> agent_pb2.AgentEvent:
    body, data = _encoded(observation.body, origin)
    # One observation that the wire cannot hold must not cost the others, nor the writer.
    name, time = type(body).__name__, min(max(observation.time, 0), _MAX_TIME)
    return agent_pb2.AgentEvent(
        id=origin.event_id(time, sequence), type=name, schema=SCHEMAS[name], time_unix_nano=time, data=data
    )


def _encoded(body: AnyEvent, origin: Origin) -> tuple[AnyEvent, bytes]:
    """The body and its bytes; what cannot be sent becomes rejected input."""
    name = type(body).__name__
    try:
        data = encode_body(body)
    except UnicodeEncodeError as error:  # half a surrogate pair, as JSON can spell it
        reason, raw = f"a {name} cannot be encoded: {error.reason}", ascii(body)[:_MAX_RAW_CHARACTERS]
    else:
        if len(data) <= MAX_EVENT_BYTES:
            return body, data
        reason = f"a {name} of {len(data)} bytes is over the bound of {MAX_EVENT_BYTES}"
        raw = data[:_MAX_RAW_CHARACTERS].decode("utf-8", "replace")
    rejected = InputRejected(origin.agent, reason, raw)
    return rejected, encode_body(rejected)


def _cut(events: list[agent_pb2.AgentEvent], bounds: Bounds, *, is_telemetry: bool) -> Iterator[Batch]:
    kept: list[agent_pb2.AgentEvent] = []
    size = 0
    for event in events:
        event_bytes = len(event.data) + _EVENT_OVERHEAD_BYTES
        if kept and (len(kept) >= bounds.max_events or size + event_bytes > bounds.max_bytes):
            yield _batch(kept, is_telemetry)
            kept, size = [], 0
        kept.append(event)
        size += event_bytes
    if kept:
        yield _batch(kept, is_telemetry)


def _batch(events: list[agent_pb2.AgentEvent], is_telemetry: bool) -> Batch:
    times = [event.time_unix_nano for event in events]
    payload = agent_pb2.EventBatch(events=events).SerializeToString()
    return Batch(payload, len(events), is_telemetry, min(times), max(times))
