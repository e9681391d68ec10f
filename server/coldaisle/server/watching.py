"""How many streams a server keeps open for watchers at once."""

import contextlib
from collections.abc import Iterator

from coldaisle.core.store import EventStore
from coldaisle.server.errors import InvalidRequest, TooManyWatchers

MAX_WATCHERS = 200


class Watchers:
    """Counts open streams."""

    def __init__(self, limit: int = MAX_WATCHERS) -> None:
        self._limit = limit
        self.count = 0

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """A place for one stream, as long as the block runs."""
        if self.count >= self._limit:
            raise TooManyWatchers(f"{self.count} streams are open, the bound is {self._limit}: close one")
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


async def resume_after(store: EventStore, asked: int) -> int:
    """The revision to resume after; raises InvalidRequest for one that this history has not reached.

    Such a one comes from another store: waiting for it would leave out all that happens until then.
    """
    head = await store.head()
    if asked > head:
        raise InvalidRequest("resume_after_revision", f"{asked} is beyond the head, {head}: list again")
    return asked
