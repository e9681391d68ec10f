"""Event bodies to JSON and back. The envelope's ``type`` is the tag; unknown types are passed over."""

import contextlib
import sys
import types
import typing
from collections.abc import Callable, Iterator
from functools import lru_cache

import msgspec

from coldaisle.core.errors import EventError
from coldaisle.core.events.envelope import Fact, NewEvent, Recorded
from coldaisle.core.events.types import AnyEvent, SamplesRecorded

EVENT_TYPES: dict[str, type[AnyEvent]] = {cls.__name__: cls for cls in typing.get_args(AnyEvent)}

# Each type's schema number. Raise it when a field is added, and keep the golden file of the version before.
SCHEMAS: dict[str, int] = dict.fromkeys(EVENT_TYPES, 1) | {
    "AlertEscalated": 2,
    "AlertOpened": 2,
    "DetectorConfigured": 2,
}

MAX_CACHED_HEADS = 50_000
"""Assets whose last poll is remembered by its head; beyond it the cache starts anew."""


MAX_COUNTED_VALUES = 512
"""Values of a poll up to which their decoder knows their number, which saves a tenth of its time."""

Values = tuple[float | None, ...]

_GOOD = b',"quality":"good"}'
_BEFORE_GOOD = -len(_GOOD)


class _Head(typing.NamedTuple):
    """How the JSON of a stream's last poll began: asset and metric names, up to the values."""

    data: bytes
    size_bytes: int
    asset: str
    metrics: tuple[str, ...]
    decode_values: Callable[[bytes], Values]


class _SamplesDecoder:
    """Decodes SamplesRecorded, most of any history.

    An asset names the same metrics in every poll, and names are most of the bytes. So the head of a stream's
    last poll, asset and names as our encoder writes them, is compared, not parsed, and so is the usual end;
    the values between are parsed. What differs in any way is parsed whole: the same answer, only later.
    """

    def __init__(self) -> None:
        self._whole = msgspec.json.Decoder(SamplesRecorded)
        self._heads: dict[str, _Head] = {}

    def decode(self, data: bytes) -> SamplesRecorded:
        return self._whole.decode(data)

    def decode_next(self, stream: str, data: bytes) -> SamplesRecorded:
        """As decode, for the next event of a stream."""
        known = self._heads.get(stream)
        if known is not None:
            head, size_bytes, asset, metrics, decode_values = known
            if data.startswith(head) and data.endswith(_GOOD):
                try:
                    return SamplesRecorded(asset, metrics, decode_values(data[size_bytes:_BEFORE_GOOD]))
                except msgspec.MsgspecError:
                    return self._whole.decode(data)
        return self._learn(stream, data)

    def _learn(self, stream: str, data: bytes) -> SamplesRecorded:
        body = self._whole.decode(data)
        head = _encoder.encode({"asset": body.asset, "metrics": body.metrics})[:-1] + b',"values":'
        if data.startswith(head):
            if len(self._heads) >= MAX_CACHED_HEADS:
                self._heads.clear()
            decode_values = _values_decoder(len(body.values))
            self._heads[stream] = _Head(head, len(head), body.asset, body.metrics, decode_values)
        return body


@lru_cache(maxsize=MAX_COUNTED_VALUES)
def _values_decoder(count: int) -> Callable[[bytes], Values]:
    """Of so many values and no other number, or of any number beyond the bound."""
    kind: typing.Any = Values
    if count <= MAX_COUNTED_VALUES:
        kind = types.GenericAlias(tuple, (float | None,) * count)
    decoder: msgspec.json.Decoder[Values] = msgspec.json.Decoder(kind)
    return decoder.decode


_encoder = msgspec.json.Encoder()
_samples = _SamplesDecoder()
_decoders: dict[str, msgspec.json.Decoder[AnyEvent] | _SamplesDecoder] = {
    **{name: msgspec.json.Decoder(cls) for name, cls in EVENT_TYPES.items()},
    SamplesRecorded.__name__: _samples,
}


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
    except RecursionError as error:
        raise EventError(f"{type_name}: nested too deep") from error


def decode(event: Recorded) -> Fact | None:
    """The recorded event with its body, or None when a newer program wrote a type unknown here.

    Raises EventError that names the position when a known type does not decode, or its data are no bytes.
    """
    decoder = _decoders.get(event.type)
    if decoder is None:
        return None
    try:
        if decoder is _samples:
            body: AnyEvent = _samples.decode_next(event.stream, event.data)
        else:
            body = decoder.decode(event.data)
    except RecursionError:
        with _deeper():
            body = decoder.decode(event.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        raise EventError(f"event at position {event.position} ({event.type}): {error}") from error
    return Fact(
        event.position, event.stream, event.version, event.id, event.time, event.recorded,
        event.actor, event.correlation_id, event.causation_id, body,
    )  # fmt: skip


@contextlib.contextmanager
def _deeper() -> Iterator[None]:
    """For what was taken in where fewer calls were under way: no reader may fail at it."""
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(2 * usual)
    try:
        yield
    finally:
        sys.setrecursionlimit(usual)
