"""What is intact in a damaged file comes out as it was, at its position; what is lost is named."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from coldaisle.core.errors import StoreError, StoreFull
from coldaisle.core.events import NewEvent, Recorded, encode, stream_of
from coldaisle.core.events.types import SamplesRecorded
from coldaisle.core.store.backup import backup
from coldaisle.core.store.backup_check import thorough_check
from coldaisle.core.store.chain_keys import ChainKeys
from coldaisle.core.store.cipher import StoreKey, new_store_key
from coldaisle.core.store.port import Append
from coldaisle.core.store.retention import scavenge, set_retention
from coldaisle.core.store.salvage import Salvaged, salvage
from coldaisle.core.store.salvage_pages import rows_of
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_schema import PAGE_BYTES

ROUNDS = 200 if os.environ.get("COLDAISLE_SOAK") else 12
EVENTS = 2_000
PAGE = PAGE_BYTES

SALVAGE = """
import pathlib, sys
from coldaisle.core.store.salvage import salvage

salvage(*map(pathlib.Path, sys.argv[1:]))
"""

HELD = """
import pathlib, sys
from coldaisle.core.store.salvage import salvage

salvage(*map(pathlib.Path, sys.argv[1:]), lambda _: print("found", flush=True) or sys.stdin.read())
"""


def new(number: int) -> tuple[str, NewEvent]:
    """Telemetry of a known type, now and then a large event, now and then one of a type from elsewhere."""
    if number % 50 == 0:
        data = b"\x00\xff" * (20_000 if number % 100 == 0 else 10)
        return "foreign", NewEvent(number.to_bytes(16), "Foreign", 3, -number, "someone", data)
    body = SamplesRecorded(f"rack-{number % 9}", ("a_celsius", "b_watts"), (number / 7, None))
    event = encode(
        body, id=number.to_bytes(16), time=number, actor="agent/a", correlation_id=(number * 2).to_bytes(16)
    )
    return stream_of(body), event


async def fill(path: Path, key: StoreKey | None = None, chain: ChainKeys | None = None) -> list[Recorded]:
    async with SqliteStore(path, key=key, chain=chain) as store:
        for start in range(1, EVENTS + 1, 50):
            events = [new(number) for number in range(start, start + 50)]
            await store.append_many([Append(stream, [event]) for stream, event in events])
        await store.save_checkpoint("detector", 77)
        return await everything(store)


async def everything(store: SqliteStore) -> list[Recorded]:
    events: list[Recorded] = []
    after, caught_up = 0, False
    while not caught_up:
        page = await store.read_all(after=after)
        events += page.events
        after, caught_up = page.position, page.caught_up
    return events


async def read_file(path: Path, key: StoreKey | None = None) -> list[Recorded]:
    async with SqliteStore(path, read_only=True, key=key) as store:
        return await everything(store)


async def checked(
    before: list[Recorded],
    damaged: Path,
    target: Path,
    key: StoreKey | None = None,
    chain: ChainKeys | None = None,
) -> Salvaged:
    """Hold the outcome against what was: no event altered, every loss named, the source untouched.

    Where no chain covers an event, only the payload of a known type can be told from another.
    """
    content = damaged.read_bytes()
    done = salvage(damaged, target, key=key)
    assert damaged.read_bytes() == content
    after = await read_file(target, key)
    known = {event.position: event for event in before}
    covered = await chained_positions(target, key)
    assert [e for e in after if e.position in covered and known.get(e.position) != e] == []
    assert [e for e in after if e.type != "Foreign" and known[e.position].data != e.data] == []
    lost = {position for first, last in done.lost for position in range(first, last + 1)}
    assert {event.position for event in after} | lost == set(range(1, done.head + 1))
    assert done.events == len(after)
    async with SqliteStore(target, key=key, chain=chain) as store:
        appended = await store.append("run-new", [NewEvent(b"n" * 16, "T", 1, 1, "t", b"{}")])
        assert appended.position > done.head
    return done


async def test_from_an_intact_file_everything_comes(tmp_path: Path) -> None:
    before = await fill(tmp_path / "events.db")
    done = await checked(before, tmp_path / "events.db", tmp_path / "new.db")
    assert (done.events, done.lost, done.unreadable_tables) == (EVENTS, (), ())
    assert thorough_check(tmp_path / "new.db") == []
    async with SqliteStore(tmp_path / "new.db") as store:
        assert await store.load_checkpoint("detector") == 77
        version = (await store.read_stream("telemetry-rack-1", backwards=True, limit=1))[0].version
        appended = await store.append("telemetry-rack-1", [new(3_322)[1]], version)
        assert appended.version == version + 1


async def test_torn_pages_cost_what_lay_in_them(tmp_path: Path) -> None:
    keys = ChainKeys({"k": b"k" * 32})
    before = await fill(tmp_path / "events.db", chain=keys)
    content, source = (tmp_path / "events.db").read_bytes(), random.Random(1)
    for number in range(ROUNDS):
        damaged = bytearray(content)
        for _ in range(3):
            at = source.randrange(len(damaged) // 512) * 512
            damaged[at : at + 4_096] = source.choice((bytes(4_096), source.randbytes(4_096)))
        path = tmp_path / f"damaged-{number}.db"
        path.write_bytes(damaged[: len(content)])
        done = await checked(before, path, tmp_path / f"new-{number}.db", chain=keys)
        assert done.events > EVENTS * 0.8


@pytest.mark.parametrize("share", [0.4, 0.9])
async def test_a_cut_off_file_gives_what_is_left(tmp_path: Path, share: float) -> None:
    before = await fill(tmp_path / "events.db")
    content = (tmp_path / "events.db").read_bytes()
    (tmp_path / "cut.db").write_bytes(content[: int(len(content) * share)])
    done = await checked(before, tmp_path / "cut.db", tmp_path / "new.db")
    assert 0 < done.events < EVENTS


async def test_without_header_schema_and_names_the_events_still_come(tmp_path: Path) -> None:
    """The first pages hold the header, the schema and the streams' names: zeros in their place."""
    before = await fill(tmp_path / "events.db")
    path = tmp_path / "events.db"
    path.write_bytes(bytes(3 * PAGE) + path.read_bytes()[3 * PAGE :])
    done = salvage(path, tmp_path / "new.db")
    after = await read_file(tmp_path / "new.db")
    known = {event.position: event for event in before}
    telemetry = [event for event in after if event.type == "SamplesRecorded"]
    assert [event for event in telemetry if known[event.position] != event] == []
    assert len(telemetry) > EVENTS * 0.9
    assert set(done.unreadable_tables) >= {"checkpoint", "setting"}
    assert {event.stream for event in after if event.type == "Foreign"} in (set(), {"foreign"}, {"lost-10"})


async def test_a_chain_finds_bits_that_flipped_inside_values(tmp_path: Path) -> None:
    keys = ChainKeys({"k": b"k" * 32})
    before = await fill(tmp_path / "events.db", chain=keys)
    content, source, altered = (tmp_path / "events.db").read_bytes(), random.Random(2), 0
    for number in range(ROUNDS):
        damaged = bytearray(content)
        for _ in range(40):
            damaged[source.randrange(PAGE, len(damaged))] ^= 1 << source.randrange(8)
        path = tmp_path / f"damaged-{number}.db"
        path.write_bytes(damaged)
        done = salvage(path, tmp_path / f"new-{number}.db")
        altered += done.altered_events
        covered = await chained_positions(tmp_path / f"new-{number}.db")
        known = {event.position: event for event in before}
        after = await read_file(tmp_path / f"new-{number}.db")
        assert [e for e in after if known.get(e.position) != e and e.position in covered] == []
        assert len(covered) > EVENTS * 0.7
    assert altered


async def chained_positions(path: Path, key: StoreKey | None = None) -> set[int]:
    """The positions whose digest is known."""
    async with SqliteStore(path, read_only=True, key=key) as store:
        query = "SELECT last_position, length(digests) / 32 FROM batch"
        rows = await store.inspect(lambda c: c.execute(query).fetchall())
    return {position for last, count in rows for position in range(last - count + 1, last + 1)}


async def test_what_only_the_log_holds_comes_too(tmp_path: Path) -> None:
    """The file and its write-ahead log as a machine leaves them that lost its power."""
    async with SqliteStore(tmp_path / "events.db") as store:
        for number in range(1, 200):
            stream, event = new(number)
            await store.append(stream, [event])
        before = await everything(store)
        for suffix in ("", "-wal"):
            content = (tmp_path / f"events.db{suffix}").read_bytes()
            (tmp_path / f"torn.db{suffix}").write_bytes(content)
    assert (await checked(before, tmp_path / "torn.db", tmp_path / "new.db")).events == 199
    assert not (tmp_path / "torn.db-shm").exists()


@pytest.fixture
def failing_disk() -> list[str]:
    """A command before which to put another: now and then a read of the file that is named last fails."""
    if subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode:
        pytest.skip("strace, which plays the failing disk, may not trace here")
    inject = ("-e", "trace=pread64", "-e", "inject=pread64:error=EIO:when=20+7")
    return ["strace", "-f", "-o", "/dev/null", *inject, "-P"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace plays the failing disk")
@pytest.mark.parametrize("with_log", [False, True])
async def test_pages_that_the_disk_does_not_give_cost_what_lay_in_them(
    tmp_path: Path, failing_disk: list[str], with_log: bool
) -> None:
    path, target = tmp_path / "torn.db", tmp_path / "new.db"
    await fill(tmp_path / "events.db")
    async with SqliteStore(tmp_path / "events.db") as store:
        await store.append("run-a", [NewEvent(b"n" * 16, "T", 1, 1, "t", b"{}")])
        before = {event.position: event for event in await everything(store)}
        for suffix in ("", "-wal") if with_log else ("",):
            shutil.copyfile(tmp_path / f"events.db{suffix}", tmp_path / f"torn.db{suffix}")
    command = [sys.executable, "-c", SALVAGE, str(path), str(target)]
    subprocess.run([*failing_disk, str(path), *command], check=True)
    after = await read_file(target)
    assert all(before[event.position] == event for event in after)
    assert EVENTS * 0.6 < len(after) < EVENTS
    assert (EVENTS + 1 in {event.position for event in after}) is with_log


async def test_a_file_that_grows_shorter_ends_neither_the_salvage_nor_the_process(tmp_path: Path) -> None:
    before = await fill(tmp_path / "events.db")
    size = (tmp_path / "events.db").stat().st_size
    rows = rows_of(tmp_path / "events.db")
    found = [next(rows)]
    os.truncate(tmp_path / "events.db", size // 2)
    assert 1 < len(found + list(rows)) < len(before)


async def test_an_encrypted_file_gives_what_lies_in_whole_pages(tmp_path: Path) -> None:
    key = new_store_key()
    before = await fill(tmp_path / "events.db", key=key)
    content, source, best = (tmp_path / "events.db").read_bytes(), random.Random(4), 0
    for number in range(4):
        damaged = bytearray(content)
        damaged[source.randrange(len(damaged) // 2, len(damaged))] ^= 1
        path = tmp_path / f"damaged-{number}.db"
        path.write_bytes(damaged)
        best = max(best, (await checked(before, path, tmp_path / f"new-{number}.db", key)).events)
        assert b"telemetry" not in (tmp_path / f"new-{number}.db").read_bytes()
    assert best > EVENTS * 0.5


async def test_removed_events_do_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    await fill(path)
    async with SqliteStore(path) as store:
        await set_retention(store, "telemetry", 0)
        await scavenge(store, covered_by=(), now=1 << 62)
        kept = await everything(store)
    done = salvage(path, tmp_path / "new.db")
    assert await read_file(tmp_path / "new.db") == kept
    assert done.lost == ()


@pytest.mark.parametrize("with_log", [False, True])
async def test_a_full_disk_is_told_and_given_back(tmp_path: Path, small_disk: Path, with_log: bool) -> None:
    await fill(tmp_path / "events.db")
    async with SqliteStore(tmp_path / "events.db") as store:
        await store.append("run-a", [NewEvent(b"n" * 16, "T", 1, 1, "t", b"{}")])
        for suffix in ("", "-wal") if with_log else ("",):
            shutil.copyfile(tmp_path / f"events.db{suffix}", tmp_path / f"torn.db{suffix}")
    with pytest.raises(StoreError, match="free disk space"):
        salvage(tmp_path / "torn.db", small_disk / "new.db")
    assert list(small_disk.iterdir()) == []
    with pytest.raises(StoreFull, match=str(small_disk)):
        backup(tmp_path / "events.db", small_disk / "backup.db")
    assert list(small_disk.iterdir()) == []


async def test_a_killed_salvage_leaves_nothing_that_looks_like_a_store(tmp_path: Path) -> None:
    path, target = tmp_path / "events.db", tmp_path / "new.db"
    await fill(path)
    child = subprocess.Popen(
        [sys.executable, "-c", HELD, str(path), str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"found\n"
    child.kill()
    child.communicate()
    assert not target.exists()
    assert salvage(path, target).events == EVENTS


async def test_nothing_is_overwritten_and_nothing_made_of_nothing(tmp_path: Path) -> None:
    await fill(tmp_path / "events.db")
    with pytest.raises(StoreError, match="already"):
        salvage(tmp_path / "events.db", tmp_path / "events.db")
    (tmp_path / "noise").write_bytes(os.urandom(20 * PAGE))
    with pytest.raises(StoreError, match="no event that can be read"):
        salvage(tmp_path / "noise", tmp_path / "new.db")
    with pytest.raises(StoreError, match="there is no file"):
        salvage(tmp_path / "none", tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()
    assert apsw.Connection(str(tmp_path / "events.db")).pragma("quick_check") == "ok"
