"""Whether a store's file is what it should be: a quick look at every start, a thorough one when asked.

The quick look costs milliseconds whatever the size: header, schema, the last page of the log, and that the
newest events follow each other without a hole. The thorough one reads everything.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import cast

import apsw

from coldaisle.core.errors import (
    CipherMissing,
    SchemaTooNew,
    SchemaTooOld,
    StoreDenied,
    StoreError,
    StoreKeyWrong,
    StoreUnreadable,
)
from coldaisle.core.store.archive import SegmentReader
from coldaisle.core.store.archive_history import archive_folder, segments_of
from coldaisle.core.store.cipher import StoreKey
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_chain import emptied
from coldaisle.core.store.sqlite_schema import LAST_POSITION, open_reader, translate

NEWEST_EVENTS = 1_000
"""Positions at the end of the log that the quick look holds against each other."""

MAX_FAULTS = 20
_TABLES = frozenset({
    "stream", "event", "checkpoint", "batch", "removed", "segment", "snapshot", "snapshot_part", "retention",
    "setting",
})  # fmt: skip


_NOT_OPENED = (CipherMissing, SchemaTooNew, SchemaTooOld, StoreDenied, StoreKeyWrong)
"""Say nothing of whether the file is whole."""

_ALTERED = "SELECT position FROM event WHERE {} LIMIT ?".format(
    " OR ".join(
        f"typeof({column}) NOT IN ({types})"
        for types, columns in (
            ("'integer'", "stream_id version schema time recorded"),
            ("'text'", "type actor"),
            ("'blob'", "id data"),
            ("'blob', 'null'", "correlation_id causation_id"),
        )
        for column in columns.split()
    )
)


def quick_check(path: Path, *, key: StoreKey | None = None) -> list[str]:
    """What is wrong at first sight, in a line each; empty: nothing. Raises what is in _NOT_OPENED."""
    return _with_reader(path, key, _at_first_sight)


async def require_whole(store: SqliteStore) -> None:
    """Raises StoreUnreadable when a quick look at an open store finds a fault."""
    faults = await store.inspect(_at_first_sight)
    if faults:
        raise StoreUnreadable(
            f"{store.path}: {faults[0]}; restore a backup, or read what is intact with "
            "`coldaisle store salvage`"
        )


def thorough_check(path: Path, archive: Path | None = None, *, key: StoreKey | None = None) -> list[str]:
    """What is wrong anywhere: every page, every index, every position, every segment file. Reads it all."""
    return _with_reader(path, key, lambda connection: _everywhere(connection, archive))


def _with_reader(path: Path, key: StoreKey | None, look: Callable[[apsw.Connection], list[str]]) -> list[str]:
    try:
        connection = open_reader(path, key)
        try:
            return look(connection)[:MAX_FAULTS]
        finally:
            connection.close()
    except apsw.Error as error:
        return [str(translate(error, path))]
    except UnicodeDecodeError as error:
        return [f"{path}: a text is not UTF-8 ({error})"]
    except _NOT_OPENED:
        raise
    except StoreError as error:
        return [str(error)]


def _at_first_sight(connection: apsw.Connection) -> list[str]:
    names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    missing = _TABLES - {str(name) for (name,) in names}
    if missing:
        return [f"the table {name!r} is missing" for name in sorted(missing)]
    head = int(connection.execute(LAST_POSITION).get)
    connection.execute("SELECT * FROM event WHERE position = ?", (head,)).fetchall()
    return _holes(connection, max(0, head - NEWEST_EVENTS), head) + _orphans(connection, head)


def _everywhere(connection: apsw.Connection, archive: Path | None) -> list[str]:
    faults = [
        str(fault)
        for (fault,) in connection.execute(f"PRAGMA integrity_check({MAX_FAULTS})").fetchall()
        if fault != "ok"
    ]
    if faults:
        return faults
    faults = _at_first_sight(connection)
    head = int(connection.execute(LAST_POSITION).get)
    for first, last in islice(missing(connection, head), MAX_FAULTS):
        faults.append(f"the positions {first} to {last} are missing")
    return faults + _altered(connection) + _texts(connection) + _segments(connection, archive)


def missing(connection: apsw.Connection, head: int) -> Iterator[tuple[int, int]]:
    """Ranges of positions up to ``head`` that are neither there nor known to be removed."""
    expected = 1
    query = (
        "SELECT position, position FROM event UNION ALL SELECT position, position FROM removed UNION ALL "
        "SELECT emptied_from, last_position FROM batch WHERE emptied_from BETWEEN 0 AND last_position "
        "ORDER BY 1"
    )
    for first, last in cast("Iterator[tuple[int, int]]", connection.execute(query)):
        if first > expected:
            yield expected, first - 1
        expected = max(expected, last + 1)
    if expected <= head:
        yield expected, head


def _altered(connection: apsw.Connection) -> list[str]:
    """Events with values of another type than is written there; SQLite keeps any in any column."""
    found = connection.execute(_ALTERED, (MAX_FAULTS,)).fetchall()
    return [f"position {position}: a value is of another type than was written" for (position,) in found]


def _texts(connection: apsw.Connection) -> list[str]:
    """Texts that are not UTF-8, which SQLite keeps without a word."""
    faults: list[str] = []
    for what, query in (
        ("position", "SELECT position, CAST(type AS BLOB), CAST(actor AS BLOB) FROM event"),
        ("stream", "SELECT id, CAST(name AS BLOB) FROM stream"),
    ):
        for number, *texts in cast("Iterable[tuple[int, bytes]]", connection.execute(query)):
            try:
                for text in texts:
                    text.decode()
            except UnicodeDecodeError as error:
                faults.append(f"{what} {number}: a text is not UTF-8 ({error})")
                if len(faults) >= MAX_FAULTS:
                    return faults
    return faults


def _holes(connection: apsw.Connection, after: int, end: int) -> list[str]:
    """Positions in the range that are neither there nor known to be removed."""
    query = "SELECT count(*) FROM {} WHERE position > ? AND position <= ?"
    there, removed = (
        int(connection.execute(query.format(table), (after, end)).get) for table in ("event", "removed")
    )
    removed += sum(
        min(last, end) - max(first, after + 1) + 1 for first, last in emptied(connection, after + 1, end)
    )
    if there + removed == end - after:
        return []
    return [
        f"of the positions {after + 1} to {end}, {there} are there and {removed} were removed: "
        f"{end - after - there - removed} are missing"
    ]


def _orphans(connection: apsw.Connection, head: int) -> list[str]:
    """Among the newest events, those whose stream nobody knows."""
    query = (
        "SELECT position FROM event WHERE position > ? AND stream_id NOT IN (SELECT id FROM stream) LIMIT 3"
    )
    found = connection.execute(query, (head - NEWEST_EVENTS,)).fetchall()
    return [f"position {position}: its stream is missing" for (position,) in found]


def _segments(connection: apsw.Connection, archive: Path | None) -> list[str]:
    faults, remembered = [], archive_folder(connection)
    folder = archive or (Path(remembered) if remembered else None)
    for segment in segments_of(connection):
        if folder is None:
            return ["events are archived, but nobody says where: name the archive's folder"]
        try:
            count = sum(1 for _ in SegmentReader(folder, segment).events(0))
        except StoreError as error:
            faults.append(str(error))
            continue
        if count != segment.events:
            faults.append(f"{folder / segment.file} holds {count} events, {segment.events} were archived")
    return faults
