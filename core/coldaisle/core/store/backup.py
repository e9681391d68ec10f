"""A store's file as another file, whole and compact, while the server goes on writing.

``VACUUM INTO`` reads one consistent state and locks no writer out. The copy goes to the disk bit by bit while
it grows: all of it at once would hold up every append that came meanwhile. It is made under another name,
checked, synced, and only then given its name: a backup that is there is a backup that can be read.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import apsw
from msgspec import Struct

from coldaisle.core.errors import StoreError, StoreUnreadable
from coldaisle.core.store.cipher import StoreKey, keyed_name
from coldaisle.core.store.sqlite_schema import LAST_POSITION, check_schema, open_reader, translate

PROGRESS_STEPS = 500
"""SQLite's virtual machine steps between two reports of progress."""

SYNC_BYTES = 1 << 20
"""Bytes of the copy after which it is brought to the disk."""

Progress = Callable[[int, int], None]
"""Takes bytes written and bytes expected at most."""

log = logging.getLogger(__name__)


class BackedUp(Struct, frozen=True):
    """What a backup holds."""

    path: Path
    bytes: int
    head: int


def backup(
    source: Path,
    target: Path,
    progress: Progress = lambda *_: None,
    *,
    key: StoreKey | None = None,
    new_key: StoreKey | None = None,
) -> BackedUp:
    """Copy the store to a new file, under the same key or a new one. Blocks for as long as the disk takes.

    Raises StoreError when the target is there already, StoreUnreadable when the source is damaged.
    """
    require_absent(target)
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)  # what a killed backup left
    connection = open_reader(source, key, any_age=True)
    try:
        _vacuum_into(connection, source, partial, progress, new_key)
        head = _checked_head(partial, new_key or key)
        sync(partial)
        os.link(partial, target)  # unlike a rename, never replaces what came meanwhile
    except FileExistsError as error:
        raise StoreError(f"{target} is there already: name a new file") from error
    except OSError as error:
        raise StoreError(f"{target} cannot be written ({error.strerror}): check the folder") from error
    finally:
        connection.close()
        partial.unlink(missing_ok=True)
    sync(target.parent)
    return BackedUp(target, target.stat().st_size, head)


def restore(
    source: Path, target: Path, progress: Progress = lambda *_: None, *, key: StoreKey | None = None
) -> BackedUp:
    """Put a backup where a server will look for its store; only where no store is. Blocks."""
    for leftover in (target, *beside(target)):
        require_absent(leftover)
    target.parent.mkdir(parents=True, exist_ok=True)
    return backup(source, target, progress, key=key)


def beside(path: Path) -> tuple[Path, Path]:
    """The files that SQLite keeps beside a store; they hold events too."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def require_absent(path: Path) -> None:
    """Raises StoreError when there is anything at the path."""
    if path.exists():
        raise StoreError(f"{path} is there already, and nothing is overwritten: name another place")


def _vacuum_into(
    connection: apsw.Connection, source: Path, partial: Path, progress: Progress, new_key: StoreKey | None
) -> None:
    expected = source.stat().st_size + sum(each.stat().st_size for each in beside(source) if each.exists())

    synced = 0

    def report() -> bool:
        nonlocal synced
        written = partial.stat().st_size if partial.exists() else 0
        if written - synced >= SYNC_BYTES:
            sync(partial)
            synced = written
        progress(min(written, expected), expected)
        return False  # True would abort

    connection.set_progress_handler(report, PROGRESS_STEPS)
    name = str(partial.absolute()) if new_key is None else keyed_name(partial, new_key)
    try:
        connection.execute("VACUUM INTO ?", (name,))
    except apsw.CantOpenError:  # which may tell the name, and so the key
        raise StoreError(f"{partial} cannot be made: check the folder and its permissions") from None
    except apsw.FullError as error:
        raise translate(error, partial.parent) from error
    except apsw.Error as error:
        raise translate(error, source) from error
    progress(expected, expected)


def _checked_head(path: Path, key: StoreKey | None) -> int:
    """The copy's last position; raises when it does not read back."""
    try:
        connection = open_reader(path, key, any_age=True)
        try:
            check_schema(connection, path)
            found = connection.execute("PRAGMA quick_check(1)").get
            if found != "ok":
                raise StoreUnreadable(f"the copy did not read back ({found}): check the disk, and the source")
            return _head(connection)
        finally:
            connection.close()
    except apsw.Error as error:
        raise translate(error, path) from error


def _head(connection: apsw.Connection) -> int:
    """The last position, also in a file of the first layout, which had no settings."""
    has_settings = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'setting'").get
    query = LAST_POSITION if has_settings else "SELECT ifnull(max(position), 0) FROM event"
    return int(connection.execute(query).get)


def sync(path: Path) -> None:
    """Bring a file, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
