"""HistoryService: events as they were recorded, and the state that they add up to."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc

from coldaisle.core.store import EventFilter, EventStore, Page
from coldaisle.core.twin import state_hash
from coldaisle.server.convert import event_message
from coldaisle.server.errors import InvalidRequest
from coldaisle.server.moments import Moments
from coldaisle.server.paging import fitting, page_size, token_number
from coldaisle.server.watching import Watchers, resume_after
from coldaisle.v1 import history_pb2, history_pb2_grpc

MAX_EMPTY_PAGES = 20
"""Pages that one filtered list looks through without a find before it answers with a token."""
MAX_FILTER_VALUES = 200


class HistoryService(history_pb2_grpc.HistoryServiceServicer):
    """See history.proto."""

    def __init__(self, store: EventStore, moments: Moments, watchers: Watchers) -> None:
        self._store = store
        self._moments = moments
        self._watchers = watchers

    async def ListEvents(  # noqa: N802 - the API's name
        self, request: history_pb2.ListEventsRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> history_pb2.ListEventsResponse:
        """A page of events; a token is the position to go on from."""
        only, size = _filter(request.filter), page_size(request.page_size)
        moment = await self._moments.position(request.moment)
        end = await self._store.head() if moment is None else moment
        after = token_number(request.page_token) or (end + 1 if request.backwards else request.after_revision)
        if request.after_revision > end:
            return history_pb2.ListEventsResponse(revision=end)
        for _ in range(MAX_EMPTY_PAGES):
            page = await self._store.read_all(after=after, limit=size, backwards=request.backwards, only=only)
            after = page.position
            finished = page.caught_up or (not request.backwards and page.position >= end)
            if page.events or finished:
                break
        events = [event for event in page.events if request.after_revision < event.position <= end]
        finished = finished or (request.backwards and page.position <= request.after_revision + 1)
        messages = fitting(event_message(event) for event in events)
        if len(messages) < len(events):
            after, finished = messages[-1].position, False
        return history_pb2.ListEventsResponse(
            events=messages,
            next_page_token="" if finished else str(after),
            revision=end,
        )

    async def WatchEvents(  # noqa: N802 - the API's name
        self, request: history_pb2.WatchEventsRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[history_pb2.WatchEventsResponse]:
        """Events as they are recorded."""
        only = _filter(request.filter)
        after = await resume_after(self._store, request.resume_after_revision) or await self._store.head()
        with self._watchers.admitted():
            async for page in self._store.subscribe_all(after=after, only=only):
                for response in _responses(page):
                    yield response

    async def GetState(  # noqa: N802 - the API's name
        self, request: history_pb2.GetStateRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> history_pb2.State:
        """The twin at a moment, as counts and one hash."""
        twin = await self._moments.twin(request.moment)
        return history_pb2.State(
            revision=twin.position,
            state_hash=await asyncio.to_thread(state_hash, twin),
            asset_count=len(twin.assets),
            link_count=sum(len(asset.links) for asset in twin.assets.values()),
            series_count=twin.series_count(),
            open_alert_count=len(twin.open_alerts()),
            run_count=len(twin.runs),
        )


def _responses(page: Page) -> Iterator[history_pb2.WatchEventsResponse]:
    """The page in as many messages as its bytes need; the last one says how far the page looked."""
    rest = page.events
    while True:
        events = fitting(event_message(event) for event in rest)
        rest = rest[len(events) :]
        if not rest:
            break
        yield history_pb2.WatchEventsResponse(events=events, revision=events[-1].position)
    yield history_pb2.WatchEventsResponse(events=events, revision=page.position, caught_up=page.caught_up)


def _filter(message: history_pb2.EventFilter) -> EventFilter:
    if len(message.stream_prefixes) + len(message.types) > MAX_FILTER_VALUES:
        raise InvalidRequest("filter", f"more than {MAX_FILTER_VALUES} prefixes and types")
    return EventFilter(tuple(message.stream_prefixes), tuple(message.types))
