"""Varbinds per CPU-second of walks in versions 2c and 3, and traps per CPU-second.

The walks are those of our client, pysnmp and snmpbulkwalk over the same table of one responder, which runs
in its own process, with 25 repetitions: one after the other, and all at once, as an agent has many devices.
Version 3 is SHA-256 with AES-128. Each round runs all ways, one after the other; figures are medians over
the rounds. Only the CPU of the asking side counts. snmpbulkwalk's includes its start and the writing of its
text to ``/dev/null``; pysnmp runs without MIB look-ups, its fastest way. Traps arrive in bursts that
another process sends as fast as it can; what counts is the CPU from the socket to the event.
"""

import asyncio
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pysnmp.hlapi.v1arch.asyncio as v1arch
import pysnmp.hlapi.v3arch.asyncio as v3arch
from measure import Bar, report

from coldaisle.core.events.envelope import Observation
from coldaisle.integrations.snmp import (
    Responder,
    SnmpClient,
    Table,
    Target,
    TrapListener,
    User,
    encode_trap_v2,
    tags,
)
from coldaisle.integrations.snmp.message import V2C, V3

ROUNDS_COUNT = 5
WALKS_COUNT = 8
INTERFACES_COUNT = 200
COLUMNS_COUNT = 19
REPETITIONS = 25
TRAPS_COUNT = 5_000
WAIT_SECONDS = 5.0
"""For the rest of a burst of which something was lost."""

ROOT = "1.3.6.1.2.1.31.1.1.1"
LINK_DOWN = "1.3.6.1.6.3.1.1.5.3"
ROWS_COUNT = INTERFACES_COUNT * COLUMNS_COUNT
USER = User("benchmark", "SHA-256", "authentic1", "AES-128", "private-1")

Walk = Callable[[int, int], Awaitable[float]]
"""Walks a port WALKS_COUNT times, so many at once; returns CPU-seconds."""


def table() -> Table:
    """Counters, gauges and names, as an ifXTable mixes them."""
    kinds = [(tags.OCTET_STRING, b"Ethernet1/1"), (tags.COUNTER32, 2**31), (tags.COUNTER64, 2**40)]
    return Table(
        {
            f"{ROOT}.{column}.{index}": kinds[column % len(kinds)]
            for column in range(1, COLUMNS_COUNT + 1)
            for index in range(1, INTERFACES_COUNT + 1)
        }
    )


async def serve() -> None:
    """Answer until standard input ends; the first line tells the port."""
    async with Responder(table(), users=[USER]) as device:
        print(device.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def storm(port: int) -> None:
    """Send traps as fast as the socket takes them."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port)
    )
    rows = [(f"1.3.6.1.2.1.2.2.1.{column}.7", tags.INTEGER, 2) for column in (1, 7, 8)]
    for number in range(TRAPS_COUNT):
        transport.sendto(encode_trap_v2("public", number, LINK_DOWN, rows))
    transport.close()


async def walk_own(version: int, port: int, at_once: int) -> float:
    """CPU-seconds of our client."""
    target = Target(
        "127.0.0.1", port, timeout_seconds=5.0, max_repetitions=REPETITIONS, version=version, user=USER
    )
    async with SnmpClient() as client:

        async def walk() -> int:
            return len(await client.walk(target, ROOT))

        return await _used(walk, at_once)


async def walk_pysnmp_v2c(port: int, at_once: int) -> float:
    """CPU-seconds of pysnmp."""
    dispatcher = v1arch.SnmpDispatcher()
    transport = await v1arch.UdpTransportTarget.create(("127.0.0.1", port), timeout=5)
    root = v1arch.ObjectType(v1arch.ObjectIdentity(ROOT))

    def rows() -> AsyncIterator[tuple[object, object, object, list[object]]]:
        community = v1arch.CommunityData("public", mpModel=1)
        return v1arch.bulk_walk_cmd(
            dispatcher, community, transport, 0, REPETITIONS, root, lookupMib=False, lexicographicMode=False
        )

    used_seconds = await _used(lambda: _count(rows()), at_once)
    dispatcher.transport_dispatcher.close_dispatcher()
    return used_seconds


async def walk_pysnmp_v3(port: int, at_once: int) -> float:
    """CPU-seconds of pysnmp with SHA-256 and AES-128."""
    engine = v3arch.SnmpEngine()
    transport = await v3arch.UdpTransportTarget.create(("127.0.0.1", port), timeout=5)
    protocols = (v3arch.usmHMAC192SHA256AuthProtocol, v3arch.usmAesCfb128Protocol)
    user = v3arch.UsmUserData(USER.name, USER.auth_phrase, USER.privacy_phrase, *protocols)
    root = v3arch.ObjectType(v3arch.ObjectIdentity(ROOT))

    def rows() -> AsyncIterator[tuple[object, object, object, list[object]]]:
        return v3arch.bulk_walk_cmd(
            engine, user, transport, v3arch.ContextData(), 0, REPETITIONS, root, lookupMib=False,
            lexicographicMode=False,
        )  # fmt: skip

    used_seconds = await _used(lambda: _count(rows()), at_once)
    engine.close_dispatcher()
    return used_seconds


async def walk_net_snmp(port: int, at_once: int) -> float:
    """CPU-seconds of processes of snmpbulkwalk."""

    async def walk() -> int:
        await _run_net_snmp(port)
        return ROWS_COUNT

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    await _used(walk, at_once)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def receive() -> tuple[float, int]:
    """Traps per CPU-second of a burst, and how many did not arrive."""
    arrived = 0
    complete = asyncio.Event()

    async def emit(_: Observation) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == TRAPS_COUNT:
            complete.set()

    listener = TrapListener("127.0.0.1", 0)
    async with listener, asyncio.TaskGroup() as group:
        running = group.create_task(listener.run(emit))
        started = time.process_time()
        sender = await asyncio.create_subprocess_exec(sys.executable, __file__, "storm", str(listener.port))
        await sender.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                await complete.wait()
        used_seconds = time.process_time() - started
        running.cancel()
    return arrived / used_seconds, TRAPS_COUNT - arrived


def measure(port: int) -> dict[str, float]:
    """Medians over interleaved rounds; a peer that is not installed is left out."""
    ways: dict[str, tuple[Walk, int]] = {
        "own_v2c_one": (partial(walk_own, V2C), 1),
        "pysnmp_v2c_one": (walk_pysnmp_v2c, 1),
        "own_v2c_many": (partial(walk_own, V2C), WALKS_COUNT),
        "pysnmp_v2c_many": (walk_pysnmp_v2c, WALKS_COUNT),
        "own_v3": (partial(walk_own, V3), WALKS_COUNT),
        "pysnmp_v3": (walk_pysnmp_v3, WALKS_COUNT),
    }
    if shutil.which("snmpbulkwalk"):
        ways["snmpbulkwalk_v2c"] = (walk_net_snmp, WALKS_COUNT)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS_COUNT):
        for name, (walk, at_once) in ways.items():
            found[name].append(asyncio.run(_rate(walk, port, at_once)))
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Start the responder, measure, print one JSON object as the last line."""
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as responder:
        assert responder.stdin is not None
        assert responder.stdout is not None
        medians = measure(int(responder.stdout.readline()))
        responder.stdin.close()
    bursts = [asyncio.run(receive()) for _ in range(ROUNDS_COUNT)]
    settings = {"rows": ROWS_COUNT, "walks_at_once": WALKS_COUNT, "rounds": ROUNDS_COUNT}
    figures: dict[str, object] = {**settings, "repetitions": REPETITIONS, "traps_in_a_burst": TRAPS_COUNT}
    figures |= {f"{name}_varbinds_per_cpu_second": round(value) for name, value in medians.items()}
    traps = statistics.median(rate for rate, _ in bursts)
    bars = {
        "one_v2c_walk_over_pysnmp": Bar(medians["own_v2c_one"] / medians["pysnmp_v2c_one"], 20),
        "many_v2c_walks_over_pysnmp": Bar(medians["own_v2c_many"] / medians["pysnmp_v2c_many"], 20),
        "v3_walks_over_pysnmp": Bar(medians["own_v3"] / medians["pysnmp_v3"], 15),
        "traps_per_cpu_second": Bar(traps, 20_000),
        "traps_lost_in_all_bursts": Bar(sum(lost for _, lost in bursts), 0, "at_most"),
    }
    report("snmp", figures, bars)


async def _used(walk: Callable[[], Awaitable[int]], at_once: int) -> float:
    """CPU-seconds of this process for all walks."""
    places = asyncio.Semaphore(at_once)

    async def walk_in_turn() -> None:
        async with places:
            assert await walk() == ROWS_COUNT

    started = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(WALKS_COUNT):
            group.create_task(walk_in_turn())
    return time.process_time() - started


async def _count(rows: AsyncIterator[tuple[object, object, object, list[object]]]) -> int:
    count = 0
    async for error, status, _, varbinds in rows:
        assert not error
        assert not status
        count += len(varbinds)
    return count


async def _run_net_snmp(port: int) -> None:
    process = await asyncio.create_subprocess_exec(
        "snmpbulkwalk", "-v2c", "-cpublic", "-On", f"-Cr{REPETITIONS}", f"127.0.0.1:{port}", ROOT,
        env={**os.environ, "MIBS": ""}, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0


async def _rate(walk: Walk, port: int, at_once: int) -> float:
    return WALKS_COUNT * ROWS_COUNT / await walk(port, at_once)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    elif sys.argv[1:2] == ["storm"]:
        asyncio.run(storm(int(sys.argv[2])))
    else:
        main()
