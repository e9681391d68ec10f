"""Events of ours as KurrentDB's and back; pure.

Our envelope (actor, schema, time, correlation, causation) travels in the metadata, in one canonical form.
An event whose metadata is exactly that form is stored as one of ours. Any other event is *foreign*: it is
stored with its metadata and content type inside its data, under schema 0, and comes back byte for byte.
"""

import uuid
from collections.abc import Mapping
from typing import Annotated

import msgspec
import orjson
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from coldaisle.core.errors import EventError
from coldaisle.core.events import NewEvent, id_text
from coldaisle.core.events.codec import EVENT_TYPES, parse_body
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.port import MAX_EVENT_BYTES
from coldaisle.integrations.kurrent.decode import FOREIGN_SCHEMA, JSON, Envelope, envelope_of

OCTETS = "application/octet-stream"
MAX_TYPE_CHARACTERS = 1_024
MAX_NESTED_BRACKETS = 500
"""How deep stored JSON goes: decoders recurse, and give up at a depth that depends on who calls them."""
_ORJSON_BRACKETS = 1_024
_OUTER_BRACKETS = _ORJSON_BRACKETS - MAX_NESTED_BRACKETS
_NANOSECONDS_PER_TICK = 100


class Foreign(Struct, frozen=True, omit_defaults=True):
    """The stored data of a foreign event. JSON stays readable, other bytes go as base64."""

    content_type: str = JSON
    data: Raw | UnsetType = UNSET
    data_base64: bytes = b""
    metadata: Raw | UnsetType = UNSET
    metadata_base64: bytes = b""


class Proposed(Struct, frozen=True):
    """An event as a client sends it, whatever the protocol version."""

    id: bytes
    type: str
    content_type: str
    data: bytes
    metadata: bytes

    @property
    def size_bytes(self) -> int:
        """What counts towards the bound of an append."""
        return len(self.type) + len(self.content_type) + len(self.data) + len(self.metadata)


class Own(Struct, frozen=True):
    """The metadata of our events, its texts read as what they stand for."""

    actor: str
    schema: Annotated[int, Meta(gt=FOREIGN_SCHEMA, lt=1 << 31)]
    time: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
    correlation: uuid.UUID | None = msgspec.field(default=None, name="$correlationId")
    causation: uuid.UUID | None = msgspec.field(default=None, name="$causationId")


class Correlated(Struct, frozen=True):
    """What metadata says that an event belongs to."""

    correlation: str = msgspec.field(default="", name="$correlationId")


_foreign = msgspec.json.Decoder(Foreign)
_own = msgspec.json.Decoder(Own, strict=False)
_correlated = msgspec.json.Decoder(Correlated)
_encode = msgspec.json.Encoder().encode


def metadata_from_properties(properties: Mapping[str, object]) -> bytes:
    """The properties of a second-version record as metadata: canonical where they are ours, else sorted."""
    try:
        envelope = msgspec.convert(properties, Envelope)
    except msgspec.ValidationError:
        envelope = None
    if envelope is not None and msgspec.to_builtins(envelope) == properties:
        return _encode(envelope)
    return orjson.dumps(properties, option=orjson.OPT_SORT_KEYS) if properties else b""


def to_store(event: Proposed, now: int, user: str) -> NewEvent:
    """The event as the store takes it. Raises EventError when it is too large, or only claims to be ours."""
    if not event.type or len(event.type) > MAX_TYPE_CHARACTERS:
        raise EventError(f"event type {event.type[:40]!r}: give 1 to {MAX_TYPE_CHARACTERS} characters")
    native = _native(event)
    if event.type in EVENT_TYPES:
        if native is None:
            raise EventError(
                f"{event.type} is an event type of Coldaisle: send its data as JSON, nested at most "
                f"{MAX_NESTED_BRACKETS} deep, and its metadata as "
                'Coldaisle writes it ({"actor":...,"schema":...,"time":...}), or choose another type name'
            )
        parse_body(event.type, event.data)
    if native is not None:
        return native
    data = _wrapped(event)
    if len(data) > MAX_EVENT_BYTES:
        raise EventError(
            f"event {id_text(event.id)} has {len(data)} bytes as it is stored, where what is no JSON takes a "
            f"third more; the bound is {MAX_EVENT_BYTES}: split it"
        )
    return NewEvent(event.id, event.type, FOREIGN_SCHEMA, now, f"kurrent/{user}", data)


def wire_parts(event: Recorded) -> tuple[str, bytes, bytes]:
    """Content type, data and metadata of a stored event."""
    if event.schema != FOREIGN_SCHEMA:
        return JSON, event.data, envelope_of(event)
    try:
        foreign = _foreign.decode(event.data)
    except (msgspec.MsgspecError, RecursionError):  # schema 0, but not written here
        return JSON, event.data, envelope_of(event)
    return (
        foreign.content_type,
        foreign.data_base64 if foreign.data is UNSET else bytes(foreign.data),
        foreign.metadata_base64 if foreign.metadata is UNSET else bytes(foreign.metadata),
    )


def correlation_of(event: Recorded) -> str:
    """The correlation in the event's metadata; empty when there is none."""
    try:
        return _correlated.decode(wire_parts(event)[2]).correlation
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def created_ticks(event: Recorded) -> str:
    """When the store took the event, as clients expect it: 100 ns since 1970, in text."""
    return str(event.recorded // _NANOSECONDS_PER_TICK)


def _native(event: Proposed) -> NewEvent | None:
    """One of our events, if its metadata is exactly what :func:`envelope_of` would write."""
    if event.content_type != JSON or not event.metadata:
        return None
    if event.type in EVENT_TYPES and _is_deep(event.data):  # nobody here decodes the others
        return None
    try:
        own = _own.decode(event.metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    native = NewEvent(
        event.id, event.type, own.schema, own.time, own.actor, event.data,
        own.correlation.bytes if own.correlation else None, own.causation.bytes if own.causation else None,
    )  # fmt: skip
    return native if envelope_of(native) == event.metadata else None


def _wrapped(event: Proposed) -> bytes:
    data, data_base64 = _raw_or_bytes(event.data)
    metadata, metadata_base64 = _raw_or_bytes(event.metadata)
    return _encode(Foreign(event.content_type, data, data_base64, metadata, metadata_base64))


def _raw_or_bytes(content: bytes) -> tuple[Raw | UnsetType, bytes]:
    """JSON as itself, if it survives that unchanged."""
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return UNSET, content
    if content != content.strip() or _is_deep(content):
        return UNSET, content
    return Raw(content), b""


def _is_deep(content: bytes) -> bool:
    """Whether JSON is nested deeper than it may be stored; in more brackets orjson meets its own bound."""
    short = len(content) <= 2 * MAX_NESTED_BRACKETS
    if short or content.count(b"[") + content.count(b"{") <= MAX_NESTED_BRACKETS:
        return False
    try:
        orjson.loads(b"[" * _OUTER_BRACKETS + content + b"]" * _OUTER_BRACKETS)
    except orjson.JSONDecodeError:
        return True
    return False
