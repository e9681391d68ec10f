"""Backups, restores, copies, migrations, checks: on real files, killed in the middle, with flipped bits."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import apsw
import pytest

from coldaisle.core.errors import StoreError, StoreFull, StoreUnreadable, WrongVersion
from coldaisle.core.events import NewEvent, Recorded
from coldaisle.core.store.archive_history import ArchivedHistory
from coldaisle.core.store.backup import backup, restore
from coldaisle.core.store.backup_check import quick_check, thorough_check
from coldaisle.core.store.backup_copy import copy_history
from coldaisle.core.store.backup_migration import migrate
from coldaisle.core.store.chain_keys import load_or_make_chain_keys
from coldaisle.core.store.chain_verify import verify_chain
from coldaisle.core.store.cipher import new_store_key
from coldaisle.core.store.memory import MemoryStore
from coldaisle.core.store.port import Append, EventStore
from coldaisle.core.store.rekey import rekey_store
from coldaisle.core.store.retention import retention, scavenge, set_retention
from coldaisle.core.store.snapshots import PART_BYTES, Snapshot, SqliteSnapshots
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_schema import APPLICATION_ID

KILLS = 40 if os.environ.get("COLDAISLE_SOAK") else 6
FLIPS = 400 if os.environ.get("COLDAISLE_SOAK") else 40

CHILD = """
import asyncio, pathlib, sys
from coldaisle.core.store.backup import backup
from coldaisle.core.store.backup_copy import copy_history
from coldaisle.core.store.sqlite import SqliteStore

def say(*_):
    print("step", flush=True)

async def copy(source, target):
    async with SqliteStore(source, read_only=True) as ours, SqliteStore(target) as theirs:
        await copy_history(ours, theirs, say)

what, source, target = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
if what == "copy":
    asyncio.run(copy(source, target))
else:
    from coldaisle.core.store import backup as module
    module.PROGRESS_STEPS = 500
    backup(source, target, say)
print("done", flush=True)
"""


def new(number: int, size_bytes: int = 40) -> tuple[str, NewEvent]:
    data = b'{"n":"' + b"x" * size_bytes + b'"}'
    return f"{('telemetry', 'run')[number % 2]}-{number % 5}", NewEvent(
        number.to_bytes(16), "Test", 1, number, "tester", data, number.to_bytes(16)
    )


async def fill(store: EventStore, count: int, size_bytes: int = 40) -> list[Recorded]:
    for start in range(1, count + 1, 100):
        numbers = range(start, min(start + 100, count + 1))
        await store.append_many(
            [Append(stream, [event]) for stream, event in (new(n, size_bytes) for n in numbers)]
        )
    return await everything(store)


async def everything(store: EventStore) -> list[Recorded]:
    events: list[Recorded] = []
    after, caught_up = 0, False
    while not caught_up:
        page = await store.read_all(after=after)
        events += page.events
        after, caught_up = page.position, page.caught_up
    return events


async def read_file(path: Path) -> list[Recorded]:
    async with SqliteStore(path, read_only=True) as store:
        return await everything(store)


async def test_a_backup_under_load_is_a_state_that_the_store_was_in(tmp_path: Path) -> None:
    path, target = tmp_path / "events.db", tmp_path / "backup.db"
    async with SqliteStore(path) as store:
        await fill(store, 3_000)
        copying = asyncio.ensure_future(asyncio.to_thread(backup, path, target))
        number = 3_000
        while not copying.done():
            number += 1
            stream, event = new(number)
            await store.append(stream, [event])
        done = await copying
        assert 3_000 <= done.head <= number
        assert await read_file(target) == (await everything(store))[: done.head]
    assert thorough_check(target) == []


async def test_a_backup_overwrites_nothing_and_a_restore_neither(tmp_path: Path) -> None:
    path, target = tmp_path / "events.db", tmp_path / "backup.db"
    async with SqliteStore(path) as store:
        before = await fill(store, 10)
    backup(path, target)
    whole = target.read_bytes()
    with pytest.raises(StoreError, match="already"):
        backup(path, target)
    with pytest.raises(StoreError, match="already"):
        restore(target, path)
    assert target.read_bytes() == whole
    placed = tmp_path / "new" / "events.db"
    restore(target, placed)
    async with SqliteStore(placed) as store:
        assert await everything(store) == before
        assert (await store.append(*_as_append(11))).position == 11
    leftover = tmp_path / "other" / "events.db"
    leftover.parent.mkdir()
    leftover.with_name("events.db-wal").write_bytes(b"somebody's last events")
    with pytest.raises(StoreError, match="already"):
        restore(target, leftover)


def _as_append(number: int) -> tuple[str, list[NewEvent]]:
    stream, event = new(number)
    return stream, [event]


async def test_a_damaged_or_foreign_file_is_no_backup(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with SqliteStore(path) as store:
        await fill(store, 2_000)
    content = bytearray(path.read_bytes())
    content[8_192 * 3 : 8_192 * 4] = os.urandom(8_192)
    path.write_bytes(content)
    with pytest.raises(StoreError):
        backup(path, tmp_path / "backup.db")
    with pytest.raises(StoreError, match="not an SQLite file"):
        restore(Path(__file__), tmp_path / "new.db")
    assert not [each.name for each in tmp_path.iterdir() if not each.name.startswith("events.db")]


def killed(what: str, source: Path, target: Path, lines: int) -> bool:
    """Run it, kill -9 it after so many lines of progress; whether it was done."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, what, str(source), str(target)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for _ in range(lines):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    return rest.endswith("done\n")


async def test_a_killed_backup_leaves_no_backup_and_the_next_one_works(tmp_path: Path) -> None:
    path, source = tmp_path / "events.db", random.Random(1)
    async with SqliteStore(path) as store:
        before = await fill(store, 3_000, 500)
    for number in range(KILLS):
        target = tmp_path / f"backup-{number}.db"
        killed("backup", path, target, source.randrange(1, 60))
        if target.exists():
            assert await read_file(target) == before
        else:
            assert backup(path, target).head == 3_000
        assert thorough_check(target) == []


async def test_a_copy_killed_anywhere_goes_on_to_an_equal_history(tmp_path: Path) -> None:
    path, target, source = tmp_path / "events.db", tmp_path / "copy.db", random.Random(2)
    async with SqliteStore(path) as store:
        before = await fill(store, 12_000)
    for _ in range(KILLS):
        if killed("copy", path, target, source.randrange(1, 5)):
            break
    async with SqliteStore(path, read_only=True) as ours, SqliteStore(target) as theirs:
        done = await copy_history(ours, theirs)
        assert (done.events, done.position) == (12_000, 12_000)
        assert await everything(theirs) == before
        assert (await copy_history(ours, theirs)).copied == 0


async def test_a_copy_keeps_when_events_were_recorded_and_goes_on_in_time(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        await fill(store, 40)
        first = Append("run-a", [new(41)[1]], recorded=5)
        (appended,) = await store.append_many([first])
        newest = (await store.read_all(backwards=True, limit=1)).events[0]
        assert newest.recorded >= (await everything(store))[-2].recorded  # time never falls along positions
        before = await everything(store)
        async with SqliteStore(tmp_path / "copy.db") as target:
            await copy_history(store, target)
            assert await everything(target) == before
            assert await target.position_at(before[20].recorded) == await store.position_at(
                before[20].recorded
            )
            await target.append(*_as_append(42))
            assert (await everything(target))[-1].recorded > before[-1].recorded
    assert appended.position == 41


async def test_a_refused_append_leaves_the_clock_alone(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        far = time.time_ns() + 3_600 * 1_000_000_000
        with pytest.raises(WrongVersion):
            await store.append_many(
                [Append("run-a", [new(1)[1]], recorded=far), Append("run-b", [new(2)[1]], 7)]
            )
        await store.append(*_as_append(3))
        assert (await everything(store))[0].recorded < far


async def test_a_copy_goes_on_with_what_came_since_and_crosses_adapters(tmp_path: Path) -> None:
    memory = MemoryStore()
    await fill(memory, 1_500)
    async with SqliteStore(tmp_path / "copy.db") as target:
        assert (await copy_history(memory, target)).copied == 1_500
        stream, event = new(1_501)
        await memory.append(stream, [event])
        done = await copy_history(memory, target)
        assert (done.copied, done.events) == (1, 1_501)


async def test_a_copy_into_a_store_with_other_events_is_refused_before_it_writes(tmp_path: Path) -> None:
    memory, other = MemoryStore(), MemoryStore()
    await fill(memory, 50)
    await other.append("run-x", [NewEvent(b"o" * 16, "T", 1, 1, "t", b"{}")])
    with pytest.raises(StoreError, match="copy into a new store"):
        await copy_history(memory, other)
    assert await other.head() == 1


async def test_a_copy_that_was_altered_afterwards_is_found_out(tmp_path: Path) -> None:
    memory, path = MemoryStore(), tmp_path / "copy.db"
    await fill(memory, 50)
    async with SqliteStore(path) as target:
        await copy_history(memory, target)
        forgery = "UPDATE event SET actor = 'x' WHERE position = 7"
        await target.maintain(lambda c: c.execute(forgery).fetchall())
        with pytest.raises(StoreError, match="position 7"):
            await copy_history(memory, target)


async def test_an_archive_is_copied_with_its_store(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store, SqliteStore(tmp_path / "copy.db") as target:
        await fill(store, 300)
        await set_retention(store, "telemetry", 0)
        await scavenge(store, covered_by=(), archive_folder=tmp_path / "archive", now=1 << 62)
        assert (await copy_history(ArchivedHistory(store), target)).events == 300


def test_an_older_schema_is_migrated_step_by_step_with_a_backup_first(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version=1")
    connection.execute("CREATE TABLE event(position INTEGER PRIMARY KEY); INSERT INTO event VALUES(1)")
    connection.execute("CREATE TABLE setting(key TEXT PRIMARY KEY, value BLOB)")
    steps = {
        1: lambda c: c.execute("ALTER TABLE event ADD COLUMN type TEXT").fetchall(),
        2: lambda c: c.execute("UPDATE event SET type = 'First'").fetchall(),
    }
    assert migrate(connection, path, steps, 3) == 2
    assert connection.pragma("user_version") == 3
    assert connection.execute("SELECT * FROM event").fetchall() == [(1, "First")]
    assert migrate(connection, path, steps, 3) == 0
    saved = apsw.Connection(str(tmp_path / "old.db.schema-1"))
    assert saved.execute("SELECT * FROM event").fetchall() == [(1,)]
    connection.close()
    saved.close()


FIRST_LAYOUT = """
CREATE TABLE stream(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version INTEGER NOT NULL);
CREATE TABLE event(
  position INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, version INTEGER NOT NULL, id BLOB NOT NULL,
  type TEXT NOT NULL, schema INTEGER NOT NULL, time INTEGER NOT NULL, recorded INTEGER NOT NULL,
  actor TEXT NOT NULL, data BLOB NOT NULL, correlation_id BLOB, causation_id BLOB);
CREATE UNIQUE INDEX event_by_stream ON event(stream_id, version);
CREATE UNIQUE INDEX event_by_id ON event(id);
CREATE TABLE checkpoint(consumer TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
"""
"""The tables as the first program wrote them, and called them schema 1."""


def write_first_layout(path: Path, count: int) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA page_size=8192; PRAGMA journal_mode=WAL").fetchall()
    with connection:
        connection.execute(FIRST_LAYOUT)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version=1")
        connection.execute("INSERT INTO stream VALUES(1,'run-a',?)", (count - 1,))
        connection.execute("INSERT INTO checkpoint VALUES('detector', 7)")
        connection.executemany(
            "INSERT INTO event VALUES(?,1,?,?,'Test',1,?,?,'tester',?,NULL,NULL)",
            [(n, n - 1, n.to_bytes(16), n, n, b'{"n":%d}' % n) for n in range(1, count + 1)],
        )
    connection.close()


@pytest.mark.parametrize("chained", [False, True])
async def test_a_store_of_the_first_layout_opens_and_works(tmp_path: Path, chained: bool) -> None:
    path = tmp_path / "events.db"
    write_first_layout(path, 50)
    with pytest.raises(StoreUnreadable, match=r"has schema 1, .*start the server on it once"):
        await read_file(path)
    keys = load_or_make_chain_keys(tmp_path / "chain.key") if chained else None
    async with SqliteStore(path, chain=keys) as store:
        assert [event.data for event in await everything(store)] == [b'{"n":%d}' % n for n in range(1, 51)]
        assert await store.load_checkpoint("detector") == 7
        assert (await store.append(*_as_append(51))).position == 51
        await store.truncate_stream("run-a", 10)
        assert (await store.read_stream("run-a", limit=1))[0].version == 10
        await store.tombstone("run-b")
        await set_retention(store, "telemetry", 0)
        await scavenge(store, covered_by=(), now=1 << 62)
    assert len(await read_file(path)) == 51
    assert thorough_check(path) == []
    if keys is not None:
        async with SqliteStore(path, read_only=True) as store:
            assert (await verify_chain(store, keys)).fault is None
    saved = apsw.Connection(str(tmp_path / "events.db.schema-1"))
    assert saved.pragma("user_version") == 1
    assert saved.execute("SELECT count(*) FROM event").get == 50
    saved.close()


async def test_an_encrypted_store_of_the_first_layout_leaves_an_encrypted_copy(tmp_path: Path) -> None:
    path, key = tmp_path / "events.db", new_store_key()
    write_first_layout(path, 20)
    rekey_store(path, None, key)
    async with SqliteStore(path, key=key) as store:
        assert len(await everything(store)) == 20
    assert b"run-a" not in (tmp_path / "events.db.schema-1").read_bytes()


async def test_a_store_of_the_second_layout_only_gets_its_number(tmp_path: Path) -> None:
    """Schema 1 was also the number of files that had everything."""
    path = tmp_path / "events.db"
    async with SqliteStore(path) as store:
        before = await fill(store, 30)
        await set_retention(store, "telemetry", 5)
        await store.maintain(lambda c: c.execute("PRAGMA user_version=1").fetchall())
        layout = await store.inspect(lambda c: c.execute("SELECT sql FROM sqlite_schema").fetchall())
    async with SqliteStore(path) as store:
        assert await everything(store) == before
        assert await retention(store) == {"telemetry": 5}
        now = await store.inspect(lambda c: c.execute("SELECT sql FROM sqlite_schema").fetchall())
        assert now == layout


async def test_an_older_store_on_a_full_disk_says_what_room_it_needs_and_stays(small_disk: Path) -> None:
    path = small_disk / "events.db"
    async with SqliteStore(path) as store:
        before = await fill(store, 5)
        await store.maintain(lambda c: c.execute("PRAGMA user_version=3").fetchall())
    content, size = path.read_bytes(), path.stat().st_size
    with pytest.raises(StoreFull, match=f"takes up to {size:,} bytes"):
        async with SqliteStore(path):
            pass
    assert path.read_bytes() == content
    assert not path.with_name("events.db.schema-3").exists()
    for suffix in ("", "-wal"):  # the log, where the disk had no room to take it in
        if (file := small_disk / f"events.db{suffix}").exists():
            (small_disk.parent / file.name).write_bytes(file.read_bytes())
    async with SqliteStore(small_disk.parent / "events.db") as store:
        assert await everything(store) == before


async def test_a_store_from_before_snapshots_came_in_parts_keeps_its_snapshots(tmp_path: Path) -> None:
    path, data = tmp_path / "events.db", bytes(PART_BYTES * 2)
    async with SqliteStore(path) as store:
        await fill(store, 5)
        row = ("x", 3, 1, sha256(b"3/1/" + data).digest(), data)
        await store.maintain(lambda c: c.execute("INSERT INTO snapshot VALUES(?,?,?,?,?)", row).fetchall())
        await store.maintain(lambda c: c.execute("DROP TABLE snapshot_part").fetchall())
        await store.maintain(lambda c: c.execute("PRAGMA user_version=2").fetchall())
    async with SqliteStore(path) as store:
        snapshots = SqliteSnapshots(store)
        assert await snapshots.load_snapshot("x", 1) == Snapshot(3, data)
        await snapshots.save_snapshot("x", 4, 1, data + b"4")
        assert await snapshots.load_snapshot("x", 1) == Snapshot(4, data + b"4")


async def test_a_backup_of_an_older_schema_is_restored_and_migrated(tmp_path: Path) -> None:
    path, placed = tmp_path / "old.db", tmp_path / "new" / "events.db"
    write_first_layout(path, 20)
    assert restore(path, placed).head == 20
    async with SqliteStore(placed) as store:
        assert len(await everything(store)) == 20


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version=1")
    connection.execute("CREATE TABLE event(position INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE setting(key TEXT PRIMARY KEY, value BLOB)")

    def fails(c: apsw.Connection) -> None:
        c.execute("INSERT INTO event VALUES(1)")
        c.execute("INSERT INTO nothing VALUES(1)")

    with pytest.raises(apsw.SQLError):
        migrate(connection, path, {1: fails}, 2)
    assert connection.pragma("user_version") == 1
    assert connection.execute("SELECT count(*) FROM event").get == 0
    with pytest.raises(StoreUnreadable, match="no way from 2"):
        migrate(connection, path, {1: fails}, 3)
    connection.close()


async def test_the_quick_look_is_quick_and_finds_a_hole_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with SqliteStore(path) as store:
        await fill(store, 3_000)
        assert quick_check(path) == []
        started = time.perf_counter()
        quick_check(path)
        assert time.perf_counter() - started < 1
        await store.maintain(lambda c: c.execute("DELETE FROM event WHERE position = 2990").fetchall())
        assert "1 are missing" in quick_check(path)[0]
        await store.maintain(lambda c: c.execute("DELETE FROM stream WHERE name = 'run-1'").fetchall())
        assert any("its stream is missing" in fault for fault in quick_check(path))
    assert quick_check(tmp_path / "none.db")[0].startswith("there is no store")


async def test_a_flipped_bit_is_found_or_was_in_no_ones_way(tmp_path: Path) -> None:
    """What passes the thorough check reads back whole: each position once, in order."""
    path = tmp_path / "events.db"
    async with SqliteStore(path) as store:
        await fill(store, 2_000)
    content, source, found = path.read_bytes(), random.Random(3), 0
    for _ in range(FLIPS):
        flipped = bytearray(content)
        flipped[source.randrange(len(flipped))] ^= 1 << source.randrange(8)
        path.write_bytes(flipped)
        if thorough_check(path):
            found += 1
            continue
        events = await read_file(path)
        assert [event.position for event in events] == list(range(1, 2_001))
    assert found


async def test_an_encrypted_store_gives_an_encrypted_backup(tmp_path: Path) -> None:
    path, target, key = tmp_path / "events.db", tmp_path / "backup.db", new_store_key()
    async with SqliteStore(path, key=key) as store:
        before = await fill(store, 500)
    with pytest.raises(StoreError, match="key"):
        backup(path, target)
    assert backup(path, target, key=key).head == 500
    assert b"telemetry" not in target.read_bytes()
    assert thorough_check(target, key=key) == quick_check(target, key=key) == []
    async with SqliteStore(target, read_only=True, key=key) as store:
        assert await everything(store) == before
