"""What an event store promises. One contract suite (``tests/core/store``) holds every adapter to it.

1. Positions are given from 1 without a gap and are never used twice; versions run from 0 in each stream.
   Where retention removed events, readers meet holes: compare positions, never count them.
2. An append, also one over many streams, happens whole or not at all.
3. When ``append`` returns, the events are on disk.
4. A repetition of an append (the same ids) answers with the first result; a part of one is refused.
5. A refused append does not disturb its neighbours. What cannot be read again is refused.
6. Truncating, deleting and tombstoning hide events from ``read_stream`` at once. ``read_all`` shows the
   history as it happened until retention removes the rows.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from enum import Enum
from typing import Protocol

from msgspec import Struct

from coldaisle.core.events.envelope import NewEvent, Recorded

MAX_EVENT_BYTES = 1 << 20
MAX_APPEND_EVENTS = 10_000
MAX_PAGE_EVENTS = 1_000
MAX_PAGE_BYTES = 16 << 20
"""Bytes of data in one page, however many events were asked for; see ``page_bound``."""


class Expected(Enum):
    """What an append expects of its stream when it does not name a version."""

    ANY = "any"
    NO_STREAM = "no stream"
    EXISTS = "exists"


class Append(Struct, frozen=True):
    """Events for one stream; ``expected`` is a version (the last one seen) or an Expected.

    ``recorded`` (UTC ns) is for copies: when another store took them. A cluster ignores it, and no store goes
    back behind its last event; 0 is now.
    """

    stream: str
    events: Sequence[NewEvent]
    expected: int | Expected = Expected.ANY
    recorded: int = 0


class Appended(Struct, frozen=True):
    """Where an append ended: the last version in its stream and the last position."""

    version: int
    position: int


class StreamState(Struct, frozen=True):
    """How a stream stands: its last version (-1: never appended to), and what its readers may see."""

    version: int
    truncate_before: int = 0
    tombstoned: bool = False

    @property
    def exists(self) -> bool:
        """Whether the stream has a visible end: appended to, neither deleted nor tombstoned."""
        return self.version >= self.truncate_before and not self.tombstoned


NO_STREAM_STATE = StreamState(-1)


class EventFilter(Struct, frozen=True):
    """Which events to read. Empty tuples admit all; both must admit an event."""

    stream_prefixes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    def admits(self, event: Recorded) -> bool:
        """Whether the event passes."""
        return (not self.types or event.type in self.types) and (
            not self.stream_prefixes or event.stream.startswith(self.stream_prefixes)
        )


EVERYTHING = EventFilter()


class Page(Struct, frozen=True):
    """Events in order. ``position`` is how far the reader has looked, also past what a filter left out.

    ``caught_up`` is set when nothing more was there.
    """

    events: list[Recorded]
    position: int
    caught_up: bool


Step = Callable[[Iterator[Recorded]], None]
"""What a replay gives its events to."""


class EventStore(Protocol):
    """An ordered log of events in streams."""

    async def append(
        self, stream: str, events: Sequence[NewEvent], expected: int | Expected = Expected.ANY
    ) -> Appended:
        """Append to one stream.

        Raises WrongVersion, DuplicateEvent, TooLarge, StreamTombstoned, StoreFull, and EventError for a value
        that is not as NewEvent says.
        """
        ...

    async def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        """Append to many streams, whole or not at all; raises as ``append``."""
        ...

    async def read_stream(
        self, stream: str, *, after: int = -1, limit: int = MAX_PAGE_EVENTS, backwards: bool = False
    ) -> list[Recorded]:
        """Events of a stream with a version above ``after``; backwards: from the newest, below ``after``
        when it is not -1. Fewer than ``limit`` where they are large: see ``may_go_on``."""
        ...

    async def stream_state(self, stream: str) -> StreamState | None:
        """How a stream stands; None when the store has never heard of it."""
        ...

    async def truncate_stream(self, stream: str, before_version: int) -> None:
        """Hide the versions below ``before_version`` from readers of the stream; a lower one shows them again
        as far as they are still stored. A tombstoned stream stays as it is."""
        ...

    async def delete_stream(self, stream: str, expected: int | Expected = Expected.ANY) -> None:
        """Hide all of a stream; the next append goes on with its version numbers. Raises WrongVersion."""
        ...

    async def tombstone(self, stream: str, expected: int | Expected = Expected.ANY) -> None:
        """Hide all of a stream, also one that never was, and refuse appends to it for ever.

        Raises WrongVersion.
        """
        ...

    async def read_all(
        self,
        *,
        after: int = 0,
        limit: int = MAX_PAGE_EVENTS,
        backwards: bool = False,
        only: EventFilter = EVERYTHING,
    ) -> Page:
        """Events with a position above ``after``; backwards: from the newest, below ``after`` when not 0.

        At most ``limit`` events and MAX_PAGE_BYTES of data.
        """
        ...

    async def replay(self, step: Step, *, after: int = 0, end: int) -> int:
        """Give the next events above ``after``, up to ``end``, to ``step``, oldest first; how far that went.

        Some thousand events at most: go on from there until it is ``end``, or goes no further at the head.
        ``step`` may run in another thread, and must take every event: else RuntimeError.
        """
        ...

    def subscribe_all(self, *, after: int = 0, only: EventFilter = EVERYTHING) -> AsyncIterator[Page]:
        """Pages from ``after`` on, for ever: what is there, then what comes.

        A slow reader loses nothing and costs no memory: each page is read when it is asked for. A page
        without events says that the reader is caught up, or how far a filter has looked.
        """
        ...

    async def head(self) -> int:
        """The last position; 0 in an empty store."""
        ...

    async def position_at(self, time: int) -> int:
        """The last position recorded at or before ``time`` (UTC ns); 0 when there is none."""
        ...

    async def load_checkpoint(self, consumer: str) -> int:
        """How far a consumer got; 0 when it never said."""
        ...

    async def save_checkpoint(self, consumer: str, position: int) -> None:
        """Remember how far a consumer got. At-least-once: it may be told again what lies after."""
        ...
