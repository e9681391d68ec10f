"""Traps and informs: ours, and those of net-snmp's tools."""

import asyncio
import socket
import time

import pytest

from coldaisle.core.events.types import GapRecorded, InputRejected, TrapReceived
from coldaisle.integrations.snmp import Responder, Table, TrapListener, encode_inform, encode_trap_v2, tags
from coldaisle.integrations.snmp.message import decode
from coldaisle.integrations.snmp.notify import MAX_REJECTED_BYTES, asset_of
from coldaisle.integrations.snmp.sockets import drops_in

LINK_DOWN = "1.3.6.1.6.3.1.1.5.3"
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


async def test_an_inform_is_acknowledged_after_it_was_emitted_and_not_before(scripted, seen):
    answered, may_go_on = asyncio.Event(), asyncio.Event()
    sender = await scripted(lambda data: answered.set() or [])
    emitting = asyncio.Event()

    async def slow_emit(observation):
        emitting.set()
        await may_go_on.wait()
        await seen(observation)

    async with TrapListener("127.0.0.1", 0) as listening, asyncio.TaskGroup() as group:
        running = group.create_task(listening.run(slow_emit))
        sender.transport.sendto(
            encode_inform("public", 1, LINK_DOWN, [ROW], 77), ("127.0.0.1", listening.port)
        )
        await emitting.wait()
        assert not answered.is_set()
        may_go_on.set()
        await answered.wait()
        running.cancel()
    shell, rows = decode(sender.heard[0])
    assert (shell.pdu, shell.request_id, len(rows)) == (tags.RESPONSE, 77, 3)


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


async def test_what_the_kernel_drops_is_counted(scripted):
    """Nothing reads the socket while the burst arrives, so the kernel must drop most of it."""
    async with TrapListener("127.0.0.1", 0) as listening:
        listening._socket().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sender = await scripted(lambda data: [])
        for _ in range(200):
            sender.transport.sendto(b"x" * 1_000, ("127.0.0.1", listening.port))
        assert listening.dropped_in_kernel_count > 100


async def test_a_burst_of_five_thousand_traps_loses_none(listener, seen, scripted):
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


@pytest.mark.peers
async def test_snmptrap_and_snmpinform_are_understood(tool, listener, seen):
    address = f"127.0.0.1:{listener.port}"
    arguments = ["-v2c", "-cpublic", address, "4711", LINK_DOWN, "1.3.6.1.2.1.2.2.1.2.7", "s", "eth0"]
    assert await tool("snmptrap", *arguments) == ""
    assert await tool("snmpinform", "-r0", "-t10", *arguments) == ""
    for trap in await seen.wait_for(TrapReceived, 2):
        assert trap.trap_oid == LINK_DOWN
        assert trap.varbinds[1] == ("1.3.6.1.2.1.2.2.1.2.7", "eth0")
