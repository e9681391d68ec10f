"""Rows of events into the table, many with one statement.

The library lets go of the interpreter's lock in each statement, and beside a busy event loop it waits long to
get it back: for a hundred rows some hundred times, or four.
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

_ROW = "(?,?,?,?,?,?,?,?,?,?,?,?)"


def insert_events(connection: apsw.Connection, rows: Sequence[Row]) -> None:
    """Insert rows of the table ``event`` in order, within the caller's transaction. Raises apsw.Error."""
    if any(len(row[9]) > MAX_TOGETHER_BYTES for row in rows):  # the data
        connection.executemany(_statement(1), rows)
        return
    at, size = 0, MAX_ROWS
    while left := len(rows) - at:
        while size > left:
            size >>= 1
        connection.execute(_statement(size), tuple(chain.from_iterable(rows[at : at + size])))
        at += size


@functools.cache
def _statement(count: int) -> str:
    return "INSERT INTO event VALUES" + ",".join([_ROW] * count)
