"""The SQLite file of a store: how it is laid out, recognised and read."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from coldaisle.core.errors import (
    SchemaTooNew,
    SchemaTooOld,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnreadable,
)
from coldaisle.core.store.cipher import StoreKey, unlock

APPLICATION_ID = 0x434F4C44  # "COLD", so that file(1) and we know our own
SCHEMA_VERSION = 4
PAGE_BYTES = 32_768
BUSY_MILLISECONDS = 10_000

SCHEMA = """
CREATE TABLE stream(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version INTEGER NOT NULL,
  truncate_before INTEGER NOT NULL DEFAULT 0, tombstoned INTEGER NOT NULL DEFAULT 0);
CREATE TABLE event(
  position INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, version INTEGER NOT NULL, id BLOB NOT NULL,
  type TEXT NOT NULL, schema INTEGER NOT NULL, time INTEGER NOT NULL, recorded INTEGER NOT NULL,
  actor TEXT NOT NULL, data BLOB NOT NULL, correlation_id BLOB, causation_id BLOB);
CREATE UNIQUE INDEX event_by_stream ON event(stream_id, version);
CREATE UNIQUE INDEX event_by_id ON event(id);
CREATE TABLE checkpoint(consumer TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE batch(
  last_position INTEGER PRIMARY KEY, hash BLOB NOT NULL, digests BLOB NOT NULL, emptied_from INTEGER);
CREATE INDEX batch_emptied ON batch(emptied_from) WHERE emptied_from IS NOT NULL;
CREATE TABLE removed(position INTEGER PRIMARY KEY, digest BLOB NOT NULL);
CREATE TABLE segment(
  first_position INTEGER PRIMARY KEY, last_position INTEGER NOT NULL, events INTEGER NOT NULL,
  file TEXT NOT NULL, sha256 BLOB NOT NULL);
CREATE TABLE snapshot(
  name TEXT NOT NULL, position INTEGER NOT NULL, schema INTEGER NOT NULL, sha256 BLOB NOT NULL,
  data BLOB NOT NULL, PRIMARY KEY(name, position)) WITHOUT ROWID;
CREATE TABLE snapshot_part(
  name TEXT NOT NULL, position INTEGER NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY(name, position, part));
CREATE TABLE retention(category TEXT PRIMARY KEY, max_age_seconds INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE setting(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO setting VALUES('store_id', randomblob(16));
"""

LAST_POSITION = (
    "SELECT max(ifnull((SELECT max(position) FROM event), 0), "
    "ifnull((SELECT value FROM setting WHERE key = 'last_position' AND typeof(value) = 'integer'), 0))"
)
"""Maintenance notes it before it removes rows: positions are never used twice, also when the last ones go."""


def open_reader(path: Path, key: StoreKey | None = None, *, any_age: bool = False) -> apsw.Connection:
    """A connection that cannot write; ``any_age`` also opens a file that is still to be migrated."""
    if not path.exists():
        raise StoreUnreadable(f"there is no store at {path}: name the file that `coldaisle serve` writes")
    with opening(path, apsw.SQLITE_OPEN_READONLY, key) as connection:
        check_schema(connection, path)
        if not any_age:
            _require_migrated(connection, path)
        return connection


@contextlib.contextmanager
def opening(path: Path, flags: int, key: StoreKey | None) -> Iterator[apsw.Connection]:
    """A connection that stays open when all goes well, and errors as ours when not.

    It is for one thread at a time: SQLite's own mutex around each column costs an eighth of a read. It takes
    names that tell a key (``keyed_name``); an absolute path is none.
    """
    connection = None
    flags |= apsw.SQLITE_OPEN_NOMUTEX | apsw.SQLITE_OPEN_URI
    try:
        connection = apsw.Connection(str(path.absolute()), flags=flags)
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        for foreign in (apsw.SQLITE_DBCONFIG_ENABLE_VIEW, apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER):
            connection.config(foreign, 0)  # a view in a table's place may show each reader another history
        unlock(connection, path, key)
        yield connection
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, apsw.Error):
            raise translate(error, path) from error
        raise


@contextlib.contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All of it, or nothing. On a full disk SQLite rolls back by itself, and that error is the one to see."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check_schema(connection: apsw.Connection, path: Path) -> None:
    """Raises unless this program knows the file's layout, or one that it was made into."""
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StoreUnreadable(f"{path} is an SQLite file, but not a Coldaisle store: name another file")
    found = connection.pragma("user_version")
    if found > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"{path} has schema {found}, this Coldaisle knows up to {SCHEMA_VERSION}: "
            "upgrade Coldaisle; the file was not touched"
        )


def is_event_table(connection: apsw.Connection) -> bool:
    """Whether events lie in the table made for them: in one without its key, a position may be any value."""
    found = connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'event'").get
    return f"{found};" in SCHEMA


def _require_migrated(connection: apsw.Connection, path: Path) -> None:
    found = connection.pragma("user_version")
    if found < SCHEMA_VERSION:
        raise SchemaTooOld(
            f"{path} has schema {found}, this Coldaisle reads {SCHEMA_VERSION}: start the server on it once, "
            "which saves a copy beside it and migrates it"
        )


def typed_rows(
    connection: apsw.Connection, query: str, values: tuple[int | str, ...], kinds: tuple[type, ...]
) -> list[tuple[Any, ...]]:
    """The rows of a query on a small table, each value of the type that is written there.

    SQLite keeps any type in any column. Raises StoreUnreadable where the file was altered.
    """
    try:
        found = connection.execute(query, values).fetchall()
    except UnicodeDecodeError as error:
        raise StoreUnreadable(f"a text in the store is damaged ({error}): restore a backup") from error
    for row in found:
        for value, kind in zip(row, kinds, strict=True):
            if type(value) is not kind:
                raise StoreUnreadable(
                    f"the store holds {value!r:.60} where {kind.__name__} belongs ({query[:60]}...): "
                    "it was altered or damaged, restore a backup"
                )
    return found


def translate(error: apsw.Error, path: Path) -> StoreError:
    """SQLite's error as ours, with the next step."""
    match error:
        case apsw.FullError():
            return StoreFull(f"no room for {path}: free disk space; nothing of this was written")
        case apsw.NotADBError():
            return StoreUnreadable(f"{path} is not an SQLite file, or it is encrypted: name another file")
        case apsw.CorruptError():
            return StoreUnreadable(f"{path} is damaged ({error}): restore it from a backup")
        case apsw.CantOpenError() | apsw.PermissionsError() | apsw.ReadOnlyError():
            return StoreDenied(f"{path} cannot be opened ({error}): check the folder and its permissions")
        case _:
            return StoreError(f"{path}: {type(error).__name__}: {error}")


def create(connection: apsw.Connection, path: Path) -> None:
    """Lay out an empty file. Raises StoreUnreadable where something else is in it."""
    if connection.execute("SELECT count(*) FROM sqlite_schema").get:
        raise StoreUnreadable(f"{path} is an SQLite file, but not a Coldaisle store: name another file")
    with transaction(connection):
        connection.execute(SCHEMA)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}")
