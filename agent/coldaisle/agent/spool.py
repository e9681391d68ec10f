"""The agent's memory on disk: an SQLite file in which a row is a batch.

What ``append`` returned from is on disk. Numbers of events and the batches that carry them commit
together, so a crash leaves neither a hole nor a number used twice. All methods but ``apart`` block, and
``apart`` calls them in the spool's own thread; a lock makes them safe to call from several.

Limits: payloads are bounded by ``max_bytes``. Beyond it the oldest telemetry is dropped, then the oldest
facts, never what was handed out for sending, and a gap event says how much.
"""

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from msgspec import Struct

from coldaisle.agent.batches import Batch, Bounds, Origin, batches_of
from coldaisle.agent.errors import SpoolUnwritable
from coldaisle.agent.spool_file import open_or_replace, set_aside, take_folder
from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import GapRecorded

T = TypeVar("T")

logger = logging.getLogger(__name__)

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_MAX_DELETED_BATCHES = 64
"""In one go, of those that were acknowledged while nothing could be deleted: each attempt costs as many."""

_INSERT = "INSERT INTO batches (payload, bytes, events, telemetry, since, until) VALUES (?, ?, ?, ?, ?, ?)"
# Telemetry before facts, the oldest first.
_NEXT_TO_DROP = """
SELECT id, bytes, events, since, until FROM batches
WHERE id > ? AND id != ? ORDER BY telemetry DESC, id LIMIT 1
"""


class SpooledBatch(Struct, frozen=True):
    """A batch waiting for its acknowledgement; ``id`` grows and is never used again."""

    id: int
    payload: bytes
    event_count: int


class SpoolSize(Struct, frozen=True):
    """How much waits."""

    events: int
    bytes: int


class _Loss(Struct):
    """Batches dropped in one append or more, until a gap event about them was handed out."""

    row: int = 0
    sequence: int = 0
    time: int = 0
    count: int = 0
    since: int = 0
    until: int = 0

    def add(self, count: int, since: int, until: int) -> None:
        self.since = min(self.since, since) if self.count else since
        self.until = max(self.until, until)
        self.count += count


class Spool:
    """Cheap to construct; opens its file in ``__enter__``."""

    def __init__(self, path: Path, agent: str, max_bytes: int, bounds: Bounds) -> None:
        self.path = path
        self.bounds = bounds
        self._agent = agent
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "spool")
        self._loss = _Loss()
        self._handed_out = 0
        self._acknowledged: set[int] = set()
        self._last_row = 0
        self._next_sequence = 1
        self._events = 0
        self._bytes = 0
        self.dropped_count = 0

    def __enter__(self) -> Self:
        self._folder = take_folder(self.path)
        try:
            with self._lock:
                self._connection, found = open_or_replace(self.path)
                self._load()
                if found:
                    self._append_unreadable(found)
        except BaseException:  # also an interrupted start lets another agent have the folder
            os.close(self._folder)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        with self._lock:
            self._connection.close()
        os.close(self._folder)

    async def apart(self, call: Callable[..., T], *arguments: object) -> T:
        """What one of the methods below answers, called in the spool's own thread.

        The loop's threads also look names up and ask slow peers: all of them may be waiting.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def append(self, observations: Sequence[Observation]) -> None:
        """Put observations on disk as batches; raises SpoolUnwritable when nothing was written."""
        with self._lock:
            try:
                self._append(observations)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise SpoolUnwritable(f"{self.path}: {error}") from error
                self._start_anew(str(error))
                self._append(observations)

    def peek(self, after: int, limit: int) -> list[SpooledBatch]:
        """Up to ``limit`` batches after the id ``after``, oldest first; they count as handed out."""
        with self._lock:
            try:
                batches = self._peek(after, limit)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise SpoolUnwritable(f"{self.path}: {error}") from error
                self._start_anew(str(error))
                batches = self._peek(after, limit)
            if batches:
                self._handed_out = max(self._handed_out, batches[-1].id)
            if self._loss.row and self._loss.row <= self._handed_out:
                self._loss = _Loss()
            return batches

    def delete(self, batch_id: int) -> None:
        """Forget a batch that the server has on disk, at the latest when the disk can be written again."""
        with self._lock:
            self._acknowledged.add(batch_id)
            waiting = set(islice(self._acknowledged, _MAX_DELETED_BATCHES))
            try:
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    gone = [self._delete(acknowledged) for acknowledged in waiting]
            except sqlite3.DatabaseError as error:
                if len(self._acknowledged) == 1:  # once, not for each that follows while the disk is full
                    logger.warning("acknowledged batches not deleted yet", extra={"reason": str(error)})
                return
            self._acknowledged -= waiting
            self._events -= sum(events for events, _ in gone)
            self._bytes -= sum(size for _, size in gone)

    def respect(self, max_events: int, max_bytes: int) -> None:
        """Keep future batches within the server's bounds; 0 and what cannot be one is none."""
        events, size = self.bounds.max_events, self.bounds.max_bytes
        self.bounds = Bounds(
            min(events, max_events if max_events > 0 else events),
            min(size, max_bytes if max_bytes > 0 else size),
        )

    def size(self) -> SpoolSize:
        """What waits, in events and payload bytes."""
        return SpoolSize(self._events, self._bytes)

    def has_beyond(self, batch_id: int) -> bool:
        """Whether there may be batches after this one; takes no lock and no disk."""
        return self._last_row > batch_id

    def oldest(self) -> int:
        """The time (UTC ns) of the earliest event of the oldest batch; 0 when nothing waits."""
        with self._lock:
            query = "SELECT since FROM batches ORDER BY id LIMIT 1"
            try:
                row: tuple[int] | None = self._connection.execute(query).fetchone()
            except sqlite3.DatabaseError:
                return 0  # the writer says what is wrong
            return row[0] if row else 0

    # --- inside the lock ----------------------------------------------------------------------------------

    def _peek(self, after: int, limit: int) -> list[SpooledBatch]:
        # Without a limit in SQL: what is acknowledged and could not be deleted must not hide what follows.
        sql = "SELECT id, payload, events FROM batches WHERE id > ? ORDER BY id"
        with closing(self._connection.execute(sql, (after,))) as rows:
            waiting = (SpooledBatch(*row) for row in rows if row[0] not in self._acknowledged)
            return list(islice(waiting, limit))

    def _delete(self, batch_id: int) -> tuple[int, int]:
        sql = "DELETE FROM batches WHERE id = ? RETURNING events, bytes"
        row: tuple[int, int] | None = self._connection.execute(sql, (batch_id,)).fetchone()
        return row or (0, 0)

    def _load(self) -> None:
        salt, self._next_sequence = self._connection.execute(
            "SELECT salt, next_sequence FROM origin"
        ).fetchone()
        self._origin = Origin(self._agent, salt)
        self._events, self._bytes, newest = self._connection.execute(
            "SELECT coalesce(sum(events), 0), coalesce(sum(bytes), 0), coalesce(max(id), 0) FROM batches"
        ).fetchone()
        self._last_row = max(self._last_row, newest)
        self._handed_out, self._loss = 0, _Loss()

    def _append(self, observations: Sequence[Observation]) -> None:
        before = (self._next_sequence, self._events, self._bytes, self.dropped_count, _copy(self._loss))
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._insert_all(batches_of(observations, self._origin, self._next_sequence, self.bounds))
                self._next_sequence += len(observations)
                self._make_room()
                self._connection.execute("UPDATE origin SET next_sequence = ?", (self._next_sequence,))
        except BaseException:  # the transaction is undone, whatever it was: so are the counts
            self._next_sequence, self._events, self._bytes, self.dropped_count, self._loss = before
            raise

    def _insert_all(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self._insert(batch)

    def _insert(self, batch: Batch) -> int:
        size = len(batch.payload)
        values = (batch.payload, size, batch.event_count, batch.is_telemetry, batch.since, batch.until)
        row = self._connection.execute(_INSERT, values).lastrowid
        self._events, self._bytes = self._events + batch.event_count, self._bytes + size
        assert row is not None, "an insert always has a row"
        self._last_row = row
        return row

    def _make_room(self) -> None:
        dropped = 0
        while self._bytes > self._max_bytes:
            bounds = (self._handed_out, self._loss.row)
            row = self._connection.execute(_NEXT_TO_DROP, bounds).fetchone()
            if row is None:
                break
            batch_id, size, events, since, until = row
            self._connection.execute("DELETE FROM batches WHERE id = ?", (batch_id,))
            self._events, self._bytes = self._events - events, self._bytes - size
            self._loss.add(events, since, until)
            dropped += events
        if dropped:
            self.dropped_count += dropped
            self._write_loss()

    def _write_loss(self) -> None:
        """One gap event grows until it is handed out: a spool that stays full must not fill with gaps."""
        loss = self._loss
        if not loss.row:
            loss.sequence, loss.time = self._next_sequence, time.time_ns()
            self._next_sequence += 1
        gap = GapRecorded(
            self._agent, loss.since, loss.until, loss.count, "the spool was full: the oldest was dropped"
        )
        [batch] = batches_of([Observation(loss.time, gap)], self._origin, loss.sequence, self.bounds)
        if loss.row:
            self._replace(loss.row, batch)
        else:
            loss.row = self._insert(batch)
            logger.error("spool full", extra={"path": str(self.path), "max_bytes": self._max_bytes})

    def _replace(self, row: int, batch: Batch) -> None:
        [before] = self._connection.execute("SELECT bytes FROM batches WHERE id = ?", (row,)).fetchone()
        self._bytes += len(batch.payload) - before
        self._connection.execute(
            "UPDATE batches SET payload = ?, bytes = ? WHERE id = ?", (batch.payload, len(batch.payload), row)
        )

    def _start_anew(self, reason: str) -> None:
        self._connection.close()
        moved = set_aside(self.path, reason)
        self._connection, _ = open_or_replace(self.path)
        # Ids go on growing: the uplink knows how far it has sent by them.
        self._connection.execute("INSERT INTO sqlite_sequence VALUES ('batches', ?)", (self._last_row,))
        self._acknowledged.clear()
        self._load()
        self._append_unreadable(moved)

    def _append_unreadable(self, moved: Path) -> None:
        now = time.time_ns()
        reason = f"the spool was unreadable and moved to {moved}; how many events it holds is unknown"
        self._append([Observation(now, GapRecorded(self._agent, _modified(moved), now, 0, reason))])


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return error.sqlite_errorcode & 0xFF in _DAMAGED


def _copy(loss: _Loss) -> _Loss:
    return _Loss(loss.row, loss.sequence, loss.time, loss.count, loss.since, loss.until)


def _modified(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return time.time_ns()
