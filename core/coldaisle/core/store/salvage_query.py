"""Rows through SQLite itself, around what it cannot read: the way into a damaged file that is encrypted.

Its pages can only be decrypted whole, and SQLite does that. A range of positions that fails is halved until
what fails is one position, so a bad leaf costs its own events. What lies under a bad inner page is lost.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import apsw

from coldaisle.core.store.cipher import StoreKey, unlock
from coldaisle.core.store.salvage_pages import Row

RANGE_POSITIONS = 1_024
MAX_EMPTY_RANGES = 10_000
"""Ranges without any event after which the end is taken to be reached, where nobody can name it."""

_COLUMNS = "stream_id, version, id, type, schema, time, recorded, actor, data, correlation_id, causation_id"


def open_damaged(path: Path, key: StoreKey | None) -> apsw.Connection:
    """A connection that cannot write, to a file that nobody else has open."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags=flags)
    unlock(connection, path, key)
    return connection


def query_rows(connection: apsw.Connection) -> Iterator[Row]:
    """Events and streams, each as its page would hold it: the number, NULL, the other columns."""
    try:
        streams = connection.execute(
            "SELECT id, NULL, name, version, truncate_before, tombstoned FROM stream"
        )
        yield from cast("list[Row]", streams.fetchall())
    except (apsw.Error, UnicodeDecodeError):
        pass  # their names follow from their events
    end = _end(connection)
    empty = 0
    start = 0
    while start < end if end is not None else empty < MAX_EMPTY_RANGES:
        found = False
        for row in _range(connection, start, start + RANGE_POSITIONS):
            found = True
            yield row
        empty = 0 if found else empty + 1
        start += RANGE_POSITIONS


def _range(connection: apsw.Connection, after: int, end: int) -> Iterator[Row]:
    query = f"SELECT position, NULL, {_COLUMNS} FROM event WHERE position > ? AND position <= ?"
    try:
        rows = connection.execute(query, (after, end)).fetchall()
    except (apsw.Error, UnicodeDecodeError):
        if end - after == 1:
            return
        middle = (after + end) // 2
        yield from _range(connection, after, middle)
        yield from _range(connection, middle, end)
    else:
        yield from cast("list[Row]", rows)


def _end(connection: apsw.Connection) -> int | None:
    """The last position, asked in each place that knows it."""
    for query in (
        "SELECT max(position) FROM event",
        "SELECT max(last_position) FROM batch",
        "SELECT value FROM setting WHERE key = 'last_position'",
    ):
        try:
            found = connection.execute(query).get
        except apsw.Error:
            continue
        if isinstance(found, int):
            return found
    return None
