"""The one connection that writes: made, migrated or refused, according to what the file is."""

from pathlib import Path

import apsw

from coldaisle.core.store.backup_migration import migrate
from coldaisle.core.store.cipher import StoreKey
from coldaisle.core.store.sqlite_schema import PAGE_BYTES, check_schema, create, opening

WAL_CHECKPOINT_PAGES = 256


def open_writer(path: Path, max_bytes: int | None, key: StoreKey | None = None) -> apsw.Connection:
    """Open for writing. Makes the file when it is not there, and brings one of an older schema up to date.

    Raises SchemaTooNew for a file of a newer one, which stays as it is.
    """
    with opening(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, key) as connection:
        _recognise(connection, path)
        for pragma in (
            f"page_size={PAGE_BYTES}", "journal_mode=WAL", "synchronous=FULL",
            f"wal_autocheckpoint={WAL_CHECKPOINT_PAGES}",
        ):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}").fetchall()
        if max_bytes is not None:
            connection.execute(f"PRAGMA max_page_count={max(1, max_bytes // PAGE_BYTES)}")
        if _is_empty(connection):
            create(connection, path)
        migrate(connection, path, key=key)
        return connection


def _recognise(connection: apsw.Connection, path: Path) -> None:
    """Before anything is changed, be it only the journal's mode."""
    if not _is_empty(connection):
        check_schema(connection, path)


def _is_empty(connection: apsw.Connection) -> bool:
    return connection.pragma("application_id") == 0 and not connection.pragma("user_version")
