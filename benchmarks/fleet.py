"""Two thousand devices of a hundred varbinds, polled each 10 s by one agent process, spooled and delivered.

The devices are responders of ours on addresses of 127.0.0.0/8 in processes of their own; every tenth is dead
in the second part. CPU, memory and descriptors are the agent's; how late a poll was is told by the times
of the samples that the server received, against the regular grid that fits each device best from below.
"""

import argparse
import asyncio
import itertools
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import grpc
import msgspec
from measure import Bar, report
from processes import compiled, cpu_seconds, memory_mb, open_files

from coldaisle.core.events.types import SamplesRecorded
from coldaisle.integrations.snmp import Responder, Table, tags
from coldaisle.v1 import agent_pb2, agent_pb2_grpc

DEVICES = 2_000
DEAD_SHARE = 0.1
POLL_SECONDS = 10.0
INTERFACES = 10
SETTLE_SECONDS = 25.0
ROUNDS = 6 if os.environ.get("COLDAISLE_SOAK") else 3
PROFILE = "if_mib"
IF_X_TABLE = "1.3.6.1.2.1.31.1.1.1"
IF_TABLE = "1.3.6.1.2.1.2.2.1"
COLUMNS = {
    f"{IF_X_TABLE}.1": tags.OCTET_STRING, f"{IF_X_TABLE}.6": tags.COUNTER64,
    f"{IF_X_TABLE}.10": tags.COUNTER64, f"{IF_X_TABLE}.15": tags.GAUGE32,
    f"{IF_TABLE}.7": tags.INTEGER, f"{IF_TABLE}.8": tags.INTEGER, f"{IF_TABLE}.13": tags.COUNTER32,
    f"{IF_TABLE}.14": tags.COUNTER32, f"{IF_TABLE}.19": tags.COUNTER32, f"{IF_TABLE}.20": tags.COUNTER32,
}  # fmt: skip
"""The columns of the profile, one of them the names: a hundred varbinds with ten interfaces."""

PORT = 16_161


def rows(tick: int) -> dict[str, tuple[int, int | bytes]]:
    """What a switch of ten interfaces says at a moment; the columns that nobody asks for are left out."""
    found: dict[str, tuple[int, int | bytes]] = {
        "1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 123_456_789 + 100 * tick)
    }
    for column, tag in COLUMNS.items():
        for index in range(1, INTERFACES + 1):
            name, count = f"Ethernet{index}".encode(), 2**31 + index * (12_345 + tick)
            value = {tags.OCTET_STRING: name, tags.INTEGER: 1, tags.GAUGE32: 10_000}.get(tag, count)
            found[f"{column}.{index}"] = (tag, value)
    return found


def address(number: int) -> str:
    """Where the ``number``-th device is."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


async def play(numbers: list[int]) -> None:
    """Be these devices until standard input ends; every line there is answered with the requests so far."""
    shared = Table(rows(0))
    async with AsyncExitStack() as stack:
        played = [
            await stack.enter_async_context(Responder(shared, address(number), PORT)) for number in numbers
        ]
        counting = asyncio.create_task(count_up(shared))
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(sum(device.requests_count for device in played), flush=True)
        counting.cancel()


async def count_up(shared: Table) -> None:
    """Let every counter grow each second."""
    for tick in itertools.count(1):
        await asyncio.sleep(1)
        shared.update(rows(tick))


class Server(agent_pb2_grpc.AgentServiceServicer):
    """Acknowledges everything and keeps when each asset was seen."""

    def __init__(self) -> None:
        self.times: defaultdict[str, list[int]] = defaultdict(list)
        self.values_count = 0

    async def Connect(self, request_iterator, context):  # type: ignore[no-untyped-def] # noqa: N802
        """See agent.proto."""
        await context.read()
        await context.write(agent_pb2.ConnectResponse(welcome=agent_pb2.Welcome()))
        while (request := await context.read()) is not grpc.aio.EOF:
            if request.WhichOneof("message") == "batch":
                self.note(request.batch)
                ack = agent_pb2.BatchAck(batch_id=request.batch.batch_id)
                await context.write(agent_pb2.ConnectResponse(ack=ack))

    def note(self, batch: agent_pb2.EventBatch) -> None:
        """Keep what the benchmark reports about."""
        for event in batch.events:
            if event.type == "SamplesRecorded":
                body = msgspec.json.decode(event.data, type=SamplesRecorded)
                if not body.asset.startswith("switch-"):
                    continue  # what the agent says of itself
                self.times[body.asset].append(event.time_unix_nano)
                self.values_count += len(body.values)


async def serve() -> None:
    """Answer until standard input ends; the first line is the port, the last what was seen."""
    seen = Server()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 16 << 20)])
    agent_pb2_grpc.add_AgentServiceServicer_to_server(seen, server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)
    print(json.dumps({"values": seen.values_count, "times": seen.times}))


@contextmanager
def child(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """Run this file in another part until the block ends."""
    command = [sys.executable, __file__, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()


@contextmanager
def devices(count: int, dead_count: int) -> Iterator[Callable[[], int]]:
    """Two processes that play all devices but the dead ones, which are spread over the list.

    Answers what counts the requests so far.
    """
    step = count // dead_count if dead_count else 0
    living = [number for number in range(count) if not step or number % step]
    with child("--play", json.dumps(living[::2])) as one, child("--play", json.dumps(living[1::2])) as two:
        for process in (one, two):
            assert said(process) == "ready"
        yield lambda: requests_of(one) + requests_of(two)


def said(process: "subprocess.Popen[str]") -> str:
    """The next line of a child."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def requests_of(process: "subprocess.Popen[str]") -> int:
    """How many requests the devices of a child were asked."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return int(said(process))


def configure(folder: Path, port: int, count: int, poll_seconds: float) -> Path:
    """An agent that polls these devices and nothing else."""
    entries = (
        f'[[devices]]\nasset = "switch-{number}"\nprofile = "{PROFILE}"\n'
        f'address = "{address(number)}:{PORT}"\n'
        for number in range(count)
    )
    (folder / "inventory.toml").write_text("".join(entries))
    path = folder / "agent.toml"
    path.write_text(
        f'[agent]\nname = "bench"\nserver = "127.0.0.1:{port}"\ninventory = ["inventory.toml"]\n'
        f"[host]\nenabled = false\n[snmp]\npoll_seconds = {poll_seconds}\n"
    )
    return path


@contextmanager
def agent(config: Path, folder: Path) -> Iterator[int]:
    """Run an agent; answers its process id."""
    command = [sys.executable, "-m", "coldaisle.cli", "agent", "run", "--config", str(config)]
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(command, stderr=log, env=compiled(folder)) as process,
    ):
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)


def lateness(times: dict[str, list[int]], poll_seconds: float) -> list[float]:
    """Seconds of each poll behind its slot; a device's slots are as early as its polls allow."""
    found: list[float] = []
    for moments in times.values():
        seconds = sorted(moment / 1e9 for moment in moments)
        slots = [round((second - seconds[0]) / poll_seconds) for second in seconds]
        phases = [second - slot * poll_seconds for second, slot in zip(seconds, slots, strict=True)]
        found += [phase - min(phases) for phase in phases]
    return found


def part(count: int, dead_count: int) -> dict[str, float]:
    """One run: what the agent used in a settled window, and how late its polls were."""
    with tempfile.TemporaryDirectory() as name, devices(count, dead_count), child("--serve") as server:
        folder = Path(name)
        assert server.stdout is not None
        config = configure(folder, int(server.stdout.readline()), count, POLL_SECONDS)
        with agent(config, folder) as pid:
            time.sleep(SETTLE_SECONDS)
            before, began = cpu_seconds(pid), time.monotonic()
            time.sleep(ROUNDS * POLL_SECONDS)
            share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
            found = {"cpu_percent": share * 100, **memory_mb(pid), "open_files": float(open_files(pid))}
        assert server.stdin is not None
        server.stdin.close()
        seen = json.loads(server.stdout.read())
    late = sorted(lateness(seen["times"], POLL_SECONDS))
    polls_each = [len(moments) for moments in seen["times"].values()]
    return {
        **found,
        "values": seen["values"],
        "devices_seen": float(len(polls_each)),
        "polls_least": float(min(polls_each)),
        "polls_median": statistics.median(polls_each),
        "late_p99_seconds": late[len(late) * 99 // 100],
        "late_max_seconds": late[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--play", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--devices", type=int, default=DEVICES)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if options.serve or options.play:
        asyncio.run(serve() if options.serve else play(options.play))
        return
    all_live = part(options.devices, 0)
    some_dead = part(options.devices, int(options.devices * DEAD_SHARE))
    figures = {f"{key}_of_living": value for key, value in all_live.items()} | {
        f"{key}_with_dead": value for key, value in some_dead.items()
    }
    bars = {
        "cpu_percent": Bar(all_live["cpu_percent"], 25, "at_most"),
        "rss_mb": Bar(max(all_live["rss_mb"], some_dead["rss_mb"]), 64, "at_most"),
        "open_files": Bar(max(all_live["open_files"], some_dead["open_files"]), 50, "at_most"),
        "late_p99_seconds_with_dead": Bar(some_dead["late_p99_seconds"], 1, "at_most"),
    }
    report("fleet", figures, bars)


if __name__ == "__main__":
    main()
