"""Streams over the wire, driven by the Python clients."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.message import Message
from kurrentdbclient import (
    AsyncKurrentDBClient,
    KurrentDBClient,
    NewEvent,
    NewEvents,
    NewRecord,
    StreamState,
    StreamStateCheck,
)
from kurrentdbclient import exceptions as refused
from kurrentdbclient.protos.v1 import shared_pb2, streams_pb2
from kurrentdbclient.protos.v1.streams_pb2_grpc import StreamsStub
from kurrentdbclient.protos.v2.streams import streams_pb2 as v2_streams_pb2
from kurrentdbclient.protos.v2.streams.streams_pb2_grpc import StreamsServiceStub

from coldaisle.core.events import encode, new_id
from coldaisle.core.events.types import AssetRemoved
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.server.kurrent import KurrentSettings, kurrent_server

ANY, NO_STREAM, EXISTS = StreamState.ANY, StreamState.NO_STREAM, StreamState.EXISTS
PINGED_SECONDS = 4.5
"""Four pings: the library does not send them oftener than once a second."""


def new(type_name: str = "Ordered", data: bytes = b"{}") -> NewEvent:
    return NewEvent(type=type_name, data=data)


def many(count: int) -> list[NewEvent]:
    return [new(data=b'{"n":%d}' % number) for number in range(count)]


@contextlib.asynccontextmanager
async def other_server(store: SqliteStore, settings: KurrentSettings) -> AsyncIterator[AsyncKurrentDBClient]:
    async with (
        kurrent_server(store, "127.0.0.1", 0, settings) as port,
        AsyncKurrentDBClient(f"kdb://127.0.0.1:{port}?Tls=false") as client,
    ):
        yield client


async def test_foreign_events_come_back_byte_for_byte(client: AsyncKurrentDBClient) -> None:
    events = [
        NewEvent(type="A", data=b'{"a" :\t1.0e5}', metadata=b' {"x":1}'),
        NewEvent(type="B", data=bytes(range(256)), metadata=b"\xff", content_type="application/octet-stream"),
        NewEvent(type="C", data=b"", content_type="application/octet-stream"),
        NewEvent(type="D", data=b'"\xc3\xa9"', metadata=b'{"$correlationId":"1"}'),
    ]
    await client.append_to_stream("orders", events=events, current_version=NO_STREAM)
    back = await client.get_stream("orders")
    sent = [(e.id, e.type, e.data, e.metadata, e.content_type) for e in events]
    assert [(e.id, e.type, e.data, e.metadata, e.content_type) for e in back] == sent
    assert [(e.stream_position, e.commit_position, e.prepare_position) for e in back] == [
        (n, n + 1, n + 1) for n in range(4)
    ]
    assert all(e.recorded_at is not None for e in back)


async def test_content_that_takes_readers_apart_comes_back_byte_for_byte(
    client: AsyncKurrentDBClient,
) -> None:
    """No program of ours could read JSON that is nested a thousand deep, and a history holds it for ever."""
    deep, broken = b"[" * 1_000 + b"]" * 1_000, b'{"actor":"\xff","schema":"1","time":"1"}'
    wide = b"[" + b"[]," * 1_000 + b"[]]"
    events = [
        NewEvent(type="T", data=data, metadata=metadata)
        for data, metadata in (
            (deep, b""),
            (b"{}", deep),
            (b"{}", broken),
            (wide, b"{" * 9_000),
            (b"1", b'{"a":' * 9_000),
        )
    ]
    await client.append_to_stream("a", events=events, current_version=NO_STREAM)
    back = [event async for event in await client.read_all()]
    assert [(e.data, e.metadata) for e in back] == [(e.data, e.metadata) for e in events]
    claims = NewEvent(
        "AssetRemoved", b'{"asset":"a","x":%s}' % deep, b'{"actor":"a","schema":"1","time":"1"}'
    )
    with pytest.raises(refused.BadRequestError, match="AssetRemoved"):
        await client.append_to_stream("asset-a", events=claims, current_version=ANY)


async def test_metadata_that_takes_readers_apart_is_none(client: AsyncKurrentDBClient) -> None:
    deep = NewEvent(type="$metadata", data=b'{"$maxCount":1,"a":' + b"[" * 9_000)
    await client.append_to_stream("$$a", events=deep, current_version=ANY)
    await client.append_to_stream("a", events=many(2), current_version=ANY)
    assert len(await client.get_stream("a")) == 2


async def test_our_events_carry_their_envelope_as_metadata(
    client: AsyncKurrentDBClient, store: SqliteStore
) -> None:
    event = encode(AssetRemoved("rack-1"), id=new_id(7), time=7, actor="agent/a", correlation_id=b"c" * 16)
    await store.append("asset-rack-1", [event])
    (back,) = await client.get_stream("asset-rack-1")
    assert (back.id.bytes, back.type, back.data) == (event.id, "AssetRemoved", event.data)
    assert json.loads(back.metadata) == {
        "actor": "agent/a",
        "schema": "1",
        "time": "7",
        "$correlationId": str(UUID(bytes=b"c" * 16)),
    }


async def test_an_event_that_claims_to_be_ours_must_be(client: AsyncKurrentDBClient) -> None:
    for event in (
        new("AssetRemoved"),
        NewEvent("AssetRemoved", b"{}", b'{"actor":"a","schema":"1","time":"1"}'),
    ):
        with pytest.raises(refused.BadRequestError, match="AssetRemoved"):
            await client.append_to_stream("asset-a", events=event, current_version=ANY)


@pytest.mark.parametrize(
    ("expected", "on_new", "on_there"),
    [(ANY, True, True), (NO_STREAM, True, False), (EXISTS, False, True), (1, False, True), (7, False, False)],
)
async def test_both_appends_compare_the_version(
    client: AsyncKurrentDBClient,
    sync_client: KurrentDBClient,
    expected: StreamState | int,
    on_new: bool,
    on_there: bool,
) -> None:
    """The asynchronous client appends in batches; the synchronous one sends one event by Append."""
    await client.append_to_stream("there", events=many(2), current_version=NO_STREAM)
    for stream, holds in (("fresh", on_new), ("there", on_there)):
        for way in ("batch", "single"):
            name = stream if stream == "there" else f"{stream}-{way}"
            expectation = 2 if expected == 1 and way == "single" and holds else expected

            async def append(
                way: str = way, name: str = name, expectation: StreamState | int = expectation
            ) -> None:
                if way == "batch":
                    await client.append_to_stream(name, events=[new()], current_version=expectation)
                else:
                    await asyncio.to_thread(
                        sync_client.append_event, name, event=new(), current_version=expectation
                    )

            if holds:
                await append()
            else:
                with pytest.raises(refused.WrongCurrentVersionError) as caught:
                    await append()
                assert caught.value.actual_version == (NO_STREAM if stream == "fresh" else 1)


async def test_a_retry_answers_with_the_first_position(
    client: AsyncKurrentDBClient, sync_client: KurrentDBClient, store: SqliteStore
) -> None:
    events = many(3)
    first = await client.append_to_stream("a", events=events, current_version=NO_STREAM)
    await client.append_to_stream("b", events=many(1), current_version=NO_STREAM)
    assert await client.append_to_stream("a", events=events, current_version=NO_STREAM) == first
    one = new()
    position = await asyncio.to_thread(sync_client.append_event, "c", event=one, current_version=ANY)
    assert await asyncio.to_thread(sync_client.append_event, "c", event=one, current_version=ANY) == position
    session = [NewEvents("d", many(2), NO_STREAM), NewEvents("e", many(1), ANY)]
    whole = await client.multi_append_to_stream(session)
    assert await client.multi_append_to_stream(session) == whole
    assert await store.head() == 8


async def test_a_part_of_an_append_is_refused(client: AsyncKurrentDBClient) -> None:
    events = many(2)
    await client.append_to_stream("a", events=events, current_version=NO_STREAM)
    with pytest.raises(refused.WrongCurrentVersionError):
        await client.append_to_stream("a", events=[events[1], new()], current_version=ANY)
    with pytest.raises(refused.WrongCurrentVersionError):
        await client.multi_append_to_stream([NewEvents("a", [events[1], new()], ANY)])


async def test_streams_read_both_ways(client: AsyncKurrentDBClient) -> None:
    await client.append_to_stream("a", events=many(7), current_version=NO_STREAM)

    async def versions(**options: object) -> list[int]:
        return [e.stream_position for e in await client.get_stream("a", **options)]

    assert await versions(stream_position=2, limit=3) == [2, 3, 4]
    assert await versions(backwards=True, limit=2) == [6, 5]
    assert await versions(stream_position=3, backwards=True) == [3, 2, 1, 0]
    assert await versions(stream_position=9) == []


async def test_a_long_stream_is_read_in_pages(client: AsyncKurrentDBClient) -> None:
    for _ in range(3):
        await client.append_to_stream("a", events=many(800), current_version=ANY)
    assert [e.stream_position for e in await client.get_stream("a")] == list(range(2_400))
    back = await client.get_stream("a", backwards=True)
    assert [e.stream_position for e in back] == list(range(2_399, -1, -1))
    assert len([e async for e in await client.read_all()]) == 2_400
    assert len([e async for e in await client.read_all(backwards=True)]) == 2_400


async def test_everything_reads_from_a_position_on(client: AsyncKurrentDBClient) -> None:
    for number in range(5):
        await client.append_to_stream(f"s-{number}", events=many(2), current_version=NO_STREAM)

    async def positions(**options: object) -> list[int]:
        return [e.commit_position async for e in await client.read_all(**options)]

    assert await positions(commit_position=8) == [8, 9, 10]
    assert await positions(commit_position=4, backwards=True) == [3, 2, 1]
    assert await positions(limit=3) == [1, 2, 3]
    prefixes = {"filter_by_stream_name": True, "filter_by_prefix": True}
    assert await positions(filter_include=("s-1", "s-3"), **prefixes) == [3, 4, 7, 8]
    assert await client.get_commit_position() == 10


async def test_a_stream_that_is_not_there(client: AsyncKurrentDBClient) -> None:
    with pytest.raises(refused.NotFoundError):
        await client.get_stream("nothing")
    assert await client.get_current_version("nothing") is NO_STREAM
    with pytest.raises(refused.NotFoundError):
        await client.delete_stream("nothing", current_version=3)


async def test_a_deleted_stream_goes_on_with_its_numbers(client: AsyncKurrentDBClient) -> None:
    await client.append_to_stream("a", events=many(3), current_version=NO_STREAM)
    with pytest.raises(refused.WrongCurrentVersionError):
        await client.delete_stream("a", current_version=9)
    await client.delete_stream("a", current_version=2)
    with pytest.raises(refused.NotFoundError):
        await client.get_stream("a")
    with pytest.raises(refused.NotFoundError):
        await client.delete_stream("a", current_version=2)
    await client.append_to_stream("a", events=many(1), current_version=NO_STREAM)
    assert [e.stream_position for e in await client.get_stream("a")] == [3]


async def test_a_tombstone_is_for_ever(client: AsyncKurrentDBClient, sync_client: KurrentDBClient) -> None:
    await client.append_to_stream("a", events=many(1), current_version=NO_STREAM)
    live = await client.subscribe_to_stream("a")
    assert (await anext(live)).stream_position == 0
    await client.tombstone_stream("a", current_version=0)
    with pytest.raises(refused.StreamIsDeletedError):
        await asyncio.wait_for(anext(live), 10)
    for work in (
        client.get_stream("a"),
        client.append_to_stream("a", events=new(), current_version=ANY),
        client.delete_stream("a", current_version=ANY),
        client.tombstone_stream("a", current_version=ANY),
        client.subscribe_to_stream("a"),
    ):
        with pytest.raises(refused.StreamIsDeletedError):
            found = await work
            await anext(found)
    with pytest.raises(refused.FailedPreconditionError, match="is deleted"):
        await asyncio.to_thread(sync_client.append_event, "a", event=new(), current_version=ANY)
    with pytest.raises(refused.StreamTombstonedError) as caught:
        await client.multi_append_to_stream([NewEvents("b", [new()], ANY), NewEvents("a", [new()], ANY)])
    assert caught.value.stream_name == "a"


async def test_metadata_truncates_and_counts(client: AsyncKurrentDBClient) -> None:
    await client.append_to_stream("a", events=many(6), current_version=NO_STREAM)
    assert await client.get_stream_metadata("a") == ({}, NO_STREAM)
    await client.set_stream_metadata("a", metadata={"$tb": 2, "mine": [1]}, current_version=NO_STREAM)
    assert [e.stream_position for e in await client.get_stream("a")] == [2, 3, 4, 5]
    await client.set_stream_metadata("a", metadata={"$maxCount": 2}, current_version=0)
    assert [e.stream_position for e in await client.get_stream("a")] == [4, 5]
    back = await client.get_stream("a", backwards=True)
    assert [e.stream_position for e in back] == [5, 4]
    assert await client.get_stream_metadata("a") == ({"$maxCount": 2}, 1)
    with pytest.raises(refused.WrongCurrentVersionError):
        await client.set_stream_metadata("a", metadata={}, current_version=0)
    await client.set_stream_metadata("a", metadata={"$maxAge": 3_600})
    assert len(await client.get_stream("a")) == 6


async def test_changing_metadata_does_not_bring_back_what_was_deleted(client: AsyncKurrentDBClient) -> None:
    await client.append_to_stream("a", events=many(3), current_version=NO_STREAM)
    await client.set_stream_metadata("a", metadata={"$tb": 1, "mine": "é"})
    await client.delete_stream("a", current_version=2)
    assert await client.get_stream_metadata("a") == ({"$tb": 3, "mine": "é"}, 1)
    await client.append_to_stream("a", events=many(2), current_version=NO_STREAM)
    metadata, version = await client.get_stream_metadata("a")
    await client.set_stream_metadata("a", metadata=metadata | {"$maxAge": 3_600}, current_version=version)
    assert [e.stream_position for e in await client.get_stream("a")] == [3, 4]
    await client.set_stream_metadata("a", metadata={"$tb": 0})
    assert len(await client.get_stream("a")) == 5


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"a":' * 9_000, b'{"a":' * 300 + b"1" + b"}" * 300])
async def test_a_stream_with_odd_metadata_can_be_deleted(client: AsyncKurrentDBClient, data: bytes) -> None:
    await client.append_to_stream("a", events=many(3), current_version=NO_STREAM)
    await client.append_to_stream("$$a", events=new("$metadata", data), current_version=ANY)
    await client.delete_stream("a", current_version=ANY)
    metadata, version = await client.get_stream_metadata("a")
    assert (metadata["$tb"], version) == (3, 1)
    await client.tombstone_stream("$$a", current_version=ANY)
    await client.append_to_stream("a", events=many(1), current_version=NO_STREAM)
    await client.delete_stream("a", current_version=ANY)
    with pytest.raises(refused.NotFoundError):
        await client.get_stream("a")


async def test_many_streams_are_appended_whole_or_not_at_all(
    client: AsyncKurrentDBClient, store: SqliteStore
) -> None:
    with pytest.raises(refused.WrongCurrentVersionError) as caught:
        await client.multi_append_to_stream([NewEvents("a", many(2), NO_STREAM), NewEvents("b", [new()], 5)])
    assert (caught.value.stream_name, caught.value.expected_version) == ("b", 5)
    with pytest.raises(refused.MultiAppendToSameStreamError):
        await client.multi_append_to_stream([NewEvents("a", [new()], ANY), NewEvents("a", [new()], ANY)])
    assert await store.head() == 0
    event = NewEvent(type="T", data=b"1", metadata=b'{"k":"v"}')
    await client.multi_append_to_stream([NewEvents("a", [event], NO_STREAM), NewEvents("b", [new()], ANY)])
    (back,) = await client.get_stream("a")
    assert (back.id, back.data, json.loads(back.metadata)) == (event.id, b"1", {"k": "v"})


async def test_records_of_many_streams_with_checks(client: AsyncKurrentDBClient, store: SqliteStore) -> None:
    records = [NewRecord("a", "T", b"{}"), NewRecord("b", "T", b"{}"), NewRecord("a", "T", b"{}")]
    checks = [StreamStateCheck("a", NO_STREAM), StreamStateCheck("c", NO_STREAM)]
    result = await client.append_records(records, checks)
    assert result.commit_position == 3
    assert {(s.stream_name, s.stream_position) for s in result.stream_positions} == {("a", 1), ("b", 0)}
    with pytest.raises(refused.ConsistencyChecksFailedError) as caught:
        await client.append_records([NewRecord("c", "T", b"{}")], [StreamStateCheck("a", 0)])
    assert caught.value.failures[0].stream_state_failure.actual_state == 1
    for contradicting in ([StreamStateCheck("b", 4)], [StreamStateCheck("b", 0), StreamStateCheck("b", 4)]):
        with pytest.raises(refused.ConsistencyChecksFailedError):
            await client.append_records([NewRecord("b", "T", b"{}")], contradicting)
    assert await store.head() == 3


async def test_a_property_that_json_cannot_hold_is_named(port: int) -> None:
    record = v2_streams_pb2.AppendRecord(schema=v2_streams_pb2.SchemaInfo(name="T"))
    record.properties["watts"].number_value = float("nan")
    request = v2_streams_pb2.AppendRequest(stream="a", records=[record])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert "'watts'" in await refusal_of(StreamsServiceStub(channel).AppendSession(), request)


async def test_sizes_are_bounded(client: AsyncKurrentDBClient, sync_client: KurrentDBClient) -> None:
    big = NewEvent(type="T", data=b"x" * (1 << 20) + b"y", content_type="application/octet-stream")
    with pytest.raises(refused.MaximumAppendSizeExceededError):
        await client.append_to_stream("a", events=big, current_version=ANY)
    with pytest.raises(Exception, match="Maximum Append Size"):
        await asyncio.to_thread(sync_client.append_event, "a", event=big, current_version=ANY)
    with pytest.raises(refused.RecordMaxSizeExceededError) as caught:
        await client.multi_append_to_stream([NewEvents("a", [big], ANY)])
    assert caught.value.max_size == 1 << 20
    half = [NewEvent(type="T", data=b'"%s"' % (b"x" * 700_000)) for _ in range(30)]
    with pytest.raises(refused.KurrentDBClientError):
        await client.multi_append_to_stream([NewEvents("a", half, ANY)])
    for name in ("x" * 1_025, ""):
        with pytest.raises(refused.BadRequestError):
            await client.append_to_stream(name, events=new(), current_version=ANY)


async def test_a_transaction_is_bounded(store: SqliteStore) -> None:
    settings = KurrentSettings(allow_writes=True, max_transaction_bytes=2_000)
    async with other_server(store, settings) as client:
        with pytest.raises(refused.TransactionMaxSizeExceededError):
            await client.multi_append_to_stream([NewEvents("a", [new(data=b"1" * 3_000)], ANY)])


async def test_what_is_too_much_for_the_store_is_told_as_it_is(client: AsyncKurrentDBClient) -> None:
    """Bytes that are no JSON are kept as text, which is longer."""
    octets = NewEvent(type="T", data=b"\xff" * 900_000, content_type="application/octet-stream")
    with pytest.raises(refused.BadRequestError, match="1200060 bytes as it is stored"):
        await client.append_to_stream("a", events=octets, current_version=ANY)
    with pytest.raises(refused.KurrentDBClientError, match="1200060 bytes as it is stored"):
        await client.multi_append_to_stream([NewEvents("a", [octets], ANY)])
    for work in (
        client.append_to_stream("a", events=many(10_001), current_version=ANY),
        client.multi_append_to_stream([NewEvents("a", many(10_001), ANY)]),
    ):
        with pytest.raises(refused.KurrentDBClientError, match="10001 events, the bound is 10000"):
            await work


async def refusal_of(call: grpc.aio.Call, *requests: object) -> str:
    """Of requests that are not the last ones."""
    for request in requests:
        with contextlib.suppress(asyncio.InvalidStateError):  # it was refused already
            await call.write(request)
    async with asyncio.timeout(10):
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        return await call.details()


async def test_appends_without_an_end_are_refused_although_their_events_are_empty(port: int) -> None:
    def empty(count: int, kind: Callable[..., Message], **parts: str) -> list[Message]:
        return [kind(id=shared_pb2.UUID(string=str(uuid4())), **parts) for _ in range(count)]

    options = streams_pb2.AppendReq.Options(stream_identifier=shared_pb2.StreamIdentifier(stream_name=b"a"))
    messages = empty(10_001, streams_pb2.AppendReq.ProposedMessage)
    batches = [
        streams_pb2.BatchAppendReq(
            proposed_messages=empty(10_000, streams_pb2.BatchAppendReq.ProposedMessage)
        )
        for _ in range(3)
    ]
    record = v2_streams_pb2.AppendRecord(schema=v2_streams_pb2.SchemaInfo(name="T"))
    session = [v2_streams_pb2.AppendRequest(stream=f"s-{n}", records=[record] * 5_001) for n in range(2)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        streams, sessions = StreamsStub(channel), StreamsServiceStub(channel)
        appended = [streams_pb2.AppendReq(proposed_message=message) for message in messages]
        assert "10000" in await refusal_of(
            streams.Append(), streams_pb2.AppendReq(options=options), *appended
        )
        assert "20000" in await refusal_of(streams.BatchAppend(), *batches)
        assert "10000" in await refusal_of(sessions.AppendSession(), *session)
        nothing = v2_streams_pb2.AppendRequest(stream="a")
        assert "without records" in await refusal_of(sessions.AppendSession(), nothing)


async def test_a_long_type_counts(port: int) -> None:
    message = streams_pb2.BatchAppendReq.ProposedMessage(
        id=shared_pb2.UUID(string=str(uuid4())), metadata={"type": "T" * (9 << 20)}
    )
    batch = streams_pb2.BatchAppendReq(proposed_messages=[message])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert "Maximum Append Size" in await refusal_of(StreamsStub(channel).BatchAppend(), batch, batch)


async def test_catching_up_then_live(client: AsyncKurrentDBClient) -> None:
    await client.append_to_stream("a", events=many(3), current_version=NO_STREAM)
    everything = await client.subscribe_to_all(include_caught_up=True, commit_position=1)
    stream = await client.subscribe_to_stream("a", stream_position=0, include_caught_up=True)
    assert [(await anext(everything)).commit_position for _ in range(2)] == [2, 3]
    assert (await anext(everything)).is_caught_up
    assert [(await anext(stream)).stream_position for _ in range(2)] == [1, 2]
    assert (await anext(stream)).is_caught_up
    await client.append_to_stream("ab", events=many(1), current_version=ANY)
    await client.append_to_stream("a", events=many(1), current_version=ANY)
    assert (await anext(everything)).stream_name == "ab"
    assert (await anext(stream)).stream_position == 3
    await everything.stop()
    await stream.stop()


async def test_catching_up_is_told_once(client: AsyncKurrentDBClient) -> None:
    everything = await client.subscribe_to_all(include_caught_up=True)
    stream = await client.subscribe_to_stream("a", include_caught_up=True)
    for subscription in (everything, stream):
        assert (await anext(subscription)).is_caught_up
    for _ in range(3):
        await client.append_to_stream("a", events=new(), current_version=ANY)
        for subscription in (everything, stream):
            assert not (await anext(subscription)).is_caught_up
    await everything.stop()
    await stream.stop()


async def test_a_stream_may_come_after_its_subscription(client: AsyncKurrentDBClient) -> None:
    later = await client.subscribe_to_stream("later")
    await client.append_to_stream("later", events=many(1), current_version=NO_STREAM)
    assert (await asyncio.wait_for(anext(later), 10)).stream_position == 0
    await later.stop()


async def test_filtered_subscriptions_are_told_how_far_they_looked(client: AsyncKurrentDBClient) -> None:
    await client.append_to_stream("a", events=many(220), current_version=NO_STREAM)
    found = await client.subscribe_to_all(
        filter_include=("Never",), window_size=10, checkpoint_interval_multiplier=5, include_checkpoints=True
    )
    assert [(await anext(found)).commit_position for _ in range(5)] == [50, 100, 150, 200, 220]
    for _ in range(6):
        await client.append_to_stream("b", events=many(10), current_version=ANY)
    assert (await asyncio.wait_for(anext(found), 10)).commit_position == 270
    await found.stop()


async def test_a_quiet_subscription_bears_its_client_s_pings(client: AsyncKurrentDBClient, port: int) -> None:
    """Most clients ask every ten seconds whether the server is there, as long as nothing comes."""
    options = streams_pb2.ReadReq.Options()
    for part in (options.all.start, options.subscription, options.no_filter, options.uuid_option.string):
        part.SetInParent()
    pinging = [("grpc.keepalive_time_ms", 1_000), ("grpc.http2.max_pings_without_data", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=pinging) as channel:
        call = StreamsStub(channel).Read(streams_pb2.ReadReq(options=options))
        assert [(await call.read()).WhichOneof("content") for _ in range(2)] == ["confirmation", "caught_up"]
        coming = asyncio.ensure_future(call.read())
        await asyncio.wait((coming,), timeout=PINGED_SECONDS)
        await client.append_to_stream("a", events=new(), current_version=ANY)
        assert (await asyncio.wait_for(coming, 10)).WhichOneof("content") == "event"
        call.cancel()


async def test_a_filtered_read_beyond_the_end_is_refused(client: AsyncKurrentDBClient) -> None:
    with pytest.raises(refused.InvalidCommitPositionError):
        [e async for e in await client.read_all(commit_position=10)]


async def test_subscriptions_are_counted(store: SqliteStore) -> None:
    settings = KurrentSettings(max_subscriptions=1)
    async with other_server(store, settings) as client:
        first = await client.subscribe_to_all()
        with pytest.raises(refused.KurrentDBClientError, match="1 subscriptions are open"):
            await client.subscribe_to_all()
        await first.stop()


async def test_a_cancelled_caller_leaves_no_half_append(client: AsyncKurrentDBClient) -> None:
    tasks = [
        asyncio.ensure_future(client.append_to_stream("a", events=many(5), current_version=ANY))
        for _ in range(20)
    ]
    await asyncio.sleep(0.005)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    events = await client.get_stream("a")
    assert len(events) % 5 == 0
    assert len(events) >= 50


async def test_what_is_not_served_is_said_so(client: AsyncKurrentDBClient) -> None:
    with pytest.raises(refused.KurrentDBClientError, match="UNIMPLEMENTED"):
        await client.list_all_projection_statistics()
