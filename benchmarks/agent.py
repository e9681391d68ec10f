"""What an agent at rest costs: memory, CPU and descriptors with 100 host metrics each 10 s, and its start.

The agent is a process of its own against a gRPC server in another, with its modules compiled as an
installed package's are. A machine with fewer metrics is polled as much more often, which costs more.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from measure import Bar, report
from processes import compiled, cpu_seconds, memory_mb, open_files

from coldaisle.integrations.host import HostCollector
from coldaisle.v1 import agent_pb2, agent_pb2_grpc

METRICS = 100
INTERVAL_SECONDS = 10.0
STARTS = 3
SETTLE_SECONDS = 5.0
WATCH_SECONDS = 120.0 if os.environ.get("COLDAISLE_SOAK") else 40.0


class Server(agent_pb2_grpc.AgentServiceServicer):
    """Acknowledges everything; prints a line when a stream brings its first batch."""

    async def Connect(self, request_iterator, context):  # type: ignore[no-untyped-def] # noqa: N802
        """See agent.proto."""
        await context.read()
        await context.write(agent_pb2.ConnectResponse(welcome=agent_pb2.Welcome()))
        batches_count = 0
        while (request := await context.read()) is not grpc.aio.EOF:
            if request.WhichOneof("message") == "batch":
                batches_count += 1
                if batches_count == 1:
                    print(len(request.batch.events), flush=True)
                ack = agent_pb2.BatchAck(batch_id=request.batch.batch_id)
                await context.write(agent_pb2.ConnectResponse(ack=ack))


async def serve() -> None:
    """Answer until standard input ends; the first line is the port."""
    server = grpc.aio.server()
    agent_pb2_grpc.add_AgentServiceServicer_to_server(Server(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


@dataclass
class Acknowledger:
    """The server's process."""

    process: "subprocess.Popen[str]"

    def line(self) -> int:
        """The next number that it says."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@contextmanager
def acknowledger() -> Iterator[Acknowledger]:
    """Run the server."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Acknowledger(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.stdout is not None
        process.stdout.read()


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


def configure(folder: Path, port: int, poll_seconds: float) -> Path:
    """A configuration that observes this machine only."""
    path = folder / "agent.toml"
    path.write_text(
        f'[agent]\nname = "bench"\nserver = "127.0.0.1:{port}"\n[host]\npoll_seconds = {poll_seconds:.3f}\n'
    )
    return path


def metrics_here() -> int:
    """How many metrics one poll of this machine brings."""
    host = HostCollector(INTERVAL_SECONDS)
    host.describe()
    return len(host.sample())


def starts(server: Acknowledger, config: Path, folder: Path) -> list[float]:
    """CPU-seconds until the first batch is at the server; the first start, which compiles, is left out."""
    found = []
    for _ in range(STARTS + 1):
        with agent(config, folder) as pid:
            server.line()
            found.append(cpu_seconds(pid))
    return found[1:]


def at_rest(server: Acknowledger, config: Path, folder: Path) -> dict[str, float]:
    """What a settled agent uses."""
    with agent(config, folder) as pid:
        server.line()
        time.sleep(SETTLE_SECONDS)
        before, began = cpu_seconds(pid), time.monotonic()
        time.sleep(WATCH_SECONDS)
        share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
        return {"cpu_percent": share * 100, **memory_mb(pid), "open_files": open_files(pid)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().serve:
        asyncio.run(serve())
        return
    here = metrics_here()
    poll_seconds = INTERVAL_SECONDS * min(1.0, here / METRICS)
    with tempfile.TemporaryDirectory() as name, acknowledger() as server:
        folder = Path(name)
        config = configure(folder, server.line(), poll_seconds)
        start_seconds = statistics.median(starts(server, config, folder))
        found = at_rest(server, config, folder)
    figures = {
        "metrics_a_poll": here,
        "poll_seconds": poll_seconds,
        "watched_seconds": WATCH_SECONDS,
        **found,
    }
    bars = {
        "rss_mb": Bar(found["rss_mb"], 36, "at_most"),
        "cpu_percent": Bar(found["cpu_percent"], 0.1, "at_most"),
        "start_cpu_seconds": Bar(start_seconds, 0.5, "at_most"),
    }
    report("agent", figures, bars)


if __name__ == "__main__":
    main()
