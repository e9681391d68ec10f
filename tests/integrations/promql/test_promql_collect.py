"""The collector against Debian's real Prometheus, which scrapes itself."""

import asyncio
import contextlib
import gzip
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coldaisle.core.errors import ConfigError
from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import AnyEvent, AssetObserved, DeviceLost, DeviceReached, SamplesRecorded
from coldaisle.integrations.promql import PromqlCollector, PromqlConfig, PromqlQuery
from coldaisle.integrations.promql.collect import require_client

QUERIES = (
    PromqlQuery("up", 'up{job="self"}', asset_label="job"),
    PromqlQuery("prometheus_build", "prometheus_build_info", asset="prom"),
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def prometheus(folder: Path, port: int) -> AsyncIterator[None]:
    binary = shutil.which("prometheus")
    if binary is None:
        if os.environ.get("COLDAISLE_REQUIRE_PEERS") == "1":
            pytest.fail("prometheus is not installed")
        pytest.skip("prometheus is not installed")
    config = folder / "prometheus.yml"
    config.write_text(
        "scrape_configs:\n- job_name: self\n  scrape_interval: 1s\n  static_configs:\n"
        f"  - targets: ['127.0.0.1:{port}']\n"
    )
    process = await asyncio.create_subprocess_exec(
        binary, f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def collecting(config: PromqlConfig) -> AsyncIterator[asyncio.Queue[Observation]]:
    seen: asyncio.Queue[Observation] = asyncio.Queue()
    task = asyncio.create_task(PromqlCollector(config, "edge").run(seen.put))
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(seen: asyncio.Queue[Observation], kind: type[AnyEvent], asset: str) -> AnyEvent:
    async with asyncio.timeout(60):
        while True:
            body = (await seen.get()).body
            if isinstance(body, kind) and getattr(body, "asset", "") == asset:
                return body


@pytest.mark.peers
async def test_a_real_prometheus_is_lost_then_reached_then_measured(tmp_path: Path) -> None:
    port = free_port()
    config = PromqlConfig("prom", f"http://127.0.0.1:{port}", QUERIES, poll_seconds=1, timeout_seconds=5)
    async with collecting(config) as seen:
        assert isinstance((await seen.get()).body, AssetObserved)
        lost = (await seen.get()).body
        assert isinstance(lost, DeviceLost)
        assert lost.agent == "edge"
        async with prometheus(tmp_path, port):
            assert isinstance(await until(seen, DeviceReached, "prom"), DeviceReached)
            up = await until(seen, SamplesRecorded, "self")
            assert isinstance(up, SamplesRecorded)
            assert up.metrics == (f'up{{instance="127.0.0.1:{port}"}}',)
            assert up.values == (1.0,)
            build = await until(seen, SamplesRecorded, "prom")
            assert isinstance(build, SamplesRecorded)
            assert 'version="' in build.metrics[0]


async def test_a_server_that_stays_away_is_said_once() -> None:
    config = PromqlConfig("prom", f"http://127.0.0.1:{free_port()}", QUERIES[:1], timeout_seconds=1)
    bodies: list[AnyEvent] = []

    async def emit(observation: Observation) -> None:
        bodies.append(observation.body)

    collector = PromqlCollector(config, "edge")
    for _ in range(3):
        await collector.poll(emit)
    assert [type(body) for body in bodies] == [DeviceLost]


@contextlib.asynccontextmanager
async def answering(answer: bytes, encoding: bytes = b"identity") -> AsyncIterator[PromqlConfig]:
    """A server that gives one answer to whatever it is asked, and what asks it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head % (encoding, len(answer)) + answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield PromqlConfig("prom", f"http://127.0.0.1:{port}", QUERIES[1:], timeout_seconds=60)


async def polled(config: PromqlConfig) -> list[AnyEvent]:
    seen: list[AnyEvent] = []

    async def emit(observation: Observation) -> None:
        seen.append(observation.body)

    await PromqlCollector(config, "edge").poll(emit)
    return seen


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b"null",
        b'{"data":null}',
        b'{"data":{"result":{}}}',
        b"[" * 200_000,
        b'{"data":{"result":[{"metric":{},"value":[1e999,"1"]}]}}',
        b'{"data":{"result":[{"metric":{},"value":[1e300,"1"]}]}}',
        b'{"data":{"result":[-1,"1"]}}',
    ],
)
async def test_a_server_that_answers_otherwise_than_the_api_is_lost_and_ends_nothing(answer: bytes) -> None:
    async with answering(answer) as config:
        assert [type(body) for body in await polled(config)] == [DeviceLost]


async def test_an_answer_is_bounded_also_when_it_is_packed() -> None:
    packed = gzip.compress(b" " * 64 * 2**20)
    async with answering(packed, b"gzip") as config:
        [lost] = await polled(config)
    assert isinstance(lost, DeviceLost)
    assert "over the bound of 10240000 bytes" in lost.reason


@contextlib.asynccontextmanager
async def dripping(connections: list[asyncio.StreamWriter]) -> AsyncIterator[PromqlConfig]:
    """A server whose answers never end, though none of its bytes is late."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)  # it drips: that is what is tested

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield PromqlConfig("prom", f"http://127.0.0.1:{port}", QUERIES[1:], timeout_seconds=1)
    finally:
        server.close()
        for writer in connections:
            writer.close()


async def test_a_server_that_drips_its_answer_holds_up_one_thread_and_none_of_the_loop() -> None:
    connections: list[asyncio.StreamWriter] = []
    seen: list[AnyEvent] = []

    async def emit(observation: Observation) -> None:
        seen.append(observation.body)

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    async with dripping(connections) as config:
        collector = PromqlCollector(config, "edge")
        await collector.poll(emit)
        await collector.poll(emit)
        assert await asyncio.to_thread(lambda: "free") == "free"
        assert len(connections) == 1
    [lost] = seen
    assert isinstance(lost, DeviceLost)
    assert "no whole answer within 2 s" in lost.reason


_ASK_ONCE = """
import asyncio, sys
from coldaisle.integrations.promql import PromqlCollector, PromqlConfig, PromqlQuery
async def emit(observation):
    pass
config = PromqlConfig("prom", sys.argv[1], (PromqlQuery("up", "up", asset="prom"),), timeout_seconds=1)
asyncio.run(PromqlCollector(config, "edge").poll(emit))
"""


async def test_a_server_that_drips_its_answer_does_not_keep_the_process_from_ending() -> None:
    async with dripping([]) as config:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", _ASK_ONCE, config.url)
        try:
            async with asyncio.timeout(60):
                assert await process.wait() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def test_a_missing_client_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"coldaisle\[prometheus\]"):
        require_client()
