"""Varbinds per CPU-second on the whole way from poll to kept samples: our agent and its peers.

All poll the same devices, at the same addresses, for the same columns, as often. Only the CPU of the polling
process counts, after it has settled. Each does what it is made for: the agent types, names and spools
(its server is away); the exporter is scraped over HTTP by another process and renders its text; collectd
runs without a plugin that would write its values anywhere; pysnmp only decodes. A peer that is not
installed is left out.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fleet
from measure import Bar, report
from processes import cpu_seconds
from pysnmp.hlapi.v1arch.asyncio import (
    CommunityData,
    ObjectIdentity,
    ObjectType,
    SnmpDispatcher,
    UdpTransportTarget,
    bulk_walk_cmd,
)

DEVICES = 100
DEVICES_OF_PYSNMP = 10
"""As many as it keeps up with."""

VARBINDS = fleet.INTERFACES * len(fleet.COLUMNS)
POLL_SECONDS = 1.0
SETTLE_SECONDS = 5.0
WATCH_SECONDS = 8.0
ROUNDS = 3
REPETITIONS = 25
CLOSED_PORT = 9  # discard: nobody listens on loopback
EXPORTER_PORT = 19_116
COLLECTD = "/usr/sbin/collectd"
EXPORTER = "prometheus-snmp-exporter"
AT_LEAST = {"snmp_exporter": 3.0, "collectd": 1.0, "pysnmp": 20.0}

Way = Callable[[Path], Iterator[int]]


def own(folder: Path) -> Iterator[int]:
    """Our agent, whose server is away."""
    with fleet.agent(fleet.configure(folder, CLOSED_PORT, DEVICES, POLL_SECONDS), folder) as pid:
        yield pid


def collectd(folder: Path) -> Iterator[int]:
    """The daemon with its snmp plugin: one table of all columns for each host."""
    naming, *columns = fleet.COLUMNS
    sources = ", ".join(f"value{number}:GAUGE:U:U" for number in range(len(columns)))
    (folder / "types.db").write_text(f"switch {sources}\n")
    values = " ".join(f'"{column}"' for column in columns)
    hosts = "".join(
        f'<Host "switch-{number}">\nAddress "udp:{fleet.address(number)}:{fleet.PORT}"\nVersion 2\n'
        f'Community "public"\nCollect "switch"\nInterval {POLL_SECONDS:g}\nBulkSize {REPETITIONS}\n</Host>\n'
        for number in range(DEVICES)
    )
    config = folder / "collectd.conf"
    config.write_text(
        f'BaseDir "{folder}"\nPIDFile "{folder}/pid"\n'
        f'TypesDB "{folder}/types.db"\nInterval {POLL_SECONDS:g}\n'
        f'LoadPlugin snmp\n<Plugin snmp>\n<Data "switch">\nType "switch"\nTable true\n'
        f'TypeInstanceOID "{naming}"\nValues {values}\n</Data>\n{hosts}</Plugin>\n'
    )
    with _process([COLLECTD, "-f", "-C", str(config)], folder) as pid:
        yield pid


def snmp_exporter(folder: Path) -> Iterator[int]:
    """The exporter, scraped once a second for each device."""
    config = folder / "snmp.yml"
    config.write_text(json.dumps({"switch": _module()}))
    address = f"127.0.0.1:{EXPORTER_PORT}"
    command = [EXPORTER, f"--config.file={config}", f"--web.listen-address={address}", "--log.level=error"]
    with _process(command, folder) as pid, _process([sys.executable, __file__, "--scrape"], folder):
        yield pid


def _module() -> dict[str, object]:
    naming, *columns = fleet.COLUMNS
    name = {"labels": ["ifIndex"], "labelname": "interface", "oid": naming, "type": "DisplayString"}
    metrics = [
        {
            "name": f"column_{number}", "oid": column, "type": "gauge", "help": "-",
            "indexes": [{"labelname": "ifIndex", "type": "gauge"}], "lookups": [name],
        }
        for number, column in enumerate(columns)
    ]  # fmt: skip
    return {
        "walk": list(fleet.COLUMNS), "metrics": metrics, "version": 2, "max_repetitions": REPETITIONS,
        "auth": {"community": "public"},
    }  # fmt: skip


def pysnmp(folder: Path) -> Iterator[int]:
    """Its own asyncio client, without look-ups in MIBs."""
    with _process([sys.executable, __file__, "--pysnmp"], folder) as pid:
        yield pid


async def scrape() -> None:
    """Ask the exporter about every device, as Prometheus would, for ever."""
    await _each_device(DEVICES, lambda number: asyncio.to_thread(_scrape, number))


def _scrape(number: int) -> None:
    target = f"{fleet.address(number)}:{fleet.PORT}"
    url = f"http://127.0.0.1:{EXPORTER_PORT}/snmp?target={target}&module=switch"
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert answer.read().count(b"\ncolumn_") == VARBINDS - fleet.INTERFACES, target


async def walk_with_pysnmp() -> None:
    """Walk every device, for ever."""
    dispatcher = SnmpDispatcher()
    await _each_device(DEVICES_OF_PYSNMP, lambda number: _walk(dispatcher, number))


async def _walk(dispatcher: SnmpDispatcher, number: int) -> None:
    transport = await UdpTransportTarget.create((fleet.address(number), fleet.PORT), timeout=5)
    found = 0
    for column in fleet.COLUMNS:
        async for error, *_, varbinds in bulk_walk_cmd(
            dispatcher, CommunityData("public", mpModel=1), transport, 0, REPETITIONS,
            ObjectType(ObjectIdentity(column)), lookupMib=False, lexicographicMode=False,
        ):  # fmt: skip
            assert not error, error
            found += len(varbinds)
    assert found == VARBINDS, found


async def _each_device(count: int, poll: Callable[[int], Awaitable[None]]) -> None:
    async def keep(number: int) -> None:
        due = asyncio.get_running_loop().time() + number / count * POLL_SECONDS
        while True:
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            await poll(number)
            due += POLL_SECONDS

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(keep(number))


@contextmanager
def _process(command: list[str], folder: Path) -> Iterator[int]:
    with (folder / "log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def measure(way: Way, devices: int, count_requests: Callable[[], int]) -> tuple[float, float]:
    """Varbinds per CPU-second, and how many requests a poll took."""
    with tempfile.TemporaryDirectory() as name, contextmanager(way)(Path(name)) as pid:
        time.sleep(SETTLE_SECONDS)
        before, requests, began = cpu_seconds(pid), count_requests(), time.monotonic()
        time.sleep(WATCH_SECONDS)
        used, requests = cpu_seconds(pid) - before, count_requests() - requests
        polls = devices * (time.monotonic() - began) / POLL_SECONDS
    return polls * VARBINDS / used, requests / polls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scrape", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--pysnmp", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scrape or options.pysnmp:
        asyncio.run(scrape() if options.scrape else walk_with_pysnmp())
        return
    ways: dict[str, Way] = {"own": own, "pysnmp": pysnmp}
    ways |= {"collectd": collectd} if shutil.which(COLLECTD) else {}
    ways |= {"snmp_exporter": snmp_exporter} if shutil.which(EXPORTER) else {}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with fleet.devices(DEVICES, 0) as count_requests:
        for _ in range(ROUNDS):
            for name, way in ways.items():
                polled = DEVICES_OF_PYSNMP if name == "pysnmp" else DEVICES
                found[name].append(measure(way, polled, count_requests))
    rates = {name: statistics.median(rate for rate, _ in pairs) for name, pairs in found.items()}
    asked = {name: statistics.median(requests for _, requests in pairs) for name, pairs in found.items()}
    figures: dict[str, object] = {"devices": DEVICES, "varbinds_a_poll": VARBINDS}
    figures |= {f"{name}_varbinds_per_cpu_second": round(rate) for name, rate in rates.items()}
    figures |= {f"{name}_requests_a_poll": round(count, 2) for name, count in asked.items()}
    bars = {
        f"own_over_{name}": Bar(rates["own"] / rates[name], bound)
        for name, bound in AT_LEAST.items()
        if name in rates
    }
    report("snmp_peers", figures, bars)


if __name__ == "__main__":
    main()
