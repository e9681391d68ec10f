"""From a change in a device to the alert at a watching client, while other samples flow.

Everything is real: an SNMP device whose inlet probe jumps, an agent that polls it each 0.1 s, the server
with its store on disk, a client on WatchAlerts. The load is a second agent's stream. One bad sample raises
(the shipped default, 3 of 5, adds two polls); the wait for the next poll and the agent's flush are included.
"""

import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from measure import Bar, report

from coldaisle.core.events import encode, sequenced_id
from coldaisle.core.events.types import SamplesRecorded
from coldaisle.integrations.snmp import Responder, Table, tags
from coldaisle.v1 import agent_pb2, agent_pb2_grpc, alerts_pb2, alerts_pb2_grpc, system_pb2, system_pb2_grpc

RATES = (1_000, 10_000)
TRIALS = 60
METRICS_PER_POLL = 20
TICK_SECONDS = 0.1
PROBE = "1.3.6.1.4.1.318.1.1.26.10.2.2.1.8.1"
SYSTEM = {
    "1.3.6.1.2.1.1.1.0": (tags.OCTET_STRING, b"rack PDU"),
    "1.3.6.1.2.1.1.2.0": (tags.OBJECT_IDENTIFIER, "1.3.6.1.4.1.318.1.3.4.6"),
    "1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 1),
}
SERVER_TOML = """
[serve]
listen = "127.0.0.1:0"
data_dir = "{folder}/server"
[detect]
raise_count = 1
raise_window = 1
clear_count = 1
"""
AGENT_TOML = """
[agent]
name = "device"
server = "{address}"
token_file = "server/token"
inventory = ["inventory.toml"]
[host]
enabled = false
[snmp]
poll_seconds = 0.1
"""
INVENTORY_TOML = """
[[assets]]
name = "pdu-1"
kind = "pdu"
[[devices]]
asset = "pdu-1"
address = "127.0.0.1:{port}"
"""


def start(*words: str, ready: str = "") -> tuple[subprocess.Popen[str], str]:
    """A coldaisle process, once it has said its line."""
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline() if ready else ""
    if ready not in line:
        raise SystemExit(f"{words} did not start: {line}")
    return process, line.split()[-1] if line else ""


async def send_load(address: str, token: str, rate: int) -> None:
    """An agent's stream that carries ``rate`` samples a second, for ever."""
    source, sequence = random.Random(rate), 0
    metrics = tuple(f"sensor_{n:02d}_celsius" for n in range(METRICS_PER_POLL))
    assets = [f"load-{n}" for n in range(max(1, rate // METRICS_PER_POLL))]

    async def messages() -> AsyncIterator[agent_pb2.ConnectRequest]:
        nonlocal sequence
        yield agent_pb2.ConnectRequest(hello=agent_pb2.Hello(agent="load"))
        batch, due = 0, time.monotonic()
        share = max(1, int(len(assets) * TICK_SECONDS))
        while True:
            batch += 1
            message = agent_pb2.EventBatch(batch_id=batch)
            for _ in range(share):
                sequence += 1
                now = time.time_ns()
                values = tuple(round(20 + source.random(), 2) for _ in metrics)
                body = SamplesRecorded(assets[sequence % len(assets)], metrics, values)
                event = encode(body, id=sequenced_id(now, f"load-{rate}", sequence), time=now, actor="")
                message.events.add(
                    id=event.id, type=event.type, schema=1, time_unix_nano=now, data=event.data
                )
            yield agent_pb2.ConnectRequest(batch=message)
            due += TICK_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async with grpc.aio.insecure_channel(address) as channel:
        call = agent_pb2_grpc.AgentServiceStub(channel).Connect(messages(), metadata=credentials(token))
        async for _ in call:
            pass


def credentials(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def trials(address: str, token: str, table: Table) -> list[float]:
    """Seconds from each jump of the probe to its alert at the client."""
    waits: list[float] = []
    source = random.Random(7)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = alerts_pb2_grpc.AlertServiceStub(channel)
        alerts = stub.WatchAlerts(alerts_pb2.WatchAlertsRequest(), metadata=credentials(token))
        for _ in range(TRIALS):
            await asyncio.sleep(source.random() * 0.2)
            started = time.perf_counter()
            table.update({PROBE: (tags.INTEGER, 295)})
            await until(alerts, alerts_pb2.Alert.STATE_OPEN)
            waits.append(time.perf_counter() - started)
            table.update({PROBE: (tags.INTEGER, 220)})
            await until(alerts, alerts_pb2.Alert.STATE_CLEARED)
    return waits


async def until(alerts: AsyncIterator[alerts_pb2.WatchAlertsResponse], state: int) -> None:
    async with asyncio.timeout(30):
        async for message in alerts:
            if message.alert.asset == "assets/pdu-1" and message.alert.state == state:
                return


async def position(address: str, token: str) -> int:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = system_pb2_grpc.SystemServiceStub(channel)
        return (await stub.GetStatus(system_pb2.GetStatusRequest(), metadata=credentials(token))).position


async def measure(folder: Path, address: str, rate: int) -> tuple[list[float], float]:
    """The waits at a rate, and the samples a second that the server really took."""
    token = (folder / "server/token").read_text().strip()
    async with Responder(Table({**SYSTEM, PROBE: (tags.INTEGER, 220)})) as device:
        (folder / "inventory.toml").write_text(INVENTORY_TOML.format(port=device.port))
        (folder / "agent.toml").write_text(AGENT_TOML.format(address=address))
        agent, _ = start("-m", "coldaisle.cli", "agent", "run", "--config", str(folder / "agent.toml"))
        load, _ = start(__file__, "load", address, token, str(rate))
        try:
            await asyncio.sleep(3)  # both streams open, the device recognised
            before, started = await position(address, token), time.perf_counter()
            waits = await trials(address, token, device.table)
            events = await position(address, token) - before
            return waits, events * METRICS_PER_POLL / (time.perf_counter() - started)
        finally:
            for process in (agent, load):
                process.terminate()
                process.wait()


def main() -> None:
    figures: dict[str, object] = {"trials": TRIALS, "agent_poll_seconds": 0.1}
    bars: dict[str, Bar] = {}
    for rate in RATES:
        with tempfile.TemporaryDirectory(dir=".") as name:
            folder = Path(name).resolve()
            (folder / "server.toml").write_text(SERVER_TOML.format(folder=folder))
            server, address = start(
                "-m", "coldaisle.cli", "serve", "--config", str(folder / "server.toml"), ready="serving on"
            )
            try:
                waits, flowing = asyncio.run(measure(folder, address, rate))
            finally:
                server.terminate()
                server.wait()
        p99 = statistics.quantiles(waits, n=100)[98]
        figures[f"flowing_samples_per_second_at_{rate}"] = round(flowing)
        figures[f"p50_seconds_at_{rate}"] = round(statistics.median(waits), 4)
        figures[f"p99_seconds_at_{rate}"] = round(p99, 4)
        bars[f"p99_seconds_at_{rate}"] = Bar(p99, 1.0, "at_most")
    report("latency", figures, bars)


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        asyncio.run(send_load(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    else:
        main()
