"""How long events are kept, per category of streams, and the scavenge that removes what is older.

The category is the part of a stream's name before its first hyphen: ``telemetry``, ``logs``. Facts and
actions are kept for ever unless somebody says otherwise in so many words.

A scavenge goes along positions and remembers in the store how far it archived and how far it removed, each
in the transaction that did it. So it may be killed at any point, and goes on from there: events are
archived, on disk, before the first of them is removed, and none is archived into two segments.

Three things stay although they are old: the newest event of all (positions are never used twice), what no
snapshot covers yet (else twin and detection could not be made again), and what is kept for ever.
Removed events leave their digest, and a batch of which none is left a seal, so that the history can still be
verified.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import apsw
from msgspec import Struct

from coldaisle.core.errors import StoreError
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.archive import (
    BLOCK_EVENTS,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENT_EVENTS,
    Segment,
    write_segment,
)
from coldaisle.core.store.archive_history import ARCHIVE_FOLDER
from coldaisle.core.store.chain import ARCHIVED, REMOVED, Fields, fields_digest
from coldaisle.core.store.port import EventFilter
from coldaisle.core.store.retention_emptied import seal_emptied
from coldaisle.core.store.retention_marks import Removal, add_to_total, mark, number_at, remove_events
from coldaisle.core.store.snapshots import snapshot_positions
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_schema import typed_rows
from coldaisle.core.store.sqlite_writer import PUT_SETTING

REMOVABLE_CATEGORIES = frozenset({"telemetry", "logs"})
"""What may be given an age without further ado; all else is facts and actions."""

REMOVED_EVENTS = 200
"""Events that one transaction removes: some milliseconds, in which appends wait."""

LOOKED_AT_POSITIONS = 50_000
"""Positions that one look goes along, where few of them are of the category; appends go on meanwhile."""

_SECOND = 1_000_000_000
_SELECT_EVENTS = (
    "SELECT e.position, s.name, e.version, e.id, e.type, e.schema, e.time, e.recorded, e.actor, e.data, "
    "e.correlation_id, e.causation_id FROM event e JOIN stream s ON s.id = e.stream_id "
    "WHERE e.position > ? AND e.position <= ? AND s.name >= ? AND s.name < ? ORDER BY e.position LIMIT ?"
)


class Scavenged(Struct, frozen=True):
    """What one scavenge did to one category; ``held_back`` says why not more, and is empty otherwise."""

    category: str
    removed: int
    archived: int
    position: int
    held_back: str = ""


Progress = Callable[[str, int, int], None]
"""Takes the category, how far it is, and how far it goes."""


async def set_retention(
    store: SqliteStore, category: str, max_age_seconds: int | None, *, even_facts: bool = False
) -> None:
    """Keep events of the category for so long, counted from when they were recorded; None: for ever."""
    if max_age_seconds is not None:
        require_removable(category, max_age_seconds, even_facts)
    await store.maintain(lambda connection: _set_retention(connection, category, max_age_seconds))


def require_removable(category: str, max_age_seconds: int, even_facts: bool) -> None:
    """Raises StoreError where old events of the category are not to be removed, or it is no category."""
    if not category or "-" in category:
        raise StoreError(
            f"{category!r} is no category: name the part of a stream before '-', as in telemetry"
        )
    if max_age_seconds < 0:
        raise StoreError(f"an age of {max_age_seconds} s: name one of 0 s or more")
    if category not in REMOVABLE_CATEGORIES and not even_facts:
        raise StoreError(
            f"{category!r} holds facts or actions, and they are kept for ever: without them nobody can say "
            "what was true or who did what; say so expressly if they are to go"
        )


async def retention(store: SqliteStore) -> dict[str, int]:
    """The age in seconds of each category that has one."""
    query = "SELECT category, max_age_seconds FROM retention ORDER BY category"
    return dict(await store.inspect(lambda connection: typed_rows(connection, query, (), (str, int))))


async def scavenge(
    store: SqliteStore,
    *,
    covered_by: Sequence[str],
    archive_folder: Path | None = None,
    now: int | None = None,
    plain_archive: bool = False,
    progress: Progress = lambda *_: None,
    rest_seconds: float = 0.0,
) -> list[Scavenged]:
    """Remove what is older than its category's age, as far as ``scavenge_category`` may go."""
    return [
        await scavenge_category(
            store, category, max_age_seconds,
            covered_by=covered_by, archive_folder=archive_folder, now=now, plain_archive=plain_archive,
            progress=progress, rest_seconds=rest_seconds,
        )
        for category, max_age_seconds in (await retention(store)).items()
    ]  # fmt: skip


async def scavenge_category(
    store: SqliteStore,
    category: str,
    max_age_seconds: int,
    *,
    covered_by: Sequence[str],
    archive_folder: Path | None = None,
    now: int | None = None,
    plain_archive: bool = False,
    progress: Progress = lambda *_: None,
    rest_seconds: float = 0.0,
) -> Scavenged:
    """Remove the category's old events, up to the oldest of the newest ``covered_by`` snapshots.

    With a folder, events are archived there first. ``now`` in UTC ns. Appends go on meanwhile, the more
    freely the longer it rests between two removals. Segments are not encrypted: raises StoreError where
    the store is, unless ``plain_archive`` says that this is known.
    """
    if archive_folder is not None and store.is_encrypted and not plain_archive:
        raise StoreError(
            f"{store.path} is encrypted, and archived events would not be: say that they may lie in plain "
            f"text in {archive_folder} (an encrypted disk), or remove them without an archive"
        )
    now = time.time_ns() if now is None else now
    old = await store.position_at(now - max_age_seconds * _SECOND)
    end, held_back = await bounded(store, old, covered_by)
    work = _Scavenge(store, category, end, archive_folder, progress, rest_seconds)
    await work.run()
    return Scavenged(category, work.removed, work.archived, end, held_back)


async def bounded(store: SqliteStore, old: int, covered_by: Sequence[str]) -> tuple[int, str]:
    """How far a scavenge may go, and what keeps it from going as far as ``old``."""
    head, snapshots = await store.head(), await store.inspect(snapshot_positions)
    bounds = [(snapshots.get(name, 0), f"the snapshot {name!r}") for name in covered_by]
    end, reason = min([*bounds, (head - 1, "all but the newest event")], key=lambda bound: bound[0])
    return (old, "") if old <= end else (max(end, 0), f"{reason} is at {max(end, 0)}, short of {old}")


class _Scavenge:
    """One pass over one category, up to ``end``."""

    def __init__(
        self,
        store: SqliteStore,
        category: str,
        end: int,
        folder: Path | None,
        progress: Progress,
        rest_seconds: float,
    ) -> None:
        self._store = store
        self._category = category
        self._end = end
        self._folder = folder
        self._progress = progress
        self._rest_seconds = rest_seconds
        self.removed = self.archived = 0

    async def run(self) -> None:
        """Archive a segment, remove it, and so on; what an earlier pass archived is removed first."""
        removed_to, archived_to = await self._store.inspect(self._marks)
        if self._folder is None:
            await self._remove(removed_to, self._end)
            return
        while True:
            removed_to = await self._remove(removed_to, min(archived_to, self._end))
            if archived_to >= self._end:
                return
            archived_to = await self._archive(max(archived_to, removed_to))

    async def _archive(self, after: int) -> int:
        """The next segment; how far the archive reaches then."""
        events, position = await self._cold(after)
        segment = None
        if events:
            assert self._folder is not None  # only called with one
            segment = await asyncio.to_thread(_write_and_release, self._folder, self._category, events)
            self.archived += segment.events
        await self._store.maintain(lambda connection: self._enter(connection, segment, position))
        return position

    async def _cold(self, after: int) -> tuple[list[Recorded], int]:
        """As many old events as a segment takes, and the position up to which they are all there are."""
        events: list[Recorded] = []
        size_bytes = 0
        only = EventFilter((f"{self._category}-",))
        while after < self._end:
            page = await self._store.read_all(after=after, only=only)
            for event in page.events:
                if event.position > self._end:
                    return events, self._end
                events.append(event)
                size_bytes += len(event.data)
            after = min(page.position, self._end)
            if len(events) + len(page.events) > MAX_SEGMENT_EVENTS or size_bytes > MAX_SEGMENT_BYTES:
                break
        return events, after

    async def _remove(self, after: int, end: int) -> int:
        """Find what is to go in a reader, which disturbs nobody; only its removal makes appends wait."""
        while after < end:
            removals, after = await self._store.inspect(partial(self._found, after=after, end=end))
            await self._store.maintain(partial(self._remove_some, removals=removals, position=after))
            self.removed += len(removals)
            await seal_emptied(self._store, [position for position, _ in removals])
            self._progress(self._category, after, self._end)
            await asyncio.sleep(self._rest_seconds)
        return after

    def _found(self, connection: apsw.Connection, after: int, end: int) -> tuple[list[Removal], int]:
        """The next events of the category, and up to where they are all."""
        end = min(end, after + LOOKED_AT_POSITIONS)
        names = (f"{self._category}-", f"{self._category}.")  # '.' follows '-'
        rows = connection.execute(_SELECT_EVENTS, (after, end, *names, REMOVED_EVENTS)).fetchall()
        how, record = REMOVED if self._folder is None else ARCHIVED, self._store.removal_record
        removals = [(row[0], record(how, row[0], fields_digest(row))) for row in cast("list[Fields]", rows)]
        return removals, removals[-1][0] if len(removals) == REMOVED_EVENTS else end

    def _remove_some(self, connection: apsw.Connection, removals: list[Removal], position: int) -> None:
        """In the writer's thread and transaction."""
        remove_events(connection, removals)
        add_to_total(connection, self._category, "removed_events", len(removals))
        connection.execute(PUT_SETTING, (self._key("removed"), str(position).encode()))

    def _enter(self, connection: apsw.Connection, segment: Segment | None, position: int) -> None:
        if segment is not None:
            connection.execute(
                "INSERT INTO segment VALUES(?,?,?,?,?)",
                (segment.first_position, segment.last_position, segment.events, segment.file, segment.sha256),
            )
            add_to_total(connection, self._category, "archived_events", segment.events)
            connection.execute(PUT_SETTING, (ARCHIVE_FOLDER, str(self._folder).encode()))
        connection.execute(PUT_SETTING, (self._key("archived"), str(position).encode()))

    def _marks(self, connection: apsw.Connection) -> tuple[int, int]:
        """How far the category was removed and archived."""
        removed, archived = (number_at(connection, self._key(what)) for what in ("removed", "archived"))
        return removed, archived

    def _key(self, what: str) -> str:
        return mark(self._category, what)


def _write_and_release(folder: Path, category: str, events: list[Recorded]) -> Segment:
    """In a thread: also the freeing of so many events would hold up the event loop, if done at once."""
    segment = write_segment(folder, category, events)
    while events:
        del events[-BLOCK_EVENTS:]
        time.sleep(0)
    return segment


def _set_retention(connection: apsw.Connection, category: str, max_age_seconds: int | None) -> None:
    if max_age_seconds is None:
        connection.execute("DELETE FROM retention WHERE category = ?", (category,))
        return
    connection.execute(
        "INSERT INTO retention VALUES(?,?) "
        "ON CONFLICT(category) DO UPDATE SET max_age_seconds=excluded.max_age_seconds",
        (category, max_age_seconds),
    )
