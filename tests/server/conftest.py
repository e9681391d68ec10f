"""A real server in process, its clients, and an agent that does as a test tells it."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status
from msgspec.structs import replace

from coldaisle.core.events import encode_body, new_id
from coldaisle.core.events.types import AnyEvent, AssetLinked, AssetObserved, DeviceLost, SamplesRecorded
from coldaisle.server.main import running
from coldaisle.server.settings import ServeSettings, Settings
from coldaisle.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    alerts_pb2_grpc,
    assets_pb2_grpc,
    common_pb2,
    detectors_pb2_grpc,
    forecasts_pb2_grpc,
    history_pb2,
    history_pb2_grpc,
    maintenances_pb2_grpc,
    playbooks_pb2_grpc,
    silences_pb2_grpc,
    system_pb2_grpc,
    telemetry_pb2_grpc,
)

WAIT_SECONDS = 20


class Api:
    """Every service of one server, called as one user."""

    def __init__(self, channel: grpc.aio.Channel, address: str, token: str) -> None:
        self.channel = channel
        self.address = address
        self.token = token
        self.metadata = (("authorization", f"Bearer {token}"), ("coldaisle-user", "ada"))
        self.agents = agent_pb2_grpc.AgentServiceStub(channel)
        self.alerts = alerts_pb2_grpc.AlertServiceStub(channel)
        self.assets = assets_pb2_grpc.AssetServiceStub(channel)
        self.detectors = detectors_pb2_grpc.DetectorServiceStub(channel)
        self.forecasts = forecasts_pb2_grpc.ForecastServiceStub(channel)
        self.history = history_pb2_grpc.HistoryServiceStub(channel)
        self.maintenances = maintenances_pb2_grpc.MaintenanceServiceStub(channel)
        self.playbooks = playbooks_pb2_grpc.PlaybookServiceStub(channel)
        self.silences = silences_pb2_grpc.SilenceServiceStub(channel)
        self.system = system_pb2_grpc.SystemServiceStub(channel)
        self.telemetry = telemetry_pb2_grpc.TelemetryServiceStub(channel)

    async def call(self, method: Callable[..., Awaitable[Any]], request: object) -> Any:
        return await method(request, metadata=self.metadata, timeout=WAIT_SECONDS)

    async def refused(self, method: Callable[..., Awaitable[Any]], request: object) -> "Refusal":
        """The rich error of a call that must fail."""
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await self.call(method, request)
        return Refusal(raised.value)

    def watch(self, method: Callable[..., Any], request: object) -> Any:
        return method(request, metadata=self.metadata, timeout=3 * WAIT_SECONDS)

    async def events(self, *types: str) -> list[common_pb2.Event]:
        """Every event of these types, oldest first."""
        found: list[common_pb2.Event] = []
        token = ""
        while True:
            request = history_pb2.ListEventsRequest(
                filter=history_pb2.EventFilter(types=types), page_size=1_000, page_token=token
            )
            answer = await self.call(self.history.ListEvents, request)
            found += answer.events
            if not (token := answer.next_page_token):
                return found

    async def event(self, *types: str, count: int = 1) -> list[common_pb2.Event]:
        """The first ``count`` events of these types; waits for them."""
        request = history_pb2.WatchEventsRequest(filter=history_pb2.EventFilter(types=types))
        watch = self.watch(self.history.WatchEvents, request)
        await first(watch)  # from here on nothing is missed
        try:
            while len(found := await self.events(*types)) < count:
                await first(watch)
        finally:
            watch.cancel()
        return found


class Refusal:
    """A refused call: status code, ErrorInfo's reason, the fields at fault."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        self.text = error.details() or ""
        self.reason, self.fields = "", list[str]()
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
        for detail in status.details if status is not None else ():
            info, bad = ErrorInfo(), BadRequest()
            if detail.Unpack(info):
                assert info.domain == "coldaisle"
                self.reason = info.reason
            elif detail.Unpack(bad):
                self.fields += [violation.field for violation in bad.field_violations]

    @property
    def said(self) -> tuple[str, str, list[str]]:
        return self.code.name, self.reason, self.fields


class Agent:
    """An agent's stream, by hand."""

    def __init__(self, api: Api, name: str = "hall-1", assets: Sequence[str] = ()) -> None:
        self.name = name
        self.stream = api.agents.Connect(metadata=api.metadata)
        self._hello = agent_pb2.Hello(agent=name, version="1", assets=assets)
        self._batches = 0

    async def hello(self) -> agent_pb2.Welcome:
        await self.write(hello=self._hello)
        return (await self.read()).welcome

    async def write(self, **message: Any) -> None:
        await self.stream.write(agent_pb2.ConnectRequest(**message))

    async def read(self) -> agent_pb2.ConnectResponse:
        async with asyncio.timeout(WAIT_SECONDS):
            answer = await self.stream.read()
        assert answer is not grpc.aio.EOF, "the stream ended"
        return answer

    async def ended(self) -> grpc.StatusCode:
        """Read until the server ends the stream."""
        async with asyncio.timeout(WAIT_SECONDS):
            try:
                while await self.stream.read() is not grpc.aio.EOF:
                    pass
            except grpc.aio.AioRpcError as error:
                return error.code()
            return await self.stream.code()

    async def refusal(self) -> Refusal:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await self.read()
        return Refusal(raised.value)

    async def send(self, *events: agent_pb2.AgentEvent) -> agent_pb2.BatchAck:
        """A batch and its acknowledgement."""
        self._batches += 1
        await self.write(batch=agent_pb2.EventBatch(batch_id=self._batches, events=events))
        answer = await self.read()
        assert answer.WhichOneof("message") == "ack", answer
        assert answer.ack.batch_id == self._batches
        return answer.ack

    async def report(self, *bodies: AnyEvent) -> agent_pb2.BatchAck:
        ack = await self.send(*(wire(body) for body in bodies))
        assert ack.rejected_count == 0
        return ack

    async def close(self) -> None:
        """Close as an agent does that stops."""
        await self.stream.done_writing()
        await self.ended()

    def cut(self) -> None:
        """Be gone."""
        self.stream.cancel()


async def first(stream: Any) -> Any:
    """The next message of a stream."""
    async with asyncio.timeout(WAIT_SECONDS):
        return await stream.read()


def wire(body: AnyEvent, **changes: Any) -> agent_pb2.AgentEvent:
    """A body as an agent sends it."""
    now = time.time_ns()
    fields: dict[str, Any] = {
        "id": new_id(now), "type": type(body).__name__, "schema": 1, "time_unix_nano": now,
        "data": encode_body(body),
    }  # fmt: skip
    return agent_pb2.AgentEvent(**(fields | changes))


def hall() -> list[AnyEvent]:
    """Two racks that one unit cools, and a device that does not answer: one alert."""
    return [
        AssetObserved("row-a", "row"),
        AssetObserved("crac-1", "crac", {"model": "CX"}),
        *(AssetObserved(f"rack-{n}", "rack") for n in (1, 2)),
        *(AssetLinked(f"rack-{n}", "cooled_by", "crac-1") for n in (1, 2)),
        AssetLinked("rack-1", "located_in", "row-a"),
        SamplesRecorded("crac-1", ("cooling_percent", "supply_setpoint_celsius"), (70.0, 18.0)),
        SamplesRecorded("rack-1", ("inlet_temperature_celsius",), (24.0,)),
    ]


def lost(asset: str) -> DeviceLost:
    """What opens an alert at once."""
    return DeviceLost(asset, "192.0.2.1", "hall-1", "no answer")


def settings_in(folder: Path, **serve: Any) -> Settings:
    chosen = ServeSettings(listen="127.0.0.1:0", data_dir=str(folder))
    return Settings(serve=replace(chosen, **serve), policies=())


@asynccontextmanager
async def client_of(address: str, folder: Path) -> AsyncIterator[Api]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield Api(channel, address, (folder / "token").read_text().strip())


@asynccontextmanager
async def serving_in(folder: Path, **serve: Any) -> AsyncIterator[Api]:
    async with running(settings_in(folder, **serve)) as address, client_of(address, folder) as api:
        yield api


class Process:
    """``coldaisle serve`` as a process of its own; ``address`` is what it said."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.address = address

    async def ended(self) -> tuple[int | None, str]:
        """Its exit code and what it said on stderr."""
        async with asyncio.timeout(WAIT_SECONDS):
            _, said = await self.process.communicate()
        return self.process.returncode, said.decode()


async def spawn(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coldaisle.cli", "serve", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


@asynccontextmanager
async def process_in(folder: Path, *arguments: str) -> AsyncIterator[Process]:
    process = await spawn("--data", str(folder), "--listen", "127.0.0.1:0", *arguments)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("serving on "), (line, await process.communicate())
        yield Process(process, line.removeprefix("serving on ").strip())
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where the server of a test keeps its data."""
    return tmp_path / "data"


@pytest.fixture
def free_port() -> int:
    """A port that nobody listened on just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def serving() -> Callable[..., Any]:
    return serving_in


@pytest.fixture(scope="session")
def process() -> Callable[..., Any]:
    return process_in


@pytest.fixture(scope="session")
def run_serve() -> Callable[..., Awaitable[tuple[int | None, str]]]:
    """Runs ``coldaisle serve`` to its end: exit code and stderr."""

    async def run(*arguments: str) -> tuple[int | None, str]:
        return await Process(await spawn(*arguments), "").ended()

    return run


@pytest.fixture(scope="session")
def client() -> Callable[..., Any]:
    return client_of


@pytest.fixture
async def api(data: Path) -> AsyncIterator[Api]:
    async with serving_in(data) as api:
        yield api


@pytest.fixture(scope="session")
def agent_of() -> type[Agent]:
    return Agent


@pytest.fixture
async def agent(api: Api) -> AsyncIterator[Agent]:
    """An agent that has said hello and reaches crac-1."""
    agent = Agent(api, assets=["crac-1"])
    await agent.hello()
    yield agent
    agent.cut()


@pytest.fixture(scope="session")
def plant() -> list[AnyEvent]:
    return hall()


@pytest.fixture(scope="session")
def losing() -> Callable[[str], DeviceLost]:
    return lost


@pytest.fixture(scope="session")
def on_wire() -> Callable[..., agent_pb2.AgentEvent]:
    return wire


@pytest.fixture(scope="session")
def refusal() -> type[Refusal]:
    return Refusal
