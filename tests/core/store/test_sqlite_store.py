"""What only the SQLite adapter can do wrong: crashes, full disks, foreign files, two processes."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from coldaisle.core.errors import (
    DuplicateEvent,
    EventError,
    SchemaTooNew,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreUnreadable,
)
from coldaisle.core.events import NewEvent
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store import Append, Appended
from coldaisle.core.store.chain_keys import add_chain_key, load_chain_keys, new_chain_keys
from coldaisle.core.store.chain_verify import Verified, verify_chain
from coldaisle.core.store.port import EventFilter
from coldaisle.core.store.retention_deleted import scavenge_deleted
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_reading import MAX_STEP_EVENTS

CRASHES = 50 if os.environ.get("COLDAISLE_SOAK") else 8

# Appends batches for ever and writes a line for each acknowledged one.
APPENDER = """
import asyncio, os, pathlib, random, sys
from coldaisle.core.events import NewEvent
from coldaisle.core.store import Append
from coldaisle.core.store.chain_keys import load_chain_keys
from coldaisle.core.store.sqlite import SqliteStore

async def one(store, worker, random):
    while True:
        size = random.choice((1, 3, 50))
        batch = os.urandom(8)
        body = b'{"size":%d}' % size
        events = [NewEvent(batch + n.to_bytes(8), "Test", 1, n, "t", body) for n in range(size)]
        half = (size + 1) // 2
        appends = [Append(f"asset-{worker}", events[:half])]
        if events[half:]:
            appends.append(Append(f"run-{worker}", events[half:]))
        await store.append_many(appends)
        os.write(1, batch.hex().encode() + b" %d\\n" % size)

async def main(path):
    keys = load_chain_keys(pathlib.Path(path).with_name("chain.key"))
    async with SqliteStore(pathlib.Path(path), chain=keys) as store, asyncio.TaskGroup() as group:
        os.write(1, b"ready\\n")
        for worker in range(8):
            group.create_task(one(store, worker, random.Random(worker)))

asyncio.run(main(sys.argv[1]))
"""


def event(number: int) -> NewEvent:
    return NewEvent(number.to_bytes(16), "Test", 1, number, "tester", b"{}")


async def all_events(path: Path) -> list[tuple[int, str, int, bytes, bytes]]:
    async with SqliteStore(path, read_only=True) as store:
        found, after = [], 0
        while not (page := await store.read_all(after=after)).caught_up or page.events:
            found += [(e.position, e.stream, e.version, e.id, e.data) for e in page.events]
            after = page.position
        return found


async def chain_of(path: Path) -> Verified:
    async with SqliteStore(path, read_only=True) as store:
        return await verify_chain(store, load_chain_keys(path.with_name("chain.key")))


def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_no_half_batch(tmp_path: Path) -> None:
    """kill -9 at random moments of mixed appends, again and again on the same file."""
    path, acknowledged = tmp_path / "events.db", {}
    add_chain_key(tmp_path / "chain.key")
    for seed in range(CRASHES):
        writer = subprocess.Popen([sys.executable, "-c", APPENDER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        for _ in range(random.Random(seed).randrange(1, 60)):
            batch, size = writer.stdout.readline().split()
            acknowledged[batch.decode()] = int(size)
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
        for line in rest.splitlines(keepends=True):
            if line.endswith(b"\n"):
                batch, size = line.split()
                acknowledged[batch.decode()] = int(size)
    stored: dict[str, int] = {}
    events = asyncio.run(all_events(path))
    sizes = {}
    for _, _, _, event_id, data in events:
        batch = event_id[:8].hex()
        stored[batch] = stored.get(batch, 0) + 1
        sizes[batch] = int(data[8:-1])
    assert acknowledged
    assert all(stored.get(batch) == size for batch, size in acknowledged.items())
    assert stored == sizes
    assert [position for position, *_ in events] == list(range(1, len(events) + 1))
    versions: dict[str, int] = {}
    for _, stream, version, _, _ in events:
        assert version == versions.get(stream, -1) + 1
        versions[stream] = version
    assert apsw.Connection(str(path)).pragma("integrity_check") == "ok"
    found = asyncio.run(chain_of(path))
    assert (found.fault, found.position, found.events) == (None, len(events), len(events))


async def test_history_survives_a_restart(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        await store.append("run-a", [event(1), event(2)])
        await store.save_checkpoint("detector", 2)
    async with SqliteStore(tmp_path / "events.db") as store:
        assert await store.load_checkpoint("detector") == 2
        done = await store.append("run-a", [event(3)], 1)
        assert (done.version, done.position) == (2, 3)


@pytest.mark.parametrize("count", [MAX_STEP_EVENTS - 1, MAX_STEP_EVENTS, 2 * MAX_STEP_EVENTS + 1])
async def test_a_long_replay_goes_in_bounded_steps(tmp_path: Path, count: int) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        await store.append("a", [event(n) for n in range(1, count + 1)])
        steps: list[list[int]] = []
        threads: set[int] = set()

        def step(events: Iterator[Recorded]) -> None:
            threads.add(threading.get_ident())
            steps.append([one.position for one in events])

        after = 0
        while after < count:
            after = await store.replay(step, after=after, end=count)
    assert threading.get_ident() not in threads  # the event loop's
    assert [position for step in steps for position in step] == list(range(1, count + 1))
    assert max(map(len, steps)) <= MAX_STEP_EVENTS


async def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with SqliteStore(path) as store:
        await store.append("run-a", [event(1)])
        with pytest.raises(StoreLocked, match="another process writes"):
            await SqliteStore(path).__aenter__()
        async with SqliteStore(path, read_only=True) as reader:
            pages = reader.subscribe_all()
            assert [e.position for e in (await anext(pages)).events] == [1]
            await store.append("run-a", [event(2)])
            assert [e.position for e in (await anext(pages)).events] == [2]
            await pages.aclose()  # type: ignore[attr-defined]  # an async generator
            with pytest.raises(StoreError, match="read-only"):
                await reader.append("run-a", [event(3)])


WRITER = """
import asyncio, sys
from pathlib import Path
from coldaisle.core.events import NewEvent
from coldaisle.core.store.sqlite import SqliteStore

async def write():
    async with SqliteStore(Path(sys.argv[1])) as store:
        for n in range(1, 301):
            await store.append("run-a", [NewEvent(n.to_bytes(16), "T", 1, n, "t", b"{}")])

asyncio.run(write())
"""


async def test_a_reader_follows_what_another_process_writes(tmp_path: Path) -> None:
    path, seen = tmp_path / "events.db", []
    async with SqliteStore(path):
        pass
    async with SqliteStore(path, read_only=True) as reader:
        pages = reader.subscribe_all()
        assert (await anext(pages)).events == []
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(path))
        while len(seen) < 300:
            seen += [event.position for event in (await anext(pages)).events]
        await pages.aclose()  # type: ignore[attr-defined]  # an async generator
    assert await writer.wait() == 0
    assert seen == list(range(1, 301))


async def test_a_reader_that_waits_for_another_process_reads_no_event(tmp_path: Path) -> None:
    asked: list[str] = []
    looked = asyncio.Event()

    def note(_cursor: object, statement: str, _values: object) -> bool:
        asked.append(statement)
        if len(asked) == 3:
            looked.set()
        return True

    async with SqliteStore(tmp_path / "events.db") as store:
        await store.append("run-a", [event(1)])
        async with SqliteStore(store.path, read_only=True) as reader:
            pages = reader.subscribe_all()
            await anext(pages)
            await reader.inspect(lambda connection: setattr(connection, "exec_trace", note))
            waiting = asyncio.ensure_future(anext(pages))
            await looked.wait()
            assert set(asked[1:]) == {"PRAGMA data_version"}
            await store.append("run-a", [event(2)])
            assert [e.position for e in (await waiting).events] == [2]
            await pages.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_a_full_store_refuses_cleanly_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path, stored = tmp_path / "events.db", 0
    filler = b"x" * 50_000
    async with SqliteStore(path, max_bytes=800_000) as store:
        with pytest.raises(StoreFull, match="free disk space"):
            for number in range(1, 100):
                await store.append("run-a", [NewEvent(number.to_bytes(16), "T", 1, 1, "t", filler)])
                stored = number
        assert stored > 2
        assert await store.head() == stored
        assert len((await store.read_all()).events) == stored
    async with SqliteStore(path) as store:
        done = await store.append("run-a", [NewEvent((stored + 1).to_bytes(16), "T", 1, 1, "t", filler)])
        assert (done.version, done.position) == (stored, stored + 1)


async def test_a_full_disk_refuses_cleanly_and_goes_on_when_there_is_room(
    small_disk: Path, fill_disk: Callable[[Path], Path]
) -> None:
    async with SqliteStore(small_disk / "events.db") as store:
        await store.append("run-a", [event(1)])
        ballast = fill_disk(small_disk)
        with pytest.raises(StoreFull, match="free disk space"):
            await store.append("run-a", [NewEvent(b"b" * 16, "T", 1, 1, "t", b"x" * 100_000)])
        assert await store.head() == 1
        ballast.unlink()
        assert (await store.append("run-a", [event(2)])).position == 2


async def test_a_repetition_inside_a_group_fails_alone(tmp_path: Path) -> None:
    """A part of an earlier append, its first id new, is caught by the id index, and only it is refused."""
    async with SqliteStore(tmp_path / "events.db") as store:
        await store.append("run-a", [event(1)])
        async with asyncio.TaskGroup() as group:
            good = [group.create_task(store.append("run-b", [event(n)])) for n in range(10, 20)]
            bad = group.create_task(_refused(store))
            more = [group.create_task(store.append("run-b", [event(n)])) for n in range(20, 30)]
        assert bad.result()
        assert len({task.result().position for task in (*good, *more)}) == 20
        assert await store.head() == 21


async def _refused(store: SqliteStore) -> bool:
    try:
        await store.append_many([Append("run-a", [event(2), event(1)])])
    except DuplicateEvent:
        return True
    return False


async def test_questions_are_answered_two_at_a_time_and_leave_no_thread(tmp_path: Path) -> None:
    def readers() -> int:
        return sum(thread.name == "store-reader" for thread in threading.enumerate())

    async with SqliteStore(tmp_path / "events.db") as store:
        assert readers() == 1  # one is enough while nobody else asks
        both = threading.Barrier(2)
        await asyncio.gather(*(store.inspect(lambda _: both.wait(10)) for _ in range(2)))
        assert readers() == 2
        await asyncio.gather(*(store.head() for _ in range(50)))
        assert readers() == 2
        started, let_go = threading.Event(), threading.Event()
        given_up = asyncio.ensure_future(store.inspect(lambda _: started.set() or let_go.wait(10)))
        assert await asyncio.to_thread(started.wait, 10)
        given_up.cancel()
        let_go.set()
        with pytest.raises(ZeroDivisionError):
            await store.inspect(lambda _: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await store.inspect(lambda _: next(iter(())))
        assert await store.head() == 0
        last = asyncio.ensure_future(store.inspect(lambda _: "answered"))
        await asyncio.sleep(0)  # it is asked, and not yet answered, when the store closes
    assert await last == "answered"
    with pytest.raises(StoreError, match="is closed"):
        await store.head()
    with pytest.raises(StoreUnreadable, match="there is no store"):
        await SqliteStore(tmp_path / "other.db", read_only=True).__aenter__()
    assert readers() == 0


async def test_a_store_that_only_reads_does_so_where_it_is_asked(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        await store.append("run-a", [event(1)])
    async with SqliteStore(tmp_path / "events.db", read_only=True) as store:
        assert await store.inspect(lambda _: threading.current_thread()) is threading.current_thread()
        with pytest.raises(ZeroDivisionError):
            await store.inspect(lambda _: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await store.inspect(lambda _: next(iter(())))
        read = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                while True:  # nothing else in here lets the deadline have its turn
                    read += len((await store.read_all()).events)
        assert read > 0
    with pytest.raises(StoreError, match="is closed"):
        await store.head()


async def test_more_streams_than_are_remembered_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldaisle.core.store.sqlite_writer.MAX_KNOWN_STREAMS", 20)
    monkeypatch.setattr("coldaisle.core.store.sqlite_reading.MAX_KNOWN_NAMES", 40)
    expected: list[tuple[str, int]] = []
    async with SqliteStore(tmp_path / "events.db") as store:
        for version in range(3):
            for start in range(0, 300, 10):
                streams = [f"alert-{number}" for number in range(start, start + 10)]
                events = [event(len(expected) + each) for each in range(10)]
                await store.append_many(
                    [Append(one, [each], version - 1) for one, each in zip(streams, events, strict=True)]
                )
                expected += [(stream, version) for stream in streams]
        pages = await asyncio.gather(*(store.read_all(after=after) for after in range(0, 300, 7)))
    for first, page in zip(range(0, 300, 7), pages, strict=True):
        assert [(each.stream, each.version) for each in page.events] == expected[first:]


async def test_no_page_and_no_pass_goes_along_a_whole_history(tmp_path: Path) -> None:
    path, count, vm_steps = tmp_path / "events.db", 5_000, 0

    def counted(connection: apsw.Connection) -> None:
        def step() -> bool:
            nonlocal vm_steps
            vm_steps += 100
            return False

        connection.set_progress_handler(step, 100)

    async with SqliteStore(path) as store:
        await store.append("telemetry-a", [event(number) for number in range(count)])
        await store.maintain(counted)
        await scavenge_deleted(store, covered_by=())
    telemetry = EventFilter(stream_prefixes=("telemetry-",))
    async with SqliteStore(path, read_only=True) as store:
        await store.inspect(counted)
        newest = await store.read_all(after=count - 10, only=telemetry)
        oldest = await store.read_all(after=11, only=telemetry, backwards=True)
    assert (len(newest.events), len(oldest.events)) == (10, 10)
    assert vm_steps < count


@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize(
    "wrong",
    [{"time": 1 << 70}, {"actor": "\ud800"}, {"type": None}, {"id": object()}, {"schema": -(1 << 80)}],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_values_that_cannot_be_stored_are_refused_alone(
    wrong: dict[str, Any], chained: bool, tmp_path: Path
) -> None:
    """One caller's mistake must neither fail its neighbours nor end the writer."""
    chain = new_chain_keys() if chained else None
    async with SqliteStore(tmp_path / "events.db", chain=chain) as store:
        bad = replace(event(2), **wrong)
        appends = [store.append(f"asset-{n}", [each]) for n, each in enumerate((event(1), bad, event(3)))]
        first, refused, last = await _answers_to_one_group(store, *appends)
        assert isinstance(refused, EventError)
        assert "nothing was written" in str(refused)
        assert (first, last) == (Appended(0, 1), Appended(0, 2))
        assert (await store.append("asset-1", [event(2)])).position == 3
        if chain is not None:
            assert (await verify_chain(store, chain)).fault is None


@pytest.mark.parametrize(("consumer", "position"), [("me", 1 << 70), ("\ud800", 1)], ids=("position", "name"))
async def test_a_value_that_only_the_file_refuses_ends_neither_the_writer_nor_its_group(
    consumer: str, position: int, tmp_path: Path
) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        first, refused, last = await _answers_to_one_group(
            store,
            store.append("asset-1", [event(1)]),
            store.save_checkpoint(consumer, position),
            store.append("asset-2", [event(2)]),
        )
        assert isinstance(refused, EventError)
        assert "nothing of this was written" in str(refused)
        assert (first, last) == (Appended(0, 1), Appended(0, 2))
        assert (await store.append("asset-1", [event(3)])).position == 3


async def _answers_to_one_group(store: SqliteStore, *requests: Awaitable[object]) -> list[object]:
    """The writer is kept busy until all of them are submitted."""
    queued = threading.Event()
    busy = store.maintain(lambda _: queued.wait(10))
    asyncio.get_running_loop().call_later(0, queued.set)
    gathered = asyncio.gather(busy, *requests, return_exceptions=True)
    return list(await asyncio.wait_for(gathered, 10))[1:]


async def test_a_store_of_a_newer_schema_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with SqliteStore(path) as store:
        await store.append("run-a", [event(1)])
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version=99")
    connection.close()
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(SchemaTooNew, match="schema 99"):
            await SqliteStore(path, read_only=read_only).__aenter__()
    assert path.read_bytes() == before


async def test_foreign_files_are_named_as_such(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(StoreUnreadable, match="not an SQLite file"):
        await SqliteStore(text).__aenter__()
    other = tmp_path / "other.db"
    apsw.Connection(str(other)).execute("CREATE TABLE t(x)")
    with pytest.raises(StoreUnreadable, match="not a Coldaisle store"):
        await SqliteStore(other).__aenter__()
    with pytest.raises(StoreUnreadable, match="there is no store"):
        await SqliteStore(tmp_path / "none.db", read_only=True).__aenter__()
    with pytest.raises(StoreError, match="cannot be made"):
        await SqliteStore(tmp_path / "no" / "folder.db").__aenter__()


async def test_a_damaged_page_is_reported_not_returned(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with SqliteStore(path) as store:
        for number in range(1, 400):
            await store.append("run-a", [NewEvent(number.to_bytes(16), "T", 1, 1, "t", b"x" * 500)])
    data = bytearray(path.read_bytes())
    for start in range(2 * 8_192, len(data), 8_192):
        data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(StoreUnreadable, match="damaged"):
        async with SqliteStore(path, read_only=True) as store:
            await store.read_all()
    with pytest.raises(StoreUnreadable, match="damaged"):
        async with SqliteStore(path, read_only=True) as store:
            await store.replay([].extend, end=399)


async def test_an_append_waits_while_the_queue_holds_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldaisle.core.store.sqlite.MAX_QUEUED_BYTES", 100_000)
    async with SqliteStore(tmp_path / "events.db") as store, asyncio.TaskGroup() as group:
        for number in range(1, 60):
            new = NewEvent(number.to_bytes(16), "T", 1, 1, "t", b"x" * 40_000)
            group.create_task(store.append(f"run-{number}", [new]))
    async with SqliteStore(tmp_path / "events.db") as store:
        assert await store.head() == 59
