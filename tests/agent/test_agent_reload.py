"""A new configuration for a running agent, against real SNMP devices and a real gRPC server."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest

from coldaisle.agent.config import load_config
from coldaisle.agent.main import run_until
from coldaisle.core.events.codec import parse_body
from coldaisle.core.events.types import AnyEvent, AssetObserved, DeviceReached, SamplesRecorded
from coldaisle.integrations.snmp import Responder, Table, tags
from coldaisle.v1 import agent_pb2, agent_pb2_grpc

UPTIME = {"1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 4711)}


class Server(agent_pb2_grpc.AgentServiceServicer):
    """Acknowledges everything and keeps greetings and bodies."""

    def __init__(self) -> None:
        self.hellos: list[agent_pb2.Hello] = []
        self.bodies: list[AnyEvent] = []
        self.ids: set[bytes] = set()
        self.changed = asyncio.Condition()

    async def Connect(self, request_iterator, context):  # type: ignore[no-untyped-def] # noqa: N802
        first = await context.read()
        await context.write(agent_pb2.ConnectResponse(welcome=agent_pb2.Welcome()))
        async with self.changed:
            self.hellos.append(first.hello)
            self.changed.notify_all()
        while (request := await context.read()) is not grpc.aio.EOF:
            if request.WhichOneof("message") == "batch":
                async with self.changed:
                    for event in request.batch.events:
                        if event.id not in self.ids:  # what was on its way when a stream ended comes again
                            self.ids.add(event.id)
                            self.bodies.append(parse_body(event.type, event.data))
                    self.changed.notify_all()
                ack = agent_pb2.BatchAck(batch_id=request.batch.batch_id)
                await context.write(agent_pb2.ConnectResponse(ack=ack))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with self.changed, asyncio.timeout(20):
            await self.changed.wait_for(holds)

    def reached(self) -> list[str]:
        return [body.asset for body in self.bodies if isinstance(body, DeviceReached)]

    def polls_of(self, asset: str) -> int:
        return sum(isinstance(body, SamplesRecorded) and body.asset == asset for body in self.bodies)


class Rig:
    """An agent with its files, its server and the devices that it may be told to poll."""

    def __init__(self, folder: Path, server: Server, port: int, devices: dict[str, Responder]) -> None:
        self.folder = folder
        self.server = server
        self.port = port
        self.devices = devices
        self.reload = asyncio.Event()
        self.stop = asyncio.Event()

    def write(self, *assets: str, host_seconds: float = 60, more: str = "") -> Path:
        entries = (
            f'[[devices]]\nasset = "{asset}"\naddress = "127.0.0.1:{self.devices[asset].port}"\n'
            'profile = "generic"\n'
            for asset in assets
        )
        (self.folder / "inventory.toml").write_text("".join(entries) + more)
        path = self.folder / "agent.toml"
        path.write_text(
            f'[agent]\nname = "edge"\nserver = "127.0.0.1:{self.port}"\ninventory = ["inventory.toml"]\n'
            f"self_seconds = 0.1\n[snmp]\npoll_seconds = 0.1\n[host]\npoll_seconds = {host_seconds}\n"
        )
        return path


@contextlib.asynccontextmanager
async def rig(folder: Path, *assets: str) -> AsyncIterator[Rig]:
    server, running = Server(), grpc.aio.server()
    agent_pb2_grpc.add_AgentServiceServicer_to_server(server, running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    async with contextlib.AsyncExitStack() as stack:
        devices = {n: await stack.enter_async_context(Responder(Table(UPTIME))) for n in ("a", "b", "c")}
        made = Rig(folder, server, port, devices)
        config = load_config(made.write(*assets))
        async with asyncio.TaskGroup() as group:
            group.create_task(run_until(made.stop, config, made.reload))
            yield made
            made.stop.set()
    await running.stop(None)


async def goes_on_refusing(server: Server, caplog: pytest.LogCaptureFixture, place: str) -> None:
    """One refusal names the place, and polls go on after it."""

    def refusals() -> list[str]:
        return [r.message for r in caplog.records if place in str(r.__dict__.get("reason"))]

    await server.until(lambda: bool(refusals()))
    polls = server.polls_of("a")
    await server.until(lambda: server.polls_of("a") >= polls + 3)
    assert len(refusals()) == 1


async def test_devices_come_and_go_and_the_others_are_not_touched(tmp_path: Path) -> None:
    async with rig(tmp_path, "a", "b") as made:
        server = made.server
        await server.until(lambda: set(server.reached()) == {"a", "b"})
        made.write("a", "c")
        made.reload.set()
        await server.until(lambda: "c" in server.reached() and len(server.hellos) == 2)
        asked, polls = made.devices["b"].requests_count, server.polls_of("a")
        await server.until(lambda: server.polls_of("a") >= polls + 3)
        assert server.reached().count("a") == 1
        assert made.devices["b"].requests_count == asked
        assert list(server.hellos[1].assets) == ["a", "c"]


async def test_a_collector_whose_settings_stay_is_not_started_anew(tmp_path: Path) -> None:
    async with rig(tmp_path, "a") as made:
        server = made.server
        await server.until(lambda: bool(server.reached()))
        made.write("a", "b")
        made.reload.set()
        await server.until(lambda: "b" in server.reached())
        hosts = [body for body in server.bodies if isinstance(body, AssetObserved) and body.kind == "host"]
        assert len(hosts) == 1
        made.write("a", "b", host_seconds=0.1)
        made.reload.set()
        await server.until(lambda: server.polls_of(hosts[0].asset) >= 3)
        assert server.reached() == ["a", "b"]
        assert len(server.hellos) == 2


async def test_what_the_inventory_says_anew_is_said_once(tmp_path: Path) -> None:
    async with rig(tmp_path, "a") as made:
        made.write("a", more='[[assets]]\nname = "rack-9"\nkind = "rack"\n')
        made.reload.set()
        await made.server.until(
            lambda: AssetObserved("rack-9", "rack", {}, "inventory") in made.server.bodies
        )


async def test_a_configuration_with_a_fault_is_refused_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig(tmp_path, "a") as made:
        await made.server.until(lambda: bool(made.server.reached()))
        path = made.write("b")
        path.write_text(path.read_text().replace("poll_seconds = 60", "poll_seconds = -1"))
        made.reload.set()
        await goes_on_refusing(made.server, caplog, "host.poll_seconds")
    assert made.server.reached() == ["a"]


async def test_a_port_that_is_taken_does_not_end_a_running_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        async with rig(tmp_path, "a") as made:
            await made.server.until(lambda: bool(made.server.reached()))
            path = made.write("a")
            path.write_text(path.read_text() + f'[traps]\nudp = "127.0.0.1:{held.getsockname()[1]}"\n')
            made.reload.set()
            await goes_on_refusing(made.server, caplog, "traps.udp")


async def test_sections_that_need_a_start_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with rig(tmp_path, "a") as made:
        path = made.write("a", "b")
        path.write_text(path.read_text() + "[spool]\nmax_bytes = 70000\n")
        made.reload.set()
        await made.server.until(lambda: "b" in made.server.reached())
    assert [r.__dict__["section"] for r in caplog.records if "next start" in r.message] == ["spool"]


async def test_the_agent_says_how_it_does(tmp_path: Path) -> None:
    async with rig(tmp_path, "a") as made:
        await made.server.until(lambda: made.server.polls_of("agent-edge") >= 2)
    said = [b for b in made.server.bodies if isinstance(b, SamplesRecorded) and b.asset == "agent-edge"]
    values = dict(zip(said[-1].metrics, said[-1].values, strict=True))
    assert values["agent_connected"] == 1.0
    assert values["agent_dropped_events_total"] == 0
    assert (values["agent_resident_bytes"] or 0) > 1_000_000
    assert (values['agent_observations_total{collector="snmp"}'] or 0) > 0
    assert {
        "agent_spool_bytes",
        "agent_spool_events",
        "agent_upload_lag_seconds",
        "agent_queue_events",
    } <= set(values)
