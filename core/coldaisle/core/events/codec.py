"""Event bodies to JSON and back. The envelope's ``type`` is the tag; unknown types are passed over."""

import typing

import msgspec

from coldaisle.core.errors import EventError
from coldaisle.core.events.envelope import Fact, NewEvent, Recorded
from coldaisle.core.events.types import AnyEvent

EVENT_TYPES: dict[str, type[AnyEvent]] = {cls.__name__: cls for cls in typing.get_args(AnyEvent)}

# Each type's schema number. Raise it when a field is added, and keep the golden file of the version before.
SCHEMAS: dict[str, int] = dict.fromkeys(EVENT_TYPES, 1)

_decoders: dict[str, msgspec.json.Decoder[AnyEvent]] = {
    name: msgspec.json.Decoder(cls) for name, cls in EVENT_TYPES.items()
}
_encoder = msgspec.json.Encoder()


def encode_body(body: AnyEvent) -> bytes:
    """The body as JSON; NaN and infinities become null (the columns allow it)."""
    return _encoder.encode(body)


def encode(
    body: AnyEvent,
    *,
    id: bytes,
    time: int,
    actor: str,
    correlation_id: bytes | None = None,
    causation_id: bytes | None = None,
) -> NewEvent:
    """An event ready for the store. ``id`` and ``time`` come from the edges, never from here."""
    name = type(body).__name__
    return NewEvent(
        id, name, SCHEMAS[name], time, actor, encode_body(body), correlation_id, causation_id
    )  # fmt: skip


def parse_body(type_name: str, data: bytes) -> AnyEvent:
    """The body of a known type, checked. Raises EventError that names the type and the place."""
    decoder = _decoders.get(type_name)
    if decoder is None:
        raise EventError(f"unknown event type {type_name!r}")
    try:
        return decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise EventError(f"{type_name}: {error}") from error
    except UnicodeDecodeError as error:
        raise EventError(f"{type_name}: not UTF-8 at byte {error.start}") from error


def decode(event: Recorded) -> Fact | None:
    """The recorded event with its body, or None when a newer program wrote a type unknown here.

    Raises EventError that names the position when a known type does not decode.
    """
    decoder = _decoders.get(event.type)
    if decoder is None:
        return None
    try:
        body = decoder.decode(event.data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EventError(f"event at position {event.position} ({event.type}): {error}") from error
    return Fact(
        event.position, event.stream, event.version, event.id, event.time, event.recorded,
        event.actor, event.correlation_id, event.causation_id, body,
    )  # fmt: skip
