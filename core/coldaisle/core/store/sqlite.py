"""The embedded event store: one SQLite file, one writing process, any number of readers.

WAL with ``synchronous=FULL``: what was acknowledged survives the crash of the process and of the machine,
as far as the disk keeps what it said it wrote.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

import apsw

from coldaisle.core.errors import StoreError
from coldaisle.core.events.envelope import NewEvent, Recorded
from coldaisle.core.store.chain import removal_record
from coldaisle.core.store.chain_keys import ChainKeys
from coldaisle.core.store.check import check_appends
from coldaisle.core.store.cipher import StoreKey
from coldaisle.core.store.lock import lock
from coldaisle.core.store.port import (
    EVERYTHING,
    MAX_PAGE_EVENTS,
    Append,
    Appended,
    EventFilter,
    Expected,
    Page,
    Step,
    StreamState,
)
from coldaisle.core.store.sqlite_open import open_writer
from coldaisle.core.store.sqlite_readers import OwnReader, Readers
from coldaisle.core.store.sqlite_reading import (
    SCAN_WINDOW_EVENTS,
    PageReader,
    data_version,
    head,
    position_at,
)
from coldaisle.core.store.sqlite_schema import translate, typed_rows
from coldaisle.core.store.sqlite_streams import delete_stream, stream_state, tombstone, truncate_stream
from coldaisle.core.store.sqlite_writer import Job, Request, Writer

MAX_QUEUED_BYTES = 64 << 20
"""Bytes that may wait for the writer; further appends wait, so that a slow disk pushes back."""

READ_ONLY_POLL_SECONDS = 0.05
"""Between two looks whether another process has written: each is ten microseconds, and reads no event."""

Result = TypeVar("Result")


class SqliteStore:
    """An EventStore in one file. An async context manager.

    ``read_only`` opens beside a running writer, for programs that do nothing but read: each question is
    answered in the thread that asks, and the event loop waits meanwhile. Else a thread reads.
    With a ``key`` the file is encrypted; with ``chain`` every append is linked into a keyed hash chain.
    """

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        max_bytes: int | None = None,
        key: StoreKey | None = None,
        chain: ChainKeys | None = None,
    ) -> None:
        self.path = path
        self._key = key
        self._chain = chain
        self._read_only = read_only
        self._max_bytes = max_bytes
        self._writer: Writer | None = None
        self._lock_file: int | None = None
        self._queued_bytes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._changed = asyncio.Event()
        self._pages = PageReader(path)
        self._readers: Readers | OwnReader = OwnReader(path, key) if read_only else Readers(path, key)

    @property
    def is_encrypted(self) -> bool:
        """Whether the file is under a key."""
        return self._key is not None

    async def __aenter__(self) -> "SqliteStore":
        if not self._read_only:
            self._lock_file = lock(self.path)
            try:
                self._writer = await asyncio.to_thread(self._start_writer, asyncio.get_running_loop())
            except BaseException:  # also a cancelled start gives the lock back
                os.close(self._lock_file)
                raise
        try:
            await self.inspect(lambda _: None)
        except BaseException:  # also a cancelled start leaves no thread and no lock
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._readers.close()
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)  # the last to close: it takes in the WAL
        if self._lock_file is not None:
            os.close(self._lock_file)

    def _start_writer(self, loop: asyncio.AbstractEventLoop) -> Writer:
        connection = open_writer(self.path, self._max_bytes, self._key)
        try:
            return Writer(connection, self.path, loop, self._wake, self._chain)
        except BaseException as error:
            connection.close()
            if isinstance(error, apsw.Error):
                raise translate(error, self.path) from error
            raise

    @property
    def chain_keys(self) -> ChainKeys | None:
        """The keys of the hash chain, where there is one."""
        return self._chain

    def removal_record(self, how: bytes, position: int, digest: bytes) -> bytes:
        """What stays of an event that is removed; see ``chain.removal_record``."""
        key = None if self._chain is None else self._chain[self._chain.current]
        return removal_record(key, how, position, digest)

    async def append(
        self, stream: str, events: Sequence[NewEvent], expected: int | Expected = Expected.ANY
    ) -> Appended:
        """See EventStore."""
        return (await self.append_many([Append(stream, events, expected)]))[0]

    async def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """See EventStore. A caller that is cancelled while waiting may still find its events stored."""
        size_bytes = check_appends(appends)
        return await self._submit(size_bytes, appends=appends) if appends else []

    async def save_checkpoint(self, consumer: str, position: int) -> None:
        """See EventStore."""
        await self._submit(0, checkpoint=(consumer, position))

    async def load_checkpoint(self, consumer: str) -> int:
        """See EventStore."""
        query = "SELECT position FROM checkpoint WHERE consumer = ?"
        found = await self.inspect(lambda connection: typed_rows(connection, query, (consumer,), (int,)))
        return int(found[0][0]) if found else 0

    async def head(self) -> int:
        """See EventStore."""
        return await self.inspect(head)

    async def position_at(self, time: int) -> int:
        """See EventStore."""
        return await self.inspect(lambda connection: position_at(connection, time))

    async def read_stream(
        self, stream: str, *, after: int = -1, limit: int = MAX_PAGE_EVENTS, backwards: bool = False
    ) -> list[Recorded]:
        """See EventStore."""
        return await self.inspect(
            lambda connection: self._pages.stream(connection, stream, after, limit, backwards)
        )

    async def stream_state(self, stream: str) -> StreamState | None:
        """See EventStore."""
        return await self.inspect(lambda connection: stream_state(connection, stream))

    async def truncate_stream(self, stream: str, before_version: int) -> None:
        """See EventStore."""
        await self.maintain(lambda connection: truncate_stream(connection, stream, before_version))

    async def delete_stream(self, stream: str, expected: int | Expected = Expected.ANY) -> None:
        """See EventStore."""
        await self.maintain(lambda connection: delete_stream(connection, stream, expected))

    async def tombstone(self, stream: str, expected: int | Expected = Expected.ANY) -> None:
        """See EventStore."""
        await self.maintain(lambda connection: tombstone(connection, stream, expected))

    async def maintain(self, job: Callable[[apsw.Connection], Result], *, transaction: bool = True) -> Result:
        """Run ``job`` in the writer's thread, between two groups of appends, in a transaction of its own.

        Keep it short: appends wait meanwhile. Its changes are whole or none, and what it raises comes here.
        ``transaction=False`` is for what SQLite does not allow inside one (VACUUM, checkpointing the WAL).
        """
        writer = self._writing()
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        writer.submit(Job(answer, job, transaction))
        return cast("Result", await answer)  # the writer answers with what the job returned

    async def inspect(self, job: Callable[[apsw.Connection], Result]) -> Result:
        """Run ``job`` where the store reads, on a connection that cannot write; leave no transaction open."""
        return await self._readers.ask(job)

    async def read_all(
        self,
        *,
        after: int = 0,
        limit: int = MAX_PAGE_EVENTS,
        backwards: bool = False,
        only: EventFilter = EVERYTHING,
    ) -> Page:
        """See EventStore."""
        read = self._pages.page_backwards if backwards else self._pages.page
        return await self.inspect(lambda connection: read(connection, after, limit, only))

    async def replay(self, step: Step, *, after: int = 0, end: int) -> int:
        """See EventStore. The step runs where the store reads: beside a writer, the event loop stays free."""
        return await self.inspect(lambda connection: self._pages.replay(connection, step, after, end))

    async def subscribe_all(self, *, after: int = 0, only: EventFilter = EVERYTHING) -> AsyncIterator[Page]:
        """See EventStore. The wake-up is armed before each read: no commit falls between."""
        announced = False
        while True:
            changed = self._changed
            version = await self.inspect(data_version) if self._read_only else 0
            page = await self.read_all(after=after, only=only)
            if page.events or not announced or page.position - after >= SCAN_WINDOW_EVENTS:
                yield page
            after, announced = page.position, page.caught_up
            if not page.caught_up:
                continue
            if not self._read_only:
                await changed.wait()
                continue
            while await self.inspect(data_version) == version:  # noqa: ASYNC110 - others wake nobody here
                await asyncio.sleep(READ_ONLY_POLL_SECONDS)

    async def _submit(
        self, size_bytes: int, *, appends: Sequence[Append] = (), checkpoint: tuple[str, int] | None = None
    ) -> list[Appended]:
        writer = self._writing()
        while self._queued_bytes and self._queued_bytes + size_bytes > MAX_QUEUED_BYTES:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self._queued_bytes += size_bytes
        answer: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: self._release(size_bytes))
        writer.submit(Request(answer, appends, checkpoint))
        return await answer

    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"{self.path} is open read-only: open it for writing to append")
        return self._writer

    def _release(self, size_bytes: int) -> None:
        self._queued_bytes -= size_bytes
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
