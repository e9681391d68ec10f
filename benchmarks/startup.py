"""How long a server with a long history takes until it answers, and what a longer history costs in memory.

The history is made by inserting rows straight into the table: what is measured is the start. The twin's
snapshot lies as far behind the head as a crash leaves it at worst. Memory is compared between a replay of
a tenth of the history and one of all of it, each in a process of its own.
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from measure import Bar, report

from coldaisle.core.store.live import SNAPSHOT_EVENTS, LiveTwin, save_twin, twin_at
from coldaisle.core.store.snapshots import SqliteSnapshots
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_open import open_writer

SHORT_EVENTS = 1_000_000
LONG_EVENTS = 10_000_000
STREAMS = 2_000
ROWS_A_TRANSACTION = 100_000
ROUNDS = 5
START = 1_800_000_000_000_000_000
INSERT = "INSERT INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"

Row = tuple[int, int, int, bytes, str, int, int, int, str, bytes, None, None]


def rows(count: int) -> Iterator[Row]:
    """Small polls of many assets, one after the other."""
    body = '{"asset":"rack-%d","metrics":["inlet_temperature_celsius"],"values":[%d.5]}'
    for position in range(1, count + 1):
        stream = position % STREAMS + 1
        recorded = START + position * 1_000_000
        yield (
            position, stream, (position - 1) // STREAMS, position.to_bytes(16), "SamplesRecorded", 1,
            recorded, recorded, "agent/bench", (body % (stream, position % 30)).encode(), None, None,
        )  # fmt: skip


def make_history(path: Path, count: int) -> None:
    """A store of ``count`` events, without what an append costs."""
    connection = open_writer(path, None)
    connection.execute("PRAGMA synchronous=OFF").fetchall()
    with connection:
        names = [(n, f"telemetry-rack-{n}", count // STREAMS) for n in range(1, STREAMS + 1)]
        connection.executemany("INSERT INTO stream(id, name, version) VALUES(?,?,?)", names)
    source = rows(count)
    for start in range(0, count, ROWS_A_TRANSACTION):
        size = min(ROWS_A_TRANSACTION, count - start)
        with connection:
            connection.executemany(INSERT, (next(source) for _ in range(size)))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


async def replay(path: Path, count: int) -> None:
    """Fold the first ``count`` events."""
    async with SqliteStore(path, read_only=True) as store:
        await twin_at(store, count)


async def snapshot(path: Path, position: int) -> None:
    """Save the twin as it was at ``position``."""
    async with SqliteStore(path) as store:
        await save_twin(SqliteSnapshots(store), await twin_at(store, position))


class ReadSnapshots(SqliteSnapshots):
    """Saves none: every round starts from the same one."""

    async def save_snapshot(
        self, name: str, position: int, schema: int, data: bytes, *, only_latest: bool = False
    ) -> None:
        """See Snapshots."""


async def start(path: Path, head: int) -> float:
    """Seconds from nothing until the twin is current and a page was read."""
    started = time.perf_counter()
    async with SqliteStore(path) as store, asyncio.TaskGroup() as group:
        live = LiveTwin(store, ReadSnapshots(store))
        following = group.create_task(live.run())
        await live.at_least(head)
        await store.read_all(after=head - 100)
        seconds = time.perf_counter() - started
        following.cancel()
    return seconds


def in_own_process(*arguments: str) -> dict[str, float]:
    """Run one measurement where nothing else has used memory."""
    command = [sys.executable, __file__, "--measure", *arguments]
    answer = subprocess.run(command, check=True, capture_output=True)
    return msgspec.json.decode(answer.stdout, type=dict[str, float])


def measure(what: str, path: Path, count: int) -> None:
    """The child's part: seconds and megabytes, as JSON."""
    started = time.perf_counter()
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if what == "replay":
        asyncio.run(replay(path, count))
        seconds = time.perf_counter() - started
    else:
        seconds = asyncio.run(start(path, count))
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = {"seconds": seconds, "grown_mb": (peak_kib - before_kib) / 1024, "peak_mb": peak_kib / 1024}
    sys.stdout.buffer.write(msgspec.json.encode(answer))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = LONG_EVENTS if os.environ.get("COLDAISLE_SOAK") else SHORT_EVENTS
    parser.add_argument("--events", type=int, default=default, help="length of the history")
    parser.add_argument("--measure", nargs=3, metavar=("WHAT", "FILE", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, file, count = options.measure
        measure(what, Path(file), int(count))
        return
    events: int = options.events
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder:
        path = Path(folder) / "events.db"
        began = time.perf_counter()
        make_history(path, events)
        made_seconds = time.perf_counter() - began
        size_mb = path.stat().st_size / (1 << 20)
        tenth = in_own_process("replay", str(path), str(events // 10))
        whole = in_own_process("replay", str(path), str(events))
        asyncio.run(snapshot(path, max(events - SNAPSHOT_EVENTS, events // 2)))
        starts = sorted(
            (in_own_process("start", str(path), str(events)) for _ in range(ROUNDS)),
            key=lambda each: each["seconds"],
        )
    median = starts[ROUNDS // 2]
    figures: dict[str, object] = {
        "events": events,
        "file_mb": round(size_mb),
        "made_seconds": round(made_seconds, 1),
        "replay_events_per_second": round(events / whole["seconds"]),
        "start_without_snapshot_seconds": round(whole["seconds"], 3),
        "start_seconds_slowest": round(starts[-1]["seconds"], 3),
        "start_replayed_events": SNAPSHOT_EVENTS,
        "start_peak_mb": round(median["peak_mb"], 1),
        "replay_tenth_peak_mb": round(tenth["peak_mb"], 1),
        "replay_whole_peak_mb": round(whole["peak_mb"], 1),
    }
    bars = {
        "start_from_snapshot_seconds": Bar(median["seconds"], 2.0, "at_most"),
        "replay_memory_of_ten_times_the_history": Bar(whole["peak_mb"] / tenth["peak_mb"], 1.1, "at_most"),
    }
    report("startup", figures, bars)


if __name__ == "__main__":
    main()
