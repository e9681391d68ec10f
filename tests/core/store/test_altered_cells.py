"""A value in the file that nobody of ours wrote there: it is named or refused, and nothing falls over it.

SQLite keeps a value of any type in any column, so who edits the file may put a number where bytes belong, or
a text that is not UTF-8.
"""

import asyncio
import os
import random
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from coldaisle.core.errors import ColdaisleError
from coldaisle.core.events import NewEvent
from coldaisle.core.store import Append
from coldaisle.core.store.archive_history import ArchivedHistory
from coldaisle.core.store.backup import backup
from coldaisle.core.store.backup_check import quick_check, thorough_check
from coldaisle.core.store.chain_archive import verify_archive
from coldaisle.core.store.chain_keys import new_chain_keys
from coldaisle.core.store.chain_verify import Verified, verify_chain
from coldaisle.core.store.checkpoints import add_signing_key
from coldaisle.core.store.export import export
from coldaisle.core.store.retention import scavenge, set_retention
from coldaisle.core.store.retention_deleted import scavenge_deleted
from coldaisle.core.store.salvage import salvage
from coldaisle.core.store.snapshots import SqliteSnapshots
from coldaisle.core.store.sqlite import SqliteStore

SEEDS = 1_000 if os.environ.get("COLDAISLE_SOAK") else 120
EVENTS = 60
KEYS = new_chain_keys()
FAR = 1 << 62
TABLES = (
    "event", "event", "batch", "stream", "removed", "setting", "checkpoint", "segment", "snapshot",
    "retention",
)  # fmt: skip
VALUES = (
    "0", "-1", "7", "1 << 40", "(1 << 62) + 5", "1.5", "'text'", "''", "CAST(x'ff41' AS TEXT)",
    "x'00ff'", "x''", "NULL",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a chained store that has something in every table."""
    folder = tmp_path_factory.mktemp("whole")
    asyncio.run(_fill(folder))
    return folder


async def _fill(folder: Path) -> None:
    async with SqliteStore(folder / "events.db", chain=KEYS) as store:
        for number in range(1, EVENTS, 3):
            stream = ("telemetry-a", "asset-b", "asset-c")[number % 3 if number > 20 else 0]
            await store.append_many([Append(stream, [_new(n) for n in range(number, number + 3)])])
        for number in range(600, 640, 2):  # batches of which one event stays, and the record of the other
            appends = [Append("telemetry-e", [_new(number)]), Append("asset-b", [_new(number + 1)])]
            await store.append_many(appends)
        await store.append("logs-a", [_new(n) for n in range(500, 503)])
        await store.append("logs-a", [_new(n) for n in range(503, 510)])
        await store.append("asset-b", [_new(510)])
        await set_retention(store, "logs", 0)
        await scavenge(store, covered_by=(), now=FAR)  # two batches of which nothing is left
        await set_retention(store, "telemetry", 0)
        await scavenge(store, covered_by=(), now=FAR, archive_folder=folder / "archive", plain_archive=True)
        await store.append("telemetry-d", [_new(n) for n in range(EVENTS + 5, EVENTS + 10)])
        await store.save_checkpoint("someone", 7)
        await SqliteSnapshots(store).save_snapshot("twin", 30, 1, b"{}")


def _new(number: int) -> NewEvent:
    return NewEvent(number.to_bytes(16), "Test", 1, number, "tester", b'{"n":%d}' % number)


def alter(path: Path, source: random.Random) -> str:
    """Put some value into some cell; says what, or nothing when the table refuses it or holds it already."""
    connection = apsw.Connection(str(path))
    try:
        table, value = source.choice(TABLES), source.choice(VALUES)
        columns = connection.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchall()
        column = str(source.choice(columns)[0])
        rows = connection.execute(f"SELECT count(*) FROM {table}").get
        key = "rowid" if table not in ("setting", "checkpoint", "snapshot", "retention") else column
        nth = f"(SELECT {key} FROM {table} LIMIT 1 OFFSET {source.randrange(rows)})"
        connection.execute(
            f"UPDATE {table} SET {column} = {value} WHERE {key} = {nth} AND {column} IS NOT ({value})"
        )
        return f"{table}.{column} = {value}" if connection.changes() else ""
    except (apsw.ConstraintError, apsw.MismatchError):
        return ""
    finally:
        connection.close()


async def verified(path: Path) -> Verified:
    async with SqliteStore(path, read_only=True) as store:
        found = await verify_chain(store, KEYS)
        return found if found.fault else await verify_archive(store, KEYS, found)


async def _read(path: Path) -> None:
    async with SqliteStore(path, read_only=True) as store:
        history = ArchivedHistory(store)
        await store.read_all()
        await store.read_all(backwards=True)
        await store.read_stream("asset-b")
        await store.load_checkpoint("someone")
        await SqliteSnapshots(store).load_snapshot("twin", 1)
        end, after = await store.head(), 0
        await store.replay(lambda events: [len(event.data) for event in events] and None, after=0, end=end)
        while not (page := await history.read_all(after=after)).caught_up:
            after = page.position


async def _write(path: Path) -> None:
    async with SqliteStore(path, chain=KEYS) as store:
        await store.append("asset-b", [_new(1_000)])
        await store.append("telemetry-new", [_new(1_001)])
        await store.append("asset-b", [_new(30)])
        await scavenge(store, covered_by=("someone",), now=FAR, plain_archive=True)
        await store.delete_stream("asset-c")
        await scavenge_deleted(store, covered_by=())


async def _check(path: Path) -> None:
    quick_check(path)
    thorough_check(path)


async def _save(path: Path) -> None:
    backup(path, path.with_name("backup.db"))


async def _salvage(path: Path) -> None:
    salvage(path, path.with_name("salvaged.db"))


async def _export(path: Path) -> None:
    key = add_signing_key(path.with_name("signing.key"), path.with_name("signing.pub"))
    async with SqliteStore(path, read_only=True) as store:
        await export(store, path.with_name("export"), 1, EVENTS, key)


USES: tuple[Callable[[Path], Awaitable[object]], ...] = (
    verified, _read, _check, _save, _salvage, _export, _write,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_an_altered_cell_is_named_or_refused(seed: int, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    path, source = tmp_path / "events.db", random.Random(seed)
    alter(path, source)
    for use in USES:
        with suppress(ColdaisleError):
            await use(path)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_an_altered_event_or_batch_breaks_the_chain(seed: int, whole: Path, tmp_path: Path) -> None:
    path, source = tmp_path / "events.db", random.Random(seed)
    shutil.copyfile(whole / "events.db", path)
    altered = ""
    while not altered.startswith(("event.", "batch.")) or altered.endswith(
        "_id = x''"
    ):  # x'' stands for none
        altered = alter(path, source)
        if not altered.startswith(("event.", "batch.")):
            shutil.copyfile(whole / "events.db", path)
    assert (await verified(path)).fault is not None, altered
