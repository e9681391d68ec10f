"""Events, ids and positions as protobuf messages; pure."""

import time
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from kurrentdbclient.protos.v1 import persistent_pb2, shared_pb2, streams_pb2

from coldaisle.core.events import id_text, parse_id
from coldaisle.core.events.envelope import Recorded
from coldaisle.server.kurrent.errors import bad_request
from coldaisle.server.kurrent.events import created_ticks, wire_parts

ReadEvent = TypeVar("ReadEvent", streams_pb2.ReadResp.ReadEvent, persistent_pb2.ReadResp.ReadEvent)

MAX_STREAM_CHARACTERS = 1_024


def read_event(kind: type[ReadEvent], event: Recorded, structured_ids: bool) -> ReadEvent:
    """A stored event as a reader gets it. Every event carries its position: clients insist on it."""
    content_type, data, metadata = wire_parts(event)
    made = kind(commit_position=event.position)
    recorded = made.event
    recorded.id.CopyFrom(id_message(event.id, structured_ids))
    recorded.stream_identifier.stream_name = event.stream.encode()
    recorded.stream_revision = event.version
    recorded.commit_position = recorded.prepare_position = event.position
    recorded.metadata["type"] = event.type
    recorded.metadata["content-type"] = content_type
    recorded.metadata["created"] = created_ticks(event)
    recorded.custom_metadata = metadata
    recorded.data = data
    return made


def id_message(event_id: bytes, structured: bool) -> shared_pb2.UUID:
    """An id in the form that the client asked for."""
    if not structured:
        return shared_pb2.UUID(string=id_text(event_id))
    high, low = int.from_bytes(event_id[:8], signed=True), int.from_bytes(event_id[8:], signed=True)
    return shared_pb2.UUID(
        structured=shared_pb2.UUID.Structured(most_significant_bits=high, least_significant_bits=low)
    )


def id_bytes(message: shared_pb2.UUID) -> bytes:
    """The id of a message in either form. Raises WireRefusal when it is none."""
    text = message.string
    if not text and message.WhichOneof("value") == "structured":
        parts = message.structured.most_significant_bits, message.structured.least_significant_bits
        return b"".join(part.to_bytes(8, signed=True) for part in parts)
    try:
        return parse_id(text)
    except ValueError as error:
        raise bad_request(f"{text[:80]!r} is not a UUID") from error


def stream_name(identifier: shared_pb2.StreamIdentifier) -> str:
    """The stream's name. Raises WireRefusal when it is empty, too long or not UTF-8."""
    return checked_name(identifier.stream_name)


def checked_name(raw: bytes) -> str:
    """See :func:`stream_name`."""
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise bad_request(f"a stream name that is not UTF-8 at byte {error.start}") from error
    if not name or len(name) > MAX_STREAM_CHARACTERS or "\0" in name:
        raise bad_request(f"stream name {name[:40]!r}: give 1 to {MAX_STREAM_CHARACTERS} characters, no NUL")
    return name


def now_message() -> Timestamp:
    """The present moment."""
    moment = Timestamp()
    moment.FromNanoseconds(time.time_ns())
    return moment
