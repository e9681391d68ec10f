"""The one writer of an SQLite store: a thread that commits what has queued up, in groups.

Group commit: while one transaction goes to disk, appends queue; the next transaction takes them all. Under
load that gives many appends for each fsync, alone it adds no delay.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import apsw
from msgspec import Struct

from coldaisle.core.errors import EventError, StoreError
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.chain_keys import ChainKeys
from coldaisle.core.store.port import Append, Appended
from coldaisle.core.store.sqlite_chain import open_chain
from coldaisle.core.store.sqlite_group import Group, KnownStream
from coldaisle.core.store.sqlite_insert import insert_events
from coldaisle.core.store.sqlite_schema import LAST_POSITION, transaction, translate
from coldaisle.core.store.sqlite_streams import stream_row

MAX_GROUP_EVENTS = 20_000
"""Events in one transaction; what comes beyond waits for the next."""

MAX_KNOWN_STREAMS = 100_000
"""Streams whose place the writer remembers (some 40 MB); any other is looked up when it is appended to."""

_INSERT_STREAM = "INSERT INTO stream(id, name, version) VALUES(?,?,-1)"
_UPSERT_CHECKPOINT = (
    "INSERT INTO checkpoint VALUES(?,?) ON CONFLICT(consumer) DO UPDATE SET position=excluded.position"
)
_HAS_ID = "SELECT 1 FROM event WHERE id = ?"
_BY_ID = (
    "SELECT e.position, s.name, e.version, e.id, e.type, e.schema, e.time, e.recorded, e.actor, x'', "
    "e.correlation_id, e.causation_id FROM event e JOIN stream s ON s.id = e.stream_id WHERE e.id = ?"
)

_LAST_RECORDED = (
    "SELECT max(ifnull((SELECT recorded FROM event ORDER BY position DESC LIMIT 1), 0), "
    "ifnull((SELECT value FROM setting WHERE key = 'last_recorded' AND typeof(value) = 'integer'), 0))"
)
PUT_SETTING = "INSERT INTO setting VALUES(?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value"

log = logging.getLogger(__name__)

Answer = list[Appended] | StoreError | EventError


class Request(Struct, frozen=True):
    """Work for the writer; ``answer`` is resolved on the event loop once it is on disk or refused."""

    answer: "asyncio.Future[list[Appended]]"
    appends: Sequence[Append] = ()
    checkpoint: tuple[str, int] | None = None


class Job(Struct, frozen=True):
    """Maintenance that runs alone, between two groups; its result comes through ``answer``."""

    answer: "asyncio.Future[object]"
    work: Callable[[apsw.Connection], object]
    transaction: bool = True


class Writer:
    """Owns the writing connection and its thread. Construct it, ``submit`` requests, ``close`` it."""

    def __init__(
        self,
        connection: apsw.Connection,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        wake: Callable[[], None],
        chain_keys: ChainKeys | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._loop = loop
        self._wake = wake
        self._queue: list[Request | Job] = []
        self._ready = threading.Condition()
        self._closing = False
        self._chain_keys = chain_keys
        self._refresh()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, request: Request | Job) -> None:
        """Queue work; its answer comes through its future."""
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

    def stream(self, name: str) -> KnownStream | None:
        """A committed stream; None when there is none."""
        known = self._streams.get(name)
        if known is None:
            found = stream_row(self._connection, name)
            if found is not None:
                known = self._streams[name] = KnownStream(*found)
        return known

    def has(self, event_id: bytes) -> bool:
        """Whether an event of this id is committed."""
        return self._connection.execute(_HAS_ID, (event_id,)).get is not None

    def find(self, event_id: bytes) -> Recorded | None:
        """A committed event by id, without its data."""
        row = self._connection.execute(_BY_ID, (event_id,)).fetchone()
        return None if row is None else Recorded(*row)

    def _refresh(self) -> None:
        """What the file says now; also after work that may have changed anything in it."""
        connection = self._connection
        self._streams: dict[str, KnownStream] = {}
        self.position: int = connection.execute(LAST_POSITION).get
        self._recorded: int = connection.execute(_LAST_RECORDED).get
        self.next_stream_id: int = connection.execute("SELECT ifnull(max(id), 0) + 1 FROM stream").get
        self._chain = open_chain(connection, self._path, self.position, self._chain_keys)

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            if isinstance(group, Job):
                done = self._maintain(group)
                self._loop.call_soon_threadsafe(self._settle, group.answer, done)
            else:
                answers = self._commit(group)
                self._loop.call_soon_threadsafe(self._answer, group, answers)

    def _next_group(self) -> list[Request] | Job | None:
        with self._ready:
            while not self._queue:
                if self._closing:
                    return None
                self._ready.wait()
            taken: list[Request] = []
            events = 0
            for item in self._queue:
                if isinstance(item, Job):
                    if not taken:
                        return cast("Job", self._queue.pop(0))  # it is the first
                    break
                events += sum(len(append.events) for append in item.appends)
                if taken and events > MAX_GROUP_EVENTS:
                    break
                taken.append(item)
            del self._queue[: len(taken)]
            return taken

    def _maintain(self, job: Job) -> object:
        """The job's result, or what it raised; its changes are on disk whole, or not at all."""
        connection = self._connection
        try:
            if not job.transaction:
                return job.work(connection)
            connection.execute("BEGIN IMMEDIATE")
            for key, value in (("last_position", self.position), ("last_recorded", self._recorded)):
                connection.execute(PUT_SETTING, (key, value))
            result = job.work(connection)
            connection.execute("COMMIT")
        except apsw.Error as error:
            return translate(error, self._path)
        except Exception as error:  # the caller's job: what it raises is the caller's, the writer goes on
            return error
        else:
            return result
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._refresh()

    def _commit(self, requests: list[Request]) -> list[Answer]:
        """Every request's result or refusal; all results are on disk.

        A request whose values cannot be stored fails the whole group, so each of the group is tried alone.
        """
        try:
            return self._transact_again(requests)
        except Exception as error:  # also what callers' values raise: the writer goes on
            if isinstance(error, apsw.Error) and not isinstance(error, apsw.ConstraintError):
                return [translate(error, self._path)] * len(requests)
            if len(requests) > 1:
                return [answer for request in requests for answer in self._commit([request])]
            return [
                EventError(f"a value cannot be stored ({error}): correct it; nothing of this was written")
            ]

    def _transact_again(self, requests: list[Request]) -> list[Answer]:
        try:
            return self._transact(requests, careful=False)
        except apsw.ConstraintError:
            log.info("an append repeats part of an earlier one: checking every id")
        return self._transact(requests, careful=True)

    def _transact(self, requests: list[Request], careful: bool) -> list[Answer]:
        connection = self._connection
        group = Group(self, time.time_ns(), self._recorded)
        answers: list[Answer] = []
        with transaction(connection):
            for request in requests:
                try:
                    answers.append(group.take(request.appends, careful))
                except StoreError as refusal:
                    answers.append(refusal)
            insert_events(connection, group.rows)
            connection.executemany(_INSERT_STREAM, group.new_streams())
            connection.executemany(_UPSERT_CHECKPOINT, [r.checkpoint for r in requests if r.checkpoint])
            if self._chain is not None and group.rows:
                self._chain.link(connection, group.position, group.named_rows())
        if self._chain is not None and group.rows:
            self._chain.commit()
        if len(self._streams) + len(group.streams) > MAX_KNOWN_STREAMS:
            self._streams.clear()
        self._streams |= group.streams
        self.position, self.next_stream_id = group.position, group.next_stream_id
        self._recorded = group.recorded
        return answers

    def _answer(self, group: list[Request], answers: list[Answer]) -> None:
        """On the event loop: a caller that gave up must not keep its neighbours waiting."""
        for request, answer in zip(group, answers, strict=True):
            self._settle(request.answer, answer)
        self._wake()

    def _settle(self, future: "asyncio.Future[Any]", answer: object) -> None:
        if future.done():
            return
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
