"""``coldaisle serve`` as a process: how it ends, what it says when it cannot start, and a full store."""

import asyncio
import logging
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence

import grpc
import pytest

from coldaisle.cli.main import run
from coldaisle.core.errors import StoreFull
from coldaisle.core.events import encode, new_id
from coldaisle.core.events.types import AssetObserved, DeviceLost, RunApproved, RunProposed
from coldaisle.core.store import Append, Appended, LiveTwin
from coldaisle.core.store.memory import MemoryStore
from coldaisle.core.store.reactions import MAX_RETRY_SECONDS, Waits
from coldaisle.core.twin import ENDED_RUN_STATES
from coldaisle.playbooks import Runner, make_plan, read_playbook
from coldaisle.server.actions import ActionRouter
from coldaisle.server.hub import AgentHub
from coldaisle.server.startup import retried
from coldaisle.v1 import assets_pb2, history_pb2, system_pb2

MAX_STOP_SECONDS = 6.0
FULL_BYTES = 900_000


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


def tiny(asset: str) -> AssetObserved:
    return AssetObserved(f"{asset}-tiny", "rack")


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


async def test_a_server_starts_on_a_full_store_and_answers_reads(data, serving, agent_of, on_wire) -> None:
    async with serving(data, max_store_bytes=FULL_BYTES) as api:
        acknowledged = 0
        for body_of in (wordy, tiny):
            agent = agent_of(api)
            await agent.hello()
            acknowledged += await fill(agent, on_wire, body_of)
    async with serving(data, max_store_bytes=FULL_BYTES) as api:
        listed = await api.call(api.assets.ListAssets, assets_pb2.ListAssetsRequest())
        assert listed.total_size == acknowledged
        assert len(await api.events("ServerStarted")) == 1
    async with serving(data, max_store_bytes=10 * FULL_BYTES) as api:
        assert len(await api.events("ServerStarted")) == 2


async def test_a_reactor_that_finds_no_room_waits_and_says_so(data, serving, agent_of) -> None:
    """The losses fit, their alerts, which repeat the reasons, do not."""
    count = 40
    losses = [DeviceLost(f"rack-{n}", "192.0.2.1", "hall-1", "x" * 5_000) for n in range(count)]
    async with serving(data, max_store_bytes=FULL_BYTES) as api:
        agent = agent_of(api)
        await agent.hello()
        await agent.report(*losses)
        async with asyncio.timeout(20):
            while not any("no room" in problem for problem in (await status_of(api)).problems):
                pass
        assert len(await api.events("DeviceLost")) == count
        assert await api.events("AlertOpened") == []
    async with serving(data, max_store_bytes=10 * FULL_BYTES) as api:
        assert len(await api.event("AlertOpened", count=count)) == count
        assert not any("no room" in problem for problem in (await status_of(api)).problems)


class FillingStore(MemoryStore):
    """The store in memory, with no room for the first ``refusals`` starts of a step."""

    refusals = 2

    async def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        starts = any(event.type == "StepStarted" for append in appends for event in append.events)
        if starts and self.refusals:
            self.refusals -= 1
            raise StoreFull("no room")
        return await super().append_many(appends)


async def test_runs_that_find_no_room_wait_and_go_on() -> None:
    store, now = FillingStore(), time.time_ns()
    live = LiveTwin(store)
    playbook = read_playbook("playbook: p\ntitle: P\nsteps:\n- {id: s, action: notify}\n", "p")
    plan = make_plan(playbook, {}, live.current, now)
    for body in (RunProposed("r-1", plan, "look"), RunApproved("r-1", plan.hash)):
        await store.append("run-r-1", [encode(body, id=new_id(now), time=now, actor="user/ada")])
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(live.run()),
            group.create_task(
                retried(Runner(store, live, ActionRouter(AgentHub(lambda _: True))).run, "runs")
            ),
        ]
        while (run := live.current.runs.get("r-1")) is None or run.state not in ENDED_RUN_STATES:
            await live.beyond(live.current.position)
        for task in tasks:
            task.cancel()
    assert store.refusals == 0
    assert [event.type for event in await store.read_stream("run-r-1")].count("StepStarted") == 1


def test_waits_grow_to_their_bound_and_differ() -> None:
    waits = Waits()
    seconds = [waits.next_seconds() for _ in range(50)]
    assert seconds[0] <= 0.25
    assert max(seconds) <= MAX_RETRY_SECONDS
    assert min(seconds[10:]) >= MAX_RETRY_SECONDS / 2
    assert len(set(seconds)) > 40
