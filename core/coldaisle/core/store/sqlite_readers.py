"""Who reads an SQLite file, over connections which cannot write: threads of ours, or the thread that asks.

What one thread makes and another uses goes from one core's cache to the other's: a tenth to a quarter of what
reading costs in all. A server pays that, its event loop must not wait for a disk. A program that does nothing
but read does not.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar, cast

import apsw
from msgspec import Struct

from coldaisle.core.errors import StoreError, StoreUnreadable
from coldaisle.core.store.cipher import StoreKey
from coldaisle.core.store.sqlite_schema import open_reader, translate

MAX_THREADS = 2

Result = TypeVar("Result")
Job = Callable[[apsw.Connection], object]


class Question(Struct, frozen=True):
    """A job, and where its answer is awaited."""

    job: Job
    answer: "asyncio.Future[object]"
    loop: asyncio.AbstractEventLoop


class OwnReader:
    """Reads in the thread that asks, one question at a time; the event loop waits meanwhile."""

    def __init__(self, path: Path, key: StoreKey | None) -> None:
        self._path = path
        self._key = key
        self._connection: apsw.Connection | None = None
        self._closed = False

    async def ask(self, job: Callable[[apsw.Connection], Result]) -> Result:
        """As ``Readers.ask``."""
        await asyncio.sleep(0)  # between two questions the others have their turn, Ctrl-C among them
        if self._closed:
            raise _closed(self._path)
        if self._connection is None:
            self._connection = open_reader(self._path, self._key)
        return _done(job, self._connection, self._path)

    def close(self) -> None:
        """No further question is answered."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Readers:
    """Threads of ours: a question to one costs 40 µs of CPU in all, to an executor's 130.

    ``ask`` them, ``close`` them. A thread starts when all others are busy.
    """

    def __init__(self, path: Path, key: StoreKey | None) -> None:
        self._path = path
        self._key = key
        self._questions: SimpleQueue[Question | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unanswered = 0
        self._closed = False

    async def ask(self, job: Callable[[apsw.Connection], Result]) -> Result:
        """What the job returns or raises; it runs in a reader's thread, and leaves no transaction open.

        Raises StoreError once they are closed.
        """
        if self._closed:
            raise _closed(self._path)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[object] = loop.create_future()
        self._unanswered += 1
        if self._unanswered > len(self._threads) and len(self._threads) < MAX_THREADS:
            self._threads.append(threading.Thread(target=self._run, name="store-reader", daemon=True))
            self._threads[-1].start()
        self._questions.put(Question(job, answer, loop))
        return cast("Result", await answer)  # of the job's own type

    def close(self) -> None:
        """Answer what was asked, then end. Blocks."""
        self._closed = True
        for _ in self._threads:
            self._questions.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection: apsw.Connection | None = None
        while (question := self._questions.get()) is not None:
            result: object = None
            error: BaseException | None = None
            try:
                if connection is None:
                    connection = open_reader(self._path, self._key)
                result = _done(question.job, connection, self._path)
            except BaseException as raised:  # whatever it is: it is the asker's
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                question.loop.call_soon_threadsafe(self._settle, question.answer, result, error)
            del question, result, error  # what was read is the asker's to keep, or to drop
        if connection is not None:
            connection.close()

    def _settle(self, answer: "asyncio.Future[object]", result: object, error: BaseException | None) -> None:
        self._unanswered -= 1
        if answer.done():
            return
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)


def _closed(path: Path) -> StoreError:
    return StoreError(f"{path} is closed")


def _done(job: Callable[[apsw.Connection], Result], connection: apsw.Connection, path: Path) -> Result:
    """What the job returns, or its error as the asker is to see it."""
    try:
        return job(connection)
    except apsw.Error as error:
        raise translate(error, path) from error
    except UnicodeDecodeError as error:
        raise StoreUnreadable(f"{path} is damaged ({error}): restore it from a backup") from error
    except StopIteration as error:  # no coroutine may raise it
        raise RuntimeError("a job ended by StopIteration") from error
