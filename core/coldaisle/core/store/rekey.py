"""Puts a store under another key; also one that was not encrypted.

The new file is made whole beside the old one, which it then replaces: memory is bounded, and at every moment
one of the two is there, whole. (SQLite's own rekey keeps the whole store in memory until it is done.)
"""

import os
from pathlib import Path
from stat import S_IMODE

import apsw

from coldaisle.core.errors import StoreError, StoreLocked, StoreUnreadable
from coldaisle.core.store.backup import Progress, backup, sync
from coldaisle.core.store.cipher import StoreKey
from coldaisle.core.store.lock import lock
from coldaisle.core.store.sqlite_schema import opening


def rekey_store(
    path: Path, old: StoreKey | None, new: StoreKey, progress: Progress = lambda *_: None
) -> None:
    """Encrypt the store anew; ``old`` None is a store that is not encrypted.

    Raises StoreLocked while another process has it open. Takes as long as copying the file, and as much
    room. A crash leaves it whole, under one key or the other.
    """
    if not path.exists():
        raise StoreUnreadable(f"there is no store at {path}: name the file that `coldaisle serve` writes")
    locked = lock(path)
    path = path.resolve()  # where the name is a link, the file behind it is replaced
    copy = path.with_name(f".{path.name}.rekeyed")
    try:
        _take_in_log(path, old)
        copy.unlink(missing_ok=True)  # what a killed attempt left
        backup(path, copy, progress, key=old, new_key=new)
        _give_to_owner_of(path, copy)
        copy.replace(path)
        sync(path.parent)
    except OSError as error:
        raise StoreError(f"{path} keeps its key ({error.strerror}): check the folder") from error
    finally:
        copy.unlink(missing_ok=True)
        os.close(locked)


def _take_in_log(path: Path, key: StoreKey | None) -> None:
    """Leave no log beside the file: its pages are under the old key, and must not meet the new file."""
    with opening(path, apsw.SQLITE_OPEN_READWRITE, key) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE").fetchall()
        except apsw.BusyError as error:
            raise StoreLocked(f"another process reads {path}: stop it, then change the key") from error
        connection.close()


def _give_to_owner_of(path: Path, copy: Path) -> None:
    """Who rotates keys need not be who serves the store."""
    was = path.stat()
    copy.chmod(S_IMODE(was.st_mode))
    if (was.st_uid, was.st_gid) != (copy.stat().st_uid, copy.stat().st_gid):
        os.chown(copy, was.st_uid, was.st_gid)
