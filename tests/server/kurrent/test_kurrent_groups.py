"""Groups of consumers over the wire."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from kurrentdbclient import AsyncKurrentDBClient, NewEvent, StreamState
from kurrentdbclient import exceptions as refused
from kurrentdbclient.events import RecordedEvent
from kurrentdbclient.protos.v1 import shared_pb2
from kurrentdbclient.protos.v1.persistent_pb2 import ReadReq
from kurrentdbclient.protos.v1.persistent_pb2_grpc import PersistentSubscriptionsStub

from coldaisle.core.events import NewEvent as StoredEvent
from coldaisle.core.store import sqlite as sqlite_module
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.server.kurrent import KurrentSettings, kurrent_server, serve
from coldaisle.server.kurrent.groups import MAX_REASON_CHARACTERS, GroupConfig
from coldaisle.server.kurrent.registry import running_groups

ANY = StreamState.ANY
WAIT_SECONDS = 15.0


async def fill(client: AsyncKurrentDBClient, count: int, stream: str = "a") -> None:
    events = [NewEvent(type="T", data=b"%d" % number) for number in range(count)]
    await client.append_to_stream(stream, events=events, current_version=ANY)


async def take(consumer: object, count: int) -> list[RecordedEvent]:
    return [await asyncio.wait_for(anext(consumer), WAIT_SECONDS) for _ in range(count)]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():  # noqa: ASYNC110 - what is waited for is on the other side of the wire
            await asyncio.sleep(0.02)


async def test_a_group_goes_on_where_it_was(client: AsyncKurrentDBClient) -> None:
    await fill(client, 6)
    await client.create_subscription_to_stream("g", "a", from_end=False)
    async with await client.read_subscription_to_stream("g", "a") as consumer:
        events = await take(consumer, 6)
        assert [e.stream_position for e in events] == list(range(6))
        assert {e.retry_count for e in events} == {0}
        for event in events[:4]:
            await consumer.ack(event)
    async with await client.read_subscription_to_stream("g", "a") as consumer:
        again = await take(consumer, 2)
        assert [(e.stream_position, e.retry_count) for e in again] == [(4, 1), (5, 1)]
        for event in again:
            await consumer.ack(event)
        await fill(client, 1)
        assert (await take(consumer, 1))[0].stream_position == 6


async def test_what_a_gone_consumer_held_goes_to_another(client: AsyncKurrentDBClient) -> None:
    await client.create_subscription_to_stream("g", "a")
    first = await client.read_subscription_to_stream("g", "a")
    await fill(client, 3)
    held = await take(first, 3)
    second = await client.read_subscription_to_stream("g", "a")
    await first.stop()
    assert [e.id for e in await take(second, 3)] == [e.id for e in held]
    await second.stop()


class Cable:
    """A way to the server that can be cut: then nothing passes any more, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_whole = True

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        async with asyncio.TaskGroup() as ways:
            ways.create_task(self._pass_on(reader, back))
            ways.create_task(self._pass_on(there, writer))

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while received := await source.read(1 << 16):
            if self._is_whole:
                target.write(received)
        target.close()

    def cut(self) -> None:
        self._is_whole = False


async def test_a_consumer_whose_machine_is_gone_gives_its_seat_back(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "KEEPALIVE_MILLISECONDS", 1_000)
    monkeypatch.setattr(serve, "KEEPALIVE_TIMEOUT_MILLISECONDS", 500)
    async with (
        kurrent_server(store, "127.0.0.1", 0, KurrentSettings(allow_writes=True)) as port,
        AsyncKurrentDBClient(f"kdb://127.0.0.1:{port}?Tls=false") as client,
    ):
        cable = Cable(port)
        async with await asyncio.start_server(cable.connect, "127.0.0.1", 0) as way:
            far_port = way.sockets[0].getsockname()[1]
            await fill(client, 2)
            await client.create_subscription_to_stream("g", "a")
            async with AsyncKurrentDBClient(f"kdb://127.0.0.1:{far_port}?Tls=false") as far:
                lost = await far.read_subscription_to_stream("g", "a")
                await take(lost, 2)
                cable.cut()

                async def nobody_is_there() -> bool:
                    return not (await client.get_subscription_info("g", "a")).connections

                await until(nobody_is_there)
                with pytest.raises(refused.ServiceUnavailableError):
                    await take(lost, 1)
                consumer = await client.read_subscription_to_stream("g", "a")
                assert [e.stream_position for e in await take(consumer, 2)] == [0, 1]
                await consumer.stop()


async def test_a_refused_event_comes_again_and_is_parked_at_last(client: AsyncKurrentDBClient) -> None:
    await fill(client, 2)
    await client.create_subscription_to_stream("g", "a", max_retry_count=2)
    consumer = await client.read_subscription_to_stream("g", "a")
    first, second = await take(consumer, 2)
    await consumer.ack(second)
    for number in range(1, 3):
        await consumer.nack(first, "retry")
        (again,) = await take(consumer, 1)
        assert (again.id, again.retry_count) == (first.id, number)
    await consumer.nack(first, "unknown")

    async def one_is_parked() -> bool:
        return (await client.get_subscription_info("g", "a")).parked_message_count == 1

    await until(one_is_parked)
    await consumer.stop()


async def test_an_event_is_parked_although_its_consumer_left_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store takes its time: the note waits for room, and must not be forgotten with the call."""
    monkeypatch.setattr(sqlite_module, "MAX_QUEUED_BYTES", 10)
    goes_on = threading.Event()
    async with (
        SqliteStore(tmp_path / "groups.db") as store,
        kurrent_server(store, "127.0.0.1", 0, KurrentSettings(allow_writes=True)) as port,
        AsyncKurrentDBClient(f"kdb://127.0.0.1:{port}?Tls=false") as client,
        asyncio.TaskGroup() as others,
    ):
        await fill(client, 1)
        await client.create_subscription_to_stream("g", "a")
        consumer = await client.read_subscription_to_stream("g", "a")
        (event,) = await take(consumer, 1)

        async def none_is_held() -> bool:
            return (await client.get_subscription_info("g", "a")).total_in_flight_messages == 0

        async def one_is_parked() -> bool:
            return (await client.get_subscription_info("g", "a")).parked_message_count == 1

        others.create_task(store.maintain(lambda _: goes_on.wait(WAIT_SECONDS)))
        filler = StoredEvent(b"f" * 16, "T", 1, 1, "t", b"x" * 100)
        others.create_task(store.append("other", [filler]))
        await consumer.nack(event, "park")
        await until(none_is_held)
        await consumer.stop()
        goes_on.set()
        await until(one_is_parked)


async def test_a_reason_to_park_is_kept_in_short(client: AsyncKurrentDBClient, port: int) -> None:
    await fill(client, 1)
    await client.create_subscription_to_stream("g", "a")
    options = ReadReq.Options(
        stream_identifier=shared_pb2.StreamIdentifier(stream_name=b"a"), group_name="g", buffer_size=1,
        uuid_option=ReadReq.Options.UUIDOption(string=shared_pb2.Empty()),
    )  # fmt: skip
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = PersistentSubscriptionsStub(channel).Read()
        await call.write(ReadReq(options=options))
        assert (await call.read()).WhichOneof("content") == "subscription_confirmation"
        delivered = (await call.read()).event.event
        refusal = ReadReq.Nack(ids=[delivered.id], action=ReadReq.Nack.Park, reason="why? " * 100_000)
        await call.write(ReadReq(nack=refusal))

        async def one_is_parked() -> bool:
            return (await client.get_subscription_info("g", "a")).parked_message_count == 1

        await until(one_is_parked)
        call.cancel()
    (note,) = await client.get_stream("$persistentsubscription-a::g-parked")
    assert b"why? why?" in note.data
    assert len(note.data) < 2 * MAX_REASON_CHARACTERS


async def test_parked_events_are_replayed(client: AsyncKurrentDBClient) -> None:
    await fill(client, 3)
    await client.create_subscription_to_stream("g", "a")
    consumer = await client.read_subscription_to_stream("g", "a")
    one, two, three = await take(consumer, 3)
    await consumer.nack(one, "park")
    await consumer.nack(two, "skip")
    await consumer.nack(three, "park")

    async def two_are_parked() -> bool:
        return (await client.get_subscription_info("g", "a")).parked_message_count == 2

    await until(two_are_parked)
    await client.replay_parked_events("g", "a")
    replayed = await take(consumer, 2)
    assert [(e.id, e.retry_count) for e in replayed] == [(one.id, 0), (three.id, 0)]
    for event in replayed:
        await consumer.ack(event)
    assert (await client.get_subscription_info("g", "a")).parked_message_count == 0
    await client.replay_parked_events("g", "a")
    await fill(client, 1)
    assert (await take(consumer, 1))[0].stream_position == 3
    await consumer.stop()


async def test_silence_is_a_refusal(client: AsyncKurrentDBClient) -> None:
    await fill(client, 1)
    await client.create_subscription_to_stream("g", "a", message_timeout=0.2, max_retry_count=1)
    consumer = await client.read_subscription_to_stream("g", "a")
    assert [e.retry_count for e in await take(consumer, 2)] == [0, 1]

    async def it_is_parked() -> bool:
        return (await client.get_subscription_info("g", "a")).parked_message_count == 1

    await until(it_is_parked)
    await consumer.stop()


async def test_an_unknown_acknowledgement_is_ignored(client: AsyncKurrentDBClient) -> None:
    await fill(client, 1)
    await client.create_subscription_to_stream("g", "a")
    consumer = await client.read_subscription_to_stream("g", "a")
    (event,) = await take(consumer, 1)
    for _ in range(2):
        await consumer.ack(event)
    await fill(client, 1)
    assert (await take(consumer, 1))[0].stream_position == 1
    await consumer.stop()


async def test_consumers_share_the_work(client: AsyncKurrentDBClient) -> None:
    await client.create_subscription_to_stream("g", "a", consumer_strategy="RoundRobin")
    consumers = [await client.read_subscription_to_stream("g", "a") for _ in range(2)]
    await fill(client, 10)
    shares = [{e.stream_position for e in await take(consumer, 5)} for consumer in consumers]
    assert shares[0] | shares[1] == set(range(10))
    info = await client.get_subscription_info("g", "a")
    assert [connection.in_flight_messages for connection in info.connections] == [5, 5]
    for consumer in consumers:
        await consumer.stop()


async def test_a_consumer_gets_no_more_than_it_has_room_for(client: AsyncKurrentDBClient) -> None:
    await fill(client, 20)
    await client.create_subscription_to_stream("g", "a")
    consumer = await client.read_subscription_to_stream("g", "a", event_buffer_size=3)
    events = await take(consumer, 3)
    assert (await client.get_subscription_info("g", "a")).total_in_flight_messages == 3
    await consumer.ack(events[0])
    assert (await take(consumer, 1))[0].stream_position == 3
    await consumer.stop()


async def test_a_full_group_refuses(client: AsyncKurrentDBClient) -> None:
    await client.create_subscription_to_stream("g", "a", max_subscriber_count=1)
    first = await client.read_subscription_to_stream("g", "a")
    with pytest.raises(refused.MaximumSubscriptionsReachedError):
        await client.read_subscription_to_stream("g", "a")
    await first.stop()


async def test_groups_on_everything_filter(client: AsyncKurrentDBClient) -> None:
    for number in range(6):
        await client.append_to_stream(
            "a", events=NewEvent(type=("Odd" if number % 2 else "Even"), data=b"1"), current_version=ANY
        )
    await client.create_subscription_to_all("g", filter_include=("Odd",))
    consumer = await client.read_subscription_to_all("g")
    assert [e.commit_position for e in await take(consumer, 3)] == [2, 4, 6]
    assert (await client.get_subscription_info("g")).start_from == "C:0/P:0"
    await consumer.stop()
    await client.create_subscription_to_all("later", commit_position=4)
    consumer = await client.read_subscription_to_all("later")
    assert (await take(consumer, 1))[0].commit_position == 4
    await consumer.stop()


async def test_a_group_begins_with_what_its_stream_still_shows(client: AsyncKurrentDBClient) -> None:
    for stream in ("counted", "deleted", "cut", "again"):
        await fill(client, 5, stream)
    await client.set_stream_metadata("counted", metadata={"$maxCount": 2})
    await client.set_stream_metadata("cut", metadata={"$tb": 3})
    await client.delete_stream("deleted", current_version=ANY)
    await client.delete_stream("again", current_version=ANY)
    await fill(client, 1, "again")
    for stream, shown in (("counted", [3, 4]), ("deleted", []), ("cut", [3, 4]), ("again", [5])):
        await client.create_subscription_to_stream("g", stream)
        consumer = await client.read_subscription_to_stream("g", stream)
        next_version = 5 + (stream == "again")
        await fill(client, 1, stream)
        positions = [e.stream_position for e in await take(consumer, len(shown) + 1)]
        assert positions == [*shown, next_version]
        await consumer.stop()


async def test_groups_are_listed_changed_and_deleted(client: AsyncKurrentDBClient) -> None:
    await fill(client, 5)
    assert await client.list_subscriptions() == []
    await client.create_subscription_to_stream("g", "a", consumer_strategy="Pinned", max_retry_count=3)
    await client.create_subscription_to_all("g")
    with pytest.raises(refused.AlreadyExistsError):
        await client.create_subscription_to_stream("g", "a")
    assert {(i.event_source, i.group_name) for i in await client.list_subscriptions()} == {
        ("a", "g"), ("$all", "g"),
    }  # fmt: skip
    assert [i.event_source for i in await client.list_subscriptions_to_stream("a")] == ["a"]
    consumer = await client.read_subscription_to_stream("g", "a")
    await take(consumer, 5)
    await client.update_subscription_to_stream("g", "a", stream_position=3)
    with pytest.raises(refused.CancelledError):
        await asyncio.wait_for(anext(consumer), WAIT_SECONDS)
    info = await client.get_subscription_info("g", "a")
    assert (info.consumer_strategy, info.max_retry_count, info.start_from) == ("Pinned", 3, "3")
    consumer = await client.read_subscription_to_stream("g", "a")
    assert [e.stream_position for e in await take(consumer, 2)] == [3, 4]
    await client.delete_subscription("g", "a")
    with pytest.raises(refused.CancelledError):
        await asyncio.wait_for(anext(consumer), WAIT_SECONDS)
    for work in (
        client.get_subscription_info("g", "a"),
        client.delete_subscription("g", "a"),
        client.read_subscription_to_stream("g", "a"),
        client.update_subscription_to_stream("g", "a"),
        client.replay_parked_events("g", "a"),
    ):
        with pytest.raises(refused.NotFoundError):
            await work


async def test_a_changed_group_is_not_moved_by_a_consumer_it_had_before(store: SqliteStore) -> None:
    """A consumer that does not read what it was sent hears late that it was dropped."""
    events = [StoredEvent(n.to_bytes(16), "T", 1, 1, "t", b"{}") for n in range(5)]
    await store.append("a", events)
    config = GroupConfig("a", "g")
    async with running_groups(store, max_groups=1) as groups:
        await groups.create(config)
        before = groups.find("a", "g")
        late = before.join("late", 5)
        assert (await anext(late.deliveries())).event.id == events[0].id
        await groups.update(config)
        after = groups.find("a", "g")
        consumer = after.join("consumer", 1)
        assert (await anext(consumer.deliveries())).event.id == events[0].id
        await after.acknowledge(consumer, [events[0].id])
        await after.leave(consumer)
        await before.acknowledge(late, [event.id for event in events])
        await before.leave(late)
    async with running_groups(store, max_groups=1) as groups:
        consumer = groups.find("a", "g").join("consumer", 1)
        delivery = await asyncio.wait_for(anext(consumer.deliveries()), WAIT_SECONDS)
        assert delivery.event.id == events[1].id


async def test_a_group_that_cannot_work_is_refused(client: AsyncKurrentDBClient) -> None:
    with pytest.raises(refused.KurrentDBClientError, match="must exceed"):
        await client.create_subscription_to_stream("g", "a", history_buffer_size=5, read_batch_size=5)
    with pytest.raises(refused.KurrentDBClientError, match="not negative"):
        await client.create_subscription_to_stream("g", "a", history_buffer_size=0, read_batch_size=-1)
    with pytest.raises(refused.KurrentDBClientError, match="INVALID_ARGUMENT"):
        await client.create_subscription_to_all("g", filter_include=(r"a(?=b)",))
    with pytest.raises(refused.KurrentDBClientError, match="strategy 'Mine' is not known"):
        await client.create_subscription_to_all("g", consumer_strategy="Mine")  # type: ignore[arg-type]


async def test_groups_outlive_the_server(tmp_path: Path) -> None:
    for start in (0, 3):
        async with (
            SqliteStore(tmp_path / "groups.db") as store,
            kurrent_server(store, "127.0.0.1", 0, KurrentSettings(allow_writes=True)) as port,
            AsyncKurrentDBClient(f"kdb://127.0.0.1:{port}?Tls=false") as client,
        ):
            if not start:
                await fill(client, 6)
                await client.create_subscription_to_stream("g", "a")
            consumer = await client.read_subscription_to_stream("g", "a")
            events = await take(consumer, 6 - start)
            assert [e.stream_position for e in events] == list(range(start, 6))
            for event in events[:3]:
                await consumer.ack(event)
            await consumer.stop()


async def test_a_restart_drops_consumers_and_keeps_groups(client: AsyncKurrentDBClient, port: int) -> None:
    await fill(client, 2)
    await client.create_subscription_to_stream("g", "a")
    consumer = await client.read_subscription_to_stream("g", "a")
    await take(consumer, 2)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await PersistentSubscriptionsStub(channel).RestartSubsystem(shared_pb2.Empty())
    with pytest.raises(refused.CancelledError):
        await asyncio.wait_for(anext(consumer), WAIT_SECONDS)
    consumer = await client.read_subscription_to_stream("g", "a")
    assert [e.stream_position for e in await take(consumer, 2)] == [0, 1]
    await consumer.stop()
