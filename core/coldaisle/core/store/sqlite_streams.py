"""How streams stand in an SQLite store, and changing that; all inside the caller's transaction.

An append writes events only: a stream's version is that of its newest event. The stream's row says it only
once events go (``note_versions``), so that a version is never used twice.
"""

from collections.abc import Iterable

import apsw

from coldaisle.core.store.check import check_expected
from coldaisle.core.store.port import NO_STREAM_STATE, Expected, StreamState
from coldaisle.core.store.sqlite_schema import typed_rows

_VERSION = "max(version, ifnull((SELECT max(e.version) FROM event e WHERE e.stream_id = stream.id), -1))"
_ROW = f"SELECT id, {_VERSION}, truncate_before, tombstoned FROM stream WHERE name = ?"


def stream_row(connection: apsw.Connection, stream: str) -> tuple[int, StreamState] | None:
    """The stream's id in the file, and how it stands."""
    for stream_id, version, first, tombstoned in typed_rows(connection, _ROW, (stream,), (int,) * 4):
        return stream_id, StreamState(version, first, bool(tombstoned))
    return None


def stream_state(connection: apsw.Connection, stream: str) -> StreamState | None:
    """See EventStore."""
    found = stream_row(connection, stream)
    return None if found is None else found[1]


def note_versions(connection: apsw.Connection, streams: Iterable[str]) -> None:
    """To be called before events of these streams are removed: the rows keep what versions were used."""
    connection.executemany(
        f"UPDATE stream SET version = {_VERSION} WHERE name = ?", [(stream,) for stream in streams]
    )


def truncate_stream(connection: apsw.Connection, stream: str, before_version: int) -> None:
    """See EventStore."""
    connection.execute(
        f"UPDATE stream SET truncate_before = max(0, min(?, {_VERSION} + 1)) "
        "WHERE name = ? AND NOT tombstoned",
        (before_version, stream),
    )


def delete_stream(connection: apsw.Connection, stream: str, expected: int | Expected) -> None:
    """See EventStore."""
    state = stream_state(connection, stream) or NO_STREAM_STATE
    check_expected(stream, expected, state)
    truncate_stream(connection, stream, state.version + 1)


def tombstone(connection: apsw.Connection, stream: str, expected: int | Expected) -> None:
    """See EventStore."""
    check_expected(stream, expected, stream_state(connection, stream) or NO_STREAM_STATE)
    connection.execute(
        "INSERT INTO stream(name, version, tombstoned) VALUES(?, -1, 1) ON CONFLICT(name) DO UPDATE "
        f"SET truncate_before = {_VERSION} + 1, tombstoned = 1",
        (stream,),
    )
