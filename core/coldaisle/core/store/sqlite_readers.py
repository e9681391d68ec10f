"""Threads that read an SQLite file, each over a connection of its own which cannot write.

Threads of ours and not an executor's: a question to one costs 40 µs of CPU in all, with an executor 130.
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


class Readers:
    """``ask`` them, ``close`` them. A thread starts when all others are busy."""

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
            raise StoreError(f"{self._path} is closed")
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
                result = question.job(connection)
            except BaseException as raised:  # whatever it is: it is the asker's
                error = self._told(raised)
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

    def _told(self, error: BaseException) -> BaseException:
        match error:
            case apsw.Error():
                told: Exception = translate(error, self._path)
            case UnicodeDecodeError():
                told = StoreUnreadable(f"{self._path} is damaged ({error}): restore it from a backup")
            case StopIteration():  # a future does not take it
                told = RuntimeError("a job ended by StopIteration")
            case _:
                return error
        told.__cause__ = error
        return told
