"""What one transaction will have changed: appends staged or refused before anything is inserted.

Verdicts come first, so that a refused append costs its neighbours nothing and needs no savepoint.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from coldaisle.core.errors import StoreError
from coldaisle.core.events.envelope import NewEvent, Recorded
from coldaisle.core.store.check import check_expected, repeated_result
from coldaisle.core.store.port import NO_STREAM_STATE, Append, Appended, StreamState
from coldaisle.core.store.sqlite_insert import Row


class KnownStream(Struct, frozen=True):
    """A stream's row and where it stands."""

    id: int
    state: StreamState


class Committed(Protocol):
    """What the file holds before the transaction."""

    position: int
    next_stream_id: int

    def stream(self, name: str) -> KnownStream | None:
        """A committed stream; None when there is none."""
        ...

    def has(self, event_id: bytes) -> bool:
        """Whether an event of this id is committed."""
        ...

    def find(self, event_id: bytes) -> Recorded | None:
        """A committed event by id, without its data."""
        ...


class Group:
    """What one transaction will have changed, on top of what is committed."""

    def __init__(self, committed: Committed, now: int, recorded: int) -> None:
        self._committed = committed
        self.now = now
        self.recorded = recorded
        self.position = committed.position
        self.next_stream_id = committed.next_stream_id
        self.streams: dict[str, KnownStream] = {}
        self.rows: list[Row] = []
        self.by_id: dict[bytes, tuple[str, Row]] = {}

    def take(self, appends: Sequence[Append], careful: bool) -> list[Appended]:
        """Stage a request whole, or raise and stage nothing of it."""
        position, next_stream_id, row_count = self.position, self.next_stream_id, len(self.rows)
        recorded = self.recorded
        before: list[tuple[str, KnownStream | None]] = []
        try:
            return [self._stage(append, careful, before) for append in appends]
        except StoreError:
            for row in self.rows[row_count:]:
                del self.by_id[row[3]]
            for name, stream in reversed(before):
                self._restore(name, stream)
            self.position, self.next_stream_id, self.recorded = position, next_stream_id, recorded
            del self.rows[row_count:]
            raise

    def _restore(self, name: str, stream: KnownStream | None) -> None:
        if stream is None:
            del self.streams[name]
        else:
            self.streams[name] = stream

    def _stage(self, append: Append, careful: bool, before: list[tuple[str, KnownStream | None]]) -> Appended:
        """``careful`` looks up every id; else the first one stands for all, and the id index for the rest."""
        events = append.events
        if careful or self._repeats(events[0].id):
            repeated = repeated_result(append, [self._find(event) for event in events])
            if repeated is not None:
                return repeated
        stream = self._stream(append.stream)
        check_expected(append.stream, append.expected, stream.state)
        before.append((append.stream, self.streams.get(append.stream)))
        self.recorded = max(self.recorded, append.recorded or self.now)
        self._add_rows(append.stream, stream, events)
        return Appended(stream.state.version + len(events), self.position)

    def _add_rows(self, name: str, stream: KnownStream, events: Sequence[NewEvent]) -> None:
        position, version, recorded, stream_id = self.position, stream.state.version, self.recorded, stream.id
        for event in events:
            position += 1
            version += 1
            row = (
                position, stream_id, version, event.id, event.type, event.schema, event.time, recorded,
                event.actor, event.data, event.correlation_id, event.causation_id,
            )  # fmt: skip
            self.rows.append(row)
            self.by_id[event.id] = (name, row)
        self.position = position
        self.streams[name] = KnownStream(stream_id, replace(stream.state, version=version))

    def _stream(self, name: str) -> KnownStream:
        known = self.streams.get(name) or self._committed.stream(name)
        if known is None:
            known = KnownStream(self.next_stream_id, NO_STREAM_STATE)
            self.next_stream_id += 1
        return known

    def new_streams(self) -> list[tuple[int, str]]:
        """Id and name of the streams that begin in this group."""
        return [(s.id, name) for name, s in self.streams.items() if s.id >= self._committed.next_stream_id]

    def named_rows(self) -> Iterable[tuple[str, Row]]:
        """The staged events in order, with their streams' names."""
        return self.by_id.values()

    def _repeats(self, event_id: bytes) -> bool:
        return event_id in self.by_id or self._committed.has(event_id)

    def _find(self, event: NewEvent) -> Recorded | None:
        staged = self.by_id.get(event.id)
        if staged is not None:
            name, row = staged
            return Recorded(row[0], name, *row[2:])
        return self._committed.find(event.id)
