"""The EventStore port over a KurrentDB or EventStoreDB cluster.

Positions are the cluster's: they grow, with gaps, and are only to be compared. Where the contract of the
port is stricter than the cluster, the embedded store is the one that keeps it: a cluster refuses a repeated
id in the same stream only.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import orjson

from coldaisle.core.errors import StoreError, WrongVersion
from coldaisle.core.events import NewEvent, new_id
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.check import check_appends
from coldaisle.core.store.page_bound import may_go_on, take_arriving, take_page
from coldaisle.core.store.port import (
    EVERYTHING,
    MAX_PAGE_EVENTS,
    Append,
    Appended,
    EventFilter,
    Expected,
    Page,
    Step,
    StreamState,
)
from coldaisle.core.store.replay import replay_page
from coldaisle.integrations.kurrent.appending import Appender
from coldaisle.integrations.kurrent.config import KurrentConfig
from coldaisle.integrations.kurrent.decode import from_wire
from coldaisle.integrations.kurrent.link import Link
from coldaisle.integrations.kurrent.queries import NO_SYSTEM_TYPES, Query, query_for

if TYPE_CHECKING:
    from kurrentdbclient import AsyncKurrentDBClient
    from kurrentdbclient.streams import AsyncReadResponse

CHECKPOINT_TYPE = "$coldaisle-checkpoint"
"""A system type: readers of the history do not see it."""
CHECKPOINT_PREFIX = "coldaisleCheckpoint-"
MAX_METADATA_ATTEMPTS = 20
"""To change a stream's metadata, where others change it at the same time."""
MAX_LOOKED_AT_EVENTS = 50_000
"""Events that one filtered read looks at, at most."""


class KurrentStore:
    """An EventStore in a cluster. An async context manager."""

    def __init__(self, config: KurrentConfig) -> None:
        self._link = Link(config)
        self._appender = Appender(self._link)

    async def __aenter__(self) -> "KurrentStore":
        await self._link.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._link.close()

    async def append(
        self, stream: str, events: Sequence[NewEvent], expected: int | Expected = Expected.ANY
    ) -> Appended:
        """See EventStore."""
        return (await self.append_many([Append(stream, events, expected)]))[0]

    async def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """See EventStore. More than one stream needs a cluster of version 25.1 or newer."""
        check_appends(appends)
        return await self._appender.append(appends) if appends else []

    async def read_stream(
        self, stream: str, *, after: int = -1, limit: int = MAX_PAGE_EVENTS, backwards: bool = False
    ) -> list[Recorded]:
        """See EventStore."""
        step = -1 if backwards else 1
        start = after + step if after >= 0 else None
        if start is not None and start < 0:
            return []
        from kurrentdbclient.exceptions import NotFoundError, StreamIsDeletedError

        async def read(client: "AsyncKurrentDBClient") -> list[Recorded]:
            try:
                response = await client.read_stream(
                    stream, stream_position=start, backwards=backwards, limit=limit,
                    timeout=self._link.timeout_seconds,
                )  # fmt: skip
                return (await _page_of(response))[0]
            except (NotFoundError, StreamIsDeletedError):
                return []

        return await self._link.call(read)

    async def stream_state(self, stream: str) -> StreamState | None:
        """See EventStore. What a deleted stream held is looked up in the history, which may take long."""
        from kurrentdbclient.exceptions import NotFoundError, StreamIsDeletedError

        async def is_tombstoned(client: "AsyncKurrentDBClient") -> bool:
            try:
                # not get_current_version: it fails where retention left a stream without events
                await client.get_stream(stream, limit=1, timeout=self._link.timeout_seconds)
            except StreamIsDeletedError:
                return True
            except NotFoundError:
                pass
            return False

        newest = await self.read_stream(stream, limit=1, backwards=True)
        if newest:
            oldest = await self.read_stream(stream, limit=1)
            return StreamState(newest[0].version, oldest[0].version if oldest else 0)
        tombstoned = await self._link.call(is_tombstoned)
        last = await self._last_version(stream)
        if last < 0 and not tombstoned:
            return None
        return StreamState(last, last + 1, tombstoned)

    async def truncate_stream(self, stream: str, before_version: int) -> None:
        """See EventStore."""
        state = await self.stream_state(stream)
        if state is None or state.tombstoned:
            return
        before_version = max(0, min(before_version, state.version + 1))

        from kurrentdbclient.exceptions import WrongCurrentVersionError

        async def truncate(client: "AsyncKurrentDBClient") -> None:
            for _ in range(MAX_METADATA_ATTEMPTS):
                metadata, version = await client.get_stream_metadata(stream)
                metadata["$tb"] = before_version
                with contextlib.suppress(WrongCurrentVersionError):
                    await client.set_stream_metadata(stream, metadata=metadata, current_version=version)
                    return
            raise StoreError(f"the metadata of {stream!r} changes all the time: truncate it again later")

        await self._link.call(truncate)

    async def delete_stream(self, stream: str, expected: int | Expected = Expected.ANY) -> None:
        """See EventStore. A cluster refuses to delete again at a version; here that is done already."""
        try:
            await self._appender.remove(stream, expected, for_ever=False)
        except WrongVersion:
            state = await self.stream_state(stream)
            if state is None or state.exists or state.version != expected:
                raise

    async def tombstone(self, stream: str, expected: int | Expected = Expected.ANY) -> None:
        """See EventStore."""
        await self._appender.remove(stream, expected, for_ever=True)

    async def replay(self, step: Step, *, after: int = 0, end: int) -> int:
        """See EventStore."""
        return await replay_page(self, step, after, end)

    async def read_all(
        self,
        *,
        after: int = 0,
        limit: int = MAX_PAGE_EVENTS,
        backwards: bool = False,
        only: EventFilter = EVERYTHING,
    ) -> Page:
        """See EventStore."""
        head = await self.head()
        query = query_for(only)
        found: list[Recorded] = []
        position, looked_at = after, 0
        while looked_at < MAX_LOOKED_AT_EVENTS:
            events, is_end = await self._read(query, position, limit, backwards)
            looked_at += len(events)
            found.extend(event for event in events if query.admits(event))
            if may_go_on(found, limit):
                found = take_page(islice(found, limit))[0]
                position = found[-1].position
                return Page(found, position, caught_up=position <= 1 if backwards else position >= head)
            if is_end:
                return Page(found, 1 if backwards else max(after, head, *_positions(events)), caught_up=True)
            position = events[-1].position
        return Page(found, position, caught_up=False)

    async def subscribe_all(self, *, after: int = 0, only: EventFilter = EVERYTHING) -> AsyncIterator[Page]:
        """See EventStore. Pages are read; the cluster's subscription only tells when there is more."""
        announced = False
        while True:
            page = await self.read_all(after=after, only=only)
            if page.events or not announced:
                yield page
            after, announced = page.position, page.caught_up
            if page.caught_up:
                await self._wait_beyond(after, query_for(only))

    async def head(self) -> int:
        """See EventStore."""

        async def ask(client: "AsyncKurrentDBClient") -> int:
            return await client.get_commit_position(
                filter_exclude=NO_SYSTEM_TYPES, timeout=self._link.timeout_seconds
            )

        return await self._link.call(ask)

    async def position_at(self, time: int) -> int:
        """See EventStore. The cluster has no index on time: reads back from the end."""
        before = 0
        while True:
            page = await self.read_all(after=before, backwards=True)
            for event in page.events:
                if event.recorded <= time:
                    return event.position
            if page.caught_up or not page.events:
                return 0
            before = page.position

    async def load_checkpoint(self, consumer: str) -> int:
        """See EventStore."""
        newest = await self.read_stream(CHECKPOINT_PREFIX + consumer, limit=1, backwards=True)
        return int(orjson.loads(newest[0].data)["position"]) if newest else 0

    async def save_checkpoint(self, consumer: str, position: int) -> None:
        """See EventStore. Each consumer has a stream, of which only the last event is kept."""
        stream = CHECKPOINT_PREFIX + consumer
        now = time.time_ns()
        data = msgspec.json.encode({"position": position})
        event = NewEvent(new_id(now), CHECKPOINT_TYPE, 1, now, "store", data)
        first = await self._appender.append([Append(stream, [event])])

        async def keep_last(client: "AsyncKurrentDBClient") -> None:
            await client.set_stream_metadata(stream, metadata={"$maxCount": 1})

        if first[0].version == 0:
            await self._link.call(keep_last)

    async def _read(
        self, query: Query, after: int, limit: int, backwards: bool
    ) -> tuple[list[Recorded], bool]:
        """A page of at most ``limit`` events beyond ``after``, whether or not the cluster's answer includes
        it, and whether nothing more was there."""

        async def read(client: "AsyncKurrentDBClient") -> tuple[list[Recorded], bool]:
            response = await client.read_all(
                commit_position=after or None, backwards=backwards, limit=limit + bool(after),
                timeout=self._link.timeout_seconds, **query.arguments(),
            )  # fmt: skip
            return await _page_of(response, after)

        events, whole = await self._link.call(read)
        return events[:limit], whole and len(events) < limit

    async def _wait_beyond(self, after: int, query: Query) -> None:
        """Until there may be more; a subscription that ends is also a reason to look."""

        async def wait(client: "AsyncKurrentDBClient") -> None:
            subscription = await client.subscribe_to_all(commit_position=after, **query.arguments())
            try:
                async for event in subscription:
                    if event.commit_position > after:
                        return
            finally:
                await subscription.stop()

        await self._link.call(wait)

    async def _last_version(self, stream: str) -> int:
        query = query_for(EventFilter(stream_prefixes=(stream,)))
        before = 0
        while events := (await self._read(query, before, MAX_PAGE_EVENTS, backwards=True))[0]:
            for event in events:
                if event.stream == stream:
                    return event.version
            before = events[-1].position
        return -1


async def _page_of(response: "AsyncReadResponse", without: int = 0) -> tuple[list[Recorded], bool]:
    """What a page takes of an answer, without the event at one position; the rest is not fetched."""
    try:
        return await take_arriving(
            from_wire(event) async for event in response if event.commit_position != without
        )
    finally:
        await response.stop()


def _positions(events: Sequence[Recorded]) -> list[int]:
    return [events[-1].position] if events else []
