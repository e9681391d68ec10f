"""Archived events are held against the chain: neither segments nor their list can be changed unnoticed."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from coldaisle.core.errors import StoreUnreadable
from coldaisle.core.events import NewEvent
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.archive import Segment, SegmentReader, write_segment
from coldaisle.core.store.archive_history import ArchivedHistory, segments_of
from coldaisle.core.store.chain_archive import verify_archive
from coldaisle.core.store.chain_keys import new_chain_keys
from coldaisle.core.store.chain_verify import Kind, Verified, verify_chain
from coldaisle.core.store.retention import scavenge, set_retention
from coldaisle.core.store.sqlite import SqliteStore

EVENTS = 60
FAR = 1 << 62
KEYS = new_chain_keys()


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """60 events of telemetry, logs and an asset in turn; telemetry to 57 is archived, and logs are gone."""
    path = tmp_path / "events.db"
    async with SqliteStore(path, chain=KEYS) as store:
        for number in range(1, EVENTS + 1):
            stream = ("telemetry", "logs", "asset")[number % 3]
            await store.append(
                f"{stream}-a", [NewEvent(number.to_bytes(16), "Test", 1, number, "tester", b"{}")]
            )
        await set_retention(store, "telemetry", 0)
        await scavenge(store, covered_by=(), now=FAR, archive_folder=tmp_path / "archive", plain_archive=True)
        await set_retention(store, "telemetry", None)
        await set_retention(store, "logs", 0)
        await scavenge(store, covered_by=(), now=FAR)
    return path


async def verified(path: Path) -> Verified:
    async with SqliteStore(path, read_only=True) as store:
        return await verify_archive(store, KEYS, await verify_chain(store, KEYS))


def rewrite(path: Path, change: Callable[[list[Recorded]], list[Recorded]]) -> None:
    """As who may write all files, but has not the key: another segment, and a row that says so."""
    connection = apsw.Connection(str(path))
    (segment,) = segments_of(connection)
    folder = path.parent / "archive"
    events = list(SegmentReader(folder, segment).events(0))
    (folder / segment.file).unlink()
    forged = write_segment(folder, "telemetry", change(events))
    connection.execute("DELETE FROM segment")
    connection.execute("INSERT INTO segment VALUES(?,?,?,?,?)", _row(forged))
    connection.close()


def _row(segment: Segment) -> tuple[int, int, int, str, bytes]:
    return segment.first_position, segment.last_position, segment.events, segment.file, segment.sha256


async def test_an_archive_holds(path: Path) -> None:
    found = await verified(path)
    assert (found.fault, found.position, found.removed, found.archived) == (None, 60, 39, 19)


def _changed(events: list[Recorded]) -> Iterator[Recorded]:
    yield from events[:4]
    yield replace(events[4], data=b'{"forged":1}')
    yield from events[5:]


@pytest.mark.parametrize(
    ("change", "position", "kind"),
    [
        (lambda events: list(_changed(events)), 15, Kind.CHANGED),
        (lambda events: events[:4] + events[5:], 15, Kind.REMOVED),
        (lambda events: events[:-1], 57, Kind.REMOVED),
        (lambda events: events[1:], 3, Kind.REMOVED),
        (lambda events: [events[0], replace(events[0], position=4), *events[1:]], 4, Kind.CHANGED),
    ],
    ids=["changed", "removed", "cut", "cut at the start", "inserted"],
)
async def test_a_forged_segment_is_found(
    path: Path, change: Callable[[list[Recorded]], list[Recorded]], position: int, kind: Kind
) -> None:
    rewrite(path, change)
    fault = (await verified(path)).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (position, kind)


async def test_a_segment_that_is_no_longer_listed_is_missed(path: Path) -> None:
    apsw.Connection(str(path)).execute("DELETE FROM segment")
    fault = (await verified(path)).fault
    assert fault is not None
    assert (fault.position, fault.kind) == (3, Kind.REMOVED)


async def test_a_segment_that_is_not_there_is_named(path: Path) -> None:
    (file,) = (path.parent / "archive").iterdir()
    file.unlink()
    with pytest.raises(StoreUnreadable, match="bring the file back"):
        await verified(path)


async def test_a_segment_of_other_bytes_is_named(path: Path) -> None:
    (file,) = (path.parent / "archive").iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreUnreadable, match="not the file that was archived"):
        await verified(path)


async def test_a_segment_in_another_order_is_named(path: Path) -> None:
    """Each event is what was appended; but a replay would meet them as they stand there."""
    rewrite(path, lambda events: [events[0], events[2], events[1], *events[3:]])
    with pytest.raises(StoreUnreadable, match="in another order"):
        await verified(path)


@pytest.mark.parametrize("change", ["first_position = 50", "last_position = 30"])
async def test_a_segment_that_is_listed_with_other_positions_is_named(path: Path, change: str) -> None:
    """A page as large as the verification's would find its events, and a small one would pass them by."""
    apsw.Connection(str(path)).execute(f"UPDATE segment SET {change}")
    with pytest.raises(StoreUnreadable, match="holds other positions"):
        await verified(path)


async def test_a_second_segment_that_says_otherwise_is_named(path: Path) -> None:
    """Which of two segments a page reads depends on the others that it touches."""
    connection = apsw.Connection(str(path))
    (segment,) = segments_of(connection)
    events = list(SegmentReader(path.parent / "archive", segment).events(0))
    forged = write_segment(path.parent / "archive", "x", [*events[1:4], replace(events[4], data=b"{1}")])
    connection.execute("INSERT INTO segment VALUES(?,?,?,?,?)", _row(forged))
    connection.close()
    with pytest.raises(StoreUnreadable, match="position 15 is archived twice"):
        await verified(path)


@pytest.mark.parametrize("seed", range(40))
async def test_a_segment_of_other_bytes_whose_digest_was_replaced_too_is_named(seed: int, path: Path) -> None:
    (file,), source = (path.parent / "archive").iterdir(), random.Random(seed)
    before = await everything(path)
    forged = bytearray(file.read_bytes())
    forged[source.randrange(len(forged))] ^= 1 << source.randrange(8)
    file.write_bytes(forged)
    apsw.Connection(str(path)).execute("UPDATE segment SET sha256 = ?", (sha256(forged).digest(),))
    with suppress(StoreUnreadable):
        assert (await verified(path)).fault is not None or await everything(path) == before


async def everything(path: Path) -> list[Recorded]:
    async with SqliteStore(path, read_only=True) as store:
        return (await ArchivedHistory(store).read_all()).events
