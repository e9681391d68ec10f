"""How many bytes a page may hold: the one place where every adapter's pages are cut.

Events are bounded in number by ``limit``; this bounds their data, so that a page of large events does not
take a gigabyte. A page is full as soon as one more event might be too much, and holds one at least.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import islice
from operator import attrgetter

from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.port import MAX_EVENT_BYTES, MAX_PAGE_BYTES

FULL_BYTES = MAX_PAGE_BYTES - MAX_EVENT_BYTES
"""A page with more data than this takes no further event."""

SLICE_EVENTS = 32
"""Events fetched before their bytes are counted: what a page may take in memory beyond its bound."""

_SIZE = bytes.__len__  # raises TypeError for a text, which an altered file may hold
_DATA_OF: Callable[[Recorded], bytes] = attrgetter("data")


def take_page(events: Iterator[Recorded]) -> tuple[list[Recorded], bool]:
    """The events of one page, and whether these were all."""
    taken: list[Recorded] = []
    room_bytes = FULL_BYTES
    while fetched := list(islice(events, SLICE_EVENTS)):
        room_bytes -= data_bytes(fetched)
        taken += fetched
        if room_bytes < 0:
            return taken[: _fitting(taken)], False
    return taken, True


def _fitting(events: Sequence[Recorded]) -> int:
    room_bytes = FULL_BYTES
    for count, event in enumerate(events, start=1):
        room_bytes -= len(event.data)
        if room_bytes < 0:
            return count
    return len(events)


async def take_arriving(events: AsyncIterator[Recorded]) -> tuple[list[Recorded], bool]:
    """As ``take_page``, of events that come one by one; stops asking when the page is full."""
    taken: list[Recorded] = []
    room_bytes = FULL_BYTES
    async for event in events:
        taken.append(event)
        room_bytes -= len(event.data)
        if room_bytes < 0:
            return taken, False
    return taken, True


def data_bytes(events: Sequence[Recorded]) -> int:
    """The bytes of the events' data together."""
    return sum(map(_SIZE, map(_DATA_OF, events)))


def may_go_on(events: Sequence[Recorded], limit: int) -> bool:
    """Whether more may come behind a page of a stream that was asked for with this limit."""
    return len(events) >= limit or data_bytes(events) > FULL_BYTES
