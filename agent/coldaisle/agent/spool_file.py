"""Opens the spool's file, and moves it aside when SQLite cannot read it. Nothing is ever deleted here."""

import fcntl
import logging
import os
import secrets
import sqlite3
from itertools import count
from pathlib import Path

from coldaisle.core.errors import ConfigError

logger = logging.getLogger(__name__)

_BUSY_SECONDS = 1.0
_PAGE_BYTES = 16_384
"""Each page is written with two calls, and a batch of samples takes many."""

_CHECKPOINT_BYTES = 4_194_304
_APPLICATION_ID = 0x436C6473  # "Clds"
_NO_ROOM = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL})
_SCHEMA = """
CREATE TABLE IF NOT EXISTS origin (
    one INTEGER PRIMARY KEY CHECK (one = 1), salt TEXT NOT NULL, next_sequence INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    telemetry INTEGER NOT NULL, events INTEGER NOT NULL, bytes INTEGER NOT NULL,
    since INTEGER NOT NULL, until INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS batches_by_worth ON batches (telemetry DESC, id);
"""


def open_or_replace(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """The spool at ``path``, made when it is not there, and where an unreadable one was moved to."""
    moved = None
    try:
        return _open(path), None
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT}:
            raise ConfigError(f"cannot open the spool {path}: {error}; check agent.data_dir") from error
        moved = set_aside(path, str(error))
    except sqlite3.DatabaseError as error:
        moved = set_aside(path, str(error))
    return _open(path), moved


def take_folder(path: Path) -> int:
    """A descriptor that holds the spool's folder until it is closed; raises ConfigError when another does.

    Two agents would give their events the same numbers and take each other's place at the server.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"cannot use {path.parent}: {error.strerror}; check agent.data_dir") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(folder)
        raise ConfigError(
            f"cannot use {path.parent}: another agent runs with it; stop it, or correct agent.data_dir"
        ) from error
    except OSError as error:  # some network file systems have no locks
        logger.warning("spool not locked", extra={"path": str(path.parent), "reason": str(error)})
    return folder


def set_aside(path: Path, reason: str) -> Path:
    """Rename the spool and its companions to ``*.unreadable-<n>``; answers the new name."""
    for number in count(1):
        moved = path.with_name(f"{path.name}.unreadable-{number}")
        if not moved.exists():
            break
    for companion in ("", "-wal", "-shm"):
        source = path.with_name(path.name + companion)
        if source.exists():
            os.rename(source, moved.with_name(moved.name + companion))
    logger.error(
        "spool unreadable: moved aside, a new one is used", extra={"moved_to": str(moved), "reason": reason}
    )
    return moved


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path, "NORMAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _NO_ROOM:
            raise
    # A full disk has no room for the index of the WAL; who is alone with the file keeps it in memory. So what
    # waits is sent, and what is collected waits in memory, where the agent would not start at all.
    return _connect(path, "EXCLUSIVE")


def _connect(path: Path, locking_mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA locking_mode = {locking_mode}")
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    for pragma in (
        f"page_size = {_PAGE_BYTES}",  # before the first page is written; a file keeps its own
        "journal_mode = WAL",
        "synchronous = FULL",
        f"wal_autocheckpoint = {_CHECKPOINT_BYTES // _PAGE_BYTES}",
        "cache_size = -512",
        f"journal_size_limit = {_CHECKPOINT_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    [application] = connection.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION_ID:  # it is written also when it is the same, and the disk may be full
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    connection.execute("INSERT INTO origin VALUES (1, ?, 1) ON CONFLICT DO NOTHING", (secrets.token_hex(8),))
