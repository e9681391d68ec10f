"""Devices with habits: what they do wrong must neither stop us nor mislead us."""

import asyncio
import socket
import tracemalloc
from contextlib import AsyncExitStack

import pytest
from msgspec import structs

from coldaisle.integrations.snmp import (
    MalformedMessage,
    NonIncreasingOid,
    Responder,
    SnmpClient,
    SnmpError,
    SnmpTimeout,
    Table,
    Target,
    TooManyRows,
    TooManySockets,
    encode_oid,
    exchange,
    tags,
)
from coldaisle.integrations.snmp.channel import Counts
from coldaisle.integrations.snmp.exchange import MAX_OWN_SOCKETS
from coldaisle.integrations.snmp.message import decode, encode, encode_varbinds
from coldaisle.integrations.snmp.oid import MAX_CACHED_OIDS, oid_text
from coldaisle.integrations.snmp.peers import MAX_PEERS, MIN_TIMEOUT_SECONDS, Peers, PeerState
from coldaisle.integrations.snmp.usm.engine import RemoteEngine
from coldaisle.integrations.snmp.walk import MAX_MEAN_ROW_BYTES

COLUMN = "1.3.6.1.2.1.2.2.1.10"
UPTIME = "1.3.6.1.2.1.1.3.0"


async def test_pitfall_a_device_that_hates_get_bulk_is_asked_with_get_next_only(client, scripted, table):
    inner = Responder(table)

    def hater(data):
        return [] if decode(data)[0].pdu == tags.GET_BULK else [inner.answer(data)]

    device = await scripted(hater)
    target = Target("127.0.0.1", device.port, get_next_only=True)
    assert len(await client.walk(target, COLUMN)) == 40
    assert len(await client.get_bulk(target, [COLUMN])) == 1


async def test_pitfall_truncated_replies_lower_the_repetitions_and_lose_nothing(table):
    """Replies cut at one frame: the next walk asks for less, and grows again slowly."""
    async with Responder(table, max_reply_bytes=300) as device, SnmpClient() as client:
        target = Target("127.0.0.1", device.port, max_repetitions=40)
        assert len(await client.walk(target, COLUMN)) == 40
        learned = client.export()[0].repetitions
        assert 1 < learned < 40
        device._max_reply_bytes = 65_507
        await client.walk(target, COLUMN)
        assert client.export()[0].repetitions == learned + 1


async def test_what_was_learned_about_repetitions_survives_a_restart(table):
    asked = []
    async with Responder(table) as device:
        target = Target("127.0.0.1", device.port)
        async with SnmpClient() as first:
            first._exchanges.peers.state(("127.0.0.1", device.port)).repetitions = 7
            known = first.export()
        answer, device.answer = device.answer, lambda data: asked.append(decode(data)[0]) or answer(data)
        async with SnmpClient(known=known) as second:
            await second.walk(target, COLUMN)
    assert asked[0].error_index == 7


async def test_pitfall_rows_that_fill_a_datagram_each_end_a_walk_before_the_memory(client, scripted):
    row = b"x" * 60_000
    heard = []

    def endless(data):
        shell, _ = decode(data)
        heard.append(len(row))
        return [_reply(shell, [(encode_oid(f"{COLUMN}.{len(heard)}"), tags.OCTET_STRING, row)])]

    device = await scripted(endless)
    with pytest.raises(TooManyRows, match="bytes on average"):
        await client.walk(Target("127.0.0.1", device.port), COLUMN, max_rows_count=20_000)
    assert sum(heard) < 20_000 * MAX_MEAN_ROW_BYTES + 2 * len(row)


def test_pitfall_oids_that_fill_a_datagram_each_do_not_fill_the_memory():
    """What was once translated is remembered, by number."""
    tracemalloc.start()
    try:
        for number in range(500):
            with pytest.raises(MalformedMessage, match="over 640 octets"):
                oid_text(encode_oid(f"1.3.{number}") + bytes(60_000))
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 5_000_000


async def test_pitfall_non_increasing_oids_stop_a_walk_unless_allowed_up_to_a_cap(client, scripted):
    walked = [f"{COLUMN}.{n}" for n in (1, 3, 2, 9)]

    def unordered(data):
        shell, rows = decode(data)
        last = oid_text(rows[0][0])
        place = walked.index(last) + 1 if last in walked else 0
        oid = walked[place] if place < len(walked) else "1.3.6.1.9"
        return [_reply(shell, [(encode_oid(oid), tags.INTEGER, place)])]

    device = await scripted(unordered)
    strict = Target("127.0.0.1", device.port)
    with pytest.raises(NonIncreasingOid):
        await client.walk(strict, COLUMN)
    lenient = structs.replace(strict, allow_nonincreasing=True)
    assert [oid_text(row[0]) for row in await client.walk(lenient, COLUMN)] == walked
    walked[3] = walked[0]
    with pytest.raises(TooManyRows):
        await client.walk(lenient, COLUMN, max_rows_count=100)


async def test_pitfall_a_request_id_echoed_in_another_length_is_the_same_id(client, scripted):
    def padded(data):
        shell, _ = decode(data)
        reply = _reply(shell, [(encode_oid(UPTIME), tags.TIMETICKS, 5)])
        short = b"\x02\x04" + shell.request_id.to_bytes(4)
        longer = b"\x02\x05\x00" + shell.request_id.to_bytes(4)
        return [_grown(reply.replace(short, longer))]

    device = await scripted(padded)
    assert (await client.get(Target("127.0.0.1", device.port), [UPTIME]))[0][2] == 5


async def test_pitfall_an_answer_from_another_address_counts_only_where_it_is_allowed(client, table):
    """As of a device that answers from the address of its other interface."""
    loop = asyncio.get_running_loop()
    inner = Responder(table)
    elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elsewhere.bind(("127.0.0.1", 0))

    class TwoFaced(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            elsewhere.sendto(inner.answer(data), addr)

    transport, _ = await loop.create_datagram_endpoint(TwoFaced, local_addr=("127.0.0.1", 0))
    strict = Target("127.0.0.1", transport.get_extra_info("sockname")[1], timeout_seconds=0.1, retries=0)
    with pytest.raises(SnmpTimeout):
        await client.get(strict, [UPTIME])
    lenient = structs.replace(strict, answers_from_elsewhere=True, timeout_seconds=5.0)
    assert (await client.get(lenient, [UPTIME]))[0][2] == 4711
    assert client.counts.late_replies == 1
    transport.close()
    elsewhere.close()


async def test_devices_share_one_socket_unless_they_want_their_own(client, table):
    ports = set()
    async with Responder(table) as device:
        answer = device.datagram_received
        device.datagram_received = lambda data, addr: ports.add(addr[1]) or answer(data, addr)
        target = Target("127.0.0.1", device.port)
        for host in ("127.0.0.1", "localhost"):
            await client.get(structs.replace(target, host=host), [UPTIME])
        assert len(ports) == 1
        await client.get(structs.replace(target, has_own_socket=True), [UPTIME])
        assert len(ports) == 2
    assert MAX_OWN_SOCKETS < 1_024  # what a process may usually open


async def test_devices_that_are_asked_no_more_keep_no_socket_from_others(
    client, scripted, table, monkeypatch
):
    monkeypatch.setattr(exchange, "MAX_OWN_SOCKETS", 2)
    async with AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(Responder(table)) for _ in range(4)]
        targets = [Target("127.0.0.1", device.port, has_own_socket=True) for device in devices]
        for target in targets:
            assert (await client.get(target, [UPTIME]))[0][2] == 4711
    silent = [await scripted(lambda data: []) for _ in range(3)]
    targets = [Target("127.0.0.1", device.port, has_own_socket=True) for device in silent]
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(_silence(client, target)) for target in targets]
    assert [task.result() for task in asking] == [SnmpTimeout, SnmpTimeout, TooManySockets]


async def _silence(client, target):
    try:
        await client.get(structs.replace(target, timeout_seconds=0.5, retries=0), [UPTIME])
    except SnmpError as error:
        return type(error)


async def test_a_device_with_its_own_socket_whose_name_changes_its_family_is_found(
    client, table, monkeypatch
):
    """From version 4 of IP to 6: the socket of before cannot reach it."""
    look = socket.getaddrinfo

    def meaning(host, *arguments, **options):
        return look(means if host == "pdu.example" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", meaning)
    means = "127.0.0.1"
    async with Responder(table) as device:
        target = Target("pdu.example", device.port, timeout_seconds=5.0, has_own_socket=True)
        await client.get(target, [UPTIME])
    with pytest.raises(SnmpTimeout):
        await client.get(structs.replace(target, timeout_seconds=0.1, retries=0), [UPTIME])
    means = "::1"
    async with Responder(table, "::1", target.port):
        assert (await client.get(target, [UPTIME]))[0][2] == 4711


def test_pitfall_an_engine_id_that_a_device_no_longer_has_is_kept_for_nobody():
    """One that makes a new id at each start fills no memory, and what moved to another device is no clone."""
    peers = Peers()
    for start in range(1_000):
        peers.learn_engine(("10.0.0.1", 161), RemoteEngine(b"engine-%d" % start, 1, 0, 0.0))
        peers.state(("10.0.0.1", 161)).engine = None  # as a report of an unknown engine leaves it
    assert len(peers._owners) == 1
    peers.learn_engine(("10.0.0.2", 161), RemoteEngine(b"engine-0", 1, 0, 0.0))
    assert peers.take_duplicates() == []
    peers.learn_engine(("10.0.0.3", 161), RemoteEngine(b"engine-0", 1, 0, 0.0))
    assert [twin.second for twin in peers.take_duplicates()] == [("10.0.0.3", 161)]


class Slower(Responder):
    """Answers after ``delay_seconds``."""

    delay_seconds = 0.0

    def send(self, datagram, address):
        asyncio.get_running_loop().call_later(self.delay_seconds, super().send, datagram, address)


async def test_pitfall_a_device_that_became_slower_is_not_asked_everything_twice_for_ever(client, table):
    """Only the first question is put again before its answer comes."""
    async with Slower(table) as device:
        target = Target("127.0.0.1", device.port, timeout_seconds=10.0)
        for _ in range(20):
            await client.get(target, [UPTIME])
        device.delay_seconds, before = MIN_TIMEOUT_SECONDS + 0.2, device.requests_count
        for _ in range(3):
            await client.get(target, [UPTIME])
        assert device.requests_count - before == 1 + 3


def test_the_first_wait_follows_the_device_within_bounds():
    state = PeerState()
    assert state.first_wait_seconds(3.0) == 3.0
    for _ in range(20):
        state.note_round_trip(0.001)
    assert state.first_wait_seconds(3.0) == MIN_TIMEOUT_SECONDS
    for _ in range(40):
        state.note_round_trip(1.5)
    assert 1.5 <= state.first_wait_seconds(3.0) <= 3.0
    assert state.first_wait_seconds(1.0) == 1.0


async def test_only_first_tries_teach_the_round_trip(client, scripted, table):
    inner = Responder(table)
    device = await scripted(lambda data: [inner.answer(data)] if len(device.heard) > 1 else [])
    await client.get(Target("127.0.0.1", device.port, timeout_seconds=0.05), [UPTIME])
    assert client._exchanges.peers.state(("127.0.0.1", device.port)).smoothed_seconds == 0.0


def test_what_is_kept_of_peers_and_oids_is_bounded():
    peers = Peers()
    for number in range(MAX_PEERS + 10):
        peers.state(("10.0.0.1", number))
    assert len(peers._states) == MAX_PEERS
    for number in range(MAX_CACHED_OIDS + 10):
        oid_text(b"\x2b" + number.to_bytes(3).replace(b"\x80", b"\x01") + b"\x01")
    assert oid_text.cache_info().currsize <= MAX_CACHED_OIDS


def test_pitfall_a_value_that_is_opaque_or_odd_keeps_its_octets():
    rows = [(b"\x2b\x06", 0x47, b"\x01\x02"), (b"", tags.OCTET_STRING, b"\xff\xfe")]
    octets = b"".join(
        bytes((48, 4 + len(oid) + len(value), 6, len(oid))) + oid + bytes((tag, len(value))) + value
        for oid, tag, value in rows
    )
    assert decode(encode(b"", tags.RESPONSE, 1, 0, 0, octets))[1] == rows


async def test_a_reply_in_another_version_is_no_answer(client, scripted):
    device = await scripted(lambda data: [_reply(decode(data)[0], [], version=0)])
    with pytest.raises(SnmpTimeout):
        await client.get(Target("127.0.0.1", device.port, timeout_seconds=0.05, retries=0), [UPTIME])
    assert isinstance(client.counts, Counts)
    assert client.counts.late_replies == 1


async def test_a_deadline_ends_a_walk_in_its_middle(client, scripted, table):
    inner = Responder(table)
    device = await scripted(lambda data: [inner.answer(data)] if len(device.heard) < 3 else [])
    slow = Target("127.0.0.1", device.port, timeout_seconds=60.0, max_repetitions=2)
    with pytest.raises(SnmpTimeout, match="end its walk"):
        await client.walk(slow, COLUMN, deadline_seconds=0.1)
    assert [channel._waiting for channel in client._exchanges._channels.values()] == [{}]


async def test_a_table_without_rows_ends_every_column(client):
    async with Responder(Table()) as device:
        assert await client.walk_table(Target("127.0.0.1", device.port), [COLUMN, "1.3"]) == [[], []]


def _reply(shell, rows, version=1):
    return encode(shell.community, tags.RESPONSE, shell.request_id, 0, 0, encode_varbinds(rows), version)


def _grown(datagram):
    """One octet more in the two containers around a request id."""
    octets = bytearray(datagram)
    octets[1] += 1
    octets[octets.index(tags.RESPONSE) + 1] += 1
    return bytes(octets)
