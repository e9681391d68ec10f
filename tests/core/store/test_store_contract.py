"""The contract of every event store, run against each adapter."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from coldaisle.core.errors import DuplicateEvent, EventError, StreamTombstoned, TooLarge, WrongVersion
from coldaisle.core.events import NewEvent
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store import Append, EventFilter, EventStore, Expected, StreamState
from coldaisle.core.store.memory import MemoryStore
from coldaisle.core.store.page_bound import SLICE_EVENTS, may_go_on, take_page
from coldaisle.core.store.port import EVERYTHING, MAX_EVENT_BYTES, MAX_PAGE_BYTES, MAX_PAGE_EVENTS
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.integrations.kurrent import KurrentConfig, KurrentStore
from coldaisle.server.kurrent import KurrentSettings, kurrent_server

ADAPTERS = ("memory", "sqlite", "kurrent")


def new(number: int, type_name: str = "Test") -> NewEvent:
    return NewEvent(number.to_bytes(16), type_name, 1, number, "tester", b'{"n":%d}' % number)


@contextlib.asynccontextmanager
async def opened(adapter: str, folder: Path) -> AsyncIterator[EventStore]:
    if adapter == "memory":
        async with MemoryStore() as store:
            yield store
        return
    async with SqliteStore(folder / "events.db") as embedded:
        if adapter == "sqlite":
            yield embedded
            return
        pytest.importorskip("kurrentdbclient")
        async with (
            kurrent_server(embedded, "127.0.0.1", 0, KurrentSettings(allow_writes=True)) as port,
            KurrentStore(KurrentConfig(f"kdb://127.0.0.1:{port}?Tls=false")) as remote,
        ):
            yield remote


@pytest.fixture(params=ADAPTERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventStore]:
    async with opened(request.param, tmp_path) as opened_store:
        yield opened_store


async def test_a_replay_gives_every_event_once_in_order_and_says_how_far_it_went(store: EventStore) -> None:
    for first in range(1, 2_400, 600):
        await store.append(f"s-{first}", [new(n) for n in range(first, first + 600)])
    head = await store.head()
    everything = [
        event for after in (0, 1_000, 2_000) for event in (await store.read_all(after=after)).events
    ]
    first, second, late = (everything[n].position for n in (30, 31, 1_500))
    for after, end in ((0, head), (first, second), (first, late), (0, head + 9)):
        seen: list[Recorded] = []
        at = after
        while at < min(end, head):
            before, at = at, await store.replay(seen.extend, after=at, end=end)
            assert before < at <= end
        assert await store.replay(pytest.fail, after=at, end=min(end, head)) == at
        assert seen == [event for event in everything if after < event.position <= end]
    assert await store.replay(pytest.fail, after=head, end=head) == head


async def test_what_a_step_raises_ends_the_replay(store: EventStore) -> None:
    await store.append("a", [new(n) for n in range(1, 101)])

    def stumble(events: Iterator[Recorded]) -> None:
        raise LookupError(f"at {next(events).version}")

    with pytest.raises(LookupError, match="at 0"):
        await store.replay(stumble, end=await store.head())
    with pytest.raises(RuntimeError, match="must take all"):
        await store.replay(lambda events: None, end=await store.head())
    assert len((await store.read_all()).events) == 100


async def test_positions_and_versions_run_without_a_gap(store: EventStore) -> None:
    first = await store.append("asset-a", [new(1), new(2)])
    second = await store.append("asset-b", [new(3)])
    assert (first.version, first.position, second.version, second.position) == (1, 2, 0, 3)
    page = await store.read_all()
    assert [(e.position, e.stream, e.version) for e in page.events] == [
        (1, "asset-a", 0),
        (2, "asset-a", 1),
        (3, "asset-b", 0),
    ]
    assert page.caught_up
    assert page.position == 3


async def test_an_event_comes_back_as_it_went_in(store: EventStore) -> None:
    event = NewEvent(b"i" * 16, "Test", 3, 7, "me", b'{"x":"\xc3\xa9"}', b"c" * 16, b"d" * 16)
    await store.append("asset-a", [event])
    (back,) = (await store.read_all()).events
    assert (back.id, back.type, back.schema, back.time, back.actor, back.data) == (
        event.id, event.type, event.schema, event.time, event.actor, event.data,
    )  # fmt: skip
    assert (back.correlation_id, back.causation_id) == (event.correlation_id, event.causation_id)
    assert back.recorded > 0


@pytest.mark.parametrize(
    ("expected", "allowed_on_new", "allowed_on_existing"),
    [
        (Expected.ANY, True, True),
        (Expected.NO_STREAM, True, False),
        (Expected.EXISTS, False, True),
        (-1, True, False),
        (0, False, True),
        (5, False, False),
    ],
)
async def test_the_expected_version_is_compared(
    store: EventStore, expected: int | Expected, allowed_on_new: bool, allowed_on_existing: bool
) -> None:
    await store.append("run-there", [new(1)])
    for stream, number, allowed in (("run-new", 2, allowed_on_new), ("run-there", 3, allowed_on_existing)):
        if allowed:
            await store.append(stream, [new(number)], expected)
        else:
            with pytest.raises(WrongVersion):
                await store.append(stream, [new(number)], expected)


async def test_a_repeated_append_answers_with_the_first_result(store: EventStore) -> None:
    first = await store.append("run-a", [new(1), new(2)], Expected.NO_STREAM)
    await store.append("run-a", [new(3)])
    assert await store.append("run-a", [new(1), new(2)], Expected.NO_STREAM) == first
    assert await store.head() == 3


async def test_a_part_of_an_earlier_append_is_refused(store: EventStore) -> None:
    await store.append("run-a", [new(1), new(2)])
    for events in ([new(2), new(3)], [new(3), new(2)], [new(4), new(4)]):
        with pytest.raises(DuplicateEvent):
            await store.append("run-a", events)
    with pytest.raises(DuplicateEvent):
        await store.append("run-b", [new(1)])
    assert await store.head() == 2


async def test_an_append_to_many_streams_is_whole_or_not_at_all(store: EventStore) -> None:
    await store.append("run-a", [new(1)])
    with pytest.raises(WrongVersion):
        await store.append_many(
            [Append("run-b", [new(2)]), Append("run-c", [new(3)]), Append("run-a", [new(4)], 7)]
        )
    assert await store.head() == 1
    results = await store.append_many([Append("run-b", [new(2)]), Append("run-a", [new(4)], 0)])
    assert [(r.version, r.position) for r in results] == [(0, 2), (1, 3)]


async def test_refused_appends_do_not_disturb_their_neighbours(store: EventStore) -> None:
    async def one(number: int) -> bool:
        try:
            await store.append("run-a" if number % 3 == 0 else f"asset-{number % 5}", [new(number)],
                               99 if number % 3 == 0 else Expected.ANY)  # fmt: skip
        except WrongVersion:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = {number: group.create_task(one(number)) for number in range(1, 200)}
    stored = {int.from_bytes(e.id) for e in (await store.read_all()).events}
    assert stored == {number for number, task in tasks.items() if task.result()}
    assert stored == {number for number in range(1, 200) if number % 3}
    assert [e.position for e in (await store.read_all()).events] == list(range(1, len(stored) + 1))


async def test_of_many_writers_with_one_expectation_one_wins(store: EventStore) -> None:
    async def one(number: int) -> bool:
        try:
            await store.append("run-a", [new(number)], Expected.NO_STREAM)
        except WrongVersion:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(1, 30)]
    assert sum(task.result() for task in tasks) == 1


async def test_a_cancelled_caller_does_not_stop_its_neighbours(store: EventStore) -> None:
    tasks = [asyncio.ensure_future(store.append("asset-a", [new(number)])) for number in range(1, 20)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, asyncio.CancelledError) for result in done) <= 1
    assert all(not isinstance(result, Exception) for i, result in enumerate(done) if i != 3)


async def test_too_large_events_are_refused_before_anything_is_written(store: EventStore) -> None:
    big = NewEvent(b"b" * 16, "Test", 1, 1, "me", b"x" * (MAX_EVENT_BYTES + 1))
    with pytest.raises(TooLarge, match="bound is 1048576"):
        await store.append_many([Append("asset-a", [new(1)]), Append("asset-b", [big])])
    assert await store.head() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", b"short"), ("id", "a" * 16), ("type", "\ud800"), ("type", None), ("schema", 1 << 31),
        ("schema", 1.5),
        ("time", 1 << 63), ("time", -1 << 70), ("actor", b"me"), ("data", "text"), ("correlation_id", b""),
        ("causation_id", "a" * 16),
    ],
)  # fmt: skip
async def test_a_value_that_could_not_be_read_again_is_refused(
    store: EventStore, name: str, value: object
) -> None:
    bad = replace(new(2), **{name: value})
    with pytest.raises(EventError, match=rf"asset-b'.*: {name} is .*nothing was written"):
        await store.append_many([Append("asset-a", [new(1)]), Append("asset-b", [new(3), bad])])
    with pytest.raises(EventError, match="no text"):
        await store.append("asset-\ud800", [new(1)])
    assert await store.head() == 0
    assert (await store.append("asset-a", [new(1)])).version == 0


async def test_streams_read_both_ways(store: EventStore) -> None:
    await store.append_many([Append("run-a", [new(n) for n in range(1, 8)]), Append("run-b", [new(20)])])
    assert [e.version for e in await store.read_stream("run-a", after=2, limit=3)] == [3, 4, 5]
    assert [e.version for e in await store.read_stream("run-a", backwards=True, limit=3)] == [6, 5, 4]
    assert [e.version for e in await store.read_stream("run-a", after=4, backwards=True)] == [3, 2, 1, 0]
    assert await store.read_stream("run-none") == []


async def test_all_reads_both_ways_with_filters(store: EventStore) -> None:
    for number in range(1, 31):
        await store.append(f"{('run', 'asset', 'asset_b')[number % 3]}-{number % 2}",
                           [new(number, "Odd" if number % 2 else "Even")])  # fmt: skip
    only = EventFilter(stream_prefixes=("run-", "asset-"), types=("Odd",))
    expected = [n for n in range(1, 31) if n % 3 != 2 and n % 2]
    page = await store.read_all(only=only)
    assert [e.position for e in page.events] == expected
    assert page.position == 30
    assert page.caught_up
    first = await store.read_all(only=only, limit=4)
    assert [e.position for e in first.events] == expected[:4]
    assert not first.caught_up
    rest = await store.read_all(only=only, after=first.position)
    assert [e.position for e in rest.events] == expected[4:]
    back = await store.read_all(backwards=True, limit=5)
    assert [e.position for e in back.events] == [30, 29, 28, 27, 26]
    more = await store.read_all(backwards=True, after=back.position, only=only)
    assert [e.position for e in more.events] == [n for n in reversed(expected) if n < 26]


async def test_a_page_of_large_events_is_bounded_in_bytes(store: EventStore) -> None:
    """Each page keeps the bound, and going on from page to page misses nothing."""
    large = b"x" * 900_000
    for number in range(1, 25):
        await store.append("run-a", [NewEvent(number.to_bytes(16), "Test", 1, 1, "me", large)])

    async def positions(*, backwards: bool = False, only: EventFilter = EVERYTHING) -> list[int]:
        found, after, caught_up = [], 0, False
        while not caught_up:
            page = await store.read_all(after=after, backwards=backwards, only=only)
            assert 0 < sum(len(event.data) for event in page.events) <= MAX_PAGE_BYTES
            found += [event.position for event in page.events]
            after, caught_up = page.position, page.caught_up
        return found

    forwards = list(range(1, 25))
    assert await positions() == forwards
    assert await positions(backwards=True) == forwards[::-1]
    assert await positions(only=EventFilter(("run-",), ("Test",))) == forwards
    versions: list[int] = []
    while events := await store.read_stream("run-a", after=versions[-1] if versions else -1):
        assert may_go_on(events, MAX_PAGE_EVENTS) == (events[-1].version < 23)
        versions += [event.version for event in events]
    assert versions == list(range(24))
    newest = await store.read_stream("run-a", backwards=True)
    assert sum(len(event.data) for event in newest) <= MAX_PAGE_BYTES
    assert [event.version for event in newest] == versions[: -len(newest) - 1 : -1]
    seen: list[int] = []
    pages = store.subscribe_all()
    while len(seen) < 24:
        seen += [event.position for event in (await anext(pages)).events]
    assert seen == forwards
    await pages.aclose()  # type: ignore[attr-defined]  # an async generator


def sized(position: int, size_bytes: int) -> Recorded:
    return Recorded(position, "s", position, b"", "Test", 1, 1, 1, "tester", b"x" * size_bytes)


def test_a_full_page_leaves_the_rest_unread() -> None:
    """Of a thousand events of a megabyte, no more are fetched than the bound and one slice hold."""
    source = iter([sized(1, MAX_EVENT_BYTES)] * 1_000)
    taken, whole = take_page(source)
    assert (len(taken), whole) == (16, False)
    assert len(list(source)) >= 1_000 - 16 - SLICE_EVENTS


def test_a_page_takes_an_event_beyond_its_bound_alone() -> None:
    huge = [sized(1, 2 * MAX_PAGE_BYTES)] * 2
    assert take_page(iter(huge)) == (huge[:1], False)


async def test_a_moment_in_time_has_a_position(store: EventStore) -> None:
    assert await store.position_at(1 << 62) == 0
    for number in range(1, 6):
        await store.append("asset-a", [new(number)])
    events = (await store.read_all()).events
    assert await store.position_at(events[0].recorded - 1) == 0
    assert await store.position_at(1 << 62) == 5
    for event in events:
        at = await store.position_at(event.recorded)
        assert events[at - 1].recorded == event.recorded
        assert at == 5 or events[at].recorded > event.recorded


async def test_a_subscription_gives_what_was_there_then_what_comes(store: EventStore) -> None:
    await store.append("asset-a", [new(n) for n in range(1, 4)])
    seen: list[int] = []
    caught_up_at: list[int] = []

    async def follow() -> None:
        async for page in store.subscribe_all(after=1):
            seen.extend(event.position for event in page.events)
            if page.caught_up:
                caught_up_at.append(page.position)
            if page.position >= 50:
                return

    async with asyncio.TaskGroup() as group:
        group.create_task(follow())
        for number in range(4, 51):
            await store.append("asset-a", [new(number)])
    assert seen == list(range(2, 51))
    assert caught_up_at[-1] == 50


async def test_a_slow_reader_loses_nothing(store: EventStore) -> None:
    pages = store.subscribe_all()
    first = await anext(pages)
    assert first.caught_up
    for number in range(1, 3_001):
        if number % 100 == 1:
            await store.append("asset-a", [new(n) for n in range(number, number + 100)])
    seen: list[int] = []
    while len(seen) < 3_000:
        page = await anext(pages)
        assert len(page.events) <= 1_000
        seen.extend(event.position for event in page.events)
    assert seen == list(range(1, 3_001))
    await pages.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_a_filtered_subscription_says_when_it_is_caught_up(store: EventStore) -> None:
    await store.append("asset-a", [new(1, "Other")])
    pages = store.subscribe_all(only=EventFilter(types=("Wanted",)))
    page = await anext(pages)
    assert (page.events, page.position, page.caught_up) == ([], 1, True)
    await pages.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_checkpoints_are_remembered(store: EventStore) -> None:
    assert await store.load_checkpoint("detector") == 0
    await store.save_checkpoint("detector", 41)
    await store.save_checkpoint("detector", 42)
    assert await store.load_checkpoint("detector") == 42


_appends = st.lists(
    st.tuples(
        st.sampled_from(["run-a", "run-b", "asset-a"]),
        st.lists(st.integers(1, 12), min_size=1, max_size=3),
        st.sampled_from([*Expected, -1, 0, 1, 2]),
        st.sampled_from(["append"] * 6 + ["truncate", "delete", "tombstone"]),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(operations=_appends)
def test_sqlite_and_memory_never_disagree(
    operations: list[tuple[str, list[int], int | Expected, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any sequence of appends, ids repeated at will, has the same outcome on both adapters."""

    async def outcomes(adapter: str) -> list[object]:
        found: list[object] = []
        async with opened(adapter, tmp_path_factory.mktemp("store")) as store:
            for stream, numbers, expected, operation in operations:
                try:
                    match operation:
                        case "append":
                            found.append(await store.append(stream, [new(n) for n in numbers], expected))
                        case "truncate":
                            await store.truncate_stream(stream, numbers[0] // 3)
                        case "delete":
                            await store.delete_stream(stream, expected)
                        case _:
                            await store.tombstone(stream, expected)
                except (WrongVersion, DuplicateEvent, StreamTombstoned):
                    found.append("refused")  # where both hold, either may be named
                for backwards in (False, True):
                    seen = await store.read_stream(stream, backwards=backwards, after=numbers[-1] // 3 - 1)
                    found.append((await store.stream_state(stream), [e.id for e in seen]))
            page = await store.read_all()
            found.extend((e.position, e.stream, e.version, e.id) for e in page.events)
        return found

    assert asyncio.run(outcomes("sqlite")) == asyncio.run(outcomes("memory"))


async def test_a_truncated_stream_shows_its_later_versions(store: EventStore) -> None:
    await store.append("run-a", [new(n) for n in range(1, 7)])
    await store.truncate_stream("run-a", 4)
    assert await store.stream_state("run-a") == StreamState(5, 4)
    assert [e.version for e in await store.read_stream("run-a")] == [4, 5]
    assert [e.version for e in await store.read_stream("run-a", backwards=True)] == [5, 4]
    assert await store.read_stream("run-a", backwards=True, after=4) == []
    assert (await store.append("run-a", [new(7)], 5)).version == 6
    await store.truncate_stream("run-a", 99)
    assert await store.read_stream("run-a") == []
    assert (await store.stream_state("run-a")) == StreamState(6, 7)
    assert len((await store.read_all()).events) == 7


async def test_a_deleted_stream_goes_on_with_its_numbers(store: EventStore) -> None:
    await store.append("run-a", [new(1), new(2)])
    with pytest.raises(WrongVersion):
        await store.delete_stream("run-a", 7)
    await store.delete_stream("run-a", 1)
    assert await store.read_stream("run-a") == []
    with pytest.raises(WrongVersion):
        await store.append("run-a", [new(3)], Expected.EXISTS)
    assert (await store.append("run-a", [new(3)], Expected.NO_STREAM)).version == 2
    assert [e.version for e in await store.read_stream("run-a")] == [2]
    await store.append("run-a", [new(4)], 2)
    assert [e.version for e in await store.read_stream("run-a", backwards=True)] == [3, 2]
    await store.delete_stream("run-none")
    assert await store.stream_state("run-none") is None


async def test_a_tombstoned_stream_takes_no_appends_for_ever(store: EventStore) -> None:
    await store.append("run-a", [new(1)])
    for stream in ("run-a", "run-never"):
        await store.tombstone(stream)
        for refused in (store.append(stream, [new(2)]), store.delete_stream(stream), store.tombstone(stream)):
            with pytest.raises(StreamTombstoned, match="for ever"):
                await refused
        assert await store.read_stream(stream) == []
        state = await store.stream_state(stream)
        assert state is not None
        assert state.tombstoned
        assert not state.exists
    assert (await store.append("run-b", [new(2)])).position == 2


async def test_a_tombstone_does_not_disturb_the_neighbours_in_a_group(store: EventStore) -> None:
    await store.tombstone("run-a")
    with pytest.raises(StreamTombstoned):
        await store.append_many([Append("run-b", [new(1)]), Append("run-a", [new(2)])])
    assert await store.stream_state("run-b") is None
    assert (await store.append_many([Append("run-b", [new(1)]), Append("run-c", [new(2)])]))[1].position == 2
