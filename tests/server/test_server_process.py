"""``coldaisle serve`` as a process: how it ends, what it says when it cannot start, and a full store."""

import asyncio
import logging
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator

import grpc
import pytest

from coldaisle.cli.main import run
from coldaisle.core.events.types import AssetObserved
from coldaisle.core.store.reactions import MAX_RETRY_SECONDS, Waits
from coldaisle.v1 import assets_pb2, history_pb2, system_pb2

MAX_STOP_SECONDS = 6.0
FULL_BYTES = 400_000


async def status_of(api) -> system_pb2.Status:
    return await api.call(api.system.GetStatus, system_pb2.GetStatusRequest())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_time_with_0_with_watchers_and_an_agent(
    data, process, client, agent_of, number
) -> None:
    async with process(data) as server, client(server.address, data) as api:
        agent = agent_of(api)
        await agent.hello()
        watches = [
            api.watch(api.history.WatchEvents, history_pb2.WatchEventsRequest()) for _ in range(3)
        ]  # fmt: skip
        for watch in watches:
            await watch.read()
        asked = time.monotonic()
        server.process.send_signal(number)
        code, said = await server.ended()
        assert time.monotonic() - asked < MAX_STOP_SECONDS
        assert (code, "Traceback" in said, "Exception" in said) == (0, False, False), said
        await agent.ended()
        for watch in watches:
            watch.cancel()


def only_line(code: int | None, said: str) -> str:
    """The one line of a server that does not start."""
    lines = said.strip().splitlines()
    assert code == 1, said
    assert len(lines) == 1, said
    return lines[0]


async def refused_start(run_serve, *arguments: str) -> str:
    return only_line(*await run_serve(*arguments))


@pytest.fixture
def start(capsys) -> Iterator[Callable[..., str]]:
    """Starts a server in this very process, which must fail; gives its one line."""
    handlers, level = logging.root.handlers, logging.root.level
    yield lambda *arguments: only_line(run(["serve", *arguments]), capsys.readouterr().err)
    logging.root.handlers, logging.root.level = handlers, level


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("serve = [", "not TOML"),
        ("[serve]\nlistn = 'x'", "unknown field `listn`"),
        ("[serve]\nmax_store_bytes = 'much'", "Expected `int`, got `str`"),
        ("[serve]\nlisten = '7443'", "is not host:port"),
        ("[serve]\nlisten = '127.0.0.1:²'", "is not host:port"),
        ("[serve]\nlisten = '0.0.0.0:0'", "without TLS"),
        ("[serve]\nmetrics = '127.0.0.1:x'", "serve.metrics"),
        ("[serve]\nplaybooks_dir = '/no/such'", "is not a folder"),
        ("[serve]\ndata_dir = '/dev/null/x'", "cannot be made"),
        ("[detect]\nraise_count = 9", "raise_count"),
        ("[detect]\nclear_count = 0", "clear_count"),
    ],
)
def test_wrong_settings_are_one_clear_line(tmp_path, start, text, expected) -> None:
    path = tmp_path / "coldaisle.toml"
    path.write_text(text)
    more = [] if "data_dir" in text else ["--data", str(tmp_path / "data")]
    assert expected in start("--config", str(path), *more)


def test_settings_that_cannot_be_read_are_one_clear_line(tmp_path, start) -> None:
    missing, other = tmp_path / "none.toml", tmp_path / "latin.toml"
    other.write_bytes(b"# \xe9")
    assert "cannot be read" in start("--config", str(missing))
    assert "cannot be read" in start("--config", str(tmp_path))
    assert "not UTF-8 at byte 2" in start("--config", str(other))


def test_a_playbook_that_cannot_be_read_is_one_clear_line(tmp_path, start) -> None:
    folder, config = tmp_path / "books", tmp_path / "c.toml"
    folder.mkdir()
    config.write_text(f"[serve]\nplaybooks_dir = '{folder}'\ndata_dir = '{tmp_path / 'data'}'")
    (folder / "a.yaml").write_bytes(b"playbook: \xff")
    assert "a.yaml: not UTF-8" in start("--config", str(config))
    (folder / "a.yaml").write_text("playbook: [")
    assert "a.yaml" in start("--config", str(config))


@pytest.mark.parametrize("option", ["--listen", "--metrics"])
async def test_a_port_in_use_is_one_clear_line(data, run_serve, option) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        taken = f"127.0.0.1:{held.getsockname()[1]}"
        arguments = ["--data", str(data), option, taken]
        if option == "--metrics":
            arguments += ["--listen", "127.0.0.1:0"]
        assert f"{taken} cannot be opened" in await refused_start(run_serve, *arguments)


def test_a_store_that_is_none_of_ours_is_one_clear_line(data, start) -> None:
    data.mkdir()
    path, arguments = data / "events.db", ("--data", str(data), "--listen", "127.0.0.1:0")
    path.write_bytes(b"no database at all" * 1_000)
    assert "not an SQLite file" in start(*arguments)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t(x)")
    other.close()
    assert "not a Coldaisle store" in start(*arguments)


async def test_a_store_of_a_newer_schema_is_left_alone(data, run_serve, serving) -> None:
    async with serving(data):
        pass
    with sqlite3.connect(data / "events.db") as newer:
        newer.execute("PRAGMA user_version=99")
    newer.close()
    line = await refused_start(run_serve, "--data", str(data), "--listen", "127.0.0.1:0")
    assert "has schema 99" in line


async def test_a_store_that_another_server_writes_is_one_clear_line(data, run_serve, serving) -> None:
    async with serving(data):
        line = await refused_start(run_serve, "--data", str(data), "--listen", "127.0.0.1:0")
    assert "another process writes to" in line


# --- a full store


async def fill(agent, on_wire, body_of) -> int:
    """Report until the store is full; how many batches were acknowledged."""
    acknowledged = 0
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        while True:
            await agent.send(on_wire(body_of(f"rack-{acknowledged}")))
            acknowledged += 1
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return acknowledged


def wordy(asset: str) -> AssetObserved:
    return AssetObserved(asset, "rack", {"note": "x" * 5_000})


async def test_a_full_store_refuses_batches_answers_reads_and_goes_on_with_more_room(
    data, serving, agent_of, on_wire
) -> None:
    async with serving(data, max_store_bytes=FULL_BYTES) as api:
        agent = agent_of(api)
        await agent.hello()
        acknowledged = await fill(agent, on_wire, wordy)
        assert acknowledged > 10
        listed = await api.call(api.assets.ListAssets, assets_pb2.ListAssetsRequest())
        assert listed.total_size == acknowledged
    async with serving(data, max_store_bytes=10 * FULL_BYTES) as api:
        listed = await api.call(api.assets.ListAssets, assets_pb2.ListAssetsRequest())
        assert listed.total_size == acknowledged
        agent = agent_of(api)
        await agent.hello()
        await agent.report(AssetObserved("rack-new", "rack"))
        agent.cut()


async def test_a_reactor_that_finds_no_room_waits_and_says_so(
    data, serving, agent_of, on_wire, losing
) -> None:
    """Each loss that fits may leave no room for its alert; the server lives, and says what it waits for."""
    async with serving(data, max_store_bytes=FULL_BYTES) as api:
        agent = agent_of(api)
        await agent.hello()
        count = await fill(agent, on_wire, losing)
        async with asyncio.timeout(20):
            while not any("no room" in problem for problem in (await status_of(api)).problems):
                pass
        lost = len(await api.events("DeviceLost"))
        assert lost == count
    async with serving(data, max_store_bytes=10 * FULL_BYTES) as api:
        assert len(await api.event("AlertOpened", count=lost)) == lost
        assert not any("no room" in problem for problem in (await status_of(api)).problems)


def test_waits_grow_to_their_bound_and_differ() -> None:
    waits = Waits()
    seconds = [waits.next_seconds() for _ in range(50)]
    assert seconds[0] <= 0.25
    assert max(seconds) <= MAX_RETRY_SECONDS
    assert min(seconds[10:]) >= MAX_RETRY_SECONDS / 2
    assert len(set(seconds)) > 40
