"""How streams stand in an SQLite store, and changing that; all inside the caller's transaction."""

import apsw

from coldaisle.core.store.check import check_expected
from coldaisle.core.store.port import NO_STREAM_STATE, Expected, StreamState


def stream_state(connection: apsw.Connection, stream: str) -> StreamState | None:
    """See EventStore."""
    row = connection.execute(
        "SELECT version, truncate_before, tombstoned FROM stream WHERE name = ?", (stream,)
    ).fetchone()
    return None if row is None else StreamState(row[0], row[1], bool(row[2]))


def truncate_stream(connection: apsw.Connection, stream: str, before_version: int) -> None:
    """See EventStore."""
    connection.execute(
        "UPDATE stream SET truncate_before = max(0, min(?, version + 1)) WHERE name = ? AND NOT tombstoned",
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
        "SET truncate_before = version + 1, tombstoned = 1",
        (stream,),
    )
