"""A file of an older schema becomes one of this program's: step by step, each step whole or not at all.

A step is named by the version that it starts from, and a published step is never edited. Before the first
step the file is backed up beside itself.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import apsw

from coldaisle.core.errors import StoreFull, StoreUnreadable
from coldaisle.core.store.backup import backup
from coldaisle.core.store.cipher import StoreKey
from coldaisle.core.store.sqlite_schema import SCHEMA_VERSION, transaction

log = logging.getLogger(__name__)

Step = Callable[[apsw.Connection], None]

_TABLES_OF_2 = """
CREATE TABLE IF NOT EXISTS batch(
  last_position INTEGER PRIMARY KEY, hash BLOB NOT NULL, digests BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS removed(position INTEGER PRIMARY KEY, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS segment(
  first_position INTEGER PRIMARY KEY, last_position INTEGER NOT NULL, events INTEGER NOT NULL,
  file TEXT NOT NULL, sha256 BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS snapshot(
  name TEXT NOT NULL, position INTEGER NOT NULL, schema INTEGER NOT NULL, sha256 BLOB NOT NULL,
  data BLOB NOT NULL, PRIMARY KEY(name, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retention(
  category TEXT PRIMARY KEY, max_age_seconds INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS setting(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO setting VALUES('store_id', randomblob(16));
"""

_TABLES_OF_3 = """
CREATE TABLE IF NOT EXISTS snapshot_part(
  name TEXT NOT NULL, position INTEGER NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY(name, position, part));
"""

_INDEX_OF_4 = "CREATE INDEX IF NOT EXISTS batch_emptied ON batch(emptied_from) WHERE emptied_from IS NOT NULL"


def _to_2(connection: apsw.Connection) -> None:
    """Schema 1 was given to two layouts: the first had neither chain, retention nor deleted streams."""
    connection.execute(_TABLES_OF_2)
    columns = {row[1] for row in connection.execute("PRAGMA table_info(stream)")}
    for column in ("truncate_before", "tombstoned"):
        if column not in columns:
            connection.execute(f"ALTER TABLE stream ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")


def _to_3(connection: apsw.Connection) -> None:
    """Snapshots come in parts: what a snapshot holds beyond its first."""
    connection.execute(_TABLES_OF_3)


def _to_4(connection: apsw.Connection) -> None:
    """A batch of the chain of which no event is left keeps a seal instead of its digests."""
    if "emptied_from" not in {row[1] for row in connection.execute("PRAGMA table_info(batch)")}:
        connection.execute("ALTER TABLE batch ADD COLUMN emptied_from INTEGER")
    connection.execute(_INDEX_OF_4)


MIGRATIONS: Mapping[int, Step] = {1: _to_2, 2: _to_3, 3: _to_4}
"""From which schema number, how to the next."""


def migrate(
    connection: apsw.Connection,
    path: Path,
    steps: Mapping[int, Step] = MIGRATIONS,
    target: int = SCHEMA_VERSION,
    *,
    key: StoreKey | None = None,
) -> int:
    """Bring the file up to ``target``; the number of steps taken. Raises StoreUnreadable for want of one.

    Raises StoreFull when the backup has no room beside it.
    """
    found = int(connection.pragma("user_version"))
    if found >= target:
        return 0
    missing = [version for version in range(found, target) if version not in steps]
    if missing:
        raise StoreUnreadable(
            f"{path} has schema {found}, and this Coldaisle knows no way from {missing[0]} to {target}: "
            "open it with the Coldaisle that wrote it and copy it from there"
        )
    _save(path, path.with_name(f"{path.name}.schema-{found}"), key)
    for version in range(found, target):
        with transaction(connection):
            steps[version](connection)
            connection.execute(f"PRAGMA user_version={version + 1}")
    return target - found


def _save(path: Path, saved: Path, key: StoreKey | None) -> None:
    if saved.exists():
        return
    log.warning("%s is of an older schema: backing it up as %s, then bringing it up to date", path, saved)
    try:
        backup(path, saved, key=key)
    except StoreFull as error:
        raise StoreFull(
            f"{path} is of an older schema, and is backed up beside itself before it is brought up to date: "
            f"that takes up to {path.stat().st_size:,} bytes on its disk; free them, nothing was changed"
        ) from error
