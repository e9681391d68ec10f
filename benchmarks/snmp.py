"""Varbinds per CPU-second of three walks: our client, pysnmp and snmpbulkwalk.

All walk the same table of one responder, which runs in its own process, with 25 repetitions and as many
walks at once, as an agent has many devices. Each round runs all three, one after the other; figures are
medians over the rounds. Only the CPU of the asking side counts. snmpbulkwalk's includes its start and the
writing of its text to ``/dev/null``; pysnmp runs without MIB look-ups, its fastest way.
"""

import asyncio
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

from pysnmp.hlapi.v1arch.asyncio import (
    CommunityData,
    ObjectIdentity,
    ObjectType,
    SnmpDispatcher,
    UdpTransportTarget,
    bulk_walk_cmd,
)

from coldaisle.integrations.snmp import Responder, SnmpClient, Table, Target, tags

ROUNDS_COUNT = 5
WALKS_COUNT = 8
INTERFACES_COUNT = 200
COLUMNS_COUNT = 19
REPETITIONS = 25
ROOT = "1.3.6.1.2.1.31.1.1.1"
ROWS_COUNT = INTERFACES_COUNT * COLUMNS_COUNT
AT_LEAST_OVER_PYSNMP = 20.0


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
    async with Responder(table()) as device:
        print(device.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def walk_own(port: int) -> float:
    """CPU-seconds of our client."""
    target = Target("127.0.0.1", port, timeout_seconds=5.0, max_repetitions=REPETITIONS)
    async with SnmpClient() as client:
        started = time.process_time()
        async with asyncio.TaskGroup() as group:
            walks = [group.create_task(client.walk(target, ROOT)) for _ in range(WALKS_COUNT)]
        used_seconds = time.process_time() - started
    assert all(len(walk.result()) == ROWS_COUNT for walk in walks)
    return used_seconds


async def walk_pysnmp(port: int) -> float:
    """CPU-seconds of pysnmp."""
    dispatcher = SnmpDispatcher()
    transport = await UdpTransportTarget.create(("127.0.0.1", port), timeout=5)
    started = time.process_time()
    async with asyncio.TaskGroup() as group:
        walks = [group.create_task(_count_pysnmp(dispatcher, transport)) for _ in range(WALKS_COUNT)]
    used_seconds = time.process_time() - started
    dispatcher.transport_dispatcher.close_dispatcher()
    assert all(walk.result() == ROWS_COUNT for walk in walks)
    return used_seconds


async def walk_net_snmp(port: int) -> float:
    """CPU-seconds of processes of snmpbulkwalk."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    async with asyncio.TaskGroup() as group:
        for _ in range(WALKS_COUNT):
            group.create_task(_run_net_snmp(port))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(port: int) -> dict[str, float]:
    """Medians over interleaved rounds; a peer that is not installed is left out."""
    walks: dict[str, Callable[[int], Awaitable[float]]] = {"own": walk_own, "pysnmp": walk_pysnmp}
    if shutil.which("snmpbulkwalk"):
        walks["snmpbulkwalk"] = walk_net_snmp
    found: dict[str, list[float]] = {name: [] for name in walks}
    for _ in range(ROUNDS_COUNT):
        for name, walk in walks.items():
            found[name].append(asyncio.run(_rate(walk, port)))
    return {name: statistics.median(values) for name, values in found.items()}


def report(medians: dict[str, float]) -> dict[str, object]:
    """The figures and the bar that they are held against."""
    figures = {f"{name}_varbinds_per_cpu_second": round(value) for name, value in medians.items()}
    ratios = {
        f"own_over_{name}": round(medians["own"] / medians[name], 2) for name in medians if name != "own"
    }
    over_pysnmp = ratios["own_over_pysnmp"]
    bar = {
        "value": over_pysnmp,
        "at_least": AT_LEAST_OVER_PYSNMP,
        "holds": over_pysnmp >= AT_LEAST_OVER_PYSNMP,
    }
    settings = {
        "rows": ROWS_COUNT,
        "walks_at_once": WALKS_COUNT,
        "rounds": ROUNDS_COUNT,
        "repetitions": REPETITIONS,
    }
    return {"name": "snmp", "figures": {**settings, **figures, **ratios}, "bars": {"own_over_pysnmp": bar}}


def main() -> None:
    """Start the responder, measure, print one JSON object as the last line."""
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as responder:
        assert responder.stdin is not None
        assert responder.stdout is not None
        medians = measure(int(responder.stdout.readline()))
        responder.stdin.close()
    print(json.dumps(report(medians)))


async def _count_pysnmp(dispatcher: SnmpDispatcher, transport: UdpTransportTarget) -> int:
    community, root = CommunityData("public", mpModel=1), ObjectType(ObjectIdentity(ROOT))
    count = 0
    async for error, status, _, varbinds in bulk_walk_cmd(
        dispatcher, community, transport, 0, REPETITIONS, root, lookupMib=False, lexicographicMode=False
    ):
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


async def _rate(walk: Callable[[int], Awaitable[float]], port: int) -> float:
    return WALKS_COUNT * ROWS_COUNT / await walk(port)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
