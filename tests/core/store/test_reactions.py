"""The reactor runtime: answers once, whatever crashes, and in another process the same."""

import asyncio
from collections.abc import Sequence

import pytest

from coldaisle.core.events import Fact, NewEvent, decode, encode, sequenced_id
from coldaisle.core.events import types as t
from coldaisle.core.reactor import Reaction
from coldaisle.core.store import LiveTwin, twin_at
from coldaisle.core.store.memory import MemoryStore
from coldaisle.core.store.port import MAX_APPEND_EVENTS
from coldaisle.core.store.reactions import ReactorRunner
from coldaisle.core.templates import TemplateReactor
from coldaisle.core.templates.minutes import QUIET_MINUTES
from coldaisle.core.twin import state_hash


class EveryThird:
    """Answers every third sample with two events; counts, so that its state matters."""

    name = "third"

    def __init__(self) -> None:
        self.seen = 0

    def react(self, facts: Sequence[Fact]) -> list[Reaction]:
        reactions = []
        for fact in facts:
            if isinstance(fact.body, t.SamplesRecorded):
                self.seen += 1
                if self.seen % 3 == 0:
                    reactions += [
                        Reaction(fact, t.AlertAcknowledged(f"a-{self.seen}", "first")),
                        Reaction(fact, t.AlertAcknowledged(f"a-{self.seen}", "second")),
                    ]
        return reactions


class CrashingStore(MemoryStore):
    """Fails once before or after an append or a checkpoint, like a process that dies there."""

    def __init__(self) -> None:
        super().__init__()
        self.crash_at = ""

    async def append_many(self, appends):  # type: ignore[no-untyped-def]  # the base class has the types
        self._crash("before append")
        done = await super().append_many(appends)
        self._crash("after append")
        return done

    async def save_checkpoint(self, consumer: str, position: int) -> None:
        self._crash("before checkpoint")
        await super().save_checkpoint(consumer, position)
        self._crash("after checkpoint")

    def _crash(self, where: str) -> None:
        if self.crash_at == where:
            self.crash_at = ""
            raise RuntimeError(where)


async def sample(store: MemoryStore, number: int) -> None:
    body = t.SamplesRecorded("rack-1", ("x",), (float(number),))
    event = encode(body, id=sequenced_id(number, "test", number), time=number, actor="test")
    await store.append("telemetry-rack-1", [event])


async def answers(store: MemoryStore) -> list[tuple[str, str, bytes | None]]:
    found = []
    for event in (await store.read_all()).events:
        fact = decode(event)
        if fact is not None and isinstance(fact.body, t.AlertAcknowledged):
            found.append((fact.body.alert, fact.body.note, fact.causation_id))
    return found


async def run_until_caught_up(store: MemoryStore) -> None:
    runner = ReactorRunner(store, EveryThird())
    task = asyncio.ensure_future(runner.run())
    caught_up = asyncio.ensure_future(runner.caught_up.wait())
    await asyncio.wait((task, caught_up), return_when=asyncio.FIRST_COMPLETED)
    crashed = task.done() and not caught_up.done()
    for one in (task, caught_up):
        one.cancel()
    failure = (await asyncio.gather(task, caught_up, return_exceptions=True))[0]
    if crashed:
        assert isinstance(failure, BaseException)
        raise failure


async def test_an_outage_of_a_relay_of_many_hosts_is_answered_in_appends_that_the_store_takes() -> None:
    """The first poll after it closes half an hour of minutes for every host."""
    minute, hosts = 60_000_000_000, MAX_APPEND_EVENTS // QUIET_MINUTES + 1
    lines = [t.LogLinesRecorded(f"host-{n}", (t.LogLine(minute, 6, "app", "started"),)) for n in range(hosts)]
    poll = t.SamplesRecorded("rack-1", ("x",), (1.0,))
    said = [*((minute, body) for body in lines), (minute * (QUIET_MINUTES + 10), poll)]
    store = MemoryStore()
    for n, (time, body) in enumerate(said):
        event = encode(body, id=sequenced_id(time, "test", n), time=time, actor="agent/relay")
        await store.append("observed", [event])
    runner = ReactorRunner(store, TemplateReactor())
    async with asyncio.TaskGroup() as group:
        answering = group.create_task(runner.run())
        await runner.caught_up.wait()
        answering.cancel()
    answered = await store.head() - len(said)
    assert answered > MAX_APPEND_EVENTS


@pytest.mark.parametrize("where", ["before append", "after append", "before checkpoint", "after checkpoint"])
async def test_a_crash_anywhere_leaves_each_answer_once(where: str) -> None:
    store = CrashingStore()
    for number in range(1, 11):
        await sample(store, number)
    store.crash_at = where
    with pytest.raises(RuntimeError, match=where):
        await run_until_caught_up(store)
    await run_until_caught_up(store)
    for number in range(11, 14):
        await sample(store, number)
    await run_until_caught_up(store)
    found = await answers(store)
    assert [(alert, note) for alert, note, _ in found] == [
        (f"a-{number}", note) for number in (3, 6, 9, 12) for note in ("first", "second")
    ]
    assert [cause for *_, cause in found][::2] == [sequenced_id(n, "test", n) for n in (3, 6, 9, 12)]


async def test_the_live_twin_equals_the_fold_of_the_history_at_every_position() -> None:
    store = MemoryStore()
    live = LiveTwin(store)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(live.run())
        for number in range(1, 20):
            await sample(store, number)
            twin = await live.at_least(number)
            assert state_hash(twin) == state_hash(await twin_at(store, number))
        following.cancel()


async def test_an_event_of_an_unknown_type_moves_the_twin_on() -> None:
    store = MemoryStore()
    await sample(store, 1)
    (event,) = (await store.read_all()).events
    await store.append("future-1", [NewEvent(b"f" * 16, "FromTheFuture", 1, 2, "t", b"{}")])
    twin = await twin_at(store, 2)
    assert twin.position == 2
    assert twin.readings["rack-1"]["x"].position == event.position
