"""What ``coldaisle store`` does with a store, apart from words and colours."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import apsw

from coldaisle.core.errors import StoreError
from coldaisle.core.store.archive_history import ArchivedHistory, archive_folder, segments_of
from coldaisle.core.store.archive_parquet import write_parquet
from coldaisle.core.store.backup import beside
from coldaisle.core.store.backup_copy import Copied, copy_history
from coldaisle.core.store.chain_keys import ChainKeys
from coldaisle.core.store.cipher import StoreKey
from coldaisle.core.store.retention import (
    Scavenged,
    require_removable,
    retention,
    scavenge,
    scavenge_category,
    set_retention,
)
from coldaisle.core.store.retention_deleted import scavenge_deleted
from coldaisle.core.store.retention_facts import tell_removed
from coldaisle.core.store.snapshots import snapshot_positions
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_chain import emptied
from coldaisle.core.store.sqlite_schema import LAST_POSITION, open_reader
from coldaisle.server.opening import open_cluster
from coldaisle.server.retainer import COVERED_BY

ACTOR = "command"
Progress = Callable[[int, int], None]
Described = dict[str, int | str | dict[str, int]]


def describe(path: Path, key: StoreKey | None) -> Described:
    """What a store holds, by name."""
    connection = open_reader(path, key)
    try:
        segments = segments_of(connection)
        files = (path, *beside(path))
        return {
            "file": str(path),
            "bytes": sum(each.stat().st_size for each in files if each.exists()),
            "unused_bytes": connection.pragma("freelist_count") * connection.pragma("page_size"),
            "schema": connection.pragma("user_version"),
            "encrypted": "yes" if key is not None else "no",
            "position": _number(connection, LAST_POSITION),
            "events": _number(connection, "SELECT count(*) FROM event"),
            "streams": _number(connection, "SELECT count(*) FROM stream"),
            "oldest": _moment(connection, "SELECT recorded FROM event ORDER BY position LIMIT 1"),
            "newest": _moment(connection, "SELECT recorded FROM event ORDER BY position DESC LIMIT 1"),
            "removed_events": _number(connection, "SELECT count(*) FROM removed")
            + sum(last - first + 1 for first, last in emptied(connection)),
            "archived_events": sum(segment.events for segment in segments),
            "archive_files": len(segments),
            "archive": archive_folder(connection),
            "snapshots": snapshot_positions(connection),
            "checkpoints": _pairs(connection, "SELECT consumer, position FROM checkpoint"),
            "retention_seconds": _pairs(connection, "SELECT category, max_age_seconds FROM retention"),
        }
    finally:
        connection.close()


def ages(path: Path, key: StoreKey | None) -> dict[str, int]:
    """How long each category is kept, in seconds."""
    connection = open_reader(path, key)
    try:
        return _pairs(connection, "SELECT category, max_age_seconds FROM retention ORDER BY category")
    finally:
        connection.close()


async def set_age(
    path: Path,
    category: str,
    seconds: int | None,
    even_facts: bool,
    key: StoreKey | None,
    chain: ChainKeys | None,
) -> None:
    """See set_retention."""
    async with SqliteStore(path, key=key, chain=chain) as store:
        await set_retention(store, category, seconds, even_facts=even_facts)


async def apply_retention(
    path: Path,
    archive: Path | None,
    without_archive: bool,
    plain_archive: bool,
    deleted_streams: bool,
    key: StoreKey | None,
    chain: ChainKeys | None,
    progress: Progress,
) -> list[Scavenged]:
    """Scavenge every category that has an age, with an archive or expressly without; tell the history."""
    async with SqliteStore(path, key=key, chain=chain) as store:
        done = await _scavenge_ages(store, archive, without_archive, plain_archive, deleted_streams, progress)
        if deleted_streams:
            done.append(await scavenge_deleted(store, covered_by=COVERED_BY))
        for one in done:
            await tell_removed(store, one, ACTOR)
        return done


async def _scavenge_ages(
    store: SqliteStore,
    archive: Path | None,
    without_archive: bool,
    plain_archive: bool,
    may_be_none: bool,
    progress: Progress,
) -> list[Scavenged]:
    if not await retention(store):
        if may_be_none:
            return []
        raise StoreError("no category has an age: say one with `coldaisle store retention set telemetry 90d`")
    folder = archive or Path(await store.inspect(archive_folder) or ".")
    if without_archive:
        if archive is not None:
            raise StoreError("--archive and --without-archive exclude each other: choose one")
    elif folder == Path():
        raise StoreError("say where old events go: --archive DIR, or --without-archive to lose them")
    return await scavenge(
        store,
        covered_by=COVERED_BY,
        archive_folder=None if without_archive else folder.absolute(),
        plain_archive=plain_archive,
        progress=lambda _, done, end: progress(done, end),
    )


async def archive_once(
    path: Path,
    folder: Path,
    category: str,
    age_seconds: int,
    even_facts: bool,
    plain_archive: bool,
    key: StoreKey | None,
    chain: ChainKeys | None,
    progress: Progress,
) -> Scavenged:
    """Archive and remove a category's old events, whatever retention says; tell the history."""
    require_removable(category, age_seconds, even_facts)
    async with SqliteStore(path, key=key, chain=chain) as store:
        done = await scavenge_category(
            store,
            category,
            age_seconds,
            covered_by=COVERED_BY,
            archive_folder=folder.absolute(),
            plain_archive=plain_archive,
            progress=lambda _, done, end: progress(done, end),
        )
        await tell_removed(store, done, ACTOR)
        return done


async def copy_store(
    source: Path | str,
    target: Path | str,
    source_key: StoreKey | None,
    target_key: StoreKey | None,
    chain: ChainKeys | None,
    with_archive: bool,
    archive: Path | None,
    progress: Progress,
) -> Copied:
    """Copy between files and clusters, in any direction."""
    if source == target:
        raise StoreError(f"{source} cannot be copied onto itself: name another target")
    ours = (
        open_cluster(source)
        if isinstance(source, str)
        else SqliteStore(source, read_only=True, key=source_key)
    )
    theirs = (
        open_cluster(target) if isinstance(target, str) else SqliteStore(target, key=target_key, chain=chain)
    )
    async with ours as store, theirs:
        whole = ArchivedHistory(store, archive) if with_archive and isinstance(store, SqliteStore) else store
        return await copy_history(whole, theirs, progress)


async def export_parquet(
    path: Path, target: Path, archive: Path | None, key: StoreKey | None, progress: Progress
) -> int:
    """See write_parquet."""
    async with SqliteStore(path, read_only=True, key=key) as store:
        return await write_parquet(ArchivedHistory(store, archive), target, progress)


def _number(connection: apsw.Connection, query: str) -> int:
    return int(connection.execute(query).get)


def _moment(connection: apsw.Connection, query: str) -> str:
    nanoseconds = connection.execute(query).get
    if not isinstance(nanoseconds, int):
        return ""
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _pairs(connection: apsw.Connection, query: str) -> dict[str, int]:
    return dict(cast("list[tuple[str, int]]", connection.execute(query).fetchall()))
