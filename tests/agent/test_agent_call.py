"""Our gRPC call against grpcio's server, and against what is no gRPC server at all."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import grpc
import pytest

from coldaisle.agent.call import MAX_MESSAGE_BYTES, explained
from coldaisle.agent.channel import endpoint_of
from coldaisle.agent.config import load_config
from coldaisle.agent.errors import StreamEnded
from coldaisle.agent.stream import Endpoint, Stream, batch_request
from coldaisle.v1 import agent_pb2, agent_pb2_grpc

MEGABYTE = 1 << 20


class Echo(agent_pb2_grpc.AgentServiceServicer):
    """Answers each command result with a command whose arguments are what was observed."""

    async def Connect(self, request_iterator, context):  # type: ignore[no-untyped-def] # noqa: N802
        while (request := await context.read()) is not grpc.aio.EOF:
            command = agent_pb2.Command(arguments=request.result.observed)
            await context.write(agent_pb2.ConnectResponse(command=command))
            if request.result.reason:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, request.result.reason)


@contextlib.asynccontextmanager
async def echo(credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[int]:
    limits = [
        ("grpc.max_receive_message_length", 64 * MEGABYTE),
        ("grpc.max_send_message_length", 64 * MEGABYTE),
    ]
    server = grpc.aio.server(options=limits)
    agent_pb2_grpc.add_AgentServiceServicer_to_server(Echo(), server)
    place = "127.0.0.1:0"
    port = server.add_secure_port(place, credentials) if credentials else server.add_insecure_port(place)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def stream_to(port: int, tls: ssl.SSLContext | None = None) -> Stream:
    return Stream(Endpoint("127.0.0.1", port, tls), (), 5.0, 1.0)


def result(observed: bytes, reason: str = "") -> agent_pb2.ConnectRequest:
    return agent_pb2.ConnectRequest(result=agent_pb2.CommandResult(observed=observed, reason=reason))


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_535, 65_536, 3 * MEGABYTE])
async def test_messages_of_every_size_go_there_and_back(size: int) -> None:
    content = os.urandom(size)
    async with echo() as port, stream_to(port) as stream:
        for _ in range(3):
            await stream.write(result(content))
            assert (await stream.read()).command.arguments == content


async def test_both_sides_may_send_at_once_without_waiting_for_each_other() -> None:
    content = os.urandom(MEGABYTE)
    async with echo() as port, stream_to(port) as stream, asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(stream.write(result(content)))
        for _ in range(10):
            assert (await stream.read()).command.arguments == content


async def test_what_came_before_the_end_is_read_and_then_its_status() -> None:
    async with echo() as port, stream_to(port) as stream:
        await stream.write(result(b"last", "zu viel: \u00fcber 100 %"))
        assert (await stream.read()).command.arguments == b"last"
        with pytest.raises(StreamEnded, match="RESOURCE_EXHAUSTED: zu viel: \u00fcber 100 %"):
            await stream.read()
        with pytest.raises(StreamEnded, match="RESOURCE_EXHAUSTED"):
            await stream.write(result(b""))


async def test_a_message_over_the_bound_ends_the_stream() -> None:
    async with echo() as port, stream_to(port) as stream:
        await stream.write(result(bytes(MAX_MESSAGE_BYTES)))
        with pytest.raises(StreamEnded, match=str(MAX_MESSAGE_BYTES)):
            await stream.read()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(100)), b""])
async def test_what_is_no_grpc_server_ends_the_stream_with_a_hint(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, stream_to(server.sockets[0].getsockname()[1]) as stream:
        with pytest.raises(StreamEnded, match=r"Coldaisle server|closed|lost"):
            await stream.read()


async def test_a_port_that_nobody_serves_is_named() -> None:
    with pytest.raises(StreamEnded, match=r"cannot connect to 127\.0\.0\.1:9"):
        await stream_to(9).__aenter__()


@pytest.mark.parametrize("host", ["twins..example", "x" * 64 + ".example"])
async def test_a_name_that_no_host_can_have_is_named(host: str) -> None:
    with pytest.raises(StreamEnded, match=f"cannot connect to {host[:10]}"):
        async with Stream(Endpoint(host, 1), (), 5.0, 1.0):
            pass


class Stuck(asyncio.Protocol):
    """A server that lets everything be sent, and reads none of it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        largest = (2**31 - 1).to_bytes(4)
        settings = b"\0\0\x06\4\0" + bytes(4) + b"\0\4" + largest
        update = b"\0\0\4\x08\0" + bytes(4) + (2**31 - 65_536).to_bytes(4)
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(settings + update)
        self.transport.pause_reading()


async def test_a_stream_to_a_server_that_reads_nothing_leaves_no_socket_behind() -> None:
    stuck = Stuck()
    server = await asyncio.get_running_loop().create_server(lambda: stuck, "127.0.0.1", 0)
    async with server, Stream(Endpoint("127.0.0.1", port_of(server)), (), 5.0, 0.1) as stream:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await stream.write(result(os.urandom(64 * MEGABYTE)))
    await asyncio.sleep(0)
    assert stream._call._transport.get_extra_info("socket").fileno() == -1
    stuck.transport.close()


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def test_a_batch_keeps_its_bytes_and_gets_its_number() -> None:
    events = [agent_pb2.AgentEvent(id=bytes(16), type="SamplesRecorded", data=b"x" * 300)]
    payload = agent_pb2.EventBatch(events=events).SerializeToString()
    for number in (1, 127, 128, 2**40):
        found = agent_pb2.ConnectRequest.FromString(batch_request(number, payload))
        assert found.batch == agent_pb2.EventBatch(batch_id=number, events=events)


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (b"0", b"", "the server ended the stream: OK"),
        (b"14", b"", "the server ended the stream: UNAVAILABLE"),
        (b"16", b"no", "UNAUTHENTICATED: no; check agent.token_file"),
        (b"99", b"?", "status b'99': ?"),
        (b"9" * 5000, b"?", "status b'999': ?"),
        (b"x", b"\xff%", "status b'x': \ufffd%"),
    ],
)
def test_a_status_is_one_line(status: bytes, message: bytes, said: str) -> None:
    assert explained(status, message) == said


def openssl(folder: Path, *words: str) -> None:
    import subprocess

    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """An authority, a server's certificate for 127.0.0.1 and an agent's, made by openssl."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    openssl(tmp_path, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test")
    for name in ("server", "agent"):
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
        openssl(tmp_path, "req", "-x509", *key, *signed, *files)
    return tmp_path


async def test_mutual_tls_is_spoken(certificates: Path) -> None:
    def read(name: str) -> bytes:
        return (certificates / name).read_bytes()

    pair = [(read("server.key"), read("server.pem"))]
    credentials = grpc.ssl_server_credentials(pair, read("ca.pem"), require_client_auth=True)
    async with echo(credentials) as port:
        path = certificates / "agent.toml"
        path.write_text(
            f'[agent]\nname = "edge"\nserver = "127.0.0.1:{port}"\nca_file = "ca.pem"\n'
            'certificate_file = "agent.pem"\nkey_file = "agent.key"\n'
        )
        endpoint = endpoint_of(load_config(path))
        async with Stream(endpoint, (), 5.0, 1.0) as stream:
            await stream.write(result(b"secret"))
            assert (await stream.read()).command.arguments == b"secret"
        (certificates / "ca.pem").write_bytes(read("agent.pem"))
        with pytest.raises(StreamEnded, match="certificate"):
            await Stream(endpoint_of(load_config(path)), (), 5.0, 1.0).__aenter__()
