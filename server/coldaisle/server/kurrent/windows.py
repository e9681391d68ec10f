"""Which events of a stream its readers still see: metadata and deletion hide the older ones."""

import time

import msgspec
from msgspec import Raw, Struct

from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store import EventStore
from coldaisle.core.store.port import NO_STREAM_STATE, StreamState
from coldaisle.server.kurrent.errors import stream_deleted
from coldaisle.server.kurrent.events import wire_parts

METADATA_PREFIX = "$$"
METADATA_TYPE = "$metadata"
_NANOSECONDS_PER_SECOND = 1_000_000_000


class StreamMetadata(Struct, frozen=True):
    """The part of a stream's metadata that readers feel."""

    truncate_before: int | None = msgspec.field(default=None, name="$tb")
    max_count: int = msgspec.field(default=0, name="$maxCount")
    max_age_seconds: int = msgspec.field(default=0, name="$maxAge")


class Window(Struct, frozen=True):
    """Versions from ``first`` on, recorded at ``oldest`` (UTC ns) or later; ``last`` is the last there is."""

    first: int
    last: int
    oldest: int = 0

    def shows(self, event: Recorded) -> bool:
        """Whether readers see the event."""
        return event.version >= self.first and event.recorded >= self.oldest


_metadata = msgspec.json.Decoder(StreamMetadata)
_fields = msgspec.json.Decoder(dict[str, Raw])
NO_METADATA = StreamMetadata()


async def metadata_of(store: EventStore, stream: str) -> StreamMetadata:
    """The stream's metadata as last written."""
    if stream.startswith(METADATA_PREFIX):
        return StreamMetadata(max_count=1)
    newest = await store.read_stream(METADATA_PREFIX + stream, limit=1, backwards=True)
    return parse_metadata(wire_parts(newest[0])[1]) if newest else NO_METADATA


def parse_metadata(data: bytes) -> StreamMetadata:
    """Metadata from an event's data; none where it is not what it should be."""
    try:
        return _metadata.decode(data)
    except (msgspec.MsgspecError, RecursionError):  # the latter where it is nested deep
        return NO_METADATA


def metadata_until(data: bytes, truncate_before: int) -> bytes:
    """The metadata with another truncation, its other fields kept where it has any."""
    try:
        fields = _fields.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = {}
    return msgspec.json.encode({**fields, "$tb": truncate_before})


async def window_of(store: EventStore, stream: str) -> Window | None:
    """What readers see of a stream; None when there is nothing. Raises WireRefusal on a tombstone."""
    state = await state_of(store, stream)
    if state.tombstoned:
        raise stream_deleted(stream)
    return await window_in(store, stream, state) if state.exists else None


async def window_in(store: EventStore, stream: str, state: StreamState) -> Window:
    """What readers see of a stream that stands so; of one that is hidden, what is appended later."""
    metadata = await metadata_of(store, stream)
    first = state.truncate_before
    if metadata.max_count > 0:
        first = max(first, state.version - metadata.max_count + 1)
    age = metadata.max_age_seconds * _NANOSECONDS_PER_SECOND
    return Window(first, state.version, time.time_ns() - age if age > 0 else 0)


async def state_of(store: EventStore, stream: str) -> StreamState:
    """How the stream stands; one that never was is at version -1."""
    return await store.stream_state(stream) or NO_STREAM_STATE
