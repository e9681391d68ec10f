"""Live subscriptions: a confirmation, what is there, a word that the client has caught up, then what comes.

Where a subscription starts is settled before it is confirmed: a client may append as soon as it knows.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import TypeVar, cast
from weakref import WeakValueDictionary

from grpc import StatusCode
from kurrentdbclient.protos.v1 import streams_pb2

from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store import EventFilter, EventStore
from coldaisle.core.store.port import Page
from coldaisle.server.kurrent.errors import WireRefusal, stream_deleted
from coldaisle.server.kurrent.filters import WireFilter
from coldaisle.server.kurrent.messages import now_message, read_event, stream_name
from coldaisle.server.kurrent.windows import window_of

LAST_POSITION = 1 << 62
"""Clients write the end as the largest number that they have."""

Options = streams_pb2.ReadReq.Options
Response = streams_pb2.ReadResp
Item = TypeVar("Item")


class Follower:
    """Feeds subscriptions, so many at once; ends those whose stream is deleted for ever."""

    def __init__(self, store: EventStore, max_subscriptions: int) -> None:
        self._store = store
        self._max_subscriptions = max_subscriptions
        self._count = 0
        # kept by the subscriptions that wait for them: of a stream that nobody follows nothing stays
        self._tombstones: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place for one subscription; raises WireRefusal when all are taken."""
        if self._count >= self._max_subscriptions:
            raise WireRefusal(
                StatusCode.RESOURCE_EXHAUSTED,
                f"{self._max_subscriptions} subscriptions are open: close one, or raise max_subscriptions",
            )
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1

    def tombstoned(self, stream: str) -> None:
        """Tell who follows the stream that nothing comes any more."""
        buried = self._tombstones.pop(stream, None)
        if buried is not None:
            buried.set()

    async def all(
        self, asked: Options.AllOptions, wanted: WireFilter, checkpoint_events: int, structured: bool
    ) -> AsyncIterator[Response]:
        """Everything that the filter admits, after the asked position."""
        after = told = await self._all_start(asked)
        yield _confirmation()
        filtered = wanted != WireFilter()
        is_live = False
        async with contextlib.aclosing(pages_of(self._store, after, wanted.only)) as pages:
            async for page in pages:
                for event in page.events:
                    if wanted.admits(event):
                        yield Response(event=read_event(Response.ReadEvent, event, structured))
                    if filtered and event.position - told >= checkpoint_events:
                        told = event.position
                        yield _checkpoint(told)
                arrives = page.caught_up and not is_live
                if filtered and page.position - told >= (1 if arrives else checkpoint_events):
                    told = page.position
                    yield _checkpoint(told)
                if arrives:
                    is_live = True
                    yield _caught_up_with_all(page.position)

    async def stream(self, asked: Options.StreamOptions, structured: bool) -> AsyncIterator[Response]:
        """One stream after the asked revision; a stream that is not there yet is waited for."""
        name = stream_name(asked.stream_identifier)
        buried = self._tombstones.setdefault(name, asyncio.Event())
        head = await self._store.head()
        last = await self._stream_start(name, asked)
        yield _confirmation()
        window = await window_of(self._store, name)
        if window is not None:
            last = max(last, window.first - 1)
        while events := await self._store.read_stream(name, after=last):
            for event in events:
                if window is None or window.shows(event):
                    yield _event(event, structured)
            last, head = events[-1].version, max(head, events[-1].position)
        yield _caught_up_with_stream(last)
        async with contextlib.aclosing(
            pages_of(self._store, head, EventFilter(stream_prefixes=(name,)))
        ) as pages:
            async for page in _until(pages, buried):
                for event in page.events:
                    if event.stream == name and event.version > last:
                        yield _event(event, structured)
        raise stream_deleted(name)

    async def _all_start(self, asked: Options.AllOptions) -> int:
        where = asked.WhichOneof("all_option")
        position = asked.position.commit_position
        if where == "end" or (where == "position" and position >= LAST_POSITION):
            return await self._store.head()
        return position if where == "position" else 0

    async def _stream_start(self, name: str, asked: Options.StreamOptions) -> int:
        where = asked.WhichOneof("revision_option")
        if where == "revision":
            return min(asked.revision, LAST_POSITION)
        if where != "end":
            return -1
        newest = await self._store.read_stream(name, limit=1, backwards=True)
        return newest[0].version if newest else -1


def pages_of(store: EventStore, after: int, only: EventFilter) -> AsyncGenerator[Page, None]:
    # the port promises an iterator; both adapters give generators, which can be closed
    return cast("AsyncGenerator[Page, None]", store.subscribe_all(after=after, only=only))


async def _until(items: AsyncGenerator[Item, None], stop: asyncio.Event) -> AsyncIterator[Item]:
    """The items until ``stop`` is set."""
    stopping = asyncio.ensure_future(stop.wait())
    coming: asyncio.Future[Item] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(anext(items))
            await asyncio.wait((coming, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                return
            yield coming.result()
    finally:
        stopping.cancel()
        if coming is not None:
            coming.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                await coming


def _confirmation() -> Response:
    return Response(confirmation=Response.SubscriptionConfirmation(subscription_id=str(uuid.uuid4())))


def _event(event: Recorded, structured: bool) -> Response:
    return Response(event=read_event(Response.ReadEvent, event, structured))


def _checkpoint(position: int) -> Response:
    return Response(
        checkpoint=Response.Checkpoint(
            commit_position=position, prepare_position=position, timestamp=now_message()
        )
    )


def _caught_up_with_all(position: int) -> Response:
    where = Response.Position(commit_position=position, prepare_position=position)
    return Response(caught_up=Response.CaughtUp(timestamp=now_message(), position=where))


def _caught_up_with_stream(version: int) -> Response:
    return Response(caught_up=Response.CaughtUp(timestamp=now_message(), stream_revision=version))
