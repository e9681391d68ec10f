"""What is intact in a torn or bit-flipped store, as a new store: same positions, and a list of what is lost.

The damaged file is only read. Its events are taken from its pages (see ``salvage_pages``), the small tables
through SQLite where it still can; an encrypted file is read through SQLite alone. An event counts as intact
when its row is consistent, its payload is what its type says, and its digest is the one in the hash chain.

Limits: without a chain, a flipped bit that leaves a plausible row is not noticed. A stream whose name is
lost, and whose events do not tell it, is called ``lost-<number>``.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeGuard, cast

import apsw
from msgspec import Struct

from coldaisle.core.errors import EventError, StoreError, StoreUnreadable
from coldaisle.core.events.codec import EVENT_TYPES, parse_body
from coldaisle.core.events.ids import ID_BYTES
from coldaisle.core.events.streams import stream_of
from coldaisle.core.store.backup import beside, require_absent, sync
from coldaisle.core.store.backup_check import missing
from coldaisle.core.store.chain import DIGEST_BYTES, Fields, is_digest_of
from coldaisle.core.store.cipher import StoreKey, unlock
from coldaisle.core.store.salvage_pages import Row, rows_of
from coldaisle.core.store.salvage_query import open_damaged, query_rows
from coldaisle.core.store.sqlite_chain import batches, emptied
from coldaisle.core.store.sqlite_open import open_writer
from coldaisle.core.store.sqlite_schema import LAST_POSITION, PAGE_BYTES, transaction, translate
from coldaisle.core.store.sqlite_writer import PUT_SETTING

ROWS_A_TRANSACTION = 5_000
COPIED_TABLES = ("checkpoint", "batch", "removed", "segment", "retention", "setting")
"""Taken over as they are where SQLite can read them (of some, the pages give the rest); snapshots are a
cache, and are left."""

_INSERT_EVENT = "INSERT OR IGNORE INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_BATCH = (
    "INSERT INTO batch VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET digests = excluded.digests, "
    "emptied_from = excluded.emptied_from WHERE excluded.emptied_from IS NOT NULL"
)
"""An emptied batch is never filled again: what it was before may still stand on a page that is not in use."""
_EVENTS_BETWEEN = (
    "SELECT e.position, s.name, e.version, e.id, e.type, e.schema, e.time, e.recorded, e.actor, e.data, "
    "e.correlation_id, e.causation_id FROM event e JOIN stream s ON s.id = e.stream_id "
    "WHERE e.position >= ? AND e.position <= ?"
)
_HEAD = (
    f"SELECT max(({LAST_POSITION}), ifnull((SELECT max(last_position) FROM batch), 0), "
    "ifnull((SELECT max(position) FROM removed), 0))"
)
Progress = Callable[[int], None]
"""Takes how many events were found so far."""

EventRow = tuple[int, int, int, bytes, str, int, int, int, str, bytes, bytes | None, bytes | None]


class Salvaged(Struct, frozen=True):
    """What came of it. ``lost`` are ranges of positions, first to last; after ``head`` nobody can tell.

    ``altered_events`` are among the lost: rows that looked intact, and were not what the chain says.
    """

    events: int
    head: int
    lost: tuple[tuple[int, int], ...]
    altered_events: int
    renamed_streams: int
    unreadable_tables: tuple[str, ...]

    @property
    def lost_events(self) -> int:
        """How many positions are lost."""
        return sum(last - first + 1 for first, last in self.lost)


def salvage(
    damaged: Path, target: Path, progress: Progress = lambda _: None, *, key: StoreKey | None = None
) -> Salvaged:
    """Read what is intact into a new store, under the same key. Blocks for as long as the disk takes.

    Raises StoreError; nothing is left of a salvage that did not end.
    """
    if not damaged.exists():
        raise StoreUnreadable(f"there is no file at {damaged}: name the damaged store")
    for path in (target, *beside(target)):
        require_absent(path)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".salvage-") as folder:
            source, unreadable = _with_log(damaged, Path(folder), key)
            arriving = Path(folder) / "new.db"  # half of it, under its name, would be taken for the whole
            connection = open_writer(arriving, None, key)
            try:
                done = _salvaged(source, unreadable, connection, progress, key)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # the file alone is kept
            finally:
                connection.close()
            sync(arriving)
            os.link(arriving, target)
            sync(target.parent)
            return done
    except apsw.Error as error:
        raise translate(error, target) from error
    except OSError as error:
        raise StoreError(
            f"nothing was salvaged into {target} ({error}): free disk space, or name another place"
        ) from error


def _salvaged(
    source: Path, unreadable: set[int], target: apsw.Connection, progress: Progress, key: StoreKey | None
) -> Salvaged:
    unread_tables = _copy_tables(source, target, key)
    rows = query_rows(open_damaged(source, key)) if key is not None else rows_of(source, unreadable)
    if not _copy_events(rows, target, progress):
        raise StoreUnreadable(
            f"{source} holds no event that can be read: give its key if it is encrypted, or restore a backup"
        )
    renamed = _name_streams(target)
    altered = _drop_altered(target)
    events = int(target.execute("SELECT count(*) FROM event").get)
    head = int(target.execute(_HEAD).get)
    with transaction(target):  # positions whose events are lost are not used again
        target.execute(PUT_SETTING, ("last_position", head))
    return Salvaged(events, head, tuple(missing(target, head)), altered, renamed, unread_tables)


def _with_log(damaged: Path, folder: Path, key: StoreKey | None) -> tuple[Path, set[int]]:
    """The file itself; with a write-ahead log beside it, a copy that has taken in what the log holds.

    And the pages of the copy that the disk did not give.
    """
    wal = beside(damaged)[0]
    if not wal.exists() or not wal.stat().st_size:
        return damaged, set()
    copy = folder / "copy.db"
    unreadable = _copy_readable(damaged, copy)
    _copy_readable(wal, beside(copy)[0])  # SQLite itself ends a log at the first frame that does not add up
    try:
        connection = apsw.Connection(str(copy))
        unlock(connection, copy, key)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
    except (apsw.Error, StoreError):
        return copy, _copy_readable(damaged, copy)  # the log is of no use: the newest events are lost with it
    with copy.open("rb", buffering=0) as file:  # what the log had of them is there
        return copy, {number for number in unreadable if not any(_page(file.fileno(), number))}


def _page(file: int, number: int) -> bytes:
    """As much as the disk gives at once."""
    return os.pread(file, PAGE_BYTES, (number - 1) * PAGE_BYTES)


def _copy_readable(source: Path, target: Path) -> set[int]:
    """Copy page by page; the numbers of those that the disk does not give whole, zeros in the copy."""
    unreadable = set()
    with source.open("rb", buffering=0) as file, target.open("wb", buffering=0) as copy:
        size = os.fstat(file.fileno()).st_size
        for number, start in enumerate(range(0, size, PAGE_BYTES), start=1):
            try:
                page = _page(file.fileno(), number)
            except OSError:
                page = b""
            if len(page) < min(PAGE_BYTES, size - start):
                unreadable.add(number)
            else:
                os.pwrite(copy.fileno(), page, start)
        copy.truncate(size)
    return unreadable


def _copy_tables(source: Path, target: apsw.Connection, key: StoreKey | None) -> tuple[str, ...]:
    """The small tables, each whole or not at all; the names of those that could not be read."""
    unreadable = []
    try:
        reader = open_damaged(source, key)
    except (apsw.Error, StoreError):
        return COPIED_TABLES
    for table in COPIED_TABLES:
        try:
            names = [name for name in _columns(target, table) if name in _columns(reader, table)]
            columns = ", ".join(names)  # an older file has fewer
            insert = f"INSERT OR REPLACE INTO {table}({columns}) VALUES({','.join('?' * len(names))})"
            with transaction(target):
                target.executemany(insert, reader.execute(f"SELECT {columns} FROM {table}"))
        except apsw.FullError:  # this is the new file
            raise
        except (apsw.Error, UnicodeDecodeError):
            unreadable.append(table)
    reader.close()
    return tuple(unreadable)


def _columns(connection: apsw.Connection, table: str) -> list[str]:
    found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    return [str(name) for (name,) in found]


def _copy_events(rows: Iterator[Row], target: apsw.Connection, progress: Progress) -> int:
    """Events and streams; how many events were found."""
    count = 0
    while chunk := list(islice(rows, ROWS_A_TRANSACTION)):
        events = [event for row in chunk if (event := _event(row)) is not None]
        with transaction(target):
            target.executemany(_INSERT_EVENT, events)
            for insert, width, is_row in _OTHER_ROWS:
                rows_of_it = [(row[0], *row[2:]) for row in chunk if is_row(row)]
                target.executemany(insert, [row + (None,) * (width - len(row)) for row in rows_of_it])
        count += len(events)
        progress(count)
    with transaction(target):
        # what retention removed is not brought back by a page that was not yet used again
        target.execute("DELETE FROM event WHERE position IN (SELECT position FROM removed)")
        for table in ("event", "removed"):
            gone = f"DELETE FROM {table} WHERE position BETWEEN ? AND ?"
            target.executemany(gone, list(emptied(target)))
    return count


def _event(row: Row) -> EventRow | None:
    if len(row) != 13 or row[1] is not None:
        return None
    event = (row[0], *row[2:])
    return event if _is_event(event) and _payload_is_intact(event[4], event[9]) else None


def _is_event(row: Row) -> TypeGuard[EventRow]:
    position, stream, version, event_id, name, schema, time, recorded, actor, data, *references = row
    return (
        all(isinstance(n, int) and n >= 0 for n in (position, stream, version, schema, recorded))
        and isinstance(time, int)
        and isinstance(event_id, bytes)
        and len(event_id) == ID_BYTES
        and isinstance(name, str)
        and name.isprintable()
        and isinstance(actor, str)
        and isinstance(data, bytes)
        and all(each is None or (isinstance(each, bytes) and len(each) == ID_BYTES) for each in references)
    )


def _payload_is_intact(type_name: str, data: bytes) -> bool:
    if type_name not in EVENT_TYPES:
        return True
    try:
        parse_body(type_name, data)
    except EventError:
        return False
    return True


def _is_stream(row: Row) -> bool:
    return (
        len(row) == 6
        and row[1] is None
        and isinstance(row[2], str)
        and all(isinstance(value, int) for value in (row[0], *row[3:]))
    )


def _is_batch(row: Row) -> bool:
    return (
        len(row) in (4, 5)
        and row[1] is None
        and all(isinstance(value, bytes) and len(value) % DIGEST_BYTES == 0 for value in row[2:4])
        and all(value is None or isinstance(value, int) for value in row[4:])
    )


def _is_removed(row: Row) -> bool:
    return (
        len(row) == 3
        and row[1] is None
        and isinstance(row[2], bytes)
        and len(row[2]) in (DIGEST_BYTES, 2 * DIGEST_BYTES)
    )


_OTHER_ROWS = (
    ("INSERT OR IGNORE INTO stream VALUES(?,?,?,?,?)", 5, _is_stream),
    (_INSERT_BATCH, 4, _is_batch),
    ("INSERT OR IGNORE INTO removed VALUES(?,?)", 2, _is_removed),
)
"""How a row of another table goes in, how many values it has now, and how it is recognised on a page."""


def _name_streams(target: apsw.Connection) -> int:
    """Give streams whose row is lost a name, and every stream its version; how many had no name."""
    nameless = target.execute(
        "SELECT stream_id, type, data FROM event WHERE stream_id NOT IN (SELECT id FROM stream) "
        "GROUP BY stream_id"
    ).fetchall()
    with transaction(target):
        for stream_id, type_name, data in nameless:
            name = _name_by_body(str(type_name), data) or f"lost-{stream_id}"
            taken = target.execute("SELECT count(*) FROM stream WHERE name = ?", (name,)).get
            row = (stream_id, f"lost-{stream_id}" if taken else name)
            target.execute("INSERT INTO stream(id, name, version) VALUES(?,?,-1)", row)
        target.execute(
            "UPDATE stream SET version = max(version, ifnull((SELECT max(version) FROM event "
            "WHERE stream_id = stream.id), -1))"
        )
    return len(nameless)


def _drop_altered(target: apsw.Connection) -> int:
    """Take out events whose digest is not the chain's; how many."""
    altered: list[tuple[int]] = []
    for batch in batches(target, -1):
        rows = target.execute(_EVENTS_BETWEEN, (batch.first_position, batch.last_position))
        for row in cast("Iterable[Fields]", rows):
            if not is_digest_of(batch.digest(row[0]), row):
                altered.append((row[0],))
    with transaction(target):
        target.executemany("DELETE FROM event WHERE position = ?", altered)
    return len(altered)


def _name_by_body(type_name: str, data: object) -> str:
    """The stream of an event follows from its body, for every type that is known here."""
    if type_name not in EVENT_TYPES or not isinstance(data, bytes):
        return ""
    return stream_of(parse_body(type_name, data))
