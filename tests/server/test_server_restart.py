"""A server that starts again: from snapshots, with old events archived, and on a damaged store not at all."""

import asyncio
import math
from pathlib import Path

import pytest

from coldaisle.core.detect import Detector
from coldaisle.core.errors import StoreUnreadable
from coldaisle.core.events import encode, sequenced_id, stream_of
from coldaisle.core.events.types import AssetObserved, SamplesRecorded
from coldaisle.core.store.archive_history import ArchivedHistory
from coldaisle.core.store.backup_check import thorough_check
from coldaisle.core.store.chain_keys import load_or_make_chain_keys
from coldaisle.core.store.live import LiveTwin, load_twin, twin_at
from coldaisle.core.store.port import Append
from coldaisle.core.store.reactions import ReactorRunner
from coldaisle.core.store.retention import scavenge, set_retention
from coldaisle.core.store.snapshots import SqliteSnapshots, snapshot_positions
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.templates import TemplateReactor
from coldaisle.core.twin import state_hash
from coldaisle.playbooks import PolicyReactor
from coldaisle.server.main import running
from coldaisle.server.settings import ServeSettings, Settings
from coldaisle.server.store_work import COVERED_BY
from coldaisle.server.verify import verify_file

SECOND = 1_000_000_000
POLLS = 400
MAX_STARTS = 30


async def fill(path: Path, first_poll: int, last_poll: int) -> None:
    """A rack whose inlet is too warm in the last quarter of the polls."""
    async with SqliteStore(path, chain=load_or_make_chain_keys(path.with_name("chain.key"))) as store:
        for number in range(first_poll, last_poll):
            time = 1_800_000_000 * SECOND + number * 10 * SECOND
            hot = 12.0 if number % POLLS > POLLS * 3 // 4 else 0.0
            inlet = 21.0 + math.sin(number / 5) + hot
            bodies = [
                AssetObserved("rack-1", "rack", {}, "test"),
                SamplesRecorded("rack-1", ("inlet_temperature_celsius", "power_watts"), (inlet, 5e3)),
            ]
            events = [
                encode(body, id=sequenced_id(time, "test", 2 * number + n), time=time, actor="agent/test")
                for n, body in enumerate(bodies)
            ]
            await store.append_many(
                [Append(stream_of(body), [event]) for body, event in zip(bodies, events, strict=True)]
            )


def settings(folder: Path) -> Settings:
    return Settings(serve=ServeSettings(data_dir=str(folder), listen="127.0.0.1:0"))


async def run_until_covered(folder: Path) -> None:
    """Start and stop a server, then its folds, until each saved a snapshot near the end of the history."""
    async with running(settings(folder)):
        pass
    for _ in range(MAX_STARTS):
        async with SqliteStore(
            folder / "events.db", chain=load_or_make_chain_keys(folder / "chain.key")
        ) as store:
            await follow_to_the_end(store)
            head = await store.head()
            found = await store.inspect(snapshot_positions)
            if all(found.get(name, 0) >= head - POLLS // 10 for name in COVERED_BY):
                return
    raise AssertionError(f"after {MAX_STARTS} starts only {found} of {head}")


async def follow_to_the_end(store: SqliteStore) -> None:
    """The folds of a server, until they have seen everything, stopped as it stops them."""
    snapshots = SqliteSnapshots(store)
    live = LiveTwin(store, snapshots)
    runners = [
        ReactorRunner(store, reactor, snapshots)
        for reactor in (TemplateReactor(), Detector(), PolicyReactor())
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.run()) for one in (live, *runners)]
        for runner in runners:
            await runner.caught_up.wait()
        await live.at_least(await store.head())
        for task in tasks:
            task.cancel()


async def test_a_history_without_its_old_events_goes_on_and_still_verifies(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    await fill(path, 0, POLLS)
    await run_until_covered(tmp_path)
    async with SqliteStore(path, chain=load_or_make_chain_keys(tmp_path / "chain.key")) as store:
        before = state_hash(await twin_at(store, await store.head()))
        middle = state_hash(await twin_at(store, POLLS))
        head = await store.head()
        await set_retention(store, "telemetry", 0)
        (done,) = await scavenge(
            store, covered_by=COVERED_BY, archive_folder=tmp_path / "cold", now=1 << 62
        )  # fmt: skip
        assert done.removed > POLLS // 4
        snapshots = SqliteSnapshots(store)
        assert state_hash(await twin_at(store, head, snapshots)) == before
        assert state_hash(await twin_at(ArchivedHistory(store), POLLS)) == middle
    assert (await verify_file(path, head, lambda *_: None)).faults == ()
    await fill(path, POLLS, 2 * POLLS)
    await run_until_covered(tmp_path)
    verdict = await verify_file(path, None, lambda *_: None)
    assert verdict.faults == ()
    assert verdict.answers["detector"] > 0
    async with SqliteStore(path, read_only=True) as store:
        twin = await load_twin(SqliteSnapshots(store))
        assert state_hash(twin) == state_hash(await twin_at(ArchivedHistory(store), twin.position))
    assert thorough_check(path) == []


async def test_what_was_removed_without_archive_is_said_to_be_gone(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    await fill(path, 0, 20)
    async with SqliteStore(path, chain=load_or_make_chain_keys(tmp_path / "chain.key")) as store:
        await set_retention(store, "telemetry", 0)
        await scavenge(store, covered_by=(), now=1 << 62)
    verdict = await verify_file(path, None, lambda *_: None)
    assert verdict.faults[0] == "19 events were removed and are in no archive known here"


async def test_a_store_with_a_hole_is_not_served(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    await fill(path, 0, 20)
    async with SqliteStore(path, chain=load_or_make_chain_keys(tmp_path / "chain.key")) as store:
        await store.maintain(lambda c: c.execute("DELETE FROM event WHERE position = 30").fetchall())
    with pytest.raises(StoreUnreadable, match=r"1 are missing.*coldaisle store salvage"):
        async with running(settings(tmp_path)):
            pass
