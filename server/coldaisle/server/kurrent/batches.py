"""Append requests of the first protocol version, taken apart and answered; pure."""

from collections.abc import Mapping

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from grpc import StatusCode
from kurrentdbclient.protos.google.rpc import code_pb2
from kurrentdbclient.protos.v1 import shared_pb2, status_pb2, streams_pb2

from coldaisle.core.errors import DuplicateEvent, WrongVersion
from coldaisle.core.store import Expected
from coldaisle.integrations.kurrent.decode import JSON
from coldaisle.server.kurrent.errors import WireRefusal
from coldaisle.server.kurrent.events import Proposed
from coldaisle.server.kurrent.messages import id_bytes

MAX_DEADLINE_SECONDS = 86_400.0

Batch = streams_pb2.BatchAppendReq
BatchResponse = streams_pb2.BatchAppendResp
AppendOptions = streams_pb2.AppendReq.Options
WrongAppend = streams_pb2.AppendResp.WrongExpectedVersion

_EXPECTED = {
    "no_stream": Expected.NO_STREAM,
    "any": Expected.ANY,
    "stream_exists": Expected.EXISTS,
    None: Expected.ANY,
}
_NAMED = {"no_stream": "expected_no_stream", "any": "expected_any", "stream_exists": "expected_stream_exists"}


class Unfinished:
    """A batch whose last request has not come yet."""

    def __init__(self) -> None:
        self.options = Batch.Options()
        self.events: list[Proposed] = []
        self.size_bytes = 0

    def add(self, request: Batch) -> None:
        """Take one request in."""
        if request.HasField("options"):
            self.options = request.options
        events = [proposed(m.id, m.metadata, m.custom_metadata, m.data) for m in request.proposed_messages]
        self.events.extend(events)
        self.size_bytes += sum([event.size_bytes for event in events])


def proposed(
    event_id: shared_pb2.UUID, metadata: Mapping[str, str], custom_metadata: bytes, data: bytes
) -> Proposed:
    """A proposed message of either append method."""
    content_type = metadata.get("content-type", JSON)
    return Proposed(id_bytes(event_id), metadata.get("type", ""), content_type, data, custom_metadata)


def expected_of(options: Message, choice: str, number: str) -> int | Expected:
    """What a write expects of its stream; ``number`` is the field that holds a version."""
    which = options.WhichOneof(choice)
    return int(getattr(options, number)) if which == number else _EXPECTED[which]


def deadline_seconds(options: Batch.Options) -> float:
    """How long a client waits for its batch."""
    if options.WhichOneof("deadline_option") != "deadline":
        return MAX_DEADLINE_SECONDS
    seconds = options.deadline.seconds + options.deadline.nanos / 1e9
    return min(max(seconds, 0.0), MAX_DEADLINE_SECONDS)


def answer_to(correlation: shared_pb2.UUID, options: Batch.Options) -> BatchResponse:
    """A batch's answer without its result: clients compare what was expected."""
    response = BatchResponse(correlation_id=correlation, stream_identifier=options.stream_identifier)
    which = options.WhichOneof("expected_stream_position")
    if which == "stream_position":
        response.stream_position = options.stream_position
    elif which is not None:
        getattr(response, which).SetInParent()
    return response


def wrong_append(options: AppendOptions, version: int) -> WrongAppend:
    """The answer to an Append that met another version; -1 stands for "no stream"."""
    wrong = WrongAppend()
    if version >= 0:
        wrong.current_revision = wrong.current_revision_20_6_0 = version
    else:
        wrong.current_no_stream.SetInParent()
        wrong.no_stream_20_6_0.SetInParent()
    which = options.WhichOneof("expected_stream_revision")
    if which == "revision":
        wrong.expected_revision = wrong.expected_revision_20_6_0 = options.revision
    else:
        getattr(wrong, _NAMED[which or "any"]).SetInParent()
    return wrong


def batch_error(
    error: Exception, options: Batch.Options, version: int, max_append_bytes: int
) -> status_pb2.Status:
    """The in-band error of a batch; ``version`` is where the stream is."""
    match error:
        case WrongVersion() | DuplicateEvent():
            return rich_status(StatusCode.FAILED_PRECONDITION, str(error), _wrong_batch(options, version))
        case TimeoutError():
            return rich_status(StatusCode.DEADLINE_EXCEEDED, "the deadline passed", shared_pb2.Timeout())
        case WireRefusal():
            return rich_status(error.code, str(error), _refusal_detail(error, options, max_append_bytes))
        case _:
            return rich_status(StatusCode.UNKNOWN, str(error), shared_pb2.Unknown())


def rich_status(code: StatusCode, text: str, detail: Message) -> status_pb2.Status:
    """A status with one detail, which is as many as the client package's message holds."""
    packed = Any()
    packed.Pack(detail)
    return status_pb2.Status(code=code_pb2.Code.Value(code.name), message=text, details=packed)


def _wrong_batch(options: Batch.Options, version: int) -> shared_pb2.WrongExpectedVersion:
    wrong = shared_pb2.WrongExpectedVersion()
    if version >= 0:
        wrong.current_stream_revision = version
    else:
        wrong.current_no_stream.SetInParent()
    which = options.WhichOneof("expected_stream_position")
    if which == "stream_position":
        wrong.expected_stream_position = options.stream_position
    else:
        getattr(wrong, _NAMED[which or "any"]).SetInParent()
    return wrong


def _refusal_detail(refusal: WireRefusal, options: Batch.Options, max_append_bytes: int) -> Message:
    match dict(refusal.trailers).get("exception"):
        case "stream-deleted":
            return shared_pb2.StreamDeleted(stream_identifier=options.stream_identifier)
        case "access-denied":
            return shared_pb2.AccessDenied()
        case "maximum-append-size-exceeded":
            return _too_large(max_append_bytes)
        case _:
            return shared_pb2.BadRequest(message=str(refusal))


def _too_large(max_append_bytes: int) -> shared_pb2.MaximumAppendSizeExceeded:
    return shared_pb2.MaximumAppendSizeExceeded(maxAppendSize=max_append_bytes)
