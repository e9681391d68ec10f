"""Streams.Read: pages of a stream or of everything, once or for ever.

Reads include the place that they start from, subscriptions do not; backwards through everything a read
starts below its position.
"""

from collections.abc import AsyncIterator

from google.protobuf.message import Message
from grpc import StatusCode
from kurrentdbclient.protos.v1 import streams_pb2

from coldaisle.core.store import EventStore
from coldaisle.core.store.page_bound import may_go_on
from coldaisle.core.store.port import MAX_PAGE_EVENTS
from coldaisle.server.kurrent.errors import WireRefusal, bad_request
from coldaisle.server.kurrent.filters import WireFilter, build_filter
from coldaisle.server.kurrent.following import LAST_POSITION, Follower
from coldaisle.server.kurrent.messages import read_event, stream_name
from coldaisle.server.kurrent.windows import window_of

MIN_PAGE_EVENTS = 32
DEFAULT_WINDOW_EVENTS = 32

Options = streams_pb2.ReadReq.Options
Response = streams_pb2.ReadResp


class Reader:
    """Answers Streams.Read."""

    def __init__(self, store: EventStore, follower: Follower) -> None:
        self._store = store
        self._follower = follower

    def read(self, request: streams_pb2.ReadReq) -> AsyncIterator[Response]:
        """The answers to a request, as one of four readings."""
        options = request.options
        structured = options.uuid_option.WhichOneof("content") == "structured"
        live = options.WhichOneof("count_option") == "subscription"
        match options.WhichOneof("stream_option"), live:
            case "stream", False:
                return self._stream(options, structured)
            case "stream", True:
                return self._live(self._follower.stream(options.stream, structured))
            case "all", False:
                return self._all(options, structured)
            case "all", True:
                return self._live(self._everything(options, structured))
            case _:
                raise bad_request("a read names neither a stream nor $all")

    def _everything(self, options: Options, structured: bool) -> AsyncIterator[Response]:
        asked = options.filter
        window = asked.max if asked.WhichOneof("window") == "max" and asked.max else DEFAULT_WINDOW_EVENTS
        interval = window * max(1, asked.checkpointIntervalMultiplier)
        return self._follower.all(options.all, filter_of(options), interval, structured)

    async def _live(self, responses: AsyncIterator[Response]) -> AsyncIterator[Response]:
        with self._follower.place():
            async for response in responses:
                yield response

    async def _stream(self, options: Options, structured: bool) -> AsyncIterator[Response]:
        name = stream_name(options.stream.stream_identifier)
        window = await window_of(self._store, name)
        if window is None:
            missing = Response.StreamNotFound(stream_identifier=options.stream.stream_identifier)
            yield Response(stream_not_found=missing)
            return
        backwards = options.read_direction == Options.Backwards
        after = _stream_start(options.stream, backwards)
        if not backwards:
            after = max(after, window.first - 1)
        rest = options.count
        while rest:
            limit = min(rest, MAX_PAGE_EVENTS)
            events = await self._store.read_stream(name, after=after, limit=limit, backwards=backwards)
            for event in events:
                if window.shows(event):
                    rest -= 1
                    yield Response(event=read_event(Response.ReadEvent, event, structured))
            if not may_go_on(events, limit) or (backwards and events[-1].version <= window.first):
                return
            after = events[-1].version

    async def _all(self, options: Options, structured: bool) -> AsyncIterator[Response]:
        backwards = options.read_direction == Options.Backwards
        wanted = filter_of(options)
        after = await self._all_start(options, backwards)
        rest = options.count
        if rest == 0 or (backwards and after == 1):
            return
        limit = MIN_PAGE_EVENTS
        while True:
            limit = min(limit * 4, MAX_PAGE_EVENTS)
            page = await self._store.read_all(
                after=after,
                limit=min(limit, max(rest, MIN_PAGE_EVENTS)),
                backwards=backwards,
                only=wanted.only,
            )
            for event in page.events:
                if wanted.admits(event):
                    yield Response(event=read_event(Response.ReadEvent, event, structured))
                    rest -= 1
                    if not rest:
                        return
            if page.caught_up:
                return
            after = page.position

    async def _all_start(self, options: Options, backwards: bool) -> int:
        match options.all.WhichOneof("all_option"):
            case "position":
                return await self._position_start(options, backwards)
            case "end":
                return 0 if backwards else await self._store.head()
            case _:
                return 1 if backwards else 0

    async def _position_start(self, options: Options, backwards: bool) -> int:
        position = options.all.position.commit_position
        if position >= LAST_POSITION:
            return 0 if backwards else await self._store.head()
        head = await self._store.head()
        if position > head and options.WhichOneof("filter_option") == "filter":
            raise WireRefusal(
                StatusCode.UNKNOWN,
                f"Unexpected FilteredReadAllResult: InvalidPosition ({position}; the last is {head})",
            )
        return max(position, 1) if backwards else max(0, position - 1)


def filter_of(options: Options | Message) -> WireFilter:
    """The filter of a request that has one; of a group's options too, which are shaped alike."""
    if not options.HasField("filter"):
        return WireFilter()
    asked = getattr(options, "filter")  # noqa: B009 - two message types that share the field
    by_stream = asked.WhichOneof("filter") == "stream_identifier"
    expression = asked.stream_identifier if by_stream else asked.event_type
    return build_filter(by_stream, expression.regex, list(expression.prefix))


def _stream_start(asked: Options.StreamOptions, backwards: bool) -> int:
    """The port's ``after`` for the first page."""
    where = asked.WhichOneof("revision_option")
    revision = min(asked.revision, LAST_POSITION)
    if backwards:
        if where == "start":
            return 1
        return revision + 1 if where == "revision" and revision < LAST_POSITION else -1
    if where == "end":
        return LAST_POSITION
    return revision - 1 if where == "revision" else -1
