"""The agent as a process: what it imports, how it starts and how it ends."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from coldaisle.agent.collectors import trap_senders
from coldaisle.agent.config import load_config
from coldaisle.agent.main import run_until
from coldaisle.core.errors import ConfigError
from coldaisle.core.events.ids import sequence_of
from coldaisle.integrations.snmp import DeviceConfig
from coldaisle.v1 import agent_pb2, agent_pb2_grpc

HEAVY = (
    "grpc",
    "structlog",
    "importlib.metadata",
    "river",
    "numpy",
    "networkx",
    "pysnmp",
    "pandas",
    "requests",
    "http.client",
    "prometheus_api_client",
)
_KILLS = 20 if os.environ.get("COLDAISLE_SOAK") else 4
_START = "from coldaisle.agent.commands import agent; agent()"


class Server(agent_pb2_grpc.AgentServiceServicer):
    """Acknowledges everything and keeps the events."""

    def __init__(self) -> None:
        self.events: list[agent_pb2.AgentEvent] = []
        self.changed = asyncio.Condition()

    async def Connect(self, request_iterator, context):  # type: ignore[no-untyped-def] # noqa: N802
        await context.read()
        await context.write(agent_pb2.ConnectResponse(welcome=agent_pb2.Welcome()))
        while (request := await context.read()) is not grpc.aio.EOF:
            if request.WhichOneof("message") == "batch":
                async with self.changed:
                    self.events += request.batch.events
                    self.changed.notify_all()
                ack = agent_pb2.BatchAck(batch_id=request.batch.batch_id)
                await context.write(agent_pb2.ConnectResponse(ack=ack))

    async def until(self, type_name: str) -> None:
        async with self.changed, asyncio.timeout(30):
            await self.changed.wait_for(lambda: any(event.type == type_name for event in self.events))

    async def until_count(self, count: int) -> None:
        async with self.changed, asyncio.timeout(30):
            await self.changed.wait_for(lambda: len(self.events) >= count)


async def serve(server: Server) -> tuple[grpc.aio.Server, int]:
    running = grpc.aio.server()
    agent_pb2_grpc.add_AgentServiceServicer_to_server(server, running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    return running, port


def configure(folder: Path, port: int, more: str = "") -> Path:
    path = folder / "agent.toml"
    text = f'[agent]\nname = "edge-1"\nserver = "127.0.0.1:{port}"\ndata_dir = "data"\n'
    text += "[host]\npoll_seconds = 0.1\n"
    path.write_text(text + more)
    return path


def imported(modules: str, among: tuple[str, ...]) -> str:
    """Which of ``among`` a fresh interpreter holds after importing ``modules``."""
    code = f"import sys, {modules}; print(*(m for m in {among} if m in sys.modules))"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_agent_imports_nothing_heavy() -> None:
    assert imported("coldaisle.agent.commands, coldaisle.agent.main, coldaisle.core.logs", HEAVY) == ""


def test_the_commands_import_click_alone() -> None:
    assert imported("coldaisle.agent.commands", ("grpc", "asyncio", "msgspec", "structlog")) == ""


async def test_a_process_collects_sends_and_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    server = Server()
    running, port = await serve(server)
    path = configure(tmp_path, port)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _START, "run", "--config", str(path), stderr=asyncio.subprocess.PIPE
    )
    try:
        await server.until("SamplesRecorded")
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = await process.communicate()
    await running.stop(None)
    assert process.returncode == 0, log
    assert [event.type for event in server.events[:2]] == ["AgentStarted", "AssetObserved"]
    assert [sequence_of(event.id) for event in server.events] == list(range(1, len(server.events) + 1))
    said = [json.loads(line)["event"] for line in log.splitlines()]
    assert said[0] == "agent started"
    assert said[-1] == "agent stopped"


async def test_an_agent_killed_again_and_again_loses_nothing_and_repeats_only_the_same(
    tmp_path: Path,
) -> None:
    server = Server()
    running, port = await serve(server)
    path = configure(tmp_path, port)
    for _ in range(_KILLS):
        started = len(server.events)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _START, "run", "--config", str(path), stderr=asyncio.subprocess.DEVNULL
        )
        await server.until_count(started + 3)
        process.kill()
        await process.wait()
    await running.stop(None)
    by_sequence: dict[int, bytes] = {}
    for event in server.events:
        payload = event.SerializeToString()
        assert by_sequence.setdefault(sequence_of(event.id), payload) == payload
    assert sorted(by_sequence) == list(range(1, len(by_sequence) + 1))


async def test_what_a_stopped_agent_could_not_send_is_sent_by_the_next(tmp_path: Path) -> None:
    server = Server()
    running, port = await serve(server)
    await running.stop(None)
    config = load_config(configure(tmp_path, port))
    stop = asyncio.Event()
    stop.set()
    await run_until(stop, config)
    running = grpc.aio.server()
    agent_pb2_grpc.add_AgentServiceServicer_to_server(server, running)
    running.add_insecure_port(f"127.0.0.1:{port}")
    await running.start()
    stop.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(run_until(stop, config))
        await server.until("SamplesRecorded")
        stop.set()
    await running.stop(None)
    assert [event.type for event in server.events].count("AgentStarted") == 2
    assert [sequence_of(event.id) for event in server.events] == list(range(1, len(server.events) + 1))


def test_a_trap_is_of_the_device_at_its_address() -> None:
    devices = [
        DeviceConfig("a", "10.0.0.1"),
        DeviceConfig("b", "10.0.0.2:1161"),
        DeviceConfig("c", "10.0.0.2:1162"),
    ]
    assert trap_senders(devices) == {
        "10.0.0.1": "a", "10.0.0.1:161": "a", "10.0.0.2:1161": "b", "10.0.0.2:1162": "c",
    }  # fmt: skip


async def test_a_trap_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        config = load_config(configure(tmp_path, 1, f'[traps]\nudp = "127.0.0.1:{held.getsockname()[1]}"\n'))
        with pytest.raises(ExceptionGroup) as raised:
            await run_until(asyncio.Event(), config)
    assert raised.group_contains(ConfigError, match=r"traps\.udp")


async def test_a_port_that_is_taken_ends_the_agent_with_its_name(tmp_path: Path) -> None:
    held = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    taken = held.sockets[0].getsockname()[1]
    config = load_config(configure(tmp_path, 1, f'[syslog]\ntcp = "127.0.0.1:{taken}"\n'))
    with pytest.raises(ExceptionGroup) as raised:
        await run_until(asyncio.Event(), config)
    held.close()
    await held.wait_closed()
    assert raised.group_contains(ConfigError, match=r"syslog\.tcp")
