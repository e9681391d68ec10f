"""``coldaisle serve`` applies retention while it takes in events; what it did is told and verifiable."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coldaisle.core.errors import ConfigError, StoreError
from coldaisle.core.events import encode
from coldaisle.core.events.types import AssetObserved, SamplesRecorded
from coldaisle.core.store.archive_history import ArchivedHistory
from coldaisle.core.store.backup_check import thorough_check
from coldaisle.core.store.chain_keys import load_chain_keys
from coldaisle.core.store.chain_verify import verify_chain
from coldaisle.core.store.port import EventFilter
from coldaisle.core.store.retention import set_retention
from coldaisle.core.store.snapshots import SqliteSnapshots
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.server.retainer import COVERED_BY, Retainer
from coldaisle.server.settings import RetentionSettings, load_settings

BATCHES = 40
BATCH_POLLS = 25
ENOUGH = 500
"""Removed events after which a test has seen what it came for."""
WAIT_SECONDS = 20.0


def config_in(folder: Path, *lines: str) -> Path:
    path = folder / "server.toml"
    path.write_text("\n".join(["[retention]", *lines]))
    return path


def polls() -> list[SamplesRecorded]:
    return [
        SamplesRecorded("rack-1", ("inlet_temperature_celsius",), (20.0 + n,)) for n in range(BATCH_POLLS)
    ]


async def metrics_of(address: str) -> dict[tuple[str, ...], float]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    body = (await reader.read()).decode().partition("\r\n\r\n")[2]
    writer.close()
    await writer.wait_closed()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


async def test_a_server_thins_out_its_history_while_it_grows(
    tmp_path, data, process, client, agent_of, free_port
) -> None:
    """An agent goes on sending; every poll is in the store or in the archive, and the chain holds."""
    archive, address = tmp_path / "cold", f"127.0.0.1:{free_port}"
    config = config_in(
        tmp_path, "max_age_days = { telemetry = 0 }", f"archive_dir = '{archive}'", "every_seconds = 0.1"
    )
    async with (
        process(data, "--config", str(config), "--metrics", address) as server,
        client(server.address, data) as api,
    ):
        agent = agent_of(api)
        await agent.hello()
        await agent.report(AssetObserved("rack-1", "rack"))
        for _ in range(BATCHES):
            await agent.report(*polls())
        async with asyncio.timeout(WAIT_SECONDS):
            while removed_by(await api.events("EventsRemoved")) < ENOUGH:
                await agent.report(*polls())
        samples = await metrics_of(address)
        agent.cut()
        server.process.terminate()
        assert (await server.ended())[0] == 0
    assert samples["coldaisle_removed_events_total", "telemetry"] > 0
    assert samples["coldaisle_archived_events_total", "telemetry"] > 0
    assert samples["coldaisle_retention_failing",] == 0
    async with SqliteStore(data / "events.db", read_only=True) as store:
        verified = await verify_chain(store, load_chain_keys(data / "chain.key"))
        assert verified.fault is None
        assert verified.removed >= ENOUGH
        history, after, positions = ArchivedHistory(store), 0, []
        while not (page := await history.read_all(after=after)).caught_up:
            positions += [event.position for event in page.events]
            after = page.position
        positions += [event.position for event in page.events]
        assert positions == list(range(1, len(positions) + 1))
        facts = await store.read_all(only=EventFilter(types=("EventsRemoved",)))
        assert {event.actor for event in facts.events} == {"server"}
    assert thorough_check(data / "events.db") == []


def removed_by(told) -> int:
    return max((json.loads(event.data_json)["total_removed_events"] for event in told), default=0)


async def test_an_archive_that_is_away_removes_nothing_and_is_told(
    tmp_path, data, process, client, agent_of, free_port
) -> None:
    address = f"127.0.0.1:{free_port}"
    (tmp_path / "cold").write_text("a file where the folder should be")
    config = config_in(
        tmp_path, "max_age_days = { telemetry = 0 }", f"archive_dir = '{tmp_path / 'cold'}'",
        "every_seconds = 0.1",
    )  # fmt: skip
    async with (
        process(data, "--config", str(config), "--metrics", address) as server,
        client(server.address, data) as api,
    ):
        agent = agent_of(api)
        await agent.hello()
        await agent.report(AssetObserved("rack-1", "rack"), *polls())
        async with asyncio.timeout(WAIT_SECONDS):
            while (await metrics_of(address))["coldaisle_retention_failing",] == 0:
                await agent.report(*polls())
        polled = await api.events("SamplesRecorded")
        assert len(polled) >= BATCH_POLLS
        assert await api.events("EventsRemoved") == []
        (tmp_path / "cold").unlink()
        async with asyncio.timeout(WAIT_SECONDS):
            while not await api.events("EventsRemoved"):
                await agent.report(*polls())
        agent.cut()


async def test_a_clock_that_leaps_ahead_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RetentionSettings(max_age_days={"telemetry": 1}, without_archive=True)
    year_ns = 365 * 86_400 * 10**9
    async with SqliteStore(tmp_path / "events.db") as store:
        old = [
            encode(poll, id=n.to_bytes(16), time=n, actor="tester") for n, poll in enumerate(polls(), start=1)
        ]
        await store.append("telemetry-a", old)

        async def save() -> None:
            for name in COVERED_BY:
                await SqliteSnapshots(store).save_snapshot(name, await store.head(), 1, b"state")

        await set_retention(store, "telemetry", 86_400)
        retainer = Retainer(store, settings, [save])
        assert [done.removed for done in await retainer.once()] == [0]
        true_ns, true = time.time_ns, time.time
        monkeypatch.setattr(time, "time_ns", lambda: true_ns() + year_ns)
        monkeypatch.setattr(time, "time", lambda: true() + year_ns / 1e9)
        with pytest.raises(StoreError, match=r"went 8760\.0 h ahead .* restart the server"):
            await retainer.once()
        assert len((await store.read_all()).events) == BATCH_POLLS
        (done,) = await Retainer(store, settings, [save]).once()  # restarted: the clock is believed
        assert done.removed == BATCH_POLLS - 1


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("max_age_days = { telemetry = 1 }",), "either archive_dir, or without_archive"),
        (
            ("max_age_days = { telemetry = 1 }", "archive_dir = 'a'", "without_archive = true"),
            "either archive_dir, or without_archive",
        ),
        (("max_age_days = { run = 1 }", "without_archive = true"), "holds facts or actions"),
        (("max_age_days = { telemetry = -1 }", "without_archive = true"), "an age of -86400 s"),
        (("max_age_days = { telemetry = 1e18 }", "without_archive = true"), "<= 1000000"),
        (("max_age_days = { telemetry = inf }", "without_archive = true"), "<= 1000000"),
        (("max_age_days = { telemetry = nan }", "without_archive = true"), "<= 1000000"),
        (("every_seconds = 0",), "every_seconds"),
    ],
)
def test_a_retention_that_cannot_be_meant_is_refused(
    tmp_path: Path, lines: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load_settings(config_in(tmp_path, *lines))
