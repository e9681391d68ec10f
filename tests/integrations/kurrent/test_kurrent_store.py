"""The cluster's adapter, beyond the contract that all stores share (tests/core/store)."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

pytest.importorskip("kurrentdbclient")

from hypothesis import example, given, settings
from hypothesis import strategies as st
from kurrentdbclient import AsyncKurrentDBClient, StreamState
from kurrentdbclient import NewEvent as WireEvent
from kurrentdbclient import exceptions as refused

from coldaisle.core.errors import ConfigError, DuplicateEvent, StoreError, TooLarge, WrongVersion
from coldaisle.core.events import NewEvent
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store import Append, EventFilter, EventStore, Expected
from coldaisle.core.store.check import check_appends
from coldaisle.core.store.memory import MemoryStore
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.integrations.kurrent import KurrentConfig, KurrentStore
from coldaisle.integrations.kurrent.decode import from_wire, to_wire
from coldaisle.integrations.kurrent.link import Link
from coldaisle.integrations.kurrent.queries import query_for
from coldaisle.server.kurrent import KurrentSettings, kurrent_server

WAIT_SECONDS = 20.0


def new(number: int, size: int = 10) -> NewEvent:
    return NewEvent(number.to_bytes(16), "Test", 1, number, "tester", b'"%s"' % (b"x" * size))


def config(port: int, scheme: str = "kdb", **others: object) -> KurrentConfig:
    return KurrentConfig(f"{scheme}://127.0.0.1:{port}?Tls=false", first_pause_seconds=0.02, **others)


@contextlib.asynccontextmanager
async def served(folder: Path, port: int = 0, **others: object) -> AsyncIterator[int]:
    async with (
        SqliteStore(folder / "events.db") as store,
        kurrent_server(store, "127.0.0.1", port, KurrentSettings(allow_writes=True, **others)) as bound,
    ):
        yield bound


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    async with served(tmp_path) as bound:
        yield bound


@pytest.mark.parametrize(
    "scheme", ["kdb", "kurrentdb", "esdb", "kdb+discover", "kurrentdb+discover", "esdb+discover"]
)
async def test_every_kind_of_address_is_understood(port: int, scheme: str) -> None:
    async with KurrentStore(config(port, scheme)) as store:
        assert (await store.append("a", [new(1)])).version == 0


async def test_an_append_beyond_the_first_version_s_bound_goes_by_the_second(port: int) -> None:
    async with KurrentStore(config(port)) as store:
        appended = await store.append("a", [new(n, 1_200) for n in range(1, 2_001)])
        assert (appended.version, appended.position) == (1_999, 2_000)


async def test_what_the_cluster_finds_too_large_is_named_so(tmp_path: Path) -> None:
    async with served(tmp_path, max_transaction_bytes=1_000_000) as port, KurrentStore(config(port)) as store:
        with pytest.raises(TooLarge):
            await store.append("a", [new(n, 1_200) for n in range(1, 1_001)])


async def test_many_streams_tell_where_each_append_ended(port: int) -> None:
    async with KurrentStore(config(port)) as store:
        await store.append("b", [new(1)])
        appends = [Append(f"s-{n}", [new(10 + 3 * n + k) for k in range(3)]) for n in range(10)]
        appends.append(Append("b", [new(90)], 0))
        results = await store.append_many(appends)
        assert [(r.version, r.position) for r in results] == [(2, 4 + 3 * n) for n in range(10)] + [(1, 32)]
        await store.append("c", [new(91)])
        assert await store.append_many(appends) == results


async def test_one_stream_twice_in_an_append_is_one_append(port: int) -> None:
    async with KurrentStore(config(port)) as store:
        results = await store.append_many(
            [Append("a", [new(1)]), Append("b", [new(2)]), Append("a", [new(3)])]
        )
        assert [r.version for r in results] == [1, 0, 1]
        with pytest.raises(ValueError, match="comes twice"):
            await store.append_many([Append("a", [new(4)]), Append("a", [new(5)], 2)])


async def test_the_store_waits_while_the_cluster_is_away(tmp_path: Path) -> None:
    async with served(tmp_path) as port:
        store = KurrentStore(config(port, max_attempts=40, max_pause_seconds=0.2))
        await store.__aenter__()
        await store.append("a", [new(1)])
    append = asyncio.ensure_future(store.append("a", [new(2)]))
    await asyncio.sleep(0.3)
    assert not append.done()
    async with served(tmp_path, port):
        assert (await asyncio.wait_for(append, WAIT_SECONDS)).version == 1
        await store.__aexit__()


async def test_a_subscription_goes_on_after_an_outage(tmp_path: Path) -> None:
    seen: list[int] = []

    async def follow(store: EventStore) -> None:
        async for page in store.subscribe_all():
            seen.extend(event.version for event in page.events)
            if len(seen) >= 4:
                return

    async with served(tmp_path) as port:
        store = KurrentStore(config(port, max_attempts=40, max_pause_seconds=0.2))
        await store.__aenter__()
        following = asyncio.ensure_future(follow(store))
        await store.append("a", [new(1), new(2)])
    async with served(tmp_path, port):
        await store.append("a", [new(3), new(4)])
        await asyncio.wait_for(following, WAIT_SECONDS)
        await store.__aexit__()
    assert seen == [0, 1, 2, 3]


async def test_a_cluster_that_stays_away_is_named(tmp_path: Path) -> None:
    async with served(tmp_path) as port:
        pass
    async with KurrentStore(config(port, max_attempts=2)) as store:
        with pytest.raises(StoreError, match="2 attempts"):
            await store.append("a", [new(1)])


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (refused.ServiceUnavailableError("away"), 3),
        (refused.NodeIsNotLeaderError("moved", host=None, port=None), 3),
        (refused.GrpcDeadlineExceededError("slow"), 3),
        (refused.DiscoveryFailedError("no leader"), 3),
        (refused.CancelledByClientError("another call reconnected"), 3),
        (refused.SubscriptionConfirmationError("end"), 3),
        (refused.AccessDeniedError("no"), 1),
        (refused.BadRequestError("no"), 1),
        (refused.UnauthenticatedError("no"), 1),
    ],
)
async def test_only_what_may_pass_is_tried_again(port: int, error: Exception, attempts: int) -> None:
    tried = 0

    async def work(_: AsyncKurrentDBClient) -> None:
        nonlocal tried
        tried += 1
        raise error

    link = Link(config(port, max_attempts=3))
    await link.open()
    with pytest.raises((StoreError, refused.KurrentDBClientError)):
        await link.call(work)
    await link.close()
    assert tried == attempts


@pytest.mark.parametrize(
    "error", [refused.AccessDeniedError(), refused.UnauthenticatedError("user is wrong")]
)
async def test_a_user_that_the_cluster_refuses_is_an_error_of_the_store(port: int, error: Exception) -> None:
    async def work(_: AsyncKurrentDBClient) -> None:
        raise error

    link = Link(config(port))
    await link.open()
    with pytest.raises(StoreError, match=f"{type(error).__name__}.*user and password"):
        await link.call(work)
    await link.close()


async def test_whatever_a_cluster_does_not_allow_is_an_error_of_the_store(tmp_path: Path) -> None:
    async with (
        SqliteStore(tmp_path / "events.db") as behind,
        kurrent_server(behind, "127.0.0.1", 0, KurrentSettings()) as port,
        KurrentStore(config(port)) as store,
    ):
        await behind.append("a", [new(1)])
        for work in (
            store.append("a", [new(2)]),
            store.append_many([Append("a", [new(2)]), Append("b", [new(3)])]),
            store.delete_stream("a"),
            store.tombstone("a"),
            store.truncate_stream("a", 1),
            store.save_checkpoint("me", 1),
        ):
            with pytest.raises(StoreError, match="user and password"):
                await work


async def test_who_follows_ends_when_cancelled_wherever_in_the_client_it_is(port: int) -> None:
    """The package swallows a cancellation while it ends an answer: each attempt comes a step later."""
    async with KurrentStore(config(port)) as store, KurrentStore(config(port)) as other:
        caught_up = asyncio.Event()

        async def follow() -> None:
            async for page in store.subscribe_all():
                if page.caught_up:
                    caught_up.set()

        for steps in range(60):
            caught_up.clear()
            follower = asyncio.create_task(follow())
            await caught_up.wait()
            await asyncio.sleep(0.01)  # it waits for more by now
            await other.append("a", [new(steps + 1)])
            for _ in range(steps):
                await asyncio.sleep(0)
            follower.cancel()
            await asyncio.wait([follower], timeout=WAIT_SECONDS)
            assert follower.cancelled(), steps


async def test_others_events_are_read_as_foreign(port: int) -> None:
    async with (
        AsyncKurrentDBClient(f"kdb://127.0.0.1:{port}?Tls=false") as other,
        KurrentStore(config(port)) as store,
    ):
        theirs = WireEvent(type="Theirs", data=b"\x00\xff", content_type="application/octet-stream")
        await other.append_to_stream("a", events=theirs, current_version=StreamState.ANY)
        (event,) = await store.read_stream("a")
        assert (event.type, event.data, event.schema, event.actor) == ("Theirs", b"\x00\xff", 0, "kurrent")
        assert abs(event.time - time.time_ns()) < 60_000_000_000


async def test_truncations_at_once_do_not_meet(port: int) -> None:
    async with KurrentStore(config(port)) as store:
        await store.append("a", [new(n) for n in range(9)])
        async with asyncio.TaskGroup() as truncations:
            for version in range(1, 6):
                truncations.create_task(store.truncate_stream("a", version))
        assert 1 <= (await store.read_stream("a"))[0].version <= 5


async def test_bookkeeping_is_not_part_of_the_history(port: int) -> None:
    async with KurrentStore(config(port)) as store:
        await store.append("a", [new(1)])
        for position in range(5):
            await store.save_checkpoint("me", position)
        await store.truncate_stream("a", 0)
        assert [event.stream for event in (await store.read_all()).events] == ["a"]
        assert await store.head() == 1
        assert await store.load_checkpoint("me") == 4


@pytest.mark.parametrize("uri", ["http://a", "kdb:/a", "esdb+find://a"])
def test_a_wrong_address_is_refused_when_settings_are_read(uri: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"uri": uri}, KurrentConfig)


async def test_a_missing_certificate_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError):
        async with KurrentStore(KurrentConfig("kdb://u:p@localhost:1", certificate_file="/none.pem")):
            pass


def test_filters_become_one_of_the_cluster_s_kinds() -> None:
    both = query_for(EventFilter(stream_prefixes=("a-",), types=("T.x", "U")))
    assert both.arguments()["filter_include"] == (r"(T\.x|U)",)
    assert not both.by_prefix
    here = Recorded(1, "a-1", 0, b"", "U", 1, 0, 0, "", b"")
    assert both.admits(here)
    assert not both.admits(msgspec.structs.replace(here, stream="b-1"))
    assert not query_for(EventFilter()).admits(msgspec.structs.replace(here, type="$x"))


_events = st.builds(
    NewEvent,
    id=st.binary(min_size=16, max_size=16),
    type=st.text(min_size=1),
    schema=st.integers(1, (1 << 31) - 1),
    time=st.integers(-(1 << 63), (1 << 63) - 1),
    actor=st.text(),
    data=st.binary(),
    correlation_id=st.none() | st.binary(min_size=16, max_size=16),
    causation_id=st.none() | st.binary(min_size=16, max_size=16),
)


@given(_events)
def test_the_envelope_survives_the_metadata(event: NewEvent) -> None:
    from kurrentdbclient import RecordedEvent

    wire = to_wire(event)
    back = from_wire(
        RecordedEvent(wire.type, wire.data, wire.metadata, "application/json", wire.id, "s", 0, 1, 1)
    )
    assert all(getattr(back, name) == getattr(event, name) for name in NewEvent.__struct_fields__)


@pytest.mark.parametrize(
    "lie",
    [
        {"schema": "-1"},
        {"schema": str(1 << 31)},
        {"time": str(-1 << 64)},
        {"time": str(1 << 63)},
        {"time": "soon"},
    ],
    ids=str,
)
def test_metadata_that_no_store_could_take_is_foreign(lie: dict[str, str]) -> None:
    """Else one event of somebody else's would end every copy of the history."""
    from kurrentdbclient import RecordedEvent

    said = {"actor": "agent/hall-1", "schema": "1", "time": "1"}
    honest, lying = (
        from_wire(
            RecordedEvent("T", b"{}", json.dumps(m).encode(), "application/json", uuid4(), "s", 0, 1, 1)
        )
        for m in (said, said | lie)
    )
    assert (honest.schema, honest.time, honest.actor) == (1, 1, "agent/hall-1")
    assert (lying.schema, lying.actor) == (0, "kurrent")
    check_appends([Append("s", [NewEvent(*(getattr(lying, name) for name in NewEvent.__struct_fields__))])])


def test_metadata_nested_too_deep_for_any_reader_is_foreign() -> None:
    from kurrentdbclient import RecordedEvent

    deep = b'{"a":' * 100_000
    event = from_wire(RecordedEvent("T", b"{}", deep, "application/json", uuid4(), "s", 0, 1, 1))
    assert (event.schema, event.actor) == (0, "kurrent")


_appends = st.lists(
    st.tuples(
        st.sampled_from(["run-a", "run-b"]),
        st.lists(st.integers(1, 12), min_size=1, max_size=3),
        st.sampled_from([*Expected, -1, 0, 1, 2]),
    ),
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@example(operations=[("run-a", [1], Expected.ANY), ("run-a", [1], 0)])
@given(operations=_appends)
def test_the_wire_and_memory_never_disagree(
    operations: list[tuple[str, list[int], int | Expected]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any sequence of appends, ids repeated at will, has the same outcome over the wire."""

    async def outcomes(store: EventStore) -> list[object]:
        found: list[object] = []
        for stream, numbers, expected in operations:
            try:
                found.append(await store.append(stream, [new(n) for n in numbers], expected))
            except (WrongVersion, DuplicateEvent):
                found.append("refused")
        page = await store.read_all()
        return [*found, *((e.position, e.stream, e.version, e.id) for e in page.events)]

    async def over_the_wire() -> list[object]:
        async with (
            served(tmp_path_factory.mktemp("store")) as port,
            KurrentStore(config(port)) as store,
        ):
            return await outcomes(store)

    assert asyncio.run(over_the_wire()) == asyncio.run(outcomes(MemoryStore()))


async def test_appends_at_once_land_each_in_its_place(port: int) -> None:
    async with KurrentStore(config(port)) as store:
        for first in (1, 1_001):  # the second time over calls that are open
            streams = [f"s-{n}" for n in range(40)]
            results = await asyncio.gather(
                *(store.append(stream, [new(first + n)]) for n, stream in enumerate(streams))
            )
            assert [result.version for result in results] == [first // 1_000] * 40
            found = [(await store.read_stream(stream, limit=1, backwards=True))[0] for stream in streams]
            assert [event.position for event in found] == [result.position for result in results]
            assert [int.from_bytes(event.id) for event in found] == list(range(first, first + 40))


@contextlib.asynccontextmanager
async def counting_calls(port: int) -> AsyncIterator[tuple[int, list[int]]]:
    """A relay to the port, and the calls that went over it: a client opens each by a HEADERS frame."""
    opened: list[int] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(24))  # the preface
        while True:
            head = await reader.readexactly(9)
            if head[3] == 1:
                opened.append(int.from_bytes(head[5:]))
            writer.write(head + await reader.readexactly(int.from_bytes(head[:3])))

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(65_536):
            writer.write(content)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            back = asyncio.ensure_future(pass_on(upstream_reader, writer))
            with contextlib.closing(upstream_writer):
                await note(reader, upstream_writer)
            await back

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], opened


async def test_appends_go_one_after_the_other_over_one_call(port: int) -> None:
    async with counting_calls(port) as (relayed, opened), KurrentStore(config(relayed)) as store:
        await store.append("a", [new(1)])
        at_first = len(opened)
        assert at_first >= 1
        for number in range(2, 12):
            await store.append("a", [new(number)])
        assert len(opened) == at_first


async def test_an_append_given_up_leaves_the_next_one_its_own_answer(port: int) -> None:
    async with KurrentStore(config(port)) as store:
        await store.append("a", [new(1)])
        for number in range(2, 30):
            given_up = asyncio.ensure_future(store.append("a", [new(number)]))
            await asyncio.sleep(number * 1e-4)
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            kept = await store.append("b", [new(1_000 + number)])
            (newest,) = await store.read_stream("b", limit=1, backwards=True)
            assert (kept.version, kept.position) == (number - 2, newest.position)


async def test_a_deadline_that_passes_is_told_and_the_append_can_be_repeated(port: int) -> None:
    async with KurrentStore(config(port, timeout_seconds=10.0)) as store:
        first = await store.append("a", [new(1)])
        async with KurrentStore(config(port, timeout_seconds=0.000_01, max_attempts=2)) as hasty:
            with pytest.raises(StoreError, match="2 attempts"):
                await hasty.append("a", [new(1)])
        assert await store.append("a", [new(1)]) == first
