"""Questions to one server, each in a thread of its own, one at a time, with an answer of bounded size.

A timeout of ``requests`` bounds each wait for bytes, not the whole: a server that drips them holds its
thread for as long as it likes. Out of the loop's own threads such servers would in the end take all, and the
spool would stand still; and a thread that is no daemon would keep the process from ending.
"""

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from coldaisle.core.errors import EventError

if TYPE_CHECKING:
    from requests import Response, Session

T = TypeVar("T")


class Asking:
    """At most one thread."""

    def __init__(self) -> None:
        self._last: Future[Any] | None = None  # of whatever was asked

    async def answer(self, ask: Callable[[], T]) -> T:
        """What ``ask`` answers; raises EventError while an earlier answer is still to come."""
        if self._last is not None and not self._last.done():
            raise EventError("the server is still answering an earlier query")
        asked: Future[T] = Future()
        asked.set_running_or_notify_cancel()  # who no longer waits must not count as answered
        self._last = asked
        Thread(target=_settle, args=(asked, ask), name="promql", daemon=True).start()
        return await asyncio.wrap_future(asked)


def bounded_session(max_answer_bytes: int) -> "Session":
    """A session that takes no longer answer than this, unpacked."""
    from requests import Session

    def take(response: "Response", **_: object) -> None:
        body = response.raw.read(max_answer_bytes + 1, decode_content=True)
        if len(body) > max_answer_bytes:
            response.close()
            raise EventError(f"the answer is over the bound of {max_answer_bytes} bytes: raise max_series")
        response.raw = io.BytesIO(body)

    session = Session()
    session.hooks["response"].append(take)
    return session


def _settle(asked: Future[T], ask: Callable[[], T]) -> None:
    try:
        asked.set_result(ask())
    except BaseException as error:  # raised again where it is awaited
        asked.set_exception(error)
