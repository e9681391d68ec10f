"""From queue to spool, with a disk that refuses."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coldaisle.agent.batches import Bounds, events_of
from coldaisle.agent.pipeline import Pipeline
from coldaisle.agent.ring import Ring
from coldaisle.agent.spool import Spool
from coldaisle.core.events.codec import parse_body
from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import AnyEvent, GapRecorded, LogLine, LogLinesRecorded, SamplesRecorded


def sample(number: int) -> Observation:
    return Observation(number, SamplesRecorded("rack-1", ("power_watts",), (float(number),)))


def log(number: int, text: str) -> Observation:
    return Observation(number, LogLinesRecorded("host-1", (LogLine(number, 5, "", text),), "syslog"))


def bodies(spool: Spool) -> list[AnyEvent]:
    events = [event for batch in spool.peek(0, 10**6) for event in events_of(batch.payload)]
    return [parse_body(event.type, event.data) for event in events]


async def test_the_disk_is_written_while_every_thread_of_the_loop_waits_for_a_peer(tmp_path: Path) -> None:
    written, answered = asyncio.Event(), threading.Event()
    threads = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(threads)
    waiting = threads.submit(answered.wait, 60)
    with Spool(tmp_path / "spool.db", "edge", 10**8, Bounds(10)) as spool:
        pipeline = Pipeline(spool, "edge", 0.01, written.set)
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run())
            await pipeline.emit(sample(1))
            await written.wait()
            assert not waiting.done()
            answered.set()
            await pipeline.close()


async def test_what_was_queued_before_the_end_is_on_disk(tmp_path: Path) -> None:
    woken: list[bool] = []
    with Spool(tmp_path / "spool.db", "edge", 10**8, Bounds(10)) as spool:
        pipeline = Pipeline(spool, "edge", 60, lambda: woken.append(True))
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run())
            for number in range(95):
                await pipeline.emit(sample(number))
            await pipeline.close()
        assert [body.values[0] for body in bodies(spool) if isinstance(body, SamplesRecorded)] == [
            float(number) for number in range(95)
        ]
        assert woken


async def test_a_source_is_confirmed_once_its_observation_is_on_disk_and_not_while_the_disk_refuses(
    tmp_path: Path,
) -> None:
    confirmed: list[int] = []
    with Spool(tmp_path / "spool.db", "edge", 10**8, Bounds(10)) as spool:
        other = sqlite3.connect(spool.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        written = asyncio.Event()
        pipeline = Pipeline(spool, "edge", 0.01, written.set)
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run())
            seen = Observation(1, sample(1).body, lambda: confirmed.append(len(bodies(spool))))
            await pipeline.emit(seen)
            await pipeline.refused.wait()
            assert confirmed == []
            other.execute("ROLLBACK")
            other.close()
            await pipeline.emit(sample(2))
            await written.wait()
            await pipeline.close()
    assert confirmed
    assert min(confirmed) >= 1


async def test_a_disk_that_refuses_for_a_time_loses_nothing(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.db", "edge", 10**8, Bounds(10)) as spool:
        other = sqlite3.connect(spool.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        written = asyncio.Event()
        pipeline = Pipeline(spool, "edge", 0.01, written.set)
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run())
            for number in range(15):
                await pipeline.emit(sample(number))
            await pipeline.refused.wait()
            other.execute("ROLLBACK")
            other.close()
            await written.wait()
            await pipeline.close()
        assert len(bodies(spool)) == 15


async def test_a_full_disk_loses_nothing_once_there_is_room(
    small_disk: Path, fill_disk: Callable[[Path], Path]
) -> None:
    with Spool(small_disk / "spool.db", "edge", 10**8, Bounds(10)) as spool:
        written = asyncio.Event()
        pipeline = Pipeline(spool, "edge", 0.01, written.set)
        ballast = fill_disk(small_disk)
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run())
            for number in range(500):
                await pipeline.emit(sample(number))
            await pipeline.refused.wait()
            ballast.unlink()
            await written.wait()
            await pipeline.close()
        values = [body.values[0] for body in bodies(spool) if isinstance(body, SamplesRecorded)]
        assert sorted(values) == [float(number) for number in range(500)]


async def test_a_full_disk_that_outlasts_memory_is_a_gap_with_range_and_count(
    small_disk: Path, fill_disk: Callable[[Path], Path]
) -> None:
    with Spool(small_disk / "spool.db", "edge", 10**8, Bounds(10)) as spool:
        ballast = fill_disk(small_disk)
        written = asyncio.Event()
        pipeline = Pipeline(spool, "edge", 0.01, written.set, ring_events=100)
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run())
            for number in range(1, 501):
                await pipeline.emit(sample(number))
            await pipeline.refused.wait()
            ballast.unlink()
            await written.wait()
            await pipeline.close()
        found = bodies(spool)
    [gap] = [body for body in found if isinstance(body, GapRecorded)]
    values = [body.values[0] for body in found if isinstance(body, SamplesRecorded)]
    first_kept = min(value for value in values if value is not None and value > gap.until)
    lost = [number for number in range(1, 501) if number not in values]
    assert lost
    assert (gap.since, gap.until, gap.lost_count) == (lost[0], lost[-1], len(lost))
    assert first_kept == gap.until + 1


async def test_what_waits_in_memory_is_bounded_in_bytes_while_the_disk_refuses(tmp_path: Path) -> None:
    text = "x" * 100_000
    with Spool(tmp_path / "spool.db", "edge", 10**9, Bounds()) as spool:
        other = sqlite3.connect(spool.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        pipeline = Pipeline(spool, "edge", 0.01, lambda: None, ring_bytes=10**6)
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run())
            for number in range(500):
                await pipeline.emit(log(number, text))
            await pipeline.refused.wait()
            other.execute("ROLLBACK")
            other.close()
            await pipeline.close()
        found = bodies(spool)
    lost_count = sum(body.lost_count for body in found if isinstance(body, GapRecorded))
    assert lost_count + sum(isinstance(body, LogLinesRecorded) for body in found) == 500
    assert lost_count >= 250


async def test_what_is_queued_is_bounded_in_bytes(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.db", "edge", 10**9, Bounds()) as spool:
        pipeline = Pipeline(spool, "edge", 0.01, lambda: None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                for number in range(1000):
                    await pipeline.emit(log(number, "x" * 1_000_000))
        assert pipeline.queued_count == 17
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run())
            await pipeline.emit(log(1000, "the writer makes room"))
            await pipeline.close()


def test_a_ring_keeps_the_newest_and_counts_the_rest() -> None:
    ring = Ring("edge", 3, 10**6)
    ring.add([sample(number) for number in range(5)])
    gap, *kept = first = ring.first(10, 10**6)
    assert gap.body == GapRecorded(
        "edge", 0, 1, 2, "the spool could not be written and memory was full: the oldest was dropped"
    )
    assert kept == [sample(2), sample(3), sample(4)]
    ring.written(first)
    assert ring.first(10, 10**6) == []


def test_a_ring_is_also_full_by_its_bytes_and_is_written_in_parts() -> None:
    ring = Ring("edge", 100, 10_000)
    ring.add([log(number, "x" * 3_000) for number in range(5)])
    gap, *kept = first = ring.first(10, 4_000)
    assert isinstance(gap.body, GapRecorded)
    assert gap.body.lost_count == 2
    assert kept == [log(2, "x" * 3_000)]
    ring.written(first)
    ring.written(second := ring.first(10, 4_000))
    assert second == [log(3, "x" * 3_000)]
    assert len(ring) == 1


def test_a_gap_that_leaves_the_ring_stands_for_what_it_counted() -> None:
    ring = Ring("edge", 1, 10**6)
    ring.add([Observation(9, GapRecorded("edge", 1, 8, 40, "kernel")), sample(10)])
    gap = ring.first(1, 10**6)[0].body
    assert isinstance(gap, GapRecorded)
    assert (gap.since, gap.until, gap.lost_count) == (1, 8, 40)
