"""Rows of events into the table, many with one statement.

The library lets go of the interpreter's lock in each statement, and beside a busy event loop it waits long to
get it back: for a hundred rows some hundred times, or a handful.

In such a statement no row names its position: SQLite gives it the next one. Rows that name theirs could end a
statement half way, and SQLite would copy each page (32 KB) before the statement's first change to it, to have
something to go back to: a fifth of what inserting costs, and more where many streams lie in many pages. For
the same reason a repeated id ends the statement where it is (``OR FAIL``): the whole transaction goes back.
"""

import functools
from collections.abc import Sequence
from itertools import chain

import apsw

MAX_ROWS = 64
"""Of one statement. Other numbers are put together of powers of two: so few statements are kept."""

MAX_TOGETHER_BYTES = 16_384
"""Data of an event beyond which rows go one by one: a kept statement keeps a copy of what it wrote last."""

Row = tuple[int, int, int, bytes, str, int, int, int, str, bytes, bytes | None, bytes | None]
"""The columns of ``event``, in order."""

_WIDTH = 12
_INSERT = f"INSERT INTO event VALUES({','.join('?' * _WIDTH)})"
_BUT_POSITION = (
    "stream_id, version, id, type, schema, time, recorded, actor, data, correlation_id, causation_id"
)


def insert_events(connection: apsw.Connection, rows: Sequence[Row]) -> None:
    """Insert rows of the table ``event``, with consecutive positions behind its last one.

    Raises apsw.Error; the caller's transaction is then to be rolled back: some rows may be there.
    """
    if any(len(row[9]) > MAX_TOGETHER_BYTES for row in rows):  # the data
        connection.executemany(_INSERT, rows)
        return
    if not rows:
        return
    connection.execute(_INSERT, rows[0])
    at, size = 1, MAX_ROWS
    while left := len(rows) - at:
        while size > left:
            size >>= 1
        connection.execute(_statement(size), tuple(chain.from_iterable(rows[at : at + size])))
        at += size
    if connection.last_insert_rowid() != rows[-1][0]:
        raise apsw.CorruptError("the table has events behind its last position")


@functools.cache
def _statement(count: int) -> str:
    """Takes whole rows, and uses all of them but the position."""
    rows = ((f"?{_WIDTH * row + column}" for column in range(2, _WIDTH + 1)) for row in range(count))
    values = ",".join(f"({','.join(row)})" for row in rows)
    return f"INSERT OR FAIL INTO event({_BUT_POSITION}) VALUES{values}"
