"""The one writer of an SQLite store: a thread that commits what has queued up, in groups.

Group commit: while one transaction goes to disk, appends queue; the next transaction takes them all. Under
load that gives many appends for each fsync, alone it adds no delay. Verdicts are made before anything is
inserted, so that a refused append costs its neighbours nothing and needs no savepoint.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
from msgspec import Struct

from coldaisle.core.errors import StoreError
from coldaisle.core.events.envelope import NewEvent, Recorded
from coldaisle.core.store.check import check_expected, repeated_result
from coldaisle.core.store.port import Append, Appended
from coldaisle.core.store.sqlite_schema import translate

MAX_GROUP_EVENTS = 20_000
"""Events in one transaction; what comes beyond waits for the next."""

_INSERT_EVENT = "INSERT INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"
_UPSERT_STREAM = (
    "INSERT INTO stream(id, name, version) VALUES(?,?,?) "
    "ON CONFLICT(id) DO UPDATE SET version=excluded.version"
)
_UPSERT_CHECKPOINT = (
    "INSERT INTO checkpoint VALUES(?,?) ON CONFLICT(consumer) DO UPDATE SET position=excluded.position"
)
_BY_ID = (
    "SELECT e.position, s.name, e.version, e.id, e.type, e.schema, e.time, e.recorded, e.actor, x'', "
    "e.correlation_id, e.causation_id FROM event e JOIN stream s ON s.id = e.stream_id WHERE e.id = ?"
)

Row = tuple[int, int, int, bytes, str, int, int, int, str, bytes, bytes | None, bytes | None]
log = logging.getLogger(__name__)


class Request(Struct, frozen=True):
    """Work for the writer; ``answer`` is resolved on the event loop once it is on disk or refused."""

    answer: "asyncio.Future[list[Appended]]"
    appends: Sequence[Append] = ()
    checkpoint: tuple[str, int] | None = None


class _Stream(Struct, frozen=True):
    id: int
    version: int


class _Group:
    """What one transaction will have changed, on top of what is committed."""

    def __init__(self, writer: "Writer", recorded: int) -> None:
        self.writer = writer
        self.recorded = recorded
        self.position = writer.position
        self.next_stream_id = writer.next_stream_id
        self.streams: dict[str, _Stream] = {}
        self.rows: list[Row] = []
        self.by_id: dict[bytes, tuple[str, Row]] = {}

    def take(self, appends: Sequence[Append], careful: bool) -> list[Appended]:
        """Stage a request whole, or raise and stage nothing of it."""
        position, next_stream_id, row_count = self.position, self.next_stream_id, len(self.rows)
        before: list[tuple[str, _Stream | None]] = []
        try:
            return [self._stage(append, careful, before) for append in appends]
        except StoreError:
            for row in self.rows[row_count:]:
                del self.by_id[row[3]]
            for name, stream in reversed(before):
                self._restore(name, stream)
            self.position, self.next_stream_id = position, next_stream_id
            del self.rows[row_count:]
            raise

    def _restore(self, name: str, stream: _Stream | None) -> None:
        if stream is None:
            del self.streams[name]
        else:
            self.streams[name] = stream

    def _stage(self, append: Append, careful: bool, before: list[tuple[str, _Stream | None]]) -> Appended:
        """``careful`` looks up every id; else the first one stands for all, and the id index for the rest."""
        events = append.events
        if careful or self._find(events[0]) is not None:
            repeated = repeated_result(append, [self._find(event) for event in events])
            if repeated is not None:
                return repeated
        stream = self._stream(append.stream)
        check_expected(append, stream.version)
        before.append((append.stream, self.streams.get(append.stream)))
        self._add_rows(append.stream, stream, events)
        return Appended(stream.version + len(events), self.position)

    def _add_rows(self, name: str, stream: _Stream, events: Sequence[NewEvent]) -> None:
        position, version, recorded, stream_id = self.position, stream.version, self.recorded, stream.id
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
        self.streams[name] = _Stream(stream_id, version)

    def _stream(self, name: str) -> _Stream:
        known = self.streams.get(name) or self.writer.stream(name)
        if known is None:
            known = _Stream(self.next_stream_id, -1)
            self.next_stream_id += 1
        return known

    def _find(self, event: NewEvent) -> Recorded | None:
        staged = self.by_id.get(event.id)
        if staged is not None:
            name, row = staged
            return Recorded(row[0], name, *row[2:])
        return self.writer.find(event.id)


class Writer:
    """Owns the writing connection and its thread. Construct it, ``submit`` requests, ``close`` it."""

    def __init__(
        self,
        connection: apsw.Connection,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        wake: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._path = path
        self._loop = loop
        self._wake = wake
        self._queue: list[Request] = []
        self._ready = threading.Condition()
        self._closing = False
        self._streams: dict[str, _Stream] = {}
        self.position: int = connection.execute("SELECT ifnull(max(position), 0) FROM event").get
        self.next_stream_id: int = connection.execute("SELECT ifnull(max(id), 0) + 1 FROM stream").get
        self._recorded: int = connection.execute(
            "SELECT ifnull((SELECT recorded FROM event ORDER BY position DESC LIMIT 1), 0)"
        ).get
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a request; its answer comes through its future."""
        with self._ready:
            if self._closing:
                raise StoreError(f"{self._path} is closed")
            self._queue.append(request)
            self._ready.notify()

    def close(self) -> None:
        """Finish what is queued, then stop. Blocks."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        self._thread.join()
        self._connection.close()

    def stream(self, name: str) -> _Stream | None:
        """A committed stream; None when there is none."""
        known = self._streams.get(name)
        if known is None:
            row = self._connection.execute(
                "SELECT id, version FROM stream WHERE name = ?", (name,)
            ).fetchone()
            if row is not None:
                known = self._streams[name] = _Stream(*row)
        return known

    def find(self, event_id: bytes) -> Recorded | None:
        """A committed event by id, without its data."""
        row = self._connection.execute(_BY_ID, (event_id,)).fetchone()
        return None if row is None else Recorded(*row)

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            answers = self._commit(group)
            self._loop.call_soon_threadsafe(self._answer, group, answers)

    def _next_group(self) -> list[Request] | None:
        with self._ready:
            while not self._queue:
                if self._closing:
                    return None
                self._ready.wait()
            taken = events = 0
            for request in self._queue:
                events += sum(len(append.events) for append in request.appends)
                if taken and events > MAX_GROUP_EVENTS:
                    break
                taken += 1
            group, self._queue = self._queue[:taken], self._queue[taken:]
            return group

    def _commit(self, requests: list[Request]) -> list[list[Appended] | StoreError]:
        """Every request's result or refusal; all of them are on disk, or none is."""
        try:
            return self._transact(requests, careful=False)
        except apsw.ConstraintError:
            log.info("an append repeats part of an earlier one: checking every id")
        except apsw.Error as error:
            return [translate(error, self._path)] * len(requests)
        try:
            return self._transact(requests, careful=True)
        except apsw.Error as error:
            return [translate(error, self._path)] * len(requests)

    def _transact(self, requests: list[Request], careful: bool) -> list[list[Appended] | StoreError]:
        connection = self._connection
        group = _Group(self, max(self._recorded, time.time_ns()))
        answers: list[list[Appended] | StoreError] = []
        connection.execute("BEGIN IMMEDIATE")
        try:
            for request in requests:
                try:
                    answers.append(group.take(request.appends, careful))
                except StoreError as refusal:
                    answers.append(refusal)
            connection.executemany(_INSERT_EVENT, group.rows)
            connection.executemany(
                _UPSERT_STREAM, [(s.id, name, s.version) for name, s in group.streams.items()]
            )
            connection.executemany(_UPSERT_CHECKPOINT, [r.checkpoint for r in requests if r.checkpoint])
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._streams |= group.streams
        self.position, self.next_stream_id = group.position, group.next_stream_id
        self._recorded = group.recorded
        return answers

    def _answer(self, group: list[Request], answers: list[list[Appended] | StoreError]) -> None:
        """On the event loop: a caller that gave up must not keep its neighbours waiting."""
        for request, answer in zip(group, answers, strict=True):
            if request.answer.done():
                continue
            if isinstance(answer, StoreError):
                request.answer.set_exception(answer)
            else:
                request.answer.set_result(answer)
        self._wake()
