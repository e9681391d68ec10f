"""The rules of an append that every adapter shares; pure."""

from collections.abc import Sequence

from coldaisle.core.errors import DuplicateEvent, StreamTombstoned, TooLarge, WrongVersion
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.events.ids import id_text
from coldaisle.core.store.port import (
    MAX_APPEND_EVENTS,
    MAX_EVENT_BYTES,
    Append,
    Appended,
    Expected,
    StreamState,
)


def check_bounds(appends: Sequence[Append]) -> int:
    """The bytes of the appends; raises TooLarge or ValueError before anything is written."""
    count = total_bytes = 0
    for append in appends:
        if not append.events:
            raise ValueError(f"an append to {append.stream!r} carries no events")
        count += len(append.events)
        for event in append.events:
            size = len(event.data)
            if size > MAX_EVENT_BYTES:
                raise TooLarge(
                    f"event {id_text(event.id)} ({event.type}) for {append.stream!r} has {size} bytes, "
                    f"the bound is {MAX_EVENT_BYTES}: split it"
                )
            total_bytes += size
    if count > MAX_APPEND_EVENTS:
        raise TooLarge(f"an append of {count} events, the bound is {MAX_APPEND_EVENTS}: split it")
    return total_bytes


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
