"""The client against our responder and against devices that misbehave."""

import asyncio
import os
import resource
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec import structs

from coldaisle.integrations.snmp import (
    AddressUnusable,
    ErrorStatus,
    MalformedMessage,
    NonIncreasingOid,
    PrivacyUnavailable,
    Responder,
    SnmpClient,
    SnmpTimeout,
    SocketUnavailable,
    Table,
    Target,
    TooManyRows,
    User,
    encode_oid,
    oid_text,
    tags,
)
from coldaisle.integrations.snmp.message import V3, decode, encode, encode_varbinds
from coldaisle.integrations.snmp.usm import privacy

IF_TABLE = "1.3.6.1.2.1.2.2"
UPTIME = "1.3.6.1.2.1.1.3.0"


async def test_get_answers_in_the_order_asked_and_names_what_is_missing(client, target):
    varbinds = await client.get(target, [f"{IF_TABLE}.1.16.3", "1.3.6.1.9", UPTIME])
    assert [(tag, value) for _, tag, value in varbinds] == [
        (tags.COUNTER32, 48), (tags.NO_SUCH_INSTANCE, None), (tags.TIMETICKS, 4711),
    ]  # fmt: skip


async def test_get_next_orders_by_numbers(client, target):
    found = await client.get_next(target, [f"{IF_TABLE}.1.10.20", f"{IF_TABLE}.1.10.16383", "1.3.6.1.9"])
    assert [oid_text(oid) for oid, _, _ in found] == [
        f"{IF_TABLE}.1.10.120",
        f"{IF_TABLE}.1.10.16384",
        "1.3.6.1.9",
    ]
    assert found[2][1] == tags.END_OF_MIB_VIEW


async def test_get_bulk_repeats_all_but_the_non_repeaters(client, target):
    found = await client.get_bulk(target, ["1.3.6.1.2.1.1.3", f"{IF_TABLE}.1.10", f"{IF_TABLE}.1.20"], 1, 2)
    suffixes = [oid_text(oid).removeprefix("1.3.6.1.2.1.") for oid, _, _ in found]
    assert suffixes == ["1.3.0", "2.2.1.10.1", "2.2.1.20.1", "2.2.1.10.2", "2.2.1.20.2"]


async def test_a_walk_brings_every_row_once_and_in_order(client, target, table):
    rows = await client.walk(target, IF_TABLE)
    assert len(rows) == len(table) - 1
    assert [oid for oid, _, _ in rows] == sorted((row[0] for row in rows), key=lambda oid: _arcs(oid))


@pytest.mark.parametrize("repetitions", [1, 2, 7, 500])
async def test_pitfall_columns_walked_together_end_each_for_itself(
    client, responder, target, table, repetitions
):
    table.remove([f"{IF_TABLE}.1.16.{index}" for index in range(2, 20_000)])
    few = Target("127.0.0.1", responder.port, max_repetitions=repetitions)
    walked = await client.walk_table(few, [f"{IF_TABLE}.1.{column}" for column in (10, 16, 20, 99)])
    assert [len(rows) for rows in walked] == [40, 1, 40, 0]


async def test_a_walk_of_an_object_brings_the_object(client, target):
    assert [row[2] for row in await client.walk(target, UPTIME)] == [4711]


async def test_a_walk_past_the_end_brings_nothing(client, target):
    assert await client.walk(target, "1.3.6.1.9") == []


async def test_a_walk_has_a_row_cap(client, target):
    with pytest.raises(TooManyRows):
        await client.walk(target, IF_TABLE, max_rows_count=50)


async def test_set_reaches_the_model_with_its_wire_type(client, responder, table):
    writer = Target("127.0.0.1", responder.port, "private")
    await client.set(
        writer, [("1.3.6.1.4.1.9.1", tags.GAUGE32, 2**32 - 1), ("1.3.6.1.4.1.9.2", tags.OCTET_STRING, "a")]
    )
    assert table.value("1.3.6.1.4.1.9.1") == (tags.GAUGE32, 2**32 - 1)
    assert table.value("1.3.6.1.4.1.9.2") == (tags.OCTET_STRING, b"a")


async def test_a_set_with_the_read_community_is_refused_by_name(client, target):
    with pytest.raises(ErrorStatus, match="noAccess") as caught:
        await client.set(target, [(UPTIME, tags.TIMETICKS, 0)])
    assert (caught.value.status, caught.value.index, caught.value.oid) == (6, 1, UPTIME)


async def test_a_wrong_community_is_silence_and_counted(client, responder):
    stranger = Target("127.0.0.1", responder.port, "guess", timeout_seconds=0.05, retries=1)
    with pytest.raises(SnmpTimeout, match="2 tries"):
        await client.get(stranger, [UPTIME])
    assert responder.wrong_community_count == 2


async def test_many_requests_share_one_socket(client, target):
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(client.get(target, [f"{IF_TABLE}.1.10.{n % 20 + 1}"])) for n in range(200)]
    assert [task.result()[0][2] for task in asked] == [10 * (n % 20 + 1) for n in range(200)]


async def test_a_lost_request_is_sent_again_under_the_same_id(client, scripted):
    device = await scripted(lambda data: [_reply(data)] if len(device.heard) == 3 else [])
    await client.get(_target(device, timeout_seconds=0.05), [UPTIME])
    assert len(device.heard) == 3
    assert len(set(device.heard)) == 1


async def test_a_late_reply_is_counted(client, scripted):
    device = await scripted(lambda data: [])
    with pytest.raises(SnmpTimeout):
        await client.get(_target(device, timeout_seconds=0.02, retries=0), [UPTIME])
    device.script = lambda data: [_reply(device.heard[0]), _reply(data)]
    await client.get(_target(device), [UPTIME])
    assert client.counts.late_replies == 1


async def test_pitfall_the_source_address_of_a_reply_must_be_the_devices(client, scripted):
    impostor = await scripted(lambda data: [])
    device = await scripted(lambda data: [])

    def forge(data):
        impostor.transport.sendto(_reply(data, value=666), client_address(device))
        return [_reply(data, value=5)]

    def client_address(_):
        return next(iter(client._exchanges._channels.values())).transport.get_extra_info("sockname")

    device.script = forge
    assert (await client.get(_target(device), [UPTIME]))[0][2] == 5


async def test_noise_does_not_end_a_request_but_names_the_cause_of_its_silence(client, scripted):
    device = await scripted(lambda data: [b"\x30\x03nop"])
    with pytest.raises(MalformedMessage):
        await client.get(_target(device, timeout_seconds=0.02, retries=0), [UPTIME])
    device.script = lambda data: [b"garbage", _reply(data)]
    assert (await client.get(_target(device), [UPTIME]))[0][2] == 5
    assert client.counts.malformed_replies == 2


async def test_varbinds_that_do_not_decode_are_malformed_at_once(client, scripted):
    device = await scripted(lambda data: [_reply(data, octets=b"\x30\x04\x06\x01\x2b\x41")])
    with pytest.raises(MalformedMessage):
        await client.get(_target(device, timeout_seconds=20), [UPTIME])


async def test_pitfall_a_walk_in_circles_ends_with_a_typed_error(client, scripted):
    rows = encode_varbinds(
        [(encode_oid("1.3.6.1.5"), tags.INTEGER, 1), (encode_oid("1.3.6.1.4"), tags.INTEGER, 1)]
    )
    device = await scripted(lambda data: [_reply(data, octets=rows)])
    with pytest.raises(NonIncreasingOid, match=r"1\.3\.6\.1\.4 after 1\.3\.6\.1\.5"):
        await client.walk(_target(device), "1.3.6")


async def test_a_device_that_answers_nothing_to_a_walk_ends_it(client, scripted):
    device = await scripted(lambda data: [_reply(data, octets=b"")])
    assert await client.walk_table(_target(device), ["1.3.6", "1.3.7"]) == [[], []]


async def test_pitfall_too_big_and_silence_halve_the_repetitions_down_to_get_next(client, scripted, table):
    asked: list[int] = []
    small = Responder(table)

    def script(data):
        shell, _ = decode(data)
        asked.append(shell.error_index if shell.pdu == tags.GET_BULK else 1)
        if asked[-1] > 12:
            return []
        if asked[-1] > 1:
            return [_reply(data, octets=b"", status=1)]
        answer = small.answer(data)
        return [answer] if answer else []

    device = await scripted(script)
    rows = await client.walk(_target(device, timeout_seconds=0.05), f"{IF_TABLE}.1.10")
    assert len(rows) == 40
    assert asked[:6] == [25, 12, 6, 3, 1, 1]
    assert set(asked[5:]) == {1}


async def test_pitfall_replies_over_four_kibibytes_arrive_whole(client):
    rows = {f"1.3.6.1.4.1.9.{n}": (tags.OCTET_STRING, b"x" * 1_200) for n in range(50)}
    async with Responder(Table(rows), max_reply_bytes=65_507) as device:
        walked = await client.walk(Target("127.0.0.1", device.port, max_repetitions=50), "1.3.6.1.4.1.9")
    assert len(walked) == 50


async def test_a_deadline_ends_a_call_before_its_tries_are_used(client, scripted):
    device = await scripted(lambda data: [])
    with pytest.raises(SnmpTimeout, match=r"in 0\.05 s"):
        await client.get(_target(device, timeout_seconds=60), [UPTIME], deadline_seconds=0.05)


@pytest.mark.parametrize("name", ["host.invalid", "pdu..invalid", f"{'p' * 64}.invalid"])
async def test_a_name_that_does_not_resolve_is_a_typed_error(client, name):
    with pytest.raises(AddressUnusable):
        await client.get(Target(name, retries=0, timeout_seconds=5), [UPTIME])


class Names:
    """A resolver of one name; it fails while the name means nothing."""

    def __init__(self, name, monkeypatch):
        self.means = ""
        self._name = name
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host, *arguments, flags=0, **options):
        if host != self._name:
            return self._real(host, *arguments, flags=flags, **options)
        if flags & socket.AI_NUMERICHOST or not self.means:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return self._real(self.means, *arguments, flags=flags, **options)


@pytest.mark.parametrize("deadline_seconds", [None, 0.1])
async def test_a_device_whose_name_means_another_address_is_found_there(
    client, table, monkeypatch, deadline_seconds
):
    names = Names("pdu.example", monkeypatch)
    names.means = "127.0.0.2"
    async with Responder(table, "127.0.0.2") as device:
        target = Target("pdu.example", device.port, timeout_seconds=0.2, retries=0)
        await client.get(structs.replace(target, timeout_seconds=5.0), [UPTIME])
    names.means = "127.0.0.3"
    async with Responder(table, "127.0.0.3", target.port):
        with pytest.raises(SnmpTimeout):
            await client.get(target, [UPTIME], deadline_seconds=deadline_seconds)
        found = await client.get(structs.replace(target, timeout_seconds=5.0), [UPTIME])
    assert found[0][2] == 4711


async def test_a_device_is_asked_where_it_was_while_its_name_does_not_resolve(client, table, monkeypatch):
    names = Names("pdu.example", monkeypatch)
    names.means = "127.0.0.2"
    async with Responder(table, "127.0.0.2") as device:
        target = Target("pdu.example", device.port, timeout_seconds=5.0)
        await client.get(target, [UPTIME])
    with pytest.raises(SnmpTimeout):
        await client.get(structs.replace(target, timeout_seconds=0.2, retries=0), [UPTIME])
    names.means = ""
    async with Responder(table, "127.0.0.2", target.port):
        assert (await client.get(target, [UPTIME]))[0][2] == 4711


async def test_names_resolve_while_all_threads_of_the_loop_are_busy(client, table):
    """And the other way round: a resolver that hangs takes no thread from those who write to disk."""
    released = threading.Event()
    host = socket.getaddrinfo("localhost", 0, type=socket.SOCK_DGRAM)[0][4][0]
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    busy = loop.run_in_executor(None, released.wait)
    try:
        async with Responder(table, host) as device:
            found = await client.get(Target("localhost", device.port, timeout_seconds=5.0), [UPTIME])
    finally:
        released.set()
        await busy
    assert found[0][2] == 4711


async def test_a_device_without_a_socket_is_asked_again_when_there_are_files_to_open(client, target):
    """As many files are open as may be; what a socket was refused for is not remembered as its socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(SocketUnavailable, match="Too many open files"):
            await client.get(target, [UPTIME])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (await client.get(target, [UPTIME]))[0][2] == 4711


async def test_a_question_that_cannot_be_put_leaves_others_their_time_limits(
    client, scripted, table, monkeypatch
):
    """Without the package for encryption a device of version 3 fails; a silent one still times out."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    privacy._primitives.cache_clear()
    user = User("hidden", "SHA-1", "a phrase to sign", "AES-128", "a phrase to hide")
    silent = await scripted(lambda data: [])
    async with Responder(table, users=[user]) as device:
        with pytest.raises(PrivacyUnavailable):
            await client.get(Target("127.0.0.1", device.port, version=V3, user=user), [UPTIME])
    with pytest.raises(SnmpTimeout):
        async with asyncio.timeout(20):
            await client.get(_target(silent, timeout_seconds=0.1, retries=1), [UPTIME])


async def test_devices_answer_over_ipv6(client, table):
    try:
        async with Responder(table, "::1") as device:
            assert (await client.get(Target("::1", device.port), [UPTIME]))[0][2] == 4711
    except OSError:
        pytest.skip("this host has no IPv6 loopback")


async def test_nothing_waits_after_a_cancelled_call(scripted):
    device = await scripted(lambda data: [])
    async with SnmpClient() as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await client.get(_target(device, timeout_seconds=60), [UPTIME])
        assert [channel._waiting for channel in client._exchanges._channels.values()] == [{}]


def test_a_target_hides_its_community():
    assert "secret" not in repr(Target("pdu", 161, "secret"))


def _target(device, **settings):
    return Target("127.0.0.1", device.port, **settings)


def _reply(data, *, value=5, octets=None, status=0):
    shell, _ = decode(data)
    rows = encode_varbinds([(encode_oid(UPTIME), tags.INTEGER, value)]) if octets is None else octets
    return encode(shell.community, tags.RESPONSE, shell.request_id, status, 0, rows)


def _arcs(oid):
    return tuple(map(int, oid_text(oid).split(".")))
