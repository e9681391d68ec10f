"""The rules of an append that every adapter shares; pure."""

from collections.abc import Callable, Sequence

from coldaisle.core.errors import DuplicateEvent, EventError, StreamTombstoned, TooLarge, WrongVersion
from coldaisle.core.events.envelope import NewEvent, Recorded
from coldaisle.core.events.ids import ID_BYTES, id_text
from coldaisle.core.store.port import (
    MAX_APPEND_EVENTS,
    MAX_EVENT_BYTES,
    Append,
    Appended,
    Expected,
    StreamState,
)

_length = bytes.__len__  # raises TypeError for what is no bytes
_is_ascii = str.isascii  # likewise


def check_appends(appends: Sequence[Append]) -> int:
    """The bytes of the appends. Raises TooLarge, EventError or ValueError before anything is written.

    A value of another type than the envelope names would be stored, by some stores, and then not be read.
    """
    count = total_bytes = 0
    for append in appends:
        if not append.events:
            raise ValueError(f"an append to {append.stream!r} carries no events")
        count += len(append.events)
        if not _is_text(append.stream):
            raise EventError(f"the stream name {append.stream!r} is no text in UTF-8: correct it")
        try:
            for event in append.events:
                size = _length(event.data)
                if size > MAX_EVENT_BYTES:
                    raise TooLarge(
                        f"event {id_text(event.id)} ({event.type}) for {append.stream!r} has {size} bytes, "
                        f"the bound is {MAX_EVENT_BYTES}: split it"
                    )
                total_bytes += size
                if not _is_storable(event):
                    raise _unstorable(append, event)
        except TypeError as error:
            raise _unstorable(append, event) from error
    if count > MAX_APPEND_EVENTS:
        raise TooLarge(f"an append of {count} events, the bound is {MAX_APPEND_EVENTS}: split it")
    return total_bytes


def _is_storable(event: NewEvent) -> bool:
    """Whether every store can hold the event; raises TypeError where a value is of another type.

    The first lines find a time beyond 64 bits, and a schema beyond 31 or negative.
    """
    return not (
        event.time + (1 << 63) >> 64
        or event.schema >> 31
        or _length(event.id) != ID_BYTES
        or (event.correlation_id is not None and _length(event.correlation_id) != ID_BYTES)
        or (event.causation_id is not None and _length(event.causation_id) != ID_BYTES)
        or not (_is_ascii(event.type) or _is_text(event.type))
        or not (_is_ascii(event.actor) or _is_text(event.actor))
    )


def _unstorable(append: Append, event: NewEvent) -> EventError:
    """Names the first value that is not as :func:`_is_storable` wants it."""
    name, bound = next((n, bound) for n, (bound, fits) in _VALUES.items() if not fits(getattr(event, n)))
    return EventError(
        f"an event for {append.stream!r}: {name} is {getattr(event, name)!r:.60}, must be {bound}; "
        "correct it, nothing was written"
    )


def _is_id(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == ID_BYTES


def _is_reference(value: object) -> bool:
    return value is None or _is_id(value)


def _is_text(value: object) -> bool:
    """A lone surrogate is none."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_VALUES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "id": ("16 bytes", _is_id),
    "type": ("text", _is_text),
    "schema": ("a number of 31 bits", lambda value: isinstance(value, int) and not value >> 31),
    "time": ("a number of 64 bits", lambda value: isinstance(value, int) and not value + (1 << 63) >> 64),
    "actor": ("text", _is_text),
    "correlation_id": ("16 bytes or none", _is_reference),
    "causation_id": ("16 bytes or none", _is_reference),
    "data": ("bytes", lambda value: isinstance(value, bytes)),
}


def check_expected(stream: str, expected: int | Expected, state: StreamState) -> None:
    """Raises WrongVersion or StreamTombstoned unless the stream is as expected.

    A deleted stream counts as none for NO_STREAM and EXISTS, and keeps its number for who names one.
    """
    if state.tombstoned:
        raise StreamTombstoned(stream)
    match expected:
        case Expected.ANY:
            holds = True
        case Expected.NO_STREAM | -1:
            holds = not state.exists
        case Expected.EXISTS:
            holds = state.exists
        case _:
            holds = state.version == expected
    if not holds:
        shown = expected.value if isinstance(expected, Expected) else expected
        raise WrongVersion(stream, shown, state.version)


def repeated_result(append: Append, found: Sequence[Recorded | None]) -> Appended | None:
    """The first result when all events are already there, None when none is; else DuplicateEvent.

    ``found`` holds, for each event of the append, what is stored under its id.
    """
    ids = [event.id for event in append.events]
    if len(set(ids)) < len(ids):
        raise DuplicateEvent(f"an append to {append.stream!r} carries one event id twice")
    there = [event for event in found if event is not None]
    if not there:
        return None
    first, last = there[0], there[-1]
    whole = len(there) == len(ids) and last.version - first.version == len(ids) - 1
    if whole and all(event.stream == append.stream for event in there):
        return Appended(last.version, last.position)
    raise DuplicateEvent(
        f"{len(there)} of {len(ids)} events for {append.stream!r} are already stored, the first as "
        f"{id_text(first.id)} at position {first.position} in "
        f"{first.stream!r}: append them as they were, or none"
    )
