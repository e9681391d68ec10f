"""The whole history, also what was archived: segment files and the store, merged by position."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import islice
from pathlib import Path

import apsw

from coldaisle.core.errors import ArchiveAltered, StoreError
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.archive import Segment, SegmentReader
from coldaisle.core.store.page_bound import take_page
from coldaisle.core.store.port import EVERYTHING, MAX_PAGE_EVENTS, EventFilter, Page, Step
from coldaisle.core.store.replay import replay_page
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_schema import typed_rows

ARCHIVE_FOLDER = "archive/folder"
"""The setting that remembers where segments were last written."""

MAX_OPEN_SEGMENTS = 8
"""Segments kept open, a digest already compared; more only where more of them overlap."""

_SEGMENTS = "SELECT first_position, last_position, events, file, sha256 FROM segment"


class ArchivedHistory:
    """Reads a store together with its segments. What folds a history may be given this instead of a store."""

    def __init__(self, store: SqliteStore, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder
        self._opening = threading.Lock()
        self._open: OrderedDict[str, SegmentReader] = OrderedDict()
        self._keep_open = MAX_OPEN_SEGMENTS

    async def read_all(
        self, *, after: int = 0, limit: int = MAX_PAGE_EVENTS, only: EventFilter = EVERYTHING
    ) -> Page:
        """As EventStore, forwards. Raises StoreUnreadable when a segment is missing or is another file."""
        page = await self._store.read_all(after=after, limit=limit, only=only)
        segments = await self._known_segments(after, page.position)
        if not segments:
            return page
        return await self._store.inspect(lambda _: self._merged(segments, page, after, limit, only))

    async def replay(self, step: Step, *, after: int = 0, end: int) -> int:
        """As EventStore. By pages: what a scavenge takes away meanwhile is found in its segment."""
        return await replay_page(self, step, after, end)

    async def head(self) -> int:
        """See EventStore."""
        return await self._store.head()

    async def load_checkpoint(self, consumer: str) -> int:
        """See EventStore."""
        return await self._store.load_checkpoint(consumer)

    async def _known_segments(self, after: int, end: int) -> list[Segment]:
        """Those with positions in between.

        Read after each page: what a scavenge removed before the page is in a segment known by now.
        """
        segments, remembered = await self._store.inspect(partial(_load, after=after, end=end))
        if self._folder is None and segments:
            if not remembered:
                raise StoreError("this store has archived events: name the archive's folder")
            self._folder = Path(remembered)
        return segments

    def _merged(self, segments: list[Segment], page: Page, after: int, limit: int, only: EventFilter) -> Page:
        """What lies in segments up to the page's end, and the page; an event in both is the same event."""
        rows = _rows(segments)
        self._keep_open = max(MAX_OPEN_SEGMENTS, len(rows))
        archived = [self._events(row, after, page.position) for row in rows]
        merged = merge(page.events, *archived, key=lambda event: event.position)
        wanted = (event for event in _distinct(merged) if only.admits(event))
        events, whole = take_page(islice(wanted, limit + 1))
        if whole and len(events) <= limit:
            return Page(events, page.position, page.caught_up)
        return Page(events[:limit], events[:limit][-1].position, caught_up=False)

    def _events(self, row: Sequence[Segment], after: int, end: int) -> Iterator[Recorded]:
        for segment in row:
            for event in self._reader(segment).events(after):
                if event.position > end:
                    return
                yield event

    def _reader(self, segment: Segment) -> SegmentReader:
        """For any of the store's readers' threads."""
        with self._opening:
            reader = self._open.get(segment.file)
            if reader is None:
                assert self._folder is not None  # known as soon as there is a segment
                reader = self._open[segment.file] = SegmentReader(self._folder, segment)
            self._open.move_to_end(segment.file)
            while len(self._open) > self._keep_open:
                self._open.popitem(last=False)
            return reader


def segments_of(connection: apsw.Connection) -> list[Segment]:
    """All segments that the store knows, by first position."""
    return _select(connection, f"{_SEGMENTS} ORDER BY first_position", ())


def archive_folder(connection: apsw.Connection) -> str:
    """Where segments were last written; empty when never."""
    found = connection.execute("SELECT value FROM setting WHERE key = ?", (ARCHIVE_FOLDER,)).get
    return found.decode() if isinstance(found, bytes) else ""


def _load(connection: apsw.Connection, after: int, end: int) -> tuple[list[Segment], str]:
    query = f"{_SEGMENTS} WHERE last_position > ? AND first_position <= ? ORDER BY first_position"
    return _select(connection, query, (after, end)), archive_folder(connection)


def _select(connection: apsw.Connection, query: str, bindings: tuple[int, ...]) -> list[Segment]:
    rows = typed_rows(connection, query, bindings, (int, int, int, str, bytes))
    return [Segment(*row) for row in rows]


def _rows(segments: Sequence[Segment]) -> list[list[Segment]]:
    """The segments, given by first position, in rows in which each begins behind the one before it.

    There are as many rows as segments overlap. A merge of rows opens a segment when it gets there; a merge
    of segments opens all of them, for each page.
    """
    rows: list[list[Segment]] = []
    for segment in segments:
        row = next((row for row in rows if row[-1].last_position < segment.first_position), None)
        if row is None:
            rows.append([segment])
        else:
            row.append(segment)
    return rows


def _distinct(events: Iterator[Recorded]) -> Iterator[Recorded]:
    before: Recorded | None = None
    for event in events:
        if before is None or event.position != before.position:
            before = event
            yield event
        elif event != before:  # which of them is read would depend on the page
            raise ArchiveAltered(
                f"position {event.position} is archived twice, and not as the same event: restore the store "
                "and its archive from a copy"
            )
