"""How long an append waits while a store is backed up or thinned out. Prints JSON; runs for two minutes.

2,000 events/s arrive in small batches. Each round measures an undisturbed stretch of time and one of each
kind of upkeep, on a file of the same size, so that what is compared saw the same disk. The figures are
milliseconds of the longest append of a round, and the median over all rounds of that.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from measure import Bar, report

from coldaisle.core.events import NewEvent
from coldaisle.core.store import Append
from coldaisle.core.store.retention import scavenge, set_retention
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.server.retainer import REST_SECONDS

ROUNDS = 3
STORED_EVENTS = 60_000
EVENT_BYTES = 1_216
BATCH_EVENTS = 10
BATCHES_PER_SECOND = 200
STREAMS = 200
WARM_UP_BATCHES = 40
IDLE_SECONDS = 8.0
FAR = 1 << 62
BACKUP = """
import pathlib, sys
from coldaisle.core.store.backup import backup
backup(*map(pathlib.Path, sys.argv[1:]))
"""
MAX_ADDED_MILLISECONDS = 10.0

Work = Callable[[SqliteStore, Path], Awaitable[object]]


def event() -> NewEvent:
    now = time.time_ns()
    return NewEvent(now.to_bytes(8) + os.urandom(8), "Test", 1, now, "bench", os.urandom(EVENT_BYTES))


def batch(count: int, category: str) -> list[Append]:
    return [Append(f"{category}-{number % STREAMS}", [event()]) for number in range(count)]


async def make(path: Path) -> None:
    async with SqliteStore(path) as store:
        for _ in range(STORED_EVENTS // 1_000):
            await store.append_many(batch(1_000, "telemetry"))
        await set_retention(store, "telemetry", 0)


async def latencies(store: SqliteStore, done: asyncio.Event) -> list[float]:
    """Milliseconds of each append, at a steady rate, until ``done``."""
    found: list[float] = []
    due = time.perf_counter()
    while not done.is_set():
        appends = batch(BATCH_EVENTS, "run")
        started = time.perf_counter()
        await store.append_many(appends)
        found.append(1_000 * (time.perf_counter() - started))
        due += 1 / BATCHES_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    return found


async def disturbed(source: Path, folder: Path, work: Work) -> dict[str, float]:
    """The latencies on a fresh copy of the store while ``work`` goes on."""
    path = folder / "events.db"
    shutil.copy(source, path)
    with path.open("rb+") as copy:
        os.fsync(copy.fileno())  # else the first append pays for it
    done = asyncio.Event()
    async with SqliteStore(path) as store:
        appending = asyncio.ensure_future(latencies(store, done))
        await asyncio.sleep(2 * WARM_UP_BATCHES / BATCHES_PER_SECOND)
        started = time.perf_counter()
        await work(store, folder)
        seconds = time.perf_counter() - started
        done.set()
        found = sorted((await appending)[WARM_UP_BATCHES:])
    shutil.rmtree(folder)
    return {
        "longest": found[-1],
        "p99": found[int(0.99 * len(found))],
        "appends": len(found),
        "seconds": seconds,
    }


async def nothing(_: SqliteStore, __: Path) -> None:
    await asyncio.sleep(IDLE_SECONDS)


async def back_up(store: SqliteStore, folder: Path) -> None:
    """In a process of its own, as the command does it."""
    command = [sys.executable, "-c", BACKUP, str(store.path), str(folder / "backup.db")]
    await asyncio.to_thread(subprocess.run, command, check=True)


async def thin_out(store: SqliteStore, _: Path) -> None:
    await scavenge(store, covered_by=(), now=FAR, rest_seconds=REST_SECONDS)


async def archive(store: SqliteStore, folder: Path) -> None:
    archive = folder / "archive"
    await scavenge(store, covered_by=(), archive_folder=archive, now=FAR, rest_seconds=REST_SECONDS)


WORKS: dict[str, Work] = {"idle": nothing, "backup": back_up, "scavenge": thin_out, "archive": archive}


async def measured(folder: Path) -> dict[str, dict[str, float]]:
    """The median of each figure over the rounds, by kind of upkeep."""
    source = folder / "source.db"
    await make(source)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in WORKS}
    for number in range(ROUNDS):
        for name, work in WORKS.items():
            place = folder / f"{name}-{number}"
            place.mkdir()
            found[name].append(await disturbed(source, place, work))
    return {
        name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }


def main() -> None:
    """Measure, and hold what upkeep adds to the longest append against the bar."""
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(measured(Path(name)))
    figures = {f"{work} {key}": value for work, keys in found.items() for key, value in keys.items()}
    idle = found["idle"]["longest"]
    bars = {
        f"{work} adds milliseconds": Bar(found[work]["longest"] - idle, MAX_ADDED_MILLISECONDS, "at_most")
        for work in WORKS
        if work != "idle"
    }
    report("upkeep", figures, bars)


if __name__ == "__main__":
    main()
