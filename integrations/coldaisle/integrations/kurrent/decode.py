"""Events of ours as KurrentDB's and back; pure.

The envelope travels as metadata with string values, the only kind that multi-stream appends allow.
"""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from coldaisle.core.events import id_text, parse_id
from coldaisle.core.events.envelope import NewEvent, Recorded

if TYPE_CHECKING:
    from kurrentdbclient import NewEvent as WireEvent
    from kurrentdbclient import RecordedEvent

JSON = "application/json"
FOREIGN_SCHEMA = 0
FOREIGN_ACTOR = "kurrent"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS_PER_MICROSECOND = 1_000


class Envelope(Struct, frozen=True, omit_defaults=True):
    """The metadata of our events."""

    actor: str
    schema: str
    time: str
    correlation: str = msgspec.field(default="", name="$correlationId")
    causation: str = msgspec.field(default="", name="$causationId")


_encode = msgspec.json.Encoder().encode
_envelope = msgspec.json.Decoder(Envelope)


def envelope_of(event: NewEvent | Recorded) -> bytes:
    """The metadata of one of our events, in its one canonical form."""
    envelope = Envelope(
        event.actor,
        str(event.schema),
        str(event.time),
        _id_text(event.correlation_id),
        _id_text(event.causation_id),
    )
    return _encode(envelope)


def to_wire(event: NewEvent) -> "WireEvent":
    """An event as the cluster takes it; its id makes a retry recognisable."""
    from kurrentdbclient import NewEvent as WireEvent

    return WireEvent(
        type=event.type, data=event.data, metadata=envelope_of(event), id=uuid.UUID(bytes=event.id)
    )


def from_wire(event: "RecordedEvent") -> Recorded:
    """A recorded event; one that others wrote has schema 0 and the cluster's time."""
    recorded = _nanoseconds(event.recorded_at)
    envelope, correlation, causation = _read(event.metadata, recorded)
    return Recorded(
        event.commit_position,
        event.stream_name,
        event.stream_position,
        event.id.bytes,
        event.type,
        int(envelope.schema),
        int(envelope.time),
        recorded,
        envelope.actor,
        event.data,
        correlation,
        causation,
    )


def _read(metadata: bytes, recorded: int) -> tuple[Envelope, bytes | None, bytes | None]:
    try:
        envelope = _envelope.decode(metadata)
        if int(envelope.schema) >> 31 or int(envelope.time) + (1 << 63) >> 64:  # too large, or too small
            raise ValueError("no store could take it")
        return envelope, _id_bytes(envelope.correlation), _id_bytes(envelope.causation)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # the last where it is nested deep
        return Envelope(FOREIGN_ACTOR, str(FOREIGN_SCHEMA), str(recorded)), None, None


def _nanoseconds(moment: datetime | None) -> int:
    if moment is None:
        return 0
    since = moment - _EPOCH
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return microseconds * _NANOSECONDS_PER_MICROSECOND


def _id_text(event_id: bytes | None) -> str:
    return "" if event_id is None else id_text(event_id)


def _id_bytes(text: str) -> bytes | None:
    return parse_id(text) if text else None
