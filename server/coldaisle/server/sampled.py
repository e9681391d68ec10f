"""Recorded samples of one asset over a long time, read at bounded cost.

A short history is read whole. Of a long one single polls are read, at places spread evenly over the versions
of its stream: medians of steps stay what they were, and ninety days cost no more than one. A poll may have a
thousand values, so of metrics that nobody wants only the newest sample is kept. Polls are read in a thread.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from coldaisle.core.events import Recorded, decode
from coldaisle.core.events.types import SamplesRecorded
from coldaisle.core.forecast import Sample
from coldaisle.core.store import MAX_PAGE_EVENTS, EventStore

MAX_WHOLE_EVENTS = 20_000
MAX_PLACES = 4_000

SamplesByMetric = dict[str, list[Sample]]
Wanted = Callable[[str], bool]
_Found = dict[str, deque[Sample]]


async def recorded_samples(store: EventStore, asset: str, seconds: float, wanted: Wanted) -> SamplesByMetric:
    """The samples of the last ``seconds`` before the newest one, by metric, in order of their stream.

    Of metrics that are not ``wanted`` the last sample alone.
    """
    stream = f"telemetry-{asset}"
    newest = await store.read_stream(stream, backwards=True, limit=1)
    if not newest:
        return {}
    start, last = newest[0].time - int(seconds * 1e9), newest[0].version
    first = await _first_version(store, stream, start, last)
    found: _Found = {}
    for version in _places(first, last):
        limit = MAX_PAGE_EVENTS if last - first < MAX_WHOLE_EVENTS else 1
        events = await store.read_stream(stream, after=version - 1, limit=limit)
        await asyncio.to_thread(_collect, found, wanted, events, start)
    return {metric: list(series) for metric, series in found.items()}


async def _first_version(store: EventStore, stream: str, start: int, last: int) -> int:
    """The first version at or after ``start``; times rise with versions, but for late ones."""
    low, high = 0, last
    while low < high:
        middle = (low + high) // 2
        found = await store.read_stream(stream, after=middle - 1, limit=1)
        if found and found[0].time < start:
            low = found[0].version + 1
        else:
            high = middle
    return low


def _places(first: int, last: int) -> Iterator[int]:
    count = last - first + 1
    if count <= MAX_WHOLE_EVENTS:
        yield from range(first, last + 1, MAX_PAGE_EVENTS)
    else:
        yield from (first + place * (count - 1) // (MAX_PLACES - 1) for place in range(MAX_PLACES))


def _collect(found: _Found, wanted: Wanted, events: list[Recorded], start: int) -> None:
    for event in events:
        fact = decode(event) if event.time >= start else None
        if fact is None or not isinstance(fact.body, SamplesRecorded):
            continue
        for metric, value in zip(fact.body.metrics, fact.body.values, strict=False):
            if value is None:
                continue
            if metric not in found:
                found[metric] = deque(maxlen=None if wanted(metric) else 1)
            found[metric].append((event.time, value))
