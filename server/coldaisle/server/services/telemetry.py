"""TelemetryService: recorded samples, and samples as they come."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from coldaisle.core.events import Recorded, decode
from coldaisle.core.events.types import SamplesRecorded
from coldaisle.core.store import EventFilter, EventStore
from coldaisle.core.store.page_bound import may_go_on
from coldaisle.server.convert import timestamp
from coldaisle.server.moments import nanoseconds
from coldaisle.server.paging import MAX_PAGE_BYTES, MAX_POSITION, page_size, resource_id, token_number
from coldaisle.server.watching import Watchers, resume_after
from coldaisle.v1 import telemetry_pb2, telemetry_pb2_grpc


class TelemetryService(telemetry_pb2_grpc.TelemetryServiceServicer):
    """See telemetry.proto."""

    def __init__(self, store: EventStore, watchers: Watchers) -> None:
        self._store = store
        self._watchers = watchers

    async def ListSamples(  # noqa: N802 - the API's name
        self, request: telemetry_pb2.ListSamplesRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> telemetry_pb2.ListSamplesResponse:
        """A page of polls of one asset; a token is the version of its stream to go on from."""
        stream = f"telemetry-{resource_id(request.asset, 'assets', 'asset')}"
        size = page_size(request.page_size)
        events = await self._store.read_stream(stream, after=token_number(request.page_token) - 1, limit=size)
        start = nanoseconds(request.start_time, "start_time")
        end = nanoseconds(request.end_time, "end_time") or MAX_POSITION
        metrics = set(request.metrics)
        answer, room_bytes = telemetry_pb2.ListSamplesResponse(), MAX_PAGE_BYTES
        for event in events:
            if room_bytes < 0:
                answer.next_page_token = str(event.version)
                return answer
            samples = _samples(event, metrics) if start <= event.time <= end else []
            room_bytes -= sum(sample.ByteSize() for sample in samples)
            answer.samples.extend(samples)
        answer.next_page_token = str(events[-1].version + 1) if may_go_on(events, size) else ""
        return answer

    async def WatchSamples(  # noqa: N802 - the API's name
        self, request: telemetry_pb2.WatchSamplesRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[telemetry_pb2.WatchSamplesResponse]:
        """Samples as they are recorded, of one asset or of all."""
        asset = resource_id(request.asset, "assets", "asset") if request.asset else ""
        prefix = f"telemetry-{asset}"
        after = await resume_after(self._store, request.resume_after_revision) or await self._store.head()
        live = False
        with self._watchers.admitted():
            async for page in self._store.subscribe_all(after=after, only=EventFilter((prefix,))):
                for event in page.events:
                    if not asset or event.stream == prefix:
                        yield telemetry_pb2.WatchSamplesResponse(
                            asset=f"assets/{event.stream.removeprefix('telemetry-')}",
                            samples=_samples(event, set()),
                            revision=event.position,
                        )
                if page.caught_up and not live:
                    live = True
                    yield telemetry_pb2.WatchSamplesResponse(revision=page.position, caught_up=True)


def _samples(event: Recorded, metrics: set[str]) -> list[telemetry_pb2.Sample]:
    """The event's columns as samples; all when no metric is named."""
    fact = decode(event)
    if fact is None or not isinstance(fact.body, SamplesRecorded):
        return []
    time = timestamp(event.time)
    return [
        telemetry_pb2.Sample(metric=metric, time=time, value=value, position=event.position)
        for metric, value in zip(fact.body.metrics, fact.body.values, strict=False)
        if not metrics or metric in metrics
    ]
