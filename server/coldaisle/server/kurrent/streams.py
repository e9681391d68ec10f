"""The service Streams: read, append to one stream, append in batches, delete."""

import asyncio
from collections.abc import AsyncIterator

from kurrentdbclient.protos.v1 import shared_pb2, streams_pb2

from coldaisle.core.errors import DuplicateEvent, StoreError, WrongVersion
from coldaisle.core.store import Appended, EventStore
from coldaisle.core.store.port import MAX_APPEND_EVENTS
from coldaisle.server.kurrent.batches import (
    Batch,
    BatchResponse,
    Unfinished,
    answer_to,
    batch_error,
    deadline_seconds,
    expected_of,
    proposed,
    wrong_append,
)
from coldaisle.server.kurrent.errors import WireRefusal, append_too_large, bad_request, too_many_events
from coldaisle.server.kurrent.events import Proposed
from coldaisle.server.kurrent.messages import stream_name
from coldaisle.server.kurrent.reading import Reader
from coldaisle.server.kurrent.removal import Removal
from coldaisle.server.kurrent.settings import KurrentSettings
from coldaisle.server.kurrent.windows import state_of
from coldaisle.server.kurrent.writing import Submission, submit

MAX_UNFINISHED_BATCHES = 100
MAX_UNFINISHED_EVENTS = 2 * MAX_APPEND_EVENTS
"""Of one call; their bytes are bounded too, but an event may have none."""

AppendRequest = streams_pb2.AppendReq
AppendResponse = streams_pb2.AppendResp
DeleteResponse = streams_pb2.DeleteResp
TombstoneResponse = streams_pb2.TombstoneResp


class StreamsService:
    """Streams, over a store. Method names are the protocol's."""

    def __init__(
        self, store: EventStore, settings: KurrentSettings, reader: Reader, removal: Removal
    ) -> None:
        self._store = store
        self._settings = settings
        self._reader = reader
        self._removal = removal

    def Read(self, request: streams_pb2.ReadReq) -> AsyncIterator[streams_pb2.ReadResp]:  # noqa: N802
        """See Reader."""
        return self._reader.read(request)

    async def Append(self, requests: AsyncIterator[AppendRequest]) -> AppendResponse:  # noqa: N802
        """One stream, all events or none; a wrong version is an answer, not a status."""
        options, events = await self._collect(requests)
        name = stream_name(options.stream_identifier)
        expected = expected_of(options, "expected_stream_revision", "revision")
        try:
            appended = await self._submit(Submission(name, events, expected))
        except (WrongVersion, DuplicateEvent):
            state = await state_of(self._store, name)
            return AppendResponse(wrong_expected_version=wrong_append(options, state.version))
        at = appended.position
        where = AppendResponse.Position(commit_position=at, prepare_position=at)
        success = AppendResponse.Success(current_revision=appended.version, position=where)
        return AppendResponse(success=success)

    async def BatchAppend(self, requests: AsyncIterator[Batch]) -> AsyncIterator[BatchResponse]:  # noqa: N802
        """Many appends over one call, each in one or more requests; answered one by one, in order.

        Clients cancel the call as soon as they have their answer: what was answered is on disk.
        """
        unfinished: dict[str, Unfinished] = {}
        async for request in requests:
            key = str(request.correlation_id)
            batch = unfinished.setdefault(key, Unfinished())
            batch.add(request)
            size_bytes = sum(one.size_bytes for one in unfinished.values())
            if size_bytes > self._settings.max_transaction_bytes or len(unfinished) > MAX_UNFINISHED_BATCHES:
                raise append_too_large(self._settings.max_append_bytes)
            if request.is_final:
                del unfinished[key]
                yield await self._finish(request.correlation_id, batch)
            elif sum(len(one.events) for one in unfinished.values()) > MAX_UNFINISHED_EVENTS:
                raise bad_request(f"over {MAX_UNFINISHED_EVENTS} events in unfinished batches: finish some")

    async def Delete(self, request: streams_pb2.DeleteReq) -> DeleteResponse:  # noqa: N802
        """Hide what a stream holds; later appends go on with its versions."""
        expected = expected_of(request.options, "expected_stream_revision", "revision")
        at = await self._removal.delete(stream_name(request.options.stream_identifier), expected)
        return DeleteResponse(position=DeleteResponse.Position(commit_position=at, prepare_position=at))

    async def Tombstone(self, request: streams_pb2.TombstoneReq) -> TombstoneResponse:  # noqa: N802
        """Close a stream for ever."""
        expected = expected_of(request.options, "expected_stream_revision", "revision")
        at = await self._removal.tombstone(stream_name(request.options.stream_identifier), expected)
        return TombstoneResponse(position=TombstoneResponse.Position(commit_position=at, prepare_position=at))

    async def _collect(
        self, requests: AsyncIterator[AppendRequest]
    ) -> tuple[AppendRequest.Options, list[Proposed]]:
        options: AppendRequest.Options | None = None
        events: list[Proposed] = []
        size_bytes = 0
        async for request in requests:
            if request.WhichOneof("content") == "options":
                options = request.options
                continue
            message = request.proposed_message
            events.append(proposed(message.id, message.metadata, message.custom_metadata, message.data))
            size_bytes += events[-1].size_bytes
            if size_bytes > self._settings.max_append_bytes:
                raise append_too_large(self._settings.max_append_bytes)
            if len(events) > MAX_APPEND_EVENTS:
                raise too_many_events(len(events))
        if options is None:
            raise bad_request("an append starts with its options")
        return options, events

    async def _finish(self, correlation: shared_pb2.UUID, batch: Unfinished) -> BatchResponse:
        response = answer_to(correlation, batch.options)
        try:
            async with asyncio.timeout(deadline_seconds(batch.options)):
                appended = await self._append_batch(batch)
        except (WireRefusal, StoreError, TimeoutError) as error:
            version = -1
            if isinstance(error, (WrongVersion, DuplicateEvent)):
                name = stream_name(batch.options.stream_identifier)
                version = (await state_of(self._store, name)).version
            limit = self._settings.max_append_bytes
            response.error.CopyFrom(batch_error(error, batch.options, version, limit))
            return response
        response.success.current_revision = appended.version
        response.success.position.commit_position = appended.position
        response.success.position.prepare_position = appended.position
        return response

    async def _append_batch(self, batch: Unfinished) -> Appended:
        if batch.size_bytes > self._settings.max_append_bytes:
            raise append_too_large(self._settings.max_append_bytes)
        name = stream_name(batch.options.stream_identifier)
        expected = expected_of(batch.options, "expected_stream_position", "stream_position")
        return await self._submit(Submission(name, batch.events, expected))

    async def _submit(self, submission: Submission) -> Appended:
        results = await submit(self._store, [submission])
        if results:
            return results[0]
        state = await state_of(self._store, submission.stream)  # an append of nothing changes nothing
        return Appended(max(state.version, 0), await self._store.head())
