"""The second protocol version's appends: many streams, whole or not at all."""

import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import groupby

from google.protobuf.any_pb2 import Any
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from kurrentdbclient.protos.v2.streams import errors_pb2, streams_pb2

from coldaisle.core.errors import DuplicateEvent, WrongVersion
from coldaisle.core.events import new_id
from coldaisle.core.store import Appended, EventStore, Expected
from coldaisle.core.store.port import MAX_APPEND_EVENTS, MAX_EVENT_BYTES
from coldaisle.integrations.kurrent.decode import JSON
from coldaisle.server.kurrent.errors import WireRefusal, bad_request, too_many_events
from coldaisle.server.kurrent.events import OCTETS, Proposed, metadata_from_properties
from coldaisle.server.kurrent.messages import checked_name
from coldaisle.server.kurrent.settings import KurrentSettings
from coldaisle.server.kurrent.windows import state_of
from coldaisle.server.kurrent.writing import Submission, submit

NO_STREAM, ANY, EXISTS = -1, -2, -4
_EXPECTED = {NO_STREAM: Expected.NO_STREAM, ANY: Expected.ANY, EXISTS: Expected.EXISTS}

SessionResponse = streams_pb2.AppendSessionResponse
RecordsResponse = streams_pb2.AppendRecordsResponse
Record = streams_pb2.AppendRecord
Check = streams_pb2.ConsistencyCheck.StreamStateCheck


class SessionsService:
    """StreamsService of the second version, over a store. Method names are the protocol's."""

    def __init__(self, store: EventStore, settings: KurrentSettings) -> None:
        self._store = store
        self._settings = settings

    async def AppendSession(  # noqa: N802
        self, requests: AsyncIterator[streams_pb2.AppendRequest]
    ) -> SessionResponse:
        """One request a stream; all of them are appended, or none."""
        submissions: list[Submission] = []
        expectations: dict[str, int] = {}
        size_bytes = event_count = 0
        async for request in requests:
            if not request.records:
                raise _no_records()
            name = checked_name(request.stream.encode())
            if name in expectations:
                raise _already_in_session(name)
            expectations[name] = request.expected_revision if request.HasField("expected_revision") else ANY
            events = [self._proposed(name, record) for record in request.records]
            size_bytes = self._counted(size_bytes, events)
            event_count += len(events)
            if event_count > MAX_APPEND_EVENTS:
                raise too_many_events(event_count)
            submissions.append(Submission(name, events, _expected(expectations[name])))
        results = await self._submit(submissions, expectations)
        outputs = [
            streams_pb2.AppendResponse(
                stream=one.stream, stream_revision=result.version, position=result.position
            )
            for one, result in zip(submissions, results, strict=True)
        ]
        return SessionResponse(output=outputs, position=max(result.position for result in results))

    async def AppendRecords(self, request: streams_pb2.AppendRecordsRequest) -> RecordsResponse:  # noqa: N802
        """Records of many streams in their order, if all checks hold."""
        checks = [check.stream_state for check in request.checks]
        submissions: list[Submission] = []
        size_bytes = 0
        for name, records in groupby(request.records, key=lambda record: record.stream):
            events = [self._proposed(name, record) for record in records]
            size_bytes = self._counted(size_bytes, events)
            submissions.append(
                Submission(checked_name(name.encode()), events, _check_for(name, checks, submissions))
            )
        carried = {one.stream: _first_check(one.stream, checks) for one in submissions}
        await self._require([check for check in checks if carried.get(check.stream) != check], checks)
        try:
            results = await self._submit(submissions, {})
        except WrongVersion as error:
            raise await self._violation(checks, checks, str(error)) from error
        last = {one.stream: result.version for one, result in zip(submissions, results, strict=True)}
        revisions = [
            streams_pb2.StreamRevision(stream=name, revision=version) for name, version in last.items()
        ]
        return RecordsResponse(revisions=revisions, position=max(result.position for result in results))

    async def _submit(
        self, submissions: Sequence[Submission], expectations: dict[str, int]
    ) -> list[Appended]:
        if not submissions:
            raise _no_records()
        try:
            return await submit(self._store, submissions)
        except WireRefusal as refusal:
            if dict(refusal.trailers).get("exception") == "stream-deleted":
                raise _tombstoned(str(refusal), submissions) from refusal
            raise
        except WrongVersion as error:
            if not expectations:
                raise
            raise _conflict(str(error), error.stream, expectations[error.stream], error.actual) from error
        except DuplicateEvent as error:
            first = submissions[0].stream
            state = await state_of(self._store, first)
            raise _conflict(str(error), first, expectations.get(first, ANY), state.version) from error

    async def _require(self, uncarried: Sequence[Check], checks: Sequence[Check]) -> None:
        """Checks that no append carries. Another writer may come between them and the append."""
        for check in uncarried:
            if not await self._holds(check):
                raise await self._violation(uncarried, checks, f"stream {check.stream!r} is not as expected")

    async def _holds(self, check: Check) -> bool:
        state = await state_of(self._store, check.stream)
        match check.expected_state:
            case -1:
                return not state.exists
            case -2:
                return True
            case -4:
                return state.exists
            case version:
                return state.version == version

    async def _violation(self, failed: Iterable[Check], checks: Sequence[Check], text: str) -> WireRefusal:
        details = errors_pb2.AppendConsistencyViolationErrorDetails()
        for check in failed:
            if await self._holds(check):
                continue
            actual = (await state_of(self._store, check.stream)).version
            violation = errors_pb2.ConsistencyViolation.StreamStateViolation(
                stream=check.stream, expected_state=check.expected_state, actual_state=actual
            )
            details.violations.add(check_index=checks.index(check), stream_state=violation)
        return _refusal(StatusCode.FAILED_PRECONDITION, text, details)

    def _proposed(self, stream: str, record: Record) -> Proposed:
        properties = {name: _json_value(name, value) for name, value in record.properties.items()}
        content_type = JSON if record.schema.format == streams_pb2.SCHEMA_FORMAT_JSON else OCTETS
        event = Proposed(
            _record_id(record),
            record.schema.name,
            content_type,
            record.data,
            metadata_from_properties(properties),
        )
        if len(event.data) > MAX_EVENT_BYTES:
            details = errors_pb2.AppendRecordSizeExceededErrorDetails(
                stream=stream, record_id=record.record_id, size=len(event.data), max_size=MAX_EVENT_BYTES
            )
            text = f"a record of {len(event.data)} bytes, the bound is {MAX_EVENT_BYTES}"
            raise _refusal(StatusCode.INVALID_ARGUMENT, text, details)
        return event

    def _counted(self, size_bytes: int, events: Iterable[Proposed]) -> int:
        size_bytes += sum(event.size_bytes for event in events)
        if size_bytes > self._settings.max_transaction_bytes:
            raise self._transaction_too_large(size_bytes)
        return size_bytes

    def _transaction_too_large(self, size_bytes: int) -> WireRefusal:
        limit = self._settings.max_transaction_bytes
        details = errors_pb2.AppendTransactionSizeExceededErrorDetails(size=size_bytes, max_size=limit)
        return _refusal(
            StatusCode.ABORTED, f"a transaction of {size_bytes} bytes, the bound is {limit}", details
        )


def _no_records() -> WireRefusal:
    return bad_request("an append without records; send at least one for each stream")


def _expected(number: int) -> int | Expected:
    if number < 0 and number not in _EXPECTED:
        raise bad_request(f"expected revision {number}: give a revision, or -1, -2 or -4")
    return _EXPECTED.get(number, number)


def _check_for(name: str, checks: Sequence[Check], before: Sequence[Submission]) -> int | Expected:
    """What the first records of a stream expect; later ones follow on them."""
    if any(one.stream == name for one in before):
        return Expected.ANY
    check = _first_check(name, checks)
    return Expected.ANY if check is None else _expected(check.expected_state)


def _first_check(name: str, checks: Sequence[Check]) -> Check | None:
    return next((check for check in checks if check.stream == name), None)


def _json_value(name: str, value: Message) -> object:
    try:
        return MessageToDict(value)
    except ValueError as error:
        raise bad_request(f"property {name[:80]!r}: {error}") from error


def _record_id(record: Record) -> bytes:
    if not record.record_id:
        return new_id(time.time_ns())
    try:
        return uuid.UUID(record.record_id).bytes
    except ValueError as error:
        raise bad_request(f"record id {record.record_id[:80]!r} is not a UUID") from error


def _conflict(text: str, stream: str, expected: int, actual: int) -> WireRefusal:
    details = errors_pb2.StreamRevisionConflictErrorDetails(
        stream=stream, expected_revision=expected, actual_revision=actual
    )
    return _refusal(StatusCode.FAILED_PRECONDITION, text, details)


def _tombstoned(text: str, submissions: Sequence[Submission]) -> WireRefusal:
    stream = next((one.stream for one in submissions if f"'{one.stream}'" in text), submissions[0].stream)
    details = errors_pb2.StreamTombstonedErrorDetails(stream=stream)
    return _refusal(StatusCode.FAILED_PRECONDITION, text, details)


def _already_in_session(stream: str) -> WireRefusal:
    details = errors_pb2.StreamAlreadyInAppendSessionErrorDetails(stream=stream)
    return _refusal(StatusCode.ABORTED, f"stream {stream!r} comes twice in one session", details)


def _refusal(code: StatusCode, text: str, details: Message) -> WireRefusal:
    packed = Any()
    packed.Pack(details)
    status = Status(code=code.value[0], message=text, details=[packed])
    return WireRefusal(code, text).with_details(status.SerializeToString())
