"""Traps and informs: ours, and those of net-snmp's tools."""

import asyncio
import socket
import time
import tracemalloc

import pytest

from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import GapRecorded, InputRejected, SamplesRecorded, TrapReceived
from coldaisle.integrations.snmp import (
    InvalidValue,
    LocalEngine,
    MalformedMessage,
    NotAuthentic,
    Responder,
    Table,
    Target,
    TrapListener,
    TrapUser,
    User,
    encode_inform,
    encode_trap_v1,
    encode_trap_v2,
    encode_trap_v3,
    oid_text,
    prepare_inform,
    tags,
)
from coldaisle.integrations.snmp.incoming import Incoming
from coldaisle.integrations.snmp.message import V3, decode
from coldaisle.integrations.snmp.notify import MAX_REJECTED_BYTES, asset_of
from coldaisle.integrations.snmp.recent import Recent
from coldaisle.integrations.snmp.sockets import drops_in
from coldaisle.integrations.snmp.traps import decode_trap_v1

from .conftest import v3_arguments

LINK_DOWN = "1.3.6.1.6.3.1.1.5.3"
NOW = 1_700_000_000 * 10**9
ROWS = ((1, 4711, 42), (2, 4712, 7))
ROW = ("1.3.6.1.2.1.2.2.1.1.7", tags.INTEGER, 7)


@pytest.fixture
async def listener(seen):
    async with TrapListener("127.0.0.1", 0) as listening, asyncio.TaskGroup() as group:
        running = group.create_task(listening.run(seen))
        yield listening
        running.cancel()


async def test_a_trap_from_a_devices_own_port_becomes_an_event(listener, seen):
    async with Responder(Table()) as device:
        listener._assets[f"127.0.0.1:{device.port}"] = "pdu-a01"
        device.send(encode_trap_v2("public", 4711, LINK_DOWN, [ROW]), ("127.0.0.1", listener.port))
        [trap] = await seen.wait_for(TrapReceived)
    assert trap == TrapReceived(
        "pdu-a01", LINK_DOWN, (("1.3.6.1.2.1.1.3.0", "4711"), ("1.3.6.1.2.1.2.2.1.1.7", "7")), "127.0.0.1"
    )


@pytest.mark.parametrize(
    ("address", "asset"),
    [(("10.0.0.1", 161), "exact"), (("10.0.0.1", 9), "host"), (("10.0.0.2", 9), "host-10-0-0-2"),
     (("fe80::1", 9), "host-fe80--1"), (("::1", 5), "six")],
)  # fmt: skip
def test_the_asset_is_that_of_address_and_port_then_of_the_address(address, asset):
    assert asset_of(address, {"10.0.0.1:161": "exact", "10.0.0.1": "host", "[::1]:5": "six"}) == asset


async def test_what_is_no_notification_is_rejected_with_its_first_octets(listener, seen, scripted):
    sender = await scripted(lambda data: [])
    no_trap_oid = encode_trap_v2("public", 1, LINK_DOWN).replace(
        b"\x2b\x06\x01\x06\x03\x01\x01\x04", b"\x2b\x06\x01\x06\x03\x01\x01\x05"
    )
    for datagram in (b"\xff" * 1_000, no_trap_oid):
        sender.transport.sendto(datagram, ("127.0.0.1", listener.port))
    first, second = await seen.wait_for(InputRejected, 2)
    assert first.source == "snmp-trap:127.0.0.1"
    assert first.raw == "ff" * MAX_REJECTED_BYTES
    assert "no trap OID" in second.reason


async def test_a_full_queue_drops_counts_and_tells():
    async with TrapListener("127.0.0.1", 0, max_queued_datagrams=2) as listening:
        for _ in range(5):
            listening.datagram_received(b"", ("127.0.0.1", 9))
        lost = listening.loss(time.time_ns())
        assert listening.dropped_in_queue_count == 3
        assert lost is not None
        assert isinstance(lost.body, GapRecorded)
        assert lost.body.lost_count == 3
        assert listening.loss(time.time_ns()) is None


async def test_a_queue_is_also_full_by_its_bytes():
    async with TrapListener("127.0.0.1", 0, max_queued_bytes=100_000) as listening:
        for _ in range(3):
            listening.datagram_received(b"x" * 40_000, ("127.0.0.1", 9))
        assert listening.dropped_in_queue_count == 1


async def test_large_notifications_are_told_apart_without_keeping_them():
    emitted: asyncio.Queue[Observation] = asyncio.Queue()
    async with TrapListener("127.0.0.1", 0) as listening, asyncio.TaskGroup() as group:
        running = group.create_task(listening.run(emitted.put))
        tracemalloc.start()
        for number in range(200):
            trap = encode_trap_v2("public", number, LINK_DOWN, [(ROW[0], tags.OCTET_STRING, b"x" * 60_000)])
            listening.datagram_received(trap, ("127.0.0.1", 9))
            await emitted.get()
        kept_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        running.cancel()
    assert kept_bytes < 2_000_000


async def test_a_loss_does_not_end_before_it_began_when_the_clock_steps_back():
    async with TrapListener("127.0.0.1", 0, max_queued_datagrams=1) as listening:
        for _ in range(2):
            listening.datagram_received(b"", ("127.0.0.1", 9))
        assert listening.loss(NOW).body.since == NOW


async def test_what_is_queued_at_the_end_is_still_emitted():
    emitted, asked = [], asyncio.Event()

    async def emit(observation):
        if not asked.is_set():
            asked.set()
            await asyncio.Event().wait()
        emitted.append(observation.body)

    async with TrapListener("127.0.0.1", 0) as listening:
        running = asyncio.create_task(listening.run(emit))
        for number in range(3):
            listening.datagram_received(encode_trap_v2("public", number, LINK_DOWN), ("127.0.0.1", 9))
        await asked.wait()
        running.cancel()
        await asyncio.wait([running])
    assert [type(body) for body in emitted] == [TrapReceived] * 3


async def test_losses_reach_the_history(seen):
    async with asyncio.TaskGroup() as group:
        listening = TrapListener("127.0.0.1", 0, max_queued_datagrams=1, drops_check_seconds=0.01)
        async with listening:
            for _ in range(3):
                listening.datagram_received(encode_trap_v2("public", 1, LINK_DOWN), ("127.0.0.1", 9))
            running = group.create_task(listening.run(seen))
            [gap] = await seen.wait_for(GapRecorded)
            running.cancel()
    assert gap.lost_count == 2


async def test_pitfall_what_the_kernel_drops_is_counted(scripted):
    """Nothing reads the socket while the burst arrives, so the kernel must drop most of it."""
    async with TrapListener("127.0.0.1", 0) as listening:
        listening._socket().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sender = await scripted(lambda data: [])
        for _ in range(200):
            sender.transport.sendto(b"x" * 1_000, ("127.0.0.1", listening.port))
        assert listening.dropped_in_kernel_count > 100


async def test_pitfall_a_burst_of_five_thousand_traps_loses_none(listener, seen, scripted):
    sender = await scripted(lambda data: [])
    for number in range(5_000):
        sender.transport.sendto(encode_trap_v2("public", number, LINK_DOWN), ("127.0.0.1", listener.port))
        if number % 100 == 0:
            await asyncio.sleep(0)
    assert len(await seen.wait_for(TrapReceived, 5_000)) == 5_000
    assert listener.loss(time.time_ns()) is None


def test_drops_are_read_from_the_row_of_the_socket():
    head = "sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ref pointer drops"
    rows = [f"{n}: 0100007F:00A1 0:0 07 0:0 0:0 0 0 0 {inode} 2 0 {drops}" for n, inode, drops in ROWS]
    table = "\n".join([head, *rows])
    assert drops_in(table, "4711") == 42
    assert drops_in(table, "1") == 0


async def test_pitfall_an_inform_is_acknowledged_when_it_is_on_disk_and_not_before(scripted):
    """Nothing is confirmed by the emit alone: a queue is no disk."""
    sender = await scripted(lambda data: [])
    emitted: asyncio.Queue[Observation] = asyncio.Queue()
    async with TrapListener("127.0.0.1", 0) as listening, asyncio.TaskGroup() as group:
        running = group.create_task(listening.run(emitted.put))
        address = ("127.0.0.1", listening.port)
        for _ in range(2):
            sender.transport.sendto(encode_inform("public", 1, LINK_DOWN, [ROW], 77), address)
        first = await emitted.get()
        sender.transport.sendto(encode_trap_v2("public", 2, LINK_DOWN), address)
        await emitted.get()
        assert (sender.heard, listening.repeated_count) == ([], 1)
        answered = asyncio.Event()
        sender.script = lambda data: answered.set() or []
        first.on_commit()
        await answered.wait()
        answered.clear()
        sender.transport.sendto(encode_inform("public", 1, LINK_DOWN, [ROW], 78), address)
        await answered.wait()
        running.cancel()
    assert [decode(data)[0].request_id for data in sender.heard] == [77, 78]
    assert emitted.empty()


async def test_a_repetition_after_the_window_is_news(seen, scripted):
    sender = await scripted(lambda data: [])
    listening = TrapListener("127.0.0.1", 0, repetition_seconds=0.0)
    async with listening, asyncio.TaskGroup() as group:
        running = group.create_task(listening.run(seen))
        for _ in range(2):
            sender.transport.sendto(encode_trap_v2("public", 1, LINK_DOWN), ("127.0.0.1", listening.port))
        await seen.wait_for(TrapReceived, 2)
        running.cancel()
    assert listening.repeated_count == 0


async def test_a_clock_that_steps_back_does_not_make_news_a_repetition(seen, monkeypatch):
    """A device that does not count its uptime says the same each time."""
    listening = TrapListener("127.0.0.1", 0, repetition_seconds=0.0)
    async with listening, asyncio.TaskGroup() as group:
        running = group.create_task(listening.run(seen))
        for now in (NOW, NOW - 86_400 * 10**9):
            monkeypatch.setattr("time.time_ns", lambda now=now: now)
            listening.datagram_received(encode_trap_v2("public", 0, LINK_DOWN), ("127.0.0.1", 9))
        async with asyncio.timeout(20):
            await seen.wait_for(TrapReceived, 2)
        running.cancel()


def test_what_came_lately_is_bounded_in_number_and_time():
    recent = Recent(5.0, 2)
    assert [recent.note(key, 0.0) for key in (b"a", b"b", b"a")] == ["new", "new", "new"]
    recent.commit(b"a")
    assert [recent.note(b"a", moment) for moment in (4.0, 6.0)] == ["committed", "new"]


@pytest.mark.parametrize(
    ("trap_oid", "expected"),
    [(LINK_DOWN, LINK_DOWN), ("1.3.6.1.4.1.318.0.5", "1.3.6.1.4.1.318.0.5"),
     ("1.3.6.1.4.1.318.7.5", "1.3.6.1.4.1.318.7.0.5")],
)  # fmt: skip
async def test_pitfall_a_trap_of_version_1_is_mapped_and_keeps_its_agent_address(
    listener, seen, scripted, trap_oid, expected
):
    sender = await scripted(lambda data: [])
    listener._assets["10.1.2.3"] = "pdu-behind-a-relay"
    datagram = encode_trap_v1("public", 4711, trap_oid, [ROW], "10.1.2.3")
    sender.transport.sendto(datagram, ("127.0.0.1", listener.port))
    [trap] = await seen.wait_for(TrapReceived)
    assert (trap.asset, trap.trap_oid, trap.source_address) == ("pdu-behind-a-relay", expected, "127.0.0.1")
    rows = dict(trap.varbinds)
    assert rows["1.3.6.1.2.1.1.3.0"] == "4711"
    assert rows["1.3.6.1.2.1.2.2.1.1.7"] == "7"
    assert rows["1.3.6.1.6.3.18.1.3.0"] == "10.1.2.3"


@pytest.mark.parametrize("field", [b"\x02\x01\x07\x02\x01\x05", b"\x02\x01\x06\x02\x01\xff"])
def test_generic_and_specific_numbers_that_cannot_be_are_malformed(field):
    datagram = encode_trap_v1("public", 1, "1.3.6.1.4.1.318.0.5").replace(b"\x02\x01\x06\x02\x01\x05", field)
    with pytest.raises(MalformedMessage, match="generic or specific"):
        decode_trap_v1(datagram)


def test_a_trap_of_version_1_carries_no_counter64():
    with pytest.raises(InvalidValue, match="Counter64"):
        encode_trap_v1("public", 1, LINK_DOWN, [(ROW[0], tags.COUNTER64, 5)])


# --- version 3 ---------------------------------------------------------------------------------------------

USER = User("sender", "SHA-256", "authentic1", "AES-128", "private-1")
SENDER = LocalEngine(b"\x80\x00\x00\x00\x05sender")


def receive(senders, datagram, host="10.0.0.1"):
    return Incoming(LocalEngine(), senders).read(datagram, host)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (TrapUser(User("else", "SHA-256", "authentic1", "AES-128", "private-1")), "unknown user"),
        (TrapUser(User("sender")), "security level"),
        (TrapUser(User("sender", "SHA-256", "otherphrase", "AES-128", "private-1")), "wrong code"),
        (TrapUser(User("sender", "SHA-256", "authentic1", "AES-128", "otherphrase")), "decrypt"),
        (TrapUser(USER, frozenset({"8000000005"})), "engine id"),
    ],
)
def test_a_trap_that_is_not_authentic_is_refused_with_its_cause(known, reason):
    with pytest.raises(NotAuthentic, match=reason):
        receive([known], encode_trap_v3(USER, SENDER, 1, LINK_DOWN))


def test_pitfall_the_engine_of_the_sender_counts_for_traps_learned_or_configured():
    for known in (TrapUser(USER), TrapUser(USER, frozenset({SENDER.id.hex()}))):
        notice = receive([known], encode_trap_v3(USER, SENDER, 1, LINK_DOWN, [ROW])).notice
        assert notice is not None
        assert oid_text(notice.trap_oid) == LINK_DOWN


def test_a_repeated_old_trap_is_refused_unless_its_sender_is_exempt():
    """A device whose clock went back looks like somebody who repeats old traps; only the operator knows."""
    young = LocalEngine(SENDER.id, 1, SENDER.booted_at - 10_000)
    old, new = encode_trap_v3(USER, SENDER, 1, LINK_DOWN), encode_trap_v3(USER, young, 2, LINK_DOWN)
    incoming = Incoming(LocalEngine(), [TrapUser(USER)])
    assert incoming.read(new, "10.0.0.1").notice
    with pytest.raises(NotAuthentic, match="check_time"):
        incoming.read(old, "10.0.0.1")
    assert incoming.read(old, "10.0.0.2").notice
    exempt = Incoming(LocalEngine(), [TrapUser(USER, checks_time=False)])
    assert exempt.read(new, "10.0.0.1").notice
    assert exempt.read(old, "10.0.0.1").notice


async def test_our_informs_of_version_3_are_acknowledged(client, seen):
    listening = TrapListener("127.0.0.1", 0, users=[TrapUser(USER)])
    async with listening, asyncio.TaskGroup() as group:
        running = group.create_task(listening.run(seen))
        target = Target("127.0.0.1", listening.port, version=V3, user=USER, timeout_seconds=5.0)
        reply = await client.ask(target, prepare_inform(4711, LINK_DOWN, [ROW]))
        running.cancel()
    assert len(reply.varbinds) == 3
    [trap] = seen.of(TrapReceived)
    assert trap.trap_oid == LINK_DOWN


async def test_the_counters_are_recorded_as_samples(seen):
    listening = TrapListener("127.0.0.1", 0, measured_as="host-a", drops_check_seconds=0.01)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(listening.run(seen))
        [samples, *_] = await seen.wait_for(SamplesRecorded)
        running.cancel()
    rows = dict(zip(samples.metrics, samples.values, strict=True))
    assert samples.asset == "host-a"
    assert rows["snmp_traps_dropped_in_kernel_total"] == 0
    assert rows["snmp_traps_receive_buffer_bytes"] > 0


PEER_USERS = [User("plain"), User("sender", "SHA-1", "authentic1"), USER,
              User("sender", "SHA-512", "authentic1", "AES-256", "private-1"),
              User("sender", "MD5", "authentic1", "DES", "private-1")]  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("user", PEER_USERS, ids=repr)
async def test_traps_and_informs_of_version_3_from_net_snmp_are_understood(tool, seen, user):
    listening = TrapListener("127.0.0.1", 0, users=[TrapUser(user)])
    async with listening, asyncio.TaskGroup() as group:
        running = group.create_task(listening.run(seen))
        rest = [f"127.0.0.1:{listening.port}", "4711", LINK_DOWN, ROW[0], "i", "7"]
        assert await tool("snmptrap", *v3_arguments(user), "-e", "8000000005aabbcc", *rest) == ""
        await seen.wait_for(TrapReceived, 1)
        rest[1] = "4712"
        assert await tool("snmpinform", "-r0", "-t10", *v3_arguments(user), *rest) == ""
        traps = await seen.wait_for(TrapReceived, 2)
        running.cancel()
    assert {trap.trap_oid for trap in traps} == {LINK_DOWN}
    assert {trap.varbinds[1] for trap in traps} == {(ROW[0], "7")}
    assert not seen.of(InputRejected)


@pytest.mark.peers
async def test_snmptrap_of_version_1_is_understood(tool, listener, seen):
    address = f"127.0.0.1:{listener.port}"
    arguments = [
        "-v1",
        "-cpublic",
        address,
        "1.3.6.1.4.1.318",
        "10.1.2.3",
        "6",
        "5",
        "4711",
        ROW[0],
        "i",
        "7",
    ]
    assert await tool("snmptrap", *arguments) == ""
    [trap] = await seen.wait_for(TrapReceived)
    assert trap.trap_oid == "1.3.6.1.4.1.318.0.5"
    assert ("1.3.6.1.6.3.18.1.3.0", "10.1.2.3") in trap.varbinds


@pytest.mark.peers
async def test_snmptrap_and_snmpinform_are_understood(tool, listener, seen):
    address = f"127.0.0.1:{listener.port}"
    rest = [LINK_DOWN, "1.3.6.1.2.1.2.2.1.2.7", "s", "eth0"]
    assert await tool("snmptrap", "-v2c", "-cpublic", address, "4711", *rest) == ""
    assert await tool("snmpinform", "-r0", "-t10", "-v2c", "-cpublic", address, "4712", *rest) == ""
    for trap in await seen.wait_for(TrapReceived, 2):
        assert trap.trap_oid == LINK_DOWN
        assert trap.varbinds[1] == ("1.3.6.1.2.1.2.2.1.2.7", "eth0")
