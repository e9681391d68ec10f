"""A history that lies in many segments: read in order, by several at once, each segment opened once."""

import asyncio
from pathlib import Path

import pytest

from coldaisle.core.events import NewEvent
from coldaisle.core.store import archive_history
from coldaisle.core.store.archive import Segment, SegmentReader
from coldaisle.core.store.archive_history import MAX_OPEN_SEGMENTS, ArchivedHistory, segments_of
from coldaisle.core.store.port import EventFilter
from coldaisle.core.store.retention import scavenge, set_retention
from coldaisle.core.store.sqlite import SqliteStore

EVENTS = 2_000
PASS_EVENTS = 40
FAR = 1 << 62


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """Telemetry and logs in turn, archived bit by bit; runs between them, and the newest event, stay."""
    path = tmp_path / "events.db"
    async with SqliteStore(path) as store:
        for category in ("telemetry", "logs"):
            await set_retention(store, category, 0)
        for first in range(1, EVENTS + 1, PASS_EVENTS):
            for number in range(first, first + PASS_EVENTS):
                stream = ("telemetry-a", "logs-a")[number % 2] if number % 500 else "run-a"
                event = NewEvent(number.to_bytes(16), "Test", 1, number, "tester", b'{"n":%d}' % number)
                await store.append(stream, [event])
            await scavenge(store, covered_by=(), now=FAR, archive_folder=tmp_path / "archive")
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the segments' files as they are opened."""
    names: list[str] = []

    class Noted(SegmentReader):
        def __init__(self, folder: Path, segment: Segment) -> None:
            names.append(segment.file)
            super().__init__(folder, segment)

    monkeypatch.setattr(archive_history, "SegmentReader", Noted)
    return names


async def numbers(history: ArchivedHistory, limit: int, only: str = "") -> list[int]:
    found: list[int] = []
    after, caught_up = 0, False
    while not caught_up:
        page = await history.read_all(after=after, limit=limit, only=EventFilter(stream_prefixes=(only,)))
        found += [int.from_bytes(event.id) for event in page.events]
        after, caught_up = page.position, page.caught_up
    return found


async def test_a_pass_over_the_history_opens_each_segment_once(path: Path, opened: list[str]) -> None:
    async with SqliteStore(path, read_only=True) as store:
        segments = await store.inspect(segments_of)
        assert len(segments) > 10 * MAX_OPEN_SEGMENTS
        assert await numbers(ArchivedHistory(store), 7) == list(range(1, EVENTS + 1))
    assert sorted(opened) == sorted(segment.file for segment in segments)


async def test_a_page_opens_no_segment_beyond_it(path: Path, opened: list[str]) -> None:
    async with SqliteStore(path, read_only=True) as store:
        page = await ArchivedHistory(store).read_all(after=1_000, limit=10)
    assert [event.position for event in page.events] == list(range(1_001, 1_011))
    assert len(opened) == 2, "one of telemetry, one of logs"


async def test_a_filter_finds_its_events_in_all_segments(path: Path) -> None:
    async with SqliteStore(path, read_only=True) as store:
        assert await numbers(ArchivedHistory(store), 100, "logs-") == list(range(1, EVENTS, 2))


async def test_many_read_one_archive_at_once(path: Path, opened: list[str]) -> None:
    async with SqliteStore(path) as store:
        history = ArchivedHistory(store)
        found = await asyncio.gather(*(numbers(history, 50 + reader) for reader in range(6)))
    assert all(each == list(range(1, EVENTS + 1)) for each in found)
    assert opened
