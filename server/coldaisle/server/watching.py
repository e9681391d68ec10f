"""How many streams a server keeps open for watchers at once."""

import contextlib
from collections.abc import Iterator

from coldaisle.server.errors import TooManyWatchers

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
