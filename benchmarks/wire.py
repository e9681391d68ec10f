"""The store over KurrentDB's protocol against the same store in process: loopback, a client of its own.

One bar is for one port at both ends: ``KurrentStore`` in the client, as Coldaisle uses a cluster, and
``SqliteStore`` in process. The other is for the client package's own append, as other programs use it, with a
call for each batch. Beside it stands what the package reaches with the least server there can be (see
``wire_bare``): the most that any server in Python could give it over the same store.

The client runs in a child process, as clients do. Each round measures every way once; ratios are taken
within a round, and the median round is reported.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

from kurrentdbclient import AsyncKurrentDBClient, NewEvents, StreamState
from kurrentdbclient import NewEvent as WireEvent
from measure import Bar, report
from wire_bare import bare_server

from coldaisle.core.events import NewEvent, sequenced_id
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.integrations.kurrent import KurrentConfig, KurrentStore
from coldaisle.integrations.kurrent.decode import to_wire
from coldaisle.server.kurrent import KurrentSettings, kurrent_server

EVENTS = 5_000
BATCH_EVENTS = 100
EVENT_BYTES = 1_200
ROUNDS = 7
CALLERS = 4
WIRE_WAYS = (
    "append_adapter", "append_adapter_together", "append_wire", "append_wire_bare", "append_wire_together",
    "append_wire_bare_together",
    "append_wire_session", "read_wire",
)  # fmt: skip


def batches() -> list[list[NewEvent]]:
    """Events as producers make them: ids in the order of time, none a repetition, and data of their own."""
    now, filler = time.time_ns(), b"x" * (EVENT_BYTES - 10)
    events = [
        NewEvent(sequenced_id(now, "bench", n), "Measured", 1, now, "bench", b'"%s%08d"' % (filler, n))
        for n in range(EVENTS)
    ]
    return [events[n : n + BATCH_EVENTS] for n in range(0, EVENTS, BATCH_EVENTS)]


def wire_batches() -> list[list[WireEvent]]:
    """The same as the client takes them; both kinds are made before the clock starts."""
    return [[to_wire(event) for event in part] for part in batches()]


async def rate(work: Awaitable[object]) -> float:
    """Events per second."""
    started = time.perf_counter()
    await work
    return EVENTS / (time.perf_counter() - started)


async def append_port(store: SqliteStore | KurrentStore, stream: str, parts: list[list[NewEvent]]) -> None:
    for part in parts:
        await store.append(stream, part)


async def append_together(store: SqliteStore | KurrentStore, name: str, parts: list[list[NewEvent]]) -> None:
    """Several callers at once, each in a stream of its own."""
    async with asyncio.TaskGroup() as group:
        for caller in range(CALLERS):
            group.create_task(append_port(store, f"{name}-{caller}", parts[caller::CALLERS]))


async def append_client(client: AsyncKurrentDBClient, stream: str, parts: list[list[WireEvent]]) -> None:
    for events in parts:
        await client.append_to_stream(stream, events=events, current_version=StreamState.ANY)


async def append_clients(client: AsyncKurrentDBClient, parts: list[list[WireEvent]]) -> None:
    async with asyncio.TaskGroup() as group:
        for caller in range(CALLERS):
            group.create_task(append_client(client, f"client-{caller}", parts[caller::CALLERS]))


async def append_session(client: AsyncKurrentDBClient, parts: list[list[WireEvent]]) -> None:
    for events in parts:
        await client.multi_append_to_stream(NewEvents("session", events, StreamState.ANY))


async def read_client(client: AsyncKurrentDBClient) -> None:
    count = 0
    async for _ in await client.read_all(limit=EVENTS):
        count += 1
    assert count == EVENTS


async def read_in_process(store: SqliteStore) -> None:
    after = 0
    for _ in range(EVENTS // 1_000):
        after = (await store.read_all(after=after, limit=1_000)).position


async def be_client(uri: str, bare_uri: str) -> None:
    """The child: does a way when told, and says how fast it went."""
    async with (
        AsyncKurrentDBClient(uri) as client,
        AsyncKurrentDBClient(bare_uri) as bare,
        KurrentStore(KurrentConfig(uri)) as remote,
    ):
        while way := (await asyncio.to_thread(sys.stdin.readline)).strip():
            work: Awaitable[object]
            match way:
                case "append_wire":
                    work = append_client(client, "client", wire_batches())
                case "append_wire_bare":
                    work = append_client(bare, "client", wire_batches())
                case "append_wire_bare_together":
                    work = append_clients(bare, wire_batches())
                case "append_wire_together":
                    work = append_clients(client, wire_batches())
                case "append_wire_session":
                    work = append_session(client, wire_batches())
                case "append_adapter":
                    work = append_port(remote, "adapter", batches())
                case "append_adapter_together":
                    work = append_together(remote, "adapter", batches())
                case _:
                    work = read_client(client)
            print(await rate(work), flush=True)


async def measured(folder: Path) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {}
    async with (
        SqliteStore(folder / f"{os.urandom(4).hex()}.db") as store,
        kurrent_server(store, "127.0.0.1", 0, KurrentSettings(allow_writes=True)) as port,
        bare_server(store) as bare_port,
    ):
        child = await asyncio.create_subprocess_exec(
            sys.executable, __file__, *(f"kdb://127.0.0.1:{p}?Tls=false" for p in (port, bare_port)),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        for _ in range(ROUNDS):
            rates.setdefault("append_in_process", []).append(await rate(append_port(store, "in", batches())))
            together = await rate(append_together(store, "in", batches()))
            rates.setdefault("append_in_process_together", []).append(together)
            rates.setdefault("read_in_process", []).append(await rate(read_in_process(store)))
            for way in WIRE_WAYS:
                child.stdin.write(f"{way}\n".encode())
                rates.setdefault(way, []).append(float(await child.stdout.readline()))
        child.stdin.close()
        await child.wait()
    return rates


def ratio(rates: dict[str, list[float]], way: str, to: str) -> float:
    """The median over the rounds of one rate over another."""
    return statistics.median(one / other for one, other in zip(rates[way], rates[to], strict=True))


def main() -> None:
    with tempfile.TemporaryDirectory(dir=".") as name:
        rates = asyncio.run(measured(Path(name)))
    figures: dict[str, object] = {
        f"{way}_events_per_second": round(statistics.median(values)) for way, values in rates.items()
    }
    for way, to in (
        ("append_wire_bare", "append_in_process"),
        ("append_wire_bare_together", "append_in_process_together"),
        ("append_wire_session", "append_in_process"),
        ("read_wire", "read_in_process"),
    ):
        figures[f"{way}_over_in_process"] = round(ratio(rates, way, to), 4)
    bars = {
        "append_100_over_in_process": Bar(ratio(rates, "append_adapter", "append_in_process"), 0.3),
        "append_100_by_the_package_over_in_process": Bar(
            ratio(rates, "append_wire", "append_in_process"), 0.3
        ),
        "append_100_by_the_package_over_in_process_4_callers": Bar(
            ratio(rates, "append_wire_together", "append_in_process_together"), 0.3
        ),
        "append_100_over_in_process_4_callers": Bar(
            ratio(rates, "append_adapter_together", "append_in_process_together"), 0.3
        ),
    }
    report("wire", figures, bars)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(be_client(*sys.argv[1:]))
    else:
        main()
