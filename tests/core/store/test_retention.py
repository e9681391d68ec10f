"""Old events go, in small steps, archived first; what is kept is untouched, and a killed scavenge goes on."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coldaisle.core.errors import StoreError
from coldaisle.core.events import NewEvent, Recorded, decode
from coldaisle.core.events.types import EventsRemoved
from coldaisle.core.store import EventFilter
from coldaisle.core.store import archive as archive_module
from coldaisle.core.store import retention as retention_module
from coldaisle.core.store.archive import segment_name
from coldaisle.core.store.archive_history import ArchivedHistory, segments_of
from coldaisle.core.store.backup_check import thorough_check
from coldaisle.core.store.chain import event_digest
from coldaisle.core.store.chain_keys import load_or_make_chain_keys
from coldaisle.core.store.chain_verify import verify_chain
from coldaisle.core.store.cipher import new_store_key
from coldaisle.core.store.retention import retention, scavenge, set_retention
from coldaisle.core.store.retention_deleted import scavenge_deleted
from coldaisle.core.store.retention_facts import tell_removed
from coldaisle.core.store.snapshots import SqliteSnapshots
from coldaisle.core.store.sqlite import SqliteStore

KILLS = 60 if os.environ.get("COLDAISLE_SOAK") else 8
FAR = 1 << 62
"""A clock far in the future: everything is old."""

SCAVENGER = """
import asyncio, pathlib, sys
from coldaisle.core.store import archive, retention
from coldaisle.core.store.sqlite import SqliteStore
archive.MAX_SEGMENT_EVENTS = retention.MAX_SEGMENT_EVENTS = 300
retention.REMOVED_EVENTS = 40

async def main(path, folder):
    async with SqliteStore(pathlib.Path(path)) as store:
        print("ready", flush=True)
        await retention.scavenge(
            store, covered_by=(), archive_folder=pathlib.Path(folder), now=1 << 62,
            progress=lambda *_: print("step", flush=True),
        )
        print("done", flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


def new(number: int) -> tuple[str, NewEvent]:
    category = ("telemetry", "telemetry", "telemetry", "logs", "run")[number % 5]
    data = b'{"n":%d,"text":"\xc3\xa4"}' % number if number % 7 else b"\xff\x00 no text"
    correlation = number.to_bytes(16) if number % 3 else None
    event = NewEvent(number.to_bytes(16), "Test", 1, number, "tester", data, correlation)
    return f"{category}-{number % 13}", event


async def fill(store: SqliteStore, count: int) -> list[Recorded]:
    for number in range(1, count + 1):
        stream, event = new(number)
        await store.append(stream, [event])
    return await everything(store)


async def everything(history: SqliteStore | ArchivedHistory, limit: int = 97) -> list[Recorded]:
    events: list[Recorded] = []
    after, caught_up = 0, False
    while not caught_up:
        page = await history.read_all(after=after, limit=limit)
        events += page.events
        after, caught_up = page.position, page.caught_up
    replayed: list[Recorded] = []
    at, end = 0, await history.head()
    while at < end:
        at = await history.replay(replayed.extend, after=at, end=end)
    assert (at, replayed) == (after, events)
    return events


async def test_only_old_events_of_the_category_go_and_leave_their_digest(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        before = await fill(store, 300)
        cut = before[199].recorded
        await set_retention(store, "telemetry", 10)
        (done,) = await scavenge(store, covered_by=(), now=cut + 10 * 1_000_000_000)
        gone = [e for e in before if e.stream.startswith("telemetry-") and e.recorded <= cut]
        assert (done.category, done.removed, done.archived, done.held_back) == ("telemetry", len(gone), 0, "")
        assert await everything(store) == [e for e in before if e not in gone]
        removed = await store.inspect(
            lambda c: c.execute("SELECT * FROM removed ORDER BY position").fetchall()
        )
        assert removed == [(e.position, event_digest(e)) for e in gone]
    assert thorough_check(tmp_path / "events.db") == []


async def test_a_second_scavenge_finds_nothing_to_do(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        await fill(store, 99)
        await set_retention(store, "telemetry", 0)
        await set_retention(store, "logs", 0)
        first = await scavenge(store, covered_by=(), now=FAR)
        again = await scavenge(store, covered_by=(), now=FAR)
        assert [done.removed for done in first] == [20, 59]
        assert [done.removed for done in again] == [0, 0]


async def test_the_newest_event_and_its_position_stay(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        for number in range(1, 6):
            await store.append("telemetry-a", [NewEvent(number.to_bytes(16), "T", 1, 1, "t", b"{}")])
        await set_retention(store, "telemetry", 0)
        (done,) = await scavenge(store, covered_by=(), now=FAR)
        assert done.removed == 4
        assert "the newest event" in done.held_back
    async with SqliteStore(tmp_path / "events.db") as store:
        appended = await store.append("telemetry-a", [NewEvent(b"x" * 16, "T", 1, 1, "t", b"{}")])
        assert (appended.position, appended.version) == (6, 5)


async def test_what_no_snapshot_covers_stays(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        await fill(store, 100)
        await set_retention(store, "telemetry", 0)
        (done,) = await scavenge(store, covered_by=("twin", "reactor/detector"), now=FAR)
        assert (done.removed, done.position) == (0, 0)
        assert "snapshot 'twin' is at 0" in done.held_back
        await SqliteSnapshots(store).save_snapshot("twin", 90, 1, b"")
        await SqliteSnapshots(store).save_snapshot("reactor/detector", 50, 1, b"")
        (done,) = await scavenge(store, covered_by=("twin", "reactor/detector"), now=FAR)
        assert (done.removed, done.position) == (30, 50)


async def test_facts_and_actions_are_kept_unless_told_otherwise(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        before = await fill(store, 50)
        with pytest.raises(StoreError, match="kept for ever"):
            await set_retention(store, "run", 60)
        with pytest.raises(StoreError, match="no category"):
            await set_retention(store, "telemetry-rack-1", 60)
        assert await scavenge(store, covered_by=(), now=FAR) == []
        assert await everything(store) == before
        await set_retention(store, "run", 60, even_facts=True)
        assert await retention(store) == {"run": 60}
        assert (await scavenge(store, covered_by=(), now=FAR))[0].removed == 10
        await set_retention(store, "run", None)
        assert await retention(store) == {}


async def test_appends_go_on_while_a_scavenge_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_module, "REMOVED_EVENTS", 5)
    async with SqliteStore(tmp_path / "events.db") as store:
        await fill(store, 200)
        await set_retention(store, "telemetry", 0)
        steps = 0

        def count(*_: object) -> None:
            nonlocal steps
            steps += 1

        await scavenge(store, covered_by=(), now=FAR, progress=count)
        assert steps >= 24
        assert (await store.append("run-a", [new(9_999)[1]])).position == 201


async def test_archived_events_read_back_byte_for_byte_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two categories, two passes: segments overlap, events lie in both store and archive."""
    monkeypatch.setattr(retention_module, "MAX_SEGMENT_EVENTS", 100)
    monkeypatch.setattr(archive_module, "BLOCK_EVENTS", 16)
    async with SqliteStore(tmp_path / "events.db") as store:
        before = await fill(store, 700)
        await set_retention(store, "telemetry", 0)
        await set_retention(store, "logs", 0)
        folder = tmp_path / "archive"
        await scavenge(store, covered_by=(), archive_folder=folder, now=before[350].recorded)
        done = await scavenge(store, covered_by=(), archive_folder=folder, now=FAR)
        assert sum(one.archived for one in done) > 200
        assert len(await everything(store)) < 200
        history = ArchivedHistory(store)
        for limit in (1, 7, 97, 5_000):
            assert await everything(history, limit) == before
        for after in random.Random(3).sample(range(700), 20):
            assert (await history.read_all(after=after, limit=5)).events == before[after : after + 5]
        only = EventFilter(stream_prefixes=("run-", "telemetry-1"))
        page = await history.read_all(only=only, limit=5_000)
        assert page.events == [event for event in before if only.admits(event)]
    assert thorough_check(tmp_path / "events.db") == []


async def test_a_missing_or_altered_segment_is_named(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        await fill(store, 100)
        await set_retention(store, "telemetry", 0)
        await scavenge(store, covered_by=(), archive_folder=tmp_path / "archive", now=FAR)
        file = tmp_path / "archive" / segment_name("telemetry", 1)
        whole = bytearray(file.read_bytes())
        whole[len(whole) // 2] ^= 1
        file.write_bytes(whole)
        with pytest.raises(StoreError, match="not the file that was archived"):
            await ArchivedHistory(store).read_all()
        file.unlink()
        with pytest.raises(StoreError, match=r"archived in .*cannot be read"):
            await ArchivedHistory(store).read_all()
        assert "cannot be read" in thorough_check(store.path)[0]


async def test_a_segment_that_cannot_be_written_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file where the folder should be")
    async with SqliteStore(tmp_path / "events.db") as store:
        before = await fill(store, 100)
        await set_retention(store, "telemetry", 0)
        with pytest.raises(StoreError, match="nothing was removed"):
            await scavenge(store, covered_by=(), archive_folder=tmp_path / "archive", now=FAR)
        assert await everything(store) == before


async def test_a_segment_without_room_leaves_nothing_and_the_archive_before_it_in_use(
    tmp_path: Path, small_disk: Path, fill_disk: Callable[[Path], Path]
) -> None:
    """The store goes on looking where its segments are, not where one could not be written."""
    async with SqliteStore(tmp_path / "events.db") as store:
        await fill(store, 100)
        await set_retention(store, "telemetry", 0)
        await scavenge(store, covered_by=(), archive_folder=tmp_path / "archive", now=FAR)
        await store.append("telemetry-a", [new(n)[1] for n in range(101, 120)])
        before = await everything(ArchivedHistory(store))
        fill_disk(small_disk)
        with pytest.raises(StoreError, match="No space left"):
            await scavenge(store, covered_by=(), archive_folder=small_disk / "other", now=FAR)
        assert list((small_disk / "other").iterdir()) == []
        assert await everything(ArchivedHistory(store)) == before


async def test_what_deletion_hid_goes_and_leaves_its_digest(tmp_path: Path) -> None:
    keys = load_or_make_chain_keys(tmp_path / "chain.key")
    async with SqliteStore(tmp_path / "events.db", chain=keys) as store:
        before = await fill(store, 700)
        await store.delete_stream("run-9")
        await store.tombstone("telemetry-1")
        await store.truncate_stream("logs-3", 4)
        hidden = [
            event
            for event in before
            if event.stream in ("run-9", "telemetry-1") or (event.stream == "logs-3" and event.version < 4)
        ]
        done = await scavenge_deleted(store, covered_by=())
        assert (done.removed, len(hidden) > 30) == (len(hidden), True)
        assert await everything(store) == [event for event in before if event not in hidden]
        assert (await scavenge_deleted(store, covered_by=())).removed == 0
        assert (await store.append("run-9", [new(9_999)[1]])).version == hidden_versions(hidden, "run-9")
        assert [event.version for event in await store.read_stream("logs-3", limit=1)] == [4]
        assert (await verify_chain(store, keys)).fault is None
    assert thorough_check(tmp_path / "events.db") == []


def hidden_versions(hidden: list[Recorded], stream: str) -> int:
    return sum(event.stream == stream for event in hidden)


async def test_hidden_events_stay_until_a_snapshot_covers_them(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        await fill(store, 100)
        await store.delete_stream("run-9")
        done = await scavenge_deleted(store, covered_by=("twin",))
        assert (done.removed, "snapshot 'twin'" in done.held_back) == (0, True)


async def test_what_was_removed_is_told_once_also_after_a_crash(tmp_path: Path) -> None:
    """The file counts in the transaction that removes; whoever tells next tells all of it."""
    async with SqliteStore(tmp_path / "events.db") as store:
        await fill(store, 100)
        await set_retention(store, "telemetry", 0)
        (done,) = await scavenge(store, covered_by=(), archive_folder=tmp_path / "archive", now=FAR)
    async with SqliteStore(tmp_path / "events.db") as store:
        (again,) = await scavenge(store, covered_by=(), archive_folder=tmp_path / "archive", now=FAR)
        assert again.removed == 0
        for _ in range(2):
            await tell_removed(store, again, "tester")
        (event,) = await store.read_stream("retention-telemetry")
        fact = decode(event)
        assert fact is not None
        assert fact.body == EventsRemoved("telemetry", 99, done.removed, done.archived)


async def test_an_encrypted_store_is_archived_in_plain_text_only_when_told(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db", key=new_store_key()) as store:
        before = await fill(store, 60)
        await set_retention(store, "telemetry", 0)
        with pytest.raises(StoreError, match="archived events would not be"):
            await scavenge(store, covered_by=(), archive_folder=tmp_path / "archive", now=FAR)
        assert not (tmp_path / "archive").exists()
        assert await everything(store) == before
        await scavenge(store, covered_by=(), archive_folder=tmp_path / "archive", now=FAR, plain_archive=True)
        assert await everything(ArchivedHistory(store)) == before


def killed_scavenge(path: Path, folder: Path, steps: int) -> bool:
    """Run a scavenge, and kill -9 it after so many lines; whether it came to its end."""
    child = subprocess.Popen(
        [sys.executable, "-c", SCAVENGER, str(path), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    last = ""
    for _ in range(steps):
        last = child.stdout.readline().strip() or last
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    return "done" in (last, rest.strip().rpartition("\n")[2])


async def test_a_scavenge_killed_anywhere_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    path, folder = tmp_path / "events.db", tmp_path / "archive"
    async with SqliteStore(path) as store:
        before = await fill(store, 1_500)
        await set_retention(store, "telemetry", 0)
        await set_retention(store, "logs", 0)
    source = random.Random(5)
    for _ in range(KILLS):
        done = killed_scavenge(path, folder, source.randrange(1, 12))
        async with SqliteStore(path) as store:
            assert await everything(ArchivedHistory(store, folder)) == before
            there = {event.position for event in await everything(store)}
            digests = dict(
                await store.inspect(lambda c: c.execute("SELECT position, digest FROM removed").fetchall())
            )
            assert {e.position: event_digest(e) for e in before if e.position not in there} == digests
        if done:
            break
    async with SqliteStore(path) as store:
        await scavenge(store, covered_by=(), archive_folder=folder, now=FAR)
        assert await everything(ArchivedHistory(store)) == before
        kept = await everything(store)
        assert kept == [e for e in before if e.stream.startswith("run-") or e is before[-1]]
        segments = await store.inspect(segments_of)
        assert sum(segment.events for segment in segments) == len(before) - len(kept)
    assert thorough_check(path) == []
