"""A history from one store into another, through the port alone: whatever adapters the two are.

Order, streams, versions, ids, times and payloads come over; positions too, where the source has no holes.
``recorded`` comes over into a file; a cluster gives its own.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

from msgspec import Struct

from coldaisle.core.errors import StoreError
from coldaisle.core.events.envelope import NewEvent, Recorded
from coldaisle.core.events.ids import id_text
from coldaisle.core.store.port import MAX_PAGE_EVENTS, Append, EventStore, Page

COPY_CHECKPOINT = "copy"
Progress = Callable[[int, int], None]
"""Takes the position reached and the position aimed at, of the source."""


class Source(Protocol):
    """What is copied from: a store, or a store and its archive."""

    async def read_all(self, *, after: int = 0, limit: int = MAX_PAGE_EVENTS) -> Page:
        """See EventStore."""
        ...

    async def head(self) -> int:
        """See EventStore."""
        ...


class Copied(Struct, frozen=True):
    """How many events this call copied, how many are there now, and up to which position of the source."""

    copied: int
    events: int
    position: int


async def copy_history(source: Source, target: EventStore, progress: Progress = lambda *_: None) -> Copied:
    """Copy what the target lacks, then compare both from the first event on.

    May be killed and called again: it goes on after the last event copied. Raises StoreError when the target
    holds anything that is not the source's beginning.
    """
    end, after, copied = await source.head(), await target.load_checkpoint(COPY_CHECKPOINT), 0
    is_resumed = await target.head() > 0
    if is_resumed and after == 0:
        await _require_beginning(source, target)
    while after < end:
        page = await source.read_all(after=after)
        missing = await _missing(page.events, target) if is_resumed else page.events
        is_resumed = False
        for appends in _in_order(missing):
            await target.append_many(appends)
        copied += len(missing)
        after = page.position
        await target.save_checkpoint(COPY_CHECKPOINT, after)
        progress(after, end)
    return Copied(copied, await compare(source, target, after), after)


async def compare(source: Source, target: Source, end: int) -> int:
    """How many events both hold up to ``end``, which is the source's; raises StoreError where they differ."""
    count = ours = theirs = 0
    waiting: list[Recorded] = []
    while ours < end:
        page = await source.read_all(after=ours)
        ours = page.position
        for event in page.events:
            if event.position > end:
                break
            if not waiting:
                following = await target.read_all(after=theirs)
                waiting, theirs = following.events[::-1], following.position
            _require_same(event, waiting.pop() if waiting else None)
            count += 1
    return count


async def _require_beginning(source: Source, target: EventStore) -> None:
    """A target that never said how far it is holds the first page at most; anything else is not ours."""
    expected, there = await source.read_all(), await target.read_all()
    if not there.caught_up or len(there.events) > len(expected.events):
        raise StoreError("the target holds other events already: copy into a new store")
    for event, copy in zip(expected.events, there.events, strict=False):
        _require_same(event, copy)


async def _missing(events: Sequence[Recorded], target: EventStore) -> Sequence[Recorded]:
    """What of a page did not arrive: a killed copy may have appended all of it and not yet said so."""
    newest = (await target.read_all(limit=1, backwards=True)).events
    ids = [event.id for event in events]
    return events[ids.index(newest[0].id) + 1 :] if newest and newest[0].id in ids else events


def _in_order(events: Sequence[Recorded]) -> Iterator[list[Append]]:
    """Appends that keep the order of positions: each stream once, a cluster joins what it has twice."""
    appends: dict[str, Append] = {}
    for (stream, recorded), neighbours in groupby(events, key=lambda event: (event.stream, event.recorded)):
        if stream in appends:
            yield list(appends.values())
            appends = {}
        appends[stream] = Append(stream, [_new(event) for event in neighbours], recorded=recorded)
    if appends:
        yield list(appends.values())


def _new(event: Recorded) -> NewEvent:
    return NewEvent(
        event.id, event.type, event.schema, event.time, event.actor, event.data,
        event.correlation_id, event.causation_id,
    )  # fmt: skip


def _require_same(event: Recorded, copy: Recorded | None) -> None:
    if copy is None:
        raise StoreError(
            f"the copy ends before position {event.position} ({id_text(event.id)}): copy into a new store"
        )
    if (event.stream, _new(event)) != (copy.stream, _new(copy)):
        raise StoreError(
            f"position {event.position} of the source is {id_text(event.id)} in {event.stream!r}, "
            f"the copy has {id_text(copy.id)} in {copy.stream!r}: copy into a new store, and let retention "
            "remove nothing of the source meanwhile"
        )
