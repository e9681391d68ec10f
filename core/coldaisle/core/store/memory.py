"""The store in memory: for tests, and the model that the other adapters are held to."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from itertools import islice

from msgspec.structs import replace

from coldaisle.core.events.envelope import NewEvent, Recorded
from coldaisle.core.store.check import check_appends, check_expected, repeated_result
from coldaisle.core.store.page_bound import take_page
from coldaisle.core.store.port import (
    EVERYTHING,
    MAX_PAGE_EVENTS,
    NO_STREAM_STATE,
    Append,
    Appended,
    EventFilter,
    Expected,
    Page,
    Step,
    StreamState,
)
from coldaisle.core.store.replay import replay_page


class MemoryStore:
    """An EventStore that forgets everything at the end of the process."""

    def __init__(self) -> None:
        self._log: list[Recorded] = []
        self._streams: dict[str, list[Recorded]] = {}
        self._by_id: dict[bytes, Recorded] = {}
        self._states: dict[str, StreamState] = {}
        self._checkpoints: dict[str, int] = {}
        self._changed = asyncio.Event()

    async def __aenter__(self) -> "MemoryStore":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def append(
        self, stream: str, events: Sequence[NewEvent], expected: int | Expected = Expected.ANY
    ) -> Appended:
        """See EventStore."""
        return (await self.append_many([Append(stream, events, expected)]))[0]

    async def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """See EventStore."""
        check_appends(appends)
        staged: list[Recorded] = []
        results = [self._stage(append, staged) for append in appends]
        for event in staged:
            self._log.append(event)
            self._streams.setdefault(event.stream, []).append(event)
            self._by_id[event.id] = event
            state = self._states.get(event.stream, NO_STREAM_STATE)
            self._states[event.stream] = replace(state, version=event.version)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        return results

    def _stage(self, append: Append, staged: list[Recorded]) -> Appended:
        own = [event for event in staged if event.stream == append.stream]
        state = self._states.get(append.stream, NO_STREAM_STATE)
        version = state.version + len(own)
        known = self._by_id | {event.id: event for event in staged}
        repeated = repeated_result(append, [known.get(event.id) for event in append.events])
        if repeated is not None:
            return repeated
        check_expected(append.stream, append.expected, replace(state, version=version))
        position = len(self._log) + len(staged)
        last = staged or self._log
        recorded = max(append.recorded or time.time_ns(), last[-1].recorded if last else 0)
        for offset, new in enumerate(append.events, start=1):
            staged.append(_record(new, append.stream, position + offset, version + offset, recorded))
        return Appended(version + len(append.events), position + len(append.events))

    async def read_stream(
        self, stream: str, *, after: int = -1, limit: int = MAX_PAGE_EVENTS, backwards: bool = False
    ) -> list[Recorded]:
        """See EventStore."""
        events = self._streams.get(stream, [])
        state = self._states.get(stream, NO_STREAM_STATE)
        if state.tombstoned:
            return []
        first = state.truncate_before
        if backwards:
            visible = events[first : max(first, after) if after >= 0 else None][::-1]
        else:
            visible = events[max(first, after + 1) :]
        return take_page(islice(visible, limit))[0]

    async def stream_state(self, stream: str) -> StreamState | None:
        """See EventStore."""
        return self._states.get(stream)

    async def truncate_stream(self, stream: str, before_version: int) -> None:
        """See EventStore."""
        state = self._states.get(stream)
        if state is not None and not state.tombstoned:
            first = max(0, min(before_version, state.version + 1))
            self._states[stream] = replace(state, truncate_before=first)

    async def delete_stream(self, stream: str, expected: int | Expected = Expected.ANY) -> None:
        """See EventStore."""
        state = self._states.get(stream, NO_STREAM_STATE)
        check_expected(stream, expected, state)
        await self.truncate_stream(stream, state.version + 1)

    async def tombstone(self, stream: str, expected: int | Expected = Expected.ANY) -> None:
        """See EventStore."""
        state = self._states.get(stream, NO_STREAM_STATE)
        check_expected(stream, expected, state)
        self._states[stream] = StreamState(state.version, state.version + 1, tombstoned=True)

    async def read_all(
        self,
        *,
        after: int = 0,
        limit: int = MAX_PAGE_EVENTS,
        backwards: bool = False,
        only: EventFilter = EVERYTHING,
    ) -> Page:
        """See EventStore."""
        rest = self._log[: after - 1 if after else None][::-1] if backwards else self._log[after:]
        admitted = [event for event in rest if only.admits(event)]
        events, _ = take_page(islice(admitted, limit))
        if len(events) < len(admitted):
            return Page(events, events[-1].position, caught_up=False)
        end = 1 if backwards else max(after, len(self._log))
        return Page(events, end, caught_up=True)

    async def replay(self, step: Step, *, after: int = 0, end: int) -> int:
        """See EventStore."""
        return await replay_page(self, step, after, end)

    async def subscribe_all(self, *, after: int = 0, only: EventFilter = EVERYTHING) -> AsyncIterator[Page]:
        """See EventStore."""
        announced = False
        while True:
            changed = self._changed
            page = await self.read_all(after=after, only=only)
            after = page.position
            if page.events or not announced:
                yield page
            announced = page.caught_up
            if page.caught_up:
                await changed.wait()

    async def head(self) -> int:
        """See EventStore."""
        return len(self._log)

    async def position_at(self, time: int) -> int:
        """See EventStore."""
        return bisect_right(self._log, time, key=lambda event: event.recorded)

    async def load_checkpoint(self, consumer: str) -> int:
        """See EventStore."""
        return self._checkpoints.get(consumer, 0)

    async def save_checkpoint(self, consumer: str, position: int) -> None:
        """See EventStore."""
        self._checkpoints[consumer] = position


def _record(new: NewEvent, stream: str, position: int, version: int, recorded: int) -> Recorded:
    return Recorded(
        position, stream, version, new.id, new.type, new.schema, new.time, recorded,
        new.actor, new.data, new.correlation_id, new.causation_id,
    )  # fmt: skip
