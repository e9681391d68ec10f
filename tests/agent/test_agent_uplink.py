"""The uplink against a real gRPC server that misbehaves in every way that it may."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar, cast

import grpc
import h2.config
import h2.connection
import h2.events
import pytest
from msgspec import structs

from coldaisle.agent.batches import Bounds
from coldaisle.agent.spool import Spool
from coldaisle.agent.stream import Endpoint
from coldaisle.agent.uplink import Limits, Uplink
from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.ids import sequence_of
from coldaisle.core.events.types import SamplesRecorded
from coldaisle.v1 import agent_pb2, agent_pb2_grpc

T = TypeVar("T")
FAST = Limits(first_retry_seconds=0.01, max_retry_seconds=0.05, heartbeat_seconds=0.05, close_seconds=0.2)


class Server(agent_pb2_grpc.AgentServiceServicer):
    """Records what agents send; each test decides what is answered.

    ``acks`` is how many batches are acknowledged before the stream is cut; None: all, and no cut.
    """

    def __init__(self) -> None:
        self.hellos: list[agent_pb2.Hello] = []
        self.batches: list[agent_pb2.EventBatch] = []
        self.results: list[agent_pb2.CommandResult] = []
        self.beats: list[agent_pb2.Heartbeat] = []
        self.metadata: dict[str, str | bytes] = {}
        self.acks: int | None = None
        self.refused_batches = 0
        self.withhold = False
        self.welcome = agent_pb2.Welcome(server_version="test")
        self.refusal: grpc.StatusCode | None = None
        self.commands: asyncio.Queue[agent_pb2.Command] = asyncio.Queue()
        self.changed = asyncio.Condition()

    async def Connect(self, request_iterator, context):  # type: ignore[no-untyped-def] # noqa: N802
        self.metadata = dict(context.invocation_metadata())
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            await context.abort(refusal, "no")
        first = await context.read()
        await self.note(self.hellos, first.hello)
        await context.write(agent_pb2.ConnectResponse(welcome=self.welcome))
        async with asyncio.TaskGroup() as group:
            commander = group.create_task(self.command(context))
            await self.take(context)
            commander.cancel()

    async def take(self, context) -> None:  # type: ignore[no-untyped-def]
        while (request := await context.read()) is not grpc.aio.EOF:
            kind = request.WhichOneof("message")
            if kind == "batch":
                await self.note(self.batches, request.batch)
                if self.refused_batches:
                    self.refused_batches -= 1
                    await context.abort(grpc.StatusCode.INTERNAL, "refused")
                if self.acks is not None and self.acks <= 0:
                    self.acks = None
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
                if not self.withhold:
                    await context.write(agent_pb2.ConnectResponse(ack=ack(request.batch.batch_id)))
                if self.acks is not None:
                    self.acks -= 1
            elif kind == "result":
                await self.note(self.results, request.result)
            else:
                await self.note(self.beats, request.heartbeat)

    async def command(self, context) -> None:  # type: ignore[no-untyped-def]
        while True:
            await context.write(agent_pb2.ConnectResponse(command=await self.commands.get()))

    async def note(self, into: list[T], message: T) -> None:
        async with self.changed:
            into.append(message)
            self.changed.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with self.changed, asyncio.timeout(20):
            await self.changed.wait_for(holds)

    def sequences(self) -> list[int]:
        return [sequence_of(event.id) for batch in self.batches for event in batch.events]


def ack(batch_id: int) -> agent_pb2.BatchAck:
    return agent_pb2.BatchAck(batch_id=batch_id, position=batch_id)


def sample(number: int) -> Observation:
    return Observation(number, SamplesRecorded("rack-1", ("power_watts",), (float(number),)))


class Rig:
    """A server that can be killed and started again on its port, and an uplink that runs."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.server = Server()
        self.spool = Spool(path / "spool.db", "edge", 10**8, Bounds(max_events=2))
        self.taken: asyncio.Queue[agent_pb2.Command] = asyncio.Queue()
        self.port = 0
        hello = agent_pb2.Hello(agent="edge", version="1", assets=["crac-1"])
        self.uplink = Uplink(
            hello, self.spool, self.endpoint, lambda: (("authorization", "Bearer t"),), limits
        )

    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.port)

    async def start(self) -> None:
        self.running = grpc.aio.server()
        agent_pb2_grpc.add_AgentServiceServicer_to_server(self.server, self.running)
        self.port = self.running.add_insecure_port(f"127.0.0.1:{self.port}")
        await self.running.start()

    async def kill(self) -> None:
        await self.running.stop(None)

    async def append(self, numbers: range) -> None:
        await asyncio.to_thread(self.spool.append, [sample(number) for number in numbers])
        self.uplink.wake()

    async def drained(self) -> None:
        async with asyncio.timeout(20):
            await self.uplink.drained()


@contextlib.asynccontextmanager
async def rig(path: Path, limits: Limits = FAST, *, started: bool = True) -> AsyncIterator[Rig]:
    made = Rig(path, limits)
    with made.spool:
        await made.start()
        if not started:
            await made.kill()
        task = asyncio.create_task(made.uplink.run(made.taken.put))
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.wait([task])
            await made.kill()
            assert task.cancelled(), task.exception()


def repeated_batches_are_identical(batches: list[agent_pb2.EventBatch]) -> bool:
    seen: dict[int, bytes] = {}
    sent = [(batch.batch_id, batch.SerializeToString()) for batch in batches]
    return all(seen.setdefault(batch_id, payload) == payload for batch_id, payload in sent)


async def test_the_greeting_says_who_and_carries_the_token(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        await made.server.until(lambda: bool(made.server.hellos))
        [hello] = made.server.hellos
        assert (hello.agent, list(hello.assets)) == ("edge", ["crac-1"])
        assert made.server.metadata["authorization"] == "Bearer t"


async def test_everything_arrives_in_order_and_leaves_the_spool(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        await made.append(range(25))
        await made.append(range(25, 50))
        await made.drained()
        assert made.server.sequences() == list(range(1, 51))
        assert made.spool.size().events == 0


async def test_no_more_than_the_window_is_in_flight(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.server.withhold = True
        await made.append(range(40))
        await made.server.until(lambda: len(made.server.batches) == 4 and len(made.server.beats) >= 3)
        await made.server.until(lambda: len(made.server.beats) >= 6)
        assert len(made.server.batches) == 4
        assert made.spool.size().events == 40


@pytest.mark.parametrize("acks", [0, 1, 3])
async def test_a_cut_stream_repeats_what_was_not_acknowledged(tmp_path: Path, acks: int) -> None:
    async with rig(tmp_path) as made:
        made.server.acks = acks
        await made.append(range(30))
        await made.drained()
        assert set(made.server.sequences()) == set(range(1, 31))
        assert len(made.server.hellos) >= 2
        assert repeated_batches_are_identical(made.server.batches)


async def test_after_a_cut_the_order_is_kept(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.server.acks = 2
        await made.append(range(30))
        await made.drained()
        first_seen = list(dict.fromkeys(made.server.sequences()))
        assert first_seen == list(range(1, 31))


async def test_a_server_that_comes_late_gets_everything(tmp_path: Path) -> None:
    async with rig(tmp_path, started=False) as made:
        await made.append(range(30))
        await made.start()
        await made.drained()
        assert made.server.sequences() == list(range(1, 31))


async def test_a_server_killed_again_and_again_misses_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        for round_number in range(5):
            await made.append(range(round_number * 20, round_number * 20 + 20))
            seen = len(made.server.batches)
            await made.server.until(lambda seen=seen: len(made.server.batches) > seen)  # type: ignore[misc]
            await made.kill()
            await made.start()
        await made.drained()
        assert set(made.server.sequences()) == set(range(1, 101))
        assert repeated_batches_are_identical(made.server.batches)


async def test_a_silent_server_is_left_and_tried_again(tmp_path: Path) -> None:
    limits = Limits(4, 0.05, 5, 0.1, 0.01, 0.05, 0.2)
    async with rig(tmp_path, limits) as made:
        made.server.withhold = True
        await made.append(range(2))
        await made.server.until(lambda: len(made.server.batches) >= 2)
        made.server.withhold = False
        await made.drained()
        assert repeated_batches_are_identical(made.server.batches)


class Deaf(asyncio.Protocol):
    """A server that welcomes and then takes no more than flow control has let pass unasked."""

    def __init__(self, streams: asyncio.Queue[None]) -> None:
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._streams = streams

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._http.initiate_connection()

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                welcome = agent_pb2.ConnectResponse(welcome=agent_pb2.Welcome()).SerializeToString()
                self._http.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
                self._http.send_data(1, b"\0" + len(welcome).to_bytes(4) + welcome)
                self._streams.put_nowait(None)
        self._transport.write(self._http.data_to_send())


async def test_a_server_that_reads_nothing_more_is_left_and_tried_again(tmp_path: Path) -> None:
    """A write waits for ever then, and with it whoever else writes."""
    streams: asyncio.Queue[None] = asyncio.Queue()
    server = await asyncio.get_running_loop().create_server(lambda: Deaf(streams), "127.0.0.1", 0)
    large = SamplesRecorded("rack-1", ("m" * 900_000,), (1.0,))
    async with rig(tmp_path, structs.replace(FAST, ack_seconds=0.5), started=False) as made:
        own_port, made.port = made.port, server.sockets[0].getsockname()[1]
        async with asyncio.timeout(60):
            await streams.get()
            await asyncio.to_thread(made.spool.append, [Observation(number, large) for number in range(2)])
            made.uplink.wake()
            await streams.get()
        server.close()
        made.port = own_port
        await made.start()
        await made.drained()
        assert set(made.server.sequences()) == {1, 2}


async def test_a_server_that_does_not_even_take_the_greeting_is_left(tmp_path: Path) -> None:
    """A greeting that names many devices is longer than what may be sent unasked."""
    connections: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: connections.put(writer), "127.0.0.1", 0)
    limits = structs.replace(FAST, welcome_seconds=0.2)
    async with rig(tmp_path, limits, started=False) as made, asyncio.timeout(60):
        made.uplink.greet(agent_pb2.Hello(agent="edge", assets=[f"device-{n}" * 8 for n in range(2000)]))
        made.port = server.sockets[0].getsockname()[1]
        writers = [await connections.get() for _ in range(2)]
        server.close()
        for writer in writers:
            writer.close()


async def test_a_server_that_ends_at_each_batch_is_asked_less_and_less_often(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig(tmp_path, structs.replace(FAST, max_retry_seconds=0.08)) as made:
        made.server.refused_batches = 5
        await made.append(range(2))
        await made.drained()
    waits = [fields["retry_seconds"] for fields in map(vars, caplog.records) if "retry_seconds" in fields]
    assert max(waits) >= 0.04


async def test_a_refused_agent_goes_on_trying(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with rig(tmp_path, started=False) as made:
        made.server.refusal = grpc.StatusCode.UNAUTHENTICATED
        await made.start()
        await made.append(range(2))
        await made.drained()
        reasons = [record.__dict__.get("reason", "") for record in caplog.records]
        assert any("agent.token_file" in reason for reason in reasons)


async def test_the_servers_bounds_hold_for_new_batches(tmp_path: Path) -> None:
    async with rig(tmp_path, started=False) as made:
        made.server.welcome = agent_pb2.Welcome(max_batch_events=1)
        await made.start()
        await made.server.until(lambda: bool(made.server.beats))
        await made.append(range(2))
        await made.drained()
        assert [len(batch.events) for batch in made.server.batches] == [1, 1]


async def test_heartbeats_say_how_much_waits(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.server.withhold = True
        await made.append(range(3))
        await made.server.until(lambda: any(beat.spool_events == 3 for beat in made.server.beats))


async def test_commands_reach_the_agent_and_results_survive_a_cut(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.server.commands.put_nowait(agent_pb2.Command(command_id="run-1/a", verb="perform"))
        assert (await made.taken.get()).command_id == "run-1/a"
        await made.kill()
        await made.uplink.answer(agent_pb2.CommandResult(command_id="run-1/a"))
        await made.start()
        await made.server.until(lambda: bool(made.server.results))
        assert made.server.results[0].command_id == "run-1/a"
