"""Any interleaving of appends, refusals, reads, subscriptions and retention, against a plain model.

The model is a list of events and a table of streams. It knows nothing of files, pages or wires, and its
rules are written anew from the port's words. Pages are cut after few bytes, so that every read crosses
many of them. With ``COLDAISLE_SOAK`` the machine runs for minutes.
"""

import asyncio
import contextlib
import os
import random
import tempfile
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from coldaisle.core.errors import DuplicateEvent, StreamTombstoned, WrongVersion
from coldaisle.core.events import NewEvent, Recorded
from coldaisle.core.store import Append, Appended, EventFilter, EventStore, Expected, page_bound
from coldaisle.core.store.archive_history import ArchivedHistory
from coldaisle.core.store.backup_check import thorough_check
from coldaisle.core.store.chain_keys import load_or_make_chain_keys
from coldaisle.core.store.chain_verify import verify_chain
from coldaisle.core.store.memory import MemoryStore
from coldaisle.core.store.port import EVERYTHING, Page
from coldaisle.core.store.retention import scavenge, set_retention
from coldaisle.core.store.retention_deleted import scavenge_deleted
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.integrations.kurrent import KurrentConfig, KurrentStore
from coldaisle.server.kurrent import KurrentSettings, kurrent_server

EXAMPLES = {"memory": 200, "sqlite": 120, "kurrent": 12}
SOAK_FACTOR = 20 if os.environ.get("COLDAISLE_SOAK") else 1
STEPS = 40
WAIT_SECONDS = 30.0
"""After which a subscription that ought to say something hangs."""

PAGE_FULL_BYTES = 120
STREAMS = ("run-a", "run-b", "telemetry-a", "telemetry-b", "logs-a")
REMOVABLE = ("telemetry", "logs")
FILTERS = (
    EVERYTHING,
    EventFilter(types=("A",)),
    EventFilter(stream_prefixes=("telemetry-", "run-b")),
    EventFilter(stream_prefixes=("logs-",), types=("B", "C")),
)
REFUSALS = (WrongVersion, DuplicateEvent, StreamTombstoned)
SECOND = 1_000_000_000
Result = TypeVar("Result")


@dataclass(frozen=True)
class Kept:
    """An event as the model has it."""

    position: int
    stream: str
    version: int
    new: NewEvent


@dataclass
class Stream:
    """How a stream of the model stands."""

    version: int = -1
    first: int = 0
    tombstoned: bool = False

    @property
    def exists(self) -> bool:
        return not self.tombstoned and self.version >= self.first


@dataclass
class Model:
    """What a store is, in words that fit on a page."""

    log: list[Kept] = field(default_factory=list)
    gone: list[Kept] = field(default_factory=list)
    streams: dict[str, Stream] = field(default_factory=dict)

    def stream(self, name: str) -> Stream:
        return self.streams.get(name, Stream())

    def takes(self, name: str, expected: int | Expected) -> bool:
        """Whether the stream is as expected."""
        stream = self.stream(name)
        if stream.tombstoned:
            return False
        match expected:
            case Expected.ANY:
                return True
            case Expected.NO_STREAM | -1:
                return not stream.exists
            case Expected.EXISTS:
                return stream.exists
            case _:
                return stream.version == expected

    def earlier(self, append: Append) -> Appended | str | None:
        """The first result of a repetition; None for news; ``part`` for what is neither."""
        ids = [event.id for event in append.events]
        there = [kept for event_id in ids for kept in self.log if kept.new.id == event_id]
        if not there and len(set(ids)) == len(ids):
            return None
        first = there[0] if there else None
        if first is None or len(there) != len(ids):
            return "part"
        in_order = [(append.stream, first.version + n) for n in range(len(ids))]
        if [(kept.stream, kept.version) for kept in there] != in_order:
            return "part"
        return Appended(there[-1].version, there[-1].position)

    def add(self, append: Append, last_position: int) -> None:
        stream = self.streams.setdefault(append.stream, Stream())
        first = last_position - len(append.events) + 1
        for offset, new in enumerate(append.events):
            stream.version += 1
            self.log.append(Kept(first + offset, append.stream, stream.version, new))

    def remove(self, positions: set[int]) -> None:
        self.gone += [kept for kept in self.log if kept.position in positions]
        self.log = [kept for kept in self.log if kept.position not in positions]

    def of_stream(self, name: str) -> list[Kept]:
        """What readers of the stream see."""
        stream = self.stream(name)
        if stream.tombstoned:
            return []
        return [kept for kept in self.log if kept.stream == name and kept.version >= stream.first]

    def admitted(self, only: EventFilter, after: int = 0) -> list[Kept]:
        return [
            kept
            for kept in self.log
            if kept.position > after
            and (not only.types or kept.new.type in only.types)
            and (not only.stream_prefixes or kept.stream.startswith(only.stream_prefixes))
        ]


@dataclass
class Follower:
    """A subscription, and how far the model has followed it."""

    pages: AsyncIterator[Page]
    only: EventFilter
    position: int
    caught_up: bool = False
    coming: "asyncio.Future[Page] | None" = None


class Machine(RuleBasedStateMachine):
    """One store under test and its model; ``adapter`` is set in the classes below."""

    adapter = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "events.db"
        self.keys = load_or_make_chain_keys(self.path.with_name("chain.key"))
        self.model = Model()
        self.followers: list[Follower] = []
        self.forgotten: set[int] = set()
        self.number = 0
        self.archive: Path | None = None
        self.opened = contextlib.AsyncExitStack()
        self.embedded: SqliteStore | None = None
        self.store: EventStore = MemoryStore()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    @initialize(archived=st.booleans())
    def start(self, archived: bool) -> None:
        self.archive = self.path.with_name("archive") if archived else None
        self.run(self.open())

    async def open(self) -> None:
        if self.adapter == "memory":
            return
        self.embedded = await self.opened.enter_async_context(SqliteStore(self.path, chain=self.keys))
        self.store = self.embedded
        if self.adapter == "kurrent":
            wire = kurrent_server(self.embedded, "127.0.0.1", 0, KurrentSettings(allow_writes=True))
            port = await self.opened.enter_async_context(wire)
            remote = KurrentStore(KurrentConfig(f"kdb://127.0.0.1:{port}?Tls=false"))
            self.store = await self.opened.enter_async_context(remote)

    def new(self, type_name: str, size_bytes: int) -> NewEvent:
        self.number += 1
        data = b'"' + b"x" * size_bytes + b'"'
        return NewEvent(self.number.to_bytes(16), type_name, 1, self.number, "tester", data)

    # appends and refusals

    @rule(
        streams=st.lists(st.sampled_from(STREAMS), min_size=1, max_size=3, unique=True),
        sizes=st.lists(st.integers(0, 80), min_size=1, max_size=4),
        type_name=st.sampled_from("ABC"),
        expected=st.sampled_from([*[Expected.ANY] * 4, *Expected, -1, 0, 1, 3]),
        followed=st.booleans(),
    )
    def append(
        self, streams: list[str], sizes: list[int], type_name: str, expected: int | Expected, followed: bool
    ) -> None:
        appends = [Append(name, [self.new(type_name, n) for n in sizes], expected) for name in streams]
        self.run(self.append_and_compare(appends))
        for follower in self.followers if followed else ():
            self.run(self.take_news(follower))

    @precondition(lambda self: self.model.log or self.model.gone)
    @rule(seed=st.integers(0, 1 << 16), shift=st.integers(0, 2), more=st.booleans())
    def append_again(self, seed: int, shift: int, more: bool) -> None:
        """A whole earlier append, part of one, or one with something new behind it; perhaps elsewhere."""
        source = random.Random(seed)
        known = source.choice(self.model.log + self.model.gone)
        own = [k for k in self.model.log if k.stream == known.stream and k.version >= known.version]
        events = [kept.new for kept in own[: 1 + shift]] or [known.new]
        if more:
            events.append(self.new("A", 1))
        stream = known.stream if source.random() < 0.8 else source.choice(STREAMS)
        self.run(self.append_and_compare([Append(stream, events)]))

    async def append_and_compare(self, appends: list[Append]) -> None:
        earlier = [self.model.earlier(append) for append in appends]
        fits = all(
            verdict != "part" and (verdict is not None or self.model.takes(append.stream, append.expected))
            for append, verdict in zip(appends, earlier, strict=True)
        )
        try:
            answers = await self.store.append_many(appends)
        except REFUSALS:
            assert not fits, appends
            return
        assert fits, appends
        for append, verdict, answer in zip(appends, earlier, answers, strict=True):
            if verdict is not None:
                assert answer == verdict
                continue
            highest = max((k.position for k in self.model.log + self.model.gone), default=0)
            first = answer.position - len(append.events) + 1
            assert first > highest
            if self.adapter != "kurrent":  # over the wire a stream's metadata are events too
                assert first == highest + 1
            self.model.add(append, answer.position)
            assert answer.version == self.model.stream(append.stream).version

    @rule(stream=st.sampled_from(STREAMS), before=st.integers(0, 12))
    def truncate(self, stream: str, before: int) -> None:
        if self.is_inferred(stream):
            return
        self.run(self.store.truncate_stream(stream, before))
        if stream in self.model.streams and not self.model.stream(stream).tombstoned:
            own = self.model.stream(stream)
            own.first = max(0, min(before, own.version + 1))

    @rule(
        stream=st.sampled_from(STREAMS),
        expected=st.sampled_from([Expected.ANY, Expected.EXISTS, Expected.NO_STREAM, 0, 2]),
        for_ever=st.sampled_from([False, False, True]),
    )
    def delete(self, stream: str, expected: int | Expected, for_ever: bool) -> None:
        takes = self.model.takes(stream, expected)
        if for_ever and self.number % 3:  # rarely: little happens to a stream afterwards
            return
        if self.is_inferred(stream):
            return
        work = self.store.tombstone if for_ever else self.store.delete_stream
        try:
            self.run(work(stream, expected))
        except REFUSALS:
            assert not takes
            return
        assert takes
        if for_ever or stream in self.model.streams:
            own = self.model.streams.setdefault(stream, Stream())
            own.first, own.tombstoned = own.version + 1, for_ever

    # reads

    @rule(stream=st.sampled_from(STREAMS), limit=st.integers(1, 9), backwards=st.booleans())
    def read_stream(self, stream: str, limit: int, backwards: bool) -> None:
        expected = self.model.of_stream(stream)
        found = self.run(self.pages_of_stream(stream, limit, backwards))
        assert_same(found, expected[::-1] if backwards else expected)

    async def pages_of_stream(self, stream: str, limit: int, backwards: bool) -> list[Recorded]:
        found: list[Recorded] = []
        while True:
            after = found[-1].version if found else -1
            if backwards and after == 0:
                return found
            page = await self.store.read_stream(stream, after=after, limit=limit, backwards=backwards)
            if not page:
                return found
            assert len(page) <= limit
            found += page

    @rule(only=st.sampled_from(FILTERS), limit=st.integers(1, 30), backwards=st.booleans())
    def read_all(self, only: EventFilter, limit: int, backwards: bool) -> None:
        expected = self.model.admitted(only)
        found = self.run(self.pages_of_all(only, limit, backwards))
        assert_same(found, expected[::-1] if backwards else expected)

    async def pages_of_all(self, only: EventFilter, limit: int, backwards: bool) -> list[Recorded]:
        found: list[Recorded] = []
        after = 0
        while True:
            page = await self.store.read_all(after=after, limit=limit, backwards=backwards, only=only)
            found += page.events
            assert len(page.events) <= limit
            if page.caught_up:
                return found
            assert page.position != after
            after = page.position

    @rule(stream=st.sampled_from(STREAMS))
    def stream_state(self, stream: str) -> None:
        found, own = self.run(self.store.stream_state(stream)), self.model.streams.get(stream)
        if self.is_inferred(stream):
            return
        if own is None:
            assert found is None
        else:
            assert found is not None
            assert (found.version, found.truncate_before, found.tombstoned) == (
                own.version, own.first, own.tombstoned,
            )  # fmt: skip

    def is_inferred(self, stream: str) -> bool:
        """A cluster's client infers how a stream stands from its events, and here some are gone."""
        return self.adapter == "kurrent" and any(kept.stream == stream for kept in self.model.gone)

    # subscriptions

    @precondition(lambda self: len(self.followers) < 4)
    @rule(only=st.sampled_from(FILTERS), back=st.integers(0, 10))
    def subscribe(self, only: EventFilter, back: int) -> None:
        self.follow(only, max(0, self.highest - back))

    @property
    def highest(self) -> int:
        return self.model.log[-1].position if self.model.log else 0

    def follow(self, only: EventFilter, after: int) -> None:
        self.followers.append(Follower(self.store.subscribe_all(after=after, only=only), only, after))

    @precondition(lambda self: self.followers)
    @rule(seed=st.integers(0, 1 << 16))
    def catch_up(self, seed: int) -> None:
        """Everything that the model has beyond the follower comes, in order, once; then it waits for more."""
        self.run(self.take_news(random.Random(seed).choice(self.followers)))

    async def take_news(self, follower: Follower) -> None:
        news = self.model.admitted(follower.only, follower.position)
        gone = {kept.position for kept in self.model.gone}  # a page under way may still hold some of them
        found: list[Recorded] = []
        while len(found) < len(news) or not follower.caught_up:
            page = await self.next_page(follower)
            found += [event for event in page.events if event.position not in gone]
            assert page.position >= follower.position
            follower.position, follower.caught_up = page.position, page.caught_up
        assert_same(found, news)
        if follower.coming is None:
            follower.coming = asyncio.ensure_future(anext(follower.pages))
            await asyncio.sleep(0)  # it waits now, and the next append must wake it

    async def next_page(self, follower: Follower) -> Page:
        coming, follower.coming = follower.coming, None
        async with asyncio.timeout(WAIT_SECONDS):
            return await (coming if coming is not None else anext(follower.pages))

    @precondition(lambda self: self.followers)
    @rule(seed=st.integers(0, 1 << 16))
    def resume(self, seed: int) -> None:
        """A follower goes away and comes back at the position that it had reached."""
        follower = random.Random(seed).choice(self.followers)
        self.run(self.end(follower))
        self.follow(follower.only, follower.position)

    async def end(self, follower: Follower) -> None:
        self.followers.remove(follower)
        if follower.coming is not None:
            follower.coming.cancel()
            await asyncio.wait([follower.coming])
        await follower.pages.aclose()  # type: ignore[attr-defined]  # an async generator

    # retention, and starting anew

    @precondition(lambda self: self.embedded is not None and self.model.log)
    @rule(seed=st.integers(0, 1 << 16), categories=st.sets(st.sampled_from(REMOVABLE), min_size=1))
    def retain(self, seed: int, categories: set[str]) -> None:
        self.run(self.retain_and_compare(random.Random(seed), sorted(categories)))

    async def retain_and_compare(self, source: random.Random, categories: list[str]) -> None:
        """Each category up to a limit of its own; the newest event of all stays, whatever it is."""
        assert self.embedded is not None
        stored = await everything(self.embedded)
        now = stored[-1].recorded + SECOND
        old: set[int] = set()
        for category in REMOVABLE:
            if category not in categories:
                await set_retention(self.embedded, category, None)
                continue
            age_seconds = source.choice((0, 1, 1, 2))
            await set_retention(self.embedded, category, age_seconds)
            limit = now - age_seconds * SECOND
            old |= {
                event.position
                for event in stored[:-1]
                if event.stream.startswith(f"{category}-") and event.recorded <= limit
            }
        await scavenge(self.embedded, covered_by=(), archive_folder=self.archive, now=now)
        assert await everything(self.embedded) == [e for e in stored if e.position not in old]
        self.model.remove(old)

    @precondition(lambda self: self.embedded is not None and self.model.log)
    @rule()
    def forget_deleted(self) -> None:
        self.run(self.forget_and_compare())

    async def forget_and_compare(self) -> None:
        """What deletion hid goes, without a copy in the archive; the newest event of all stays."""
        assert self.embedded is not None
        stored = await everything(self.embedded)
        hidden = {
            kept.position
            for kept in self.model.log
            if kept.version < self.model.stream(kept.stream).first and kept.position != stored[-1].position
        }
        assert (await scavenge_deleted(self.embedded, covered_by=())).removed == len(hidden)
        assert await everything(self.embedded) == [e for e in stored if e.position not in hidden]
        self.model.remove(hidden)
        self.forgotten |= hidden

    @precondition(lambda self: self.embedded is not None)
    @rule()
    def start_anew(self) -> None:
        self.run(self.restart())

    async def restart(self) -> None:
        before = list(self.followers)
        for follower in before:
            await self.end(follower)
        await self.opened.aclose()
        await self.open()
        for follower in before:
            self.follow(follower.only, follower.position)

    def teardown(self) -> None:
        try:
            self.run(self.finish())
            if self.embedded is not None:
                assert thorough_check(self.path) == []
        finally:
            self.runner.close()
            self.folder.cleanup()

    async def finish(self) -> None:
        """At the end every follower has all, the chain holds, and nothing archived is lost."""
        try:
            for follower in list(self.followers):
                await self.take_news(follower)
                await self.end(follower)
            if self.embedded is not None:
                assert (await verify_chain(self.embedded, self.keys)).fault is None
                if self.archive is not None:
                    ever = sorted(self.model.log + self.model.gone, key=lambda kept: kept.position)
                    history = await everything(ArchivedHistory(self.embedded))
                    assert_same(
                        [e for e in history if not e.stream.startswith("$$")],
                        [kept for kept in ever if kept.position not in self.forgotten],
                    )
        finally:
            await self.opened.aclose()


async def everything(history: EventStore | ArchivedHistory) -> list[Recorded]:
    events: list[Recorded] = []
    after, caught_up = 0, False
    while not caught_up:
        page = await history.read_all(after=after)
        events += page.events
        after, caught_up = page.position, page.caught_up
    return events


def assert_same(found: list[Recorded], expected: list[Kept]) -> None:
    assert [(e.position, e.stream, e.version, e.id, e.type, e.data) for e in found] == [
        (k.position, k.stream, k.version, k.new.id, k.new.type, k.new.data) for k in expected
    ]


@pytest.mark.timeout(120 * SOAK_FACTOR)
@pytest.mark.parametrize("adapter", EXAMPLES)
def test_no_interleaving_surprises(adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if adapter == "kurrent":
        pytest.importorskip("kurrentdbclient")
    monkeypatch.setattr(page_bound, "FULL_BYTES", PAGE_FULL_BYTES)
    machine = type(f"{adapter.title()}Machine", (Machine,), {"adapter": adapter})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES[adapter] * SOAK_FACTOR,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
