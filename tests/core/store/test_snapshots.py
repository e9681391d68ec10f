"""From any snapshot the same twin and the same answers; a snapshot that cannot be used costs time only."""

import asyncio
import math
import random
from pathlib import Path
from typing import cast

import apsw
import pytest

from coldaisle.core.detect import Detector, default_rules
from coldaisle.core.events import Fact, NewEvent, decode, encode, sequenced_id, stream_of
from coldaisle.core.events import types as t
from coldaisle.core.reactor import Reaction, form_number
from coldaisle.core.store import EventStore, LiveTwin, twin_at
from coldaisle.core.store import live as live_module
from coldaisle.core.store import reactions as reactions_module
from coldaisle.core.store.live import TWIN_SCHEMA, TWIN_SNAPSHOT, load_twin, save_twin
from coldaisle.core.store.memory import MemoryStore
from coldaisle.core.store.reactions import ReactorRunner, appends_of, snapshot_name
from coldaisle.core.store.snapshots import (
    KEPT_SNAPSHOTS,
    PART_BYTES,
    MemorySnapshots,
    Snapshot,
    SqliteSnapshots,
    snapshot_positions,
    superfluous,
)
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.templates import TemplateReactor
from coldaisle.core.twin import Alert, Run, state_hash
from coldaisle.playbooks import PolicyReactor, builtin_playbooks

SECOND = 1_000_000_000
METRICS = ("inlet_temperature_celsius", "outlet_temperature_celsius", "power_watts", "bytes_total")


def body_event(number: int, time: int, body: t.AnyEvent) -> tuple[str, NewEvent]:
    return stream_of(body), encode(body, id=sequenced_id(time, "test", number), time=time, actor="test")


def hall_history(polls: int) -> list[tuple[str, NewEvent]]:
    """Three racks and a cooling unit, a fault in the middle, a device that is lost and found."""
    source, events = random.Random(7), []
    config = t.DetectorConfigured(
        limits=default_rules(), assumed_attributes={"ashrae_class": "A1"}, warmup_seconds=600.0, seed=3
    )
    playbook = builtin_playbooks()[0]
    policy = t.Policy("p", playbook.id, {"asset": "${asset}"}, cooldown_seconds=1.0, mode="observe")
    assets = ("rack-1", "rack-2", "rack-3", "crac-1")
    bodies: list[t.AnyEvent] = [
        config,
        t.PoliciesConfigured((policy,)),
        t.PlaybookPublished(playbook.id, playbook.revision, playbook.text),
        *(t.AssetObserved(asset, asset.partition("-")[0], {}, "test") for asset in assets),
        t.AssetLinked("rack-1", "cooled_by", "crac-1"),
    ]
    start = 1_800_000_000 * SECOND
    for body in bodies:
        events.append(body_event(len(events), start, body))
    for poll in range(polls):
        time = start + poll * 10 * SECOND
        for asset in assets:
            hot = 14.0 if polls // 2 < poll < polls // 2 + 20 else 0.0
            values = tuple(
                float(poll * 1000) if metric.endswith("total") else
                20 + math.sin(poll / 9) + source.random() + (hot if asset != "rack-2" else 0)
                for metric in METRICS
            )  # fmt: skip
            events.append(body_event(len(events), time, t.SamplesRecorded(asset, METRICS, values)))
        if poll == polls // 3:
            events.append(body_event(len(events), time, t.DeviceLost("rack-3", "a", "10.0.0.3", "timeout")))
        if poll == polls // 3 + 5:
            events.append(body_event(len(events), time, t.DeviceReached("rack-3", "a", "10.0.0.3")))
    return events


async def fill(store: EventStore, polls: int) -> None:
    for stream, event in hall_history(polls):
        await store.append(stream, [event])


async def facts_of(store: EventStore) -> list[Fact]:
    page = await store.read_all(limit=100_000)
    return [fact for event in page.events if (fact := decode(event)) is not None]


def said(reactions: list[Reaction]) -> list[tuple[int, t.AnyEvent]]:
    return [(reaction.cause.position, reaction.body) for reaction in reactions]


@pytest.mark.parametrize("make", [Detector, PolicyReactor])
async def test_a_reactor_loaded_anywhere_answers_as_one_that_never_stopped(
    make: type[Detector] | type[PolicyReactor],
) -> None:
    store = MemoryStore()
    await fill(store, 200)
    detector = Detector()
    for append in appends_of("detector", detector.react(await facts_of(store))):
        await store.append_many([append])
    facts = await facts_of(store)
    whole = make().react(facts)
    assert len(whole) > 3
    ends = range(len(facts) - 6, len(facts) + 1)
    for cut in sorted({0, *random.Random(1).sample(range(len(facts)), 10), *ends}):
        first, second = make(), make()
        before = first.react(facts[:cut])
        second.load(first.save())
        assert second.save() == first.save()
        assert said(before + second.react(facts[cut:])) == said(whole), cut
        first.react(facts[cut:])
        assert second.save() == first.save(), cut


def test_a_state_that_is_none_is_refused_and_changes_nothing() -> None:
    for reactor in (TemplateReactor(), Detector(), PolicyReactor()):
        before = reactor.save()
        for data in (b"", b"x", before[:-1], b"\x80" + before):
            with pytest.raises(ValueError, match="state"):
                reactor.load(data)
        assert reactor.save() == before


async def test_the_twin_is_the_same_from_every_snapshot(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        await fill(store, 60)
        snapshots, head = SqliteSnapshots(store), await store.head()
        for position in range(0, head + 1, 37):
            await save_twin(snapshots, await twin_at(store, position))
        for position in random.Random(2).sample(range(head + 1), 15):
            expected = state_hash(await twin_at(store, position))
            assert state_hash(await twin_at(store, position, snapshots)) == expected


async def test_a_twin_that_is_stopped_starts_from_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "SNAPSHOT_EVENTS", 50)
    async with SqliteStore(tmp_path / "events.db") as store:
        await fill(store, 30)
        head, snapshots = await store.head(), SqliteSnapshots(store)
        async with asyncio.TaskGroup() as group:
            live = LiveTwin(store, snapshots)
            task = group.create_task(live.run())
            await live.at_least(head)
            task.cancel()
        assert (await load_twin(snapshots)).position == head
        stream, event = body_event(9_999, 9, t.SamplesRecorded("rack-9", ("x",), (1.0,)))
        await store.append(stream, [event])
        async with asyncio.TaskGroup() as group:
            again = LiveTwin(_CountingStore(store, after=head), snapshots)
            task = group.create_task(again.run())
            assert state_hash(await again.at_least(head + 1)) == state_hash(await twin_at(store, head + 1))
            task.cancel()


class _CountingStore:
    """Fails when it is read from before ``after``: the start must use the snapshot."""

    def __init__(self, store: EventStore, after: int) -> None:
        self._store, self._after = store, after

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def subscribe_all(self, *, after: int = 0):  # type: ignore[no-untyped-def]  # as EventStore
        assert after >= self._after
        return self._store.subscribe_all(after=after)


class Counting:
    """Answers every third sample; remembers how many it saw."""

    name = "third"
    snapshot_schema = 1

    def __init__(self) -> None:
        self.seen = 0
        self.given = 0

    def react(self, facts):  # type: ignore[no-untyped-def]  # as Reactor
        reactions = []
        for fact in facts:
            if isinstance(fact.body, t.SamplesRecorded):
                self.seen, self.given = self.seen + 1, self.given + 1
                if self.seen % 3 == 0:
                    reactions.append(Reaction(fact, t.AlertAcknowledged(f"a-{self.seen}", "third")))
        return reactions

    def save(self) -> bytes:
        return b"%d" % self.seen

    def load(self, data: bytes) -> None:
        self.seen = int(data)


async def run_to_end(store: EventStore, reactor: Counting, snapshots: MemorySnapshots) -> None:
    runner = ReactorRunner(store, reactor, snapshots)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(runner.run())
        await runner.caught_up.wait()
        task.cancel()


async def test_a_reactor_starts_from_its_snapshot_and_answers_each_event_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reactions_module, "SNAPSHOT_EVENTS", 7)
    store, snapshots, number = MemoryStore(), MemorySnapshots(), 0
    for _ in range(5):
        for _ in range(10):
            number += 1
            body = t.SamplesRecorded("r", ("x",), (1.0,))
            await store.append("telemetry-r", [body_event(number, number, body)[1]])
        reactor = Counting()
        await run_to_end(store, reactor, snapshots)
        assert reactor.seen == number
        assert reactor.given == 10
    events = [fact.body for fact in await facts_of(store)]
    assert [body.alert for body in events if isinstance(body, t.AlertAcknowledged)] == [
        f"a-{n}" for n in range(3, 51, 3)
    ]


async def test_a_snapshot_that_does_not_fit_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    store, snapshots = MemoryStore(), MemorySnapshots()
    for number in range(1, 11):
        body = t.SamplesRecorded("r", ("x",), (1.0,))
        await store.append("telemetry-r", [body_event(number, number, body)[1]])
    await snapshots.save_snapshot(snapshot_name("third"), 5, 1, b"not a number")
    await snapshots.save_snapshot(snapshot_name("third"), 6, 2, b"6")
    reactor = Counting()
    await run_to_end(store, reactor, snapshots)
    assert (reactor.seen, reactor.given) == (10, 10)


async def test_damaged_foreign_and_later_snapshots_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    async with SqliteStore(path) as store:
        await fill(store, 10)
        snapshots = SqliteSnapshots(store)
        for position in (10, 20, 30):
            await save_twin(snapshots, await twin_at(store, position))
        await snapshots.save_snapshot(TWIN_SNAPSHOT, 35, TWIN_SCHEMA + 1, b"a newer form")
        await snapshots.save_snapshot(TWIN_SNAPSHOT, 9_999, TWIN_SCHEMA, b"beyond the history")
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE snapshot SET data = substr(data, 1, 50) || x'00' WHERE position = 30")
    connection.close()
    async with SqliteStore(path) as store:
        assert (await load_twin(SqliteSnapshots(store))).position == 20
        assert (await load_twin(SqliteSnapshots(store), at_most=19)).position == 10
        assert (await load_twin(SqliteSnapshots(store), at_most=9)).position == 0


async def test_a_bounded_number_is_kept_the_newest_always(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        snapshots = SqliteSnapshots(store)
        for position in range(1, 100):
            await snapshots.save_snapshot("x", position, 1, b"%d" % position)
            found = await snapshots.load_snapshot("x", 1, at_most=position)
            assert found is not None
            assert found.data == b"%d" % position
        count = await store.inspect(lambda c: c.execute("SELECT count(*) FROM snapshot").get)
        assert count == KEPT_SNAPSHOTS


async def test_a_large_snapshot_comes_in_parts_and_goes_with_them(tmp_path: Path) -> None:
    def parts(connection: apsw.Connection) -> set[tuple[int, int]]:
        query = "SELECT position, count(*) FROM snapshot_part GROUP BY position"
        return set(cast("list[tuple[int, int]]", connection.execute(query).fetchall()))

    async with SqliteStore(tmp_path / "events.db") as store:
        snapshots, source = SqliteSnapshots(store), random.Random(1)
        for position in range(1, 20):
            data = source.randbytes(PART_BYTES * 3 + position)
            await snapshots.save_snapshot("x", position, 1, data)
            assert await snapshots.load_snapshot("x", 1, at_most=99) == Snapshot(position, data)
        kept = await store.inspect(lambda c: c.execute("SELECT position FROM snapshot").fetchall())
        assert await store.inspect(parts) == {(position, 3) for (position,) in kept}
        await snapshots.save_snapshot("x", 19, 1, b"a shorter one")
        assert await snapshots.load_snapshot("x", 1, at_most=99) == Snapshot(19, b"a shorter one")
        assert 19 not in dict(await store.inspect(parts))


async def test_appends_pass_between_the_parts_of_a_snapshot(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        snapshots = SqliteSnapshots(store)
        saving = asyncio.ensure_future(snapshots.save_snapshot("x", 1, 1, bytes(PART_BYTES * 20)))
        await fill(store, 10)
        assert not saving.done()
        assert await store.inspect(snapshot_positions) == {}
        await saving
        assert await store.inspect(snapshot_positions) == {"x": 1}


async def test_a_snapshot_that_was_given_up_leaves_nothing(tmp_path: Path) -> None:
    """Of a killed process the parts stay until the next snapshot of the name."""
    async with SqliteStore(tmp_path / "events.db") as store:
        snapshots = SqliteSnapshots(store)
        killed = "INSERT INTO snapshot_part VALUES('x', 5, 1, x'00')"
        await store.maintain(lambda c: c.execute(killed).fetchall())
        await snapshots.save_snapshot("x", 6, 1, b"small")
        saving = asyncio.ensure_future(snapshots.save_snapshot("x", 7, 1, bytes(PART_BYTES * 20)))
        while not await store.inspect(lambda c: c.execute("SELECT count(*) FROM snapshot_part").get):
            pass
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
        assert await store.inspect(lambda c: c.execute("SELECT count(*) FROM snapshot_part").get) == 0
        assert await snapshots.load_snapshot("x", 1, at_most=9) == Snapshot(6, b"small")


async def test_a_snapshot_in_place_of_another_is_never_half_of_each(tmp_path: Path) -> None:
    """Retention trusts what is there: of two halves nothing could be made again."""
    async with SqliteStore(tmp_path / "events.db") as store:
        snapshots = SqliteSnapshots(store)
        await snapshots.save_snapshot("x", 5, 1, b"older")
        await snapshots.save_snapshot("x", 6, 1, bytes(PART_BYTES * 20))
        saving = asyncio.ensure_future(snapshots.save_snapshot("x", 6, 1, b"1" * PART_BYTES * 20))
        while (await store.inspect(snapshot_positions))["x"] == 6:
            pass
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
        assert await store.inspect(snapshot_positions) == {"x": 5}
        assert await snapshots.load_snapshot("x", 1, at_most=9) == Snapshot(5, b"older")


async def test_of_a_reactor_the_newest_is_kept_and_the_one_before(tmp_path: Path) -> None:
    """Nobody asks for a reactor of long ago, and eight of a large plant are a gigabyte."""
    async with SqliteStore(tmp_path / "events.db") as store:
        snapshots = SqliteSnapshots(store)
        for number in range(1, 6):
            await store.append("x", [body_event(number, number, t.AssetObserved("x", "rack"))[1]])
            runner = ReactorRunner(store, TemplateReactor(), snapshots)
            following = asyncio.ensure_future(runner.run())
            await runner.caught_up.wait()
            following.cancel()
            await asyncio.wait([following])
        rows = await store.inspect(lambda c: c.execute("SELECT position FROM snapshot ORDER BY 1").fetchall())
        assert rows == [(4,), (5,)]


def test_what_is_kept_is_spread_over_the_history() -> None:
    kept: list[int] = []
    for position in range(1_000, 1_000_001, 1_000):
        kept = sorted({*kept, position} - set(superfluous([*kept, position])))
    gaps = [after - before for before, after in zip([0, *kept], kept, strict=False)]
    assert kept[-1] == 1_000_000
    assert max(gaps) <= 400_000


def test_a_form_has_another_number_when_a_field_is_added() -> None:
    assert form_number(Alert, 1) != form_number(Run, 1)
    assert form_number(Alert, 1) != form_number(Alert, 2)
    assert form_number(Alert, 1) != form_number(Alert, 1, "river 0.27")
    assert form_number(Alert, 1) == form_number(Alert, 1)
