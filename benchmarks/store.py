"""The store against what a user would write by hand, and against a library that he would take instead.

By hand: bare apsw on the same table, orjson over the same bytes, a plain file with fdatasync. The library:
the SQLite recorder of ``eventsourcing``, which keeps id, version, topic and bytes. All run in the same
process and rounds. Appends are durable (WAL, synchronous=FULL) on every side.
"""

import asyncio
import gc
import os
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import orjson
from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore
from measure import Bar, Timing, interleaved, report

from coldaisle.core.events import NewEvent, decode, encode, sequenced_id
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.events.types import SamplesRecorded
from coldaisle.core.store import Append
from coldaisle.core.store.chain_keys import ChainKeys, new_chain_keys
from coldaisle.core.store.chain_verify import verify_chain
from coldaisle.core.store.cipher import StoreKey, new_store_key
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_open import open_writer

EVENTS = 40_000
BATCH_EVENTS = 1_000
STREAMS = 400
METRICS = 44
ROUNDS = 9
SINGLES = 1_000
APPENDERS = 100

Singles = tuple[float, float, float]
"""Of a round, per second: durable appends by one caller, fdatasyncs, durable appends by many callers."""

INSERT = "INSERT INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"


def telemetry() -> list[tuple[str, NewEvent]]:
    """Telemetry as agents send it: 44 metrics, 1.7 KB of JSON, many streams."""
    source = random.Random(1)
    metrics = tuple(f"sensor_{n:02d}_temperature_celsius" for n in range(METRICS))
    start = time.time_ns()
    events = []
    for number in range(EVENTS):
        asset = f"rack-{number % STREAMS:04d}"
        values = tuple(round(20 + 10 * source.random(), 2) for _ in metrics)
        body = SamplesRecorded(asset, metrics, values)
        event_id = sequenced_id(start + number * 1_000, "bench", number)
        event = encode(body, id=event_id, time=start + number * 1_000, actor="agent/bench")
        events.append((f"telemetry-{asset}", event))
    return events


def batches(events: list[tuple[str, NewEvent]]) -> list[list[NewEvent]]:
    return [[event for _, event in events[n : n + BATCH_EVENTS]] for n in range(0, len(events), BATCH_EVENTS)]


def append_ours(
    path: Path, parts: list[list[NewEvent]], chain: ChainKeys | None = None, key: StoreKey | None = None
) -> None:
    async def run() -> None:
        async with SqliteStore(path, chain=chain, key=key) as store:
            for number, part in enumerate(parts):
                await store.append(f"telemetry-{number % STREAMS}", part)

    asyncio.run(run())


def record(path: Path, events: list[tuple[str, NewEvent]], chain: ChainKeys) -> None:
    """A history to read, as agents make it: batches in which each asset's poll goes to its own stream."""

    async def run() -> None:
        async with SqliteStore(path, chain=chain) as store:
            for start in range(0, len(events), BATCH_EVENTS):
                streams: dict[str, list[NewEvent]] = {}
                for stream, event in events[start : start + BATCH_EVENTS]:
                    streams.setdefault(stream, []).append(event)
                await store.append_many([Append(stream, polls) for stream, polls in streams.items()])

    asyncio.run(run())


def recorder(path: Path) -> SQLiteApplicationRecorder:
    found = SQLiteApplicationRecorder(SQLiteDatastore(str(path)))
    found.create_table()
    return found


def append_eventsourcing(path: Path, parts: list[list[NewEvent]]) -> None:
    """The same events as its users store them: a UUID for each stream, the type as topic, JSON as state."""
    peer = recorder(path)
    for part in parts:
        stream = uuid.uuid4()
        peer.insert_events([StoredEvent(stream, n, event.type, event.data) for n, event in enumerate(part)])
    peer.datastore.close()


def read_eventsourcing(path: Path) -> None:
    peer, start = recorder(path), 1
    while found := peer.select_notifications(start, BATCH_EVENTS):
        start = found[-1].id + 1
    peer.datastore.close()


def read_pages(path: Path) -> None:
    """Every event read, none decoded, a page at a time, by a program that does nothing else."""
    asyncio.run(_read_pages(SqliteStore(path, read_only=True)))


def read_pages_in_a_server(path: Path, chain: ChainKeys) -> None:
    """The same where appends go on: a page is made in a reader's thread and used on the loop."""
    asyncio.run(_read_pages(SqliteStore(path, chain=chain)))


async def _read_pages(opened: SqliteStore) -> None:
    after = 0
    async with opened as store:
        while (page := await store.read_all(after=after)).events:
            after = page.position


def verify_ours(path: Path, keys: ChainKeys) -> None:
    async def run() -> None:
        async with SqliteStore(path, read_only=True) as store:
            assert (await verify_chain(store, keys)).fault is None

    asyncio.run(run())


def append_bare(path: Path, parts: list[list[NewEvent]]) -> None:
    """What the same rows cost without anything of ours: one executemany and one commit a batch."""
    connection = open_writer(path, None)
    position = 0
    for number, part in enumerate(parts):
        rows = []
        for version, event in enumerate(part):
            position += 1
            rows.append((
                position, number + 1, version, event.id, event.type, event.schema, event.time, event.time,
                event.actor, event.data, None, None,
            ))  # fmt: skip
        with connection:
            connection.executemany(INSERT, rows)
    connection.close()


def empty(folder: Path) -> None:
    """Remove what a way wrote: else the files of a run fill memory that its first rounds did not have to."""
    for file in folder.iterdir():
        file.unlink()


def singles_ours(folder: Path, events: list[NewEvent], appenders: int) -> float:
    """Durable appends of one event each, per second, by so many callers at once."""

    async def run() -> float:
        async with SqliteStore(folder / f"{os.urandom(4).hex()}.db") as store:

            async def one(worker: int) -> None:
                for event in events[worker::appenders]:
                    await store.append(f"run-{worker}", [event])

            started = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for worker in range(appenders):
                    group.create_task(one(worker))
            return len(events) / (time.perf_counter() - started)

    return asyncio.run(run())


def singles_raw(folder: Path, events: list[NewEvent]) -> float:
    """The same bytes to a plain file with fdatasync after each."""
    descriptor = os.open(folder / "raw", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    started = time.perf_counter()
    for event in events:
        os.write(descriptor, event.data)
        os.fdatasync(descriptor)
    seconds = time.perf_counter() - started
    os.close(descriptor)
    return len(events) / seconds


def replay_ours(path: Path, use: Callable[[Recorded], object]) -> None:
    """Every event read and used, each dropped before the next, as the peers do."""

    def step(events: Iterator[Recorded]) -> None:
        for event in events:
            use(event)

    async def run() -> None:
        async with SqliteStore(path, read_only=True) as store:
            after, end = 0, await store.head()
            while after < end:
                after = await store.replay(step, after=after, end=end)

    asyncio.run(run())


def parse_all(payloads: list[bytes]) -> None:
    """Each document parsed and dropped, as a replay does."""
    for data in payloads:
        orjson.loads(data)


def main() -> None:
    events = telemetry()
    parts = batches(events)
    payloads = [event.data for _, event in events]
    gc.freeze()  # else every way pays for collections that walk the test data
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        path, peer_path, keys, key = (
            folder / "replay.db",
            folder / "peer.db",
            new_chain_keys(),
            new_store_key(),
        )
        record(path, events, keys)
        append_eventsourcing(peer_path, parts)

        scratch = folder / "scratch"
        scratch.mkdir()

        timings = interleaved(
            {
                "append": lambda: append_ours(scratch / "new.db", parts),
                "append with chain": lambda: append_ours(scratch / "new.db", parts, keys),
                "append encrypted": lambda: append_ours(scratch / "new.db", parts, None, key),
                "append eventsourcing": lambda: append_eventsourcing(scratch / "new.db", parts),
                "append bare apsw": lambda: append_bare(scratch / "new.db", parts),
                "replay": lambda: replay_ours(path, decode),
                "orjson.loads": lambda: parse_all(payloads),
                "read": lambda: read_pages(path),
                "read in a server": lambda: read_pages_in_a_server(path, keys),
                "read by replay": lambda: replay_ours(path, lambda event: event.position),
                "read eventsourcing": lambda: read_eventsourcing(peer_path),
                "verify chain": lambda: verify_ours(path, keys),
                "bare apsw select": lambda: (
                    apsw.Connection(str(path)).execute("SELECT * FROM event").fetchall()
                ),
            },
            ROUNDS,
            lambda: empty(scratch),
        )
        single = [event for _, event in events[:SINGLES]]
        many = [event for _, event in events[: SINGLES * 10]]
        singles = []
        for _ in range(ROUNDS):
            one, raw = singles_ours(scratch, single, 1), singles_raw(scratch, single)
            singles.append((one, raw, singles_ours(scratch, many, APPENDERS)))
            empty(scratch)
    tell(payloads, timings, singles)


def tell(payloads: list[bytes], timings: dict[str, Timing], singles: list[Singles]) -> None:
    """The figures, and the bars that they are held against."""
    one, raw, hundred = (statistics.median(column) for column in zip(*singles, strict=True))
    per_event = {name: timing.cpu / EVENTS * 1e6 for name, timing in timings.items()}
    figures: dict[str, object] = {
        "event_bytes_mean": round(sum(map(len, payloads)) / EVENTS, 1),
        **{
            f"{name.replace(' ', '_')}_cpu_us_per_event": round(value, 3) for name, value in per_event.items()
        },
        **{f"{n.replace(' ', '_')}_events_per_second": round(EVENTS / t.wall) for n, t in timings.items()},
        "single_appends_per_second": round(one),
        "raw_fdatasync_per_second": round(raw),
        "single_appends_100_callers_per_second": round(hundred),
    }
    bare, foreign = timings["append bare apsw"], timings["append eventsourcing"]
    figures["read_in_a_server_over_eventsourcing_cpu"] = round(
        timings["read eventsourcing"].cpu_over(timings["read in a server"]), 4
    )
    ratio = {
        "append_1000_over_bare_apsw_cpu": Bar(bare.cpu_over(timings["append"]), 0.6),
        "append_1000_over_bare_apsw_wall": Bar(bare.wall_over(timings["append"]), 0.6),
        "append_with_chain_over_bare_apsw_cpu": Bar(bare.cpu_over(timings["append with chain"]), 0.5),
        "append_with_chain_over_bare_apsw_wall": Bar(bare.wall_over(timings["append with chain"]), 0.5),
        "append_over_eventsourcing_cpu": Bar(foreign.cpu_over(timings["append"]), 1.3),
        "append_over_eventsourcing_wall": Bar(foreign.wall_over(timings["append"]), 1.3),
        "read_over_eventsourcing_cpu": Bar(timings["read eventsourcing"].cpu_over(timings["read"]), 3.0),
        "read_over_eventsourcing_wall": Bar(timings["read eventsourcing"].wall_over(timings["read"]), 3.0),
        "read_by_replay_over_eventsourcing_cpu": Bar(
            timings["read eventsourcing"].cpu_over(timings["read by replay"]), 3.0
        ),
        "replay_over_orjson_cpu": Bar(timings["orjson.loads"].cpu_over(timings["replay"]), 0.75),
        "single_append_over_fdatasync": Bar(statistics.median(one / raw for one, raw, _ in singles), 0.35),
        "hundred_appenders_over_one": Bar(statistics.median(many / one for one, _, many in singles), 3.0),
    }
    report("store", figures, ratio)


if __name__ == "__main__":
    main()
