"""What retention notes in the file, in the transactions that do the work: how far, how many, digests."""

from collections.abc import Sequence

import apsw

from coldaisle.core.errors import StoreUnreadable
from coldaisle.core.store.sqlite_schema import typed_rows
from coldaisle.core.store.sqlite_streams import note_versions
from coldaisle.core.store.sqlite_writer import PUT_SETTING

_STREAM_AT = "SELECT s.name FROM event e JOIN stream s ON s.id = e.stream_id WHERE e.position = ?"

Removal = tuple[int, bytes]
"""A position, and what stays of its event: see ``chain.removal_record``."""


def mark(category: str, what: str) -> str:
    """The setting that remembers something about a category."""
    return f"retention/{category}/{what}"


def number_at(connection: apsw.Connection, key: str) -> int:
    """A setting that is a number; 0 when it is not there."""
    found = typed_rows(connection, "SELECT value FROM setting WHERE key = ?", (key,), (bytes,))
    if not found:
        return 0
    try:
        return int(found[0][0])
    except ValueError as error:
        raise StoreUnreadable(f"the setting {key!r} holds no number ({error}): restore a backup") from error


def add_to_total(connection: apsw.Connection, category: str, what: str, count: int) -> None:
    """Count what was done, in the transaction that does it: a fact about it can be told later."""
    key = mark(category, what)
    connection.execute(PUT_SETTING, (key, str(number_at(connection, key) + count).encode()))


def remove_events(connection: apsw.Connection, removals: Sequence[Removal]) -> None:
    """Remove events, and leave their records; in the caller's transaction."""
    note_versions(connection, {str(connection.execute(_STREAM_AT, (at,)).get) for at, _ in removals})
    connection.executemany("INSERT OR REPLACE INTO removed VALUES(?,?)", removals)
    connection.executemany("DELETE FROM event WHERE position = ?", [(position,) for position, _ in removals])
