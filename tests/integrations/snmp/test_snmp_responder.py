"""The responder and its table, also as net-snmp's tools see them."""

import pytest

from coldaisle.integrations.snmp import ErrorStatus, Responder, Table, Target, oid_text, tags
from coldaisle.integrations.snmp.ber import encode_varbind, read_varbinds
from coldaisle.integrations.snmp.message import V2C, encode_community, prepare_read

COLUMN = "1.3.6.1.4.1.9.1"


def test_a_table_updates_values_in_place_and_sorts_new_rows():
    table = Table({f"{COLUMN}.2": (tags.INTEGER, 2), f"{COLUMN}.16384": (tags.INTEGER, 3)})
    table.update({f"{COLUMN}.16383": (tags.INTEGER, 9), f"{COLUMN}.2": (tags.INTEGER, 4)})
    rows = [_oid_and_value(row) for row in table.rows]
    assert rows == [(f"{COLUMN}.2", 4), (f"{COLUMN}.16383", 9), (f"{COLUMN}.16384", 3)]
    table.remove([f"{COLUMN}.2", "1.3.9"])
    assert len(table) == 2


def test_an_update_without_change_encodes_nothing():
    table = Table({f"{COLUMN}.2": (tags.INTEGER, 2)})
    row = table.rows[0]
    table.update({f"{COLUMN}.2": (tags.INTEGER, 2)})
    assert table.rows[0] is row


async def test_a_get_over_the_size_cap_is_too_big_and_a_bulk_is_cut(client):
    table = Table({f"{COLUMN}.{n}": (tags.OCTET_STRING, b"x" * 100) for n in range(20)})
    async with Responder(table, max_reply_bytes=700) as device:
        target = Target("127.0.0.1", device.port)
        with pytest.raises(ErrorStatus, match="tooBig"):
            await client.get(target, [f"{COLUMN}.{n}" for n in range(10)])
        assert 0 < len(await client.get_bulk(target, [COLUMN])) < 10
        assert len(await client.walk(target, COLUMN)) == 20


async def test_a_model_refuses_with_its_own_status(client):
    async with Responder(Table(), on_set=lambda oid, tag, value: 10) as device:
        with pytest.raises(ErrorStatus, match="wrongValue"):
            await client.set(Target("127.0.0.1", device.port, "private"), [(COLUMN, tags.INTEGER, 5)])


async def test_without_a_model_nothing_is_writable(client):
    async with Responder(Table()) as device:
        with pytest.raises(ErrorStatus, match="notWritable"):
            await client.set(Target("127.0.0.1", device.port, "private"), [(COLUMN, tags.INTEGER, 5)])


async def test_malformed_requests_are_counted_and_unanswered(responder, scripted):
    sender = await scripted(lambda data: [])
    request = _asked(prepare_read(tags.GET, [b"\x2b"]))
    async with Responder(Table()) as device:
        sender.transport.sendto(b"garbage", device.address)
        sender.transport.sendto(request[:-1], device.address)
        device.datagram_received(b"\x30", sender.transport.get_extra_info("sockname"))
        assert device.malformed_count == 1


def test_a_hostile_bulk_is_answered_within_the_cap():
    table = Table({f"{COLUMN}.{n}": (tags.INTEGER, n) for n in range(2_000)})
    request = _asked(prepare_read(tags.GET_BULK, [b"\x2b"] * 3_000, -5, 2**31 - 1))
    device = Responder(table)
    reply = device.answer(request)
    assert reply is not None
    assert len(reply) <= 1_472


@pytest.mark.peers
async def test_snmpbulkwalk_sees_every_row_of_ours(tool, responder, table):
    output = await tool(
        "snmpbulkwalk", "-v2c", "-cpublic", "-On", f"127.0.0.1:{responder.port}", "1.3.6.1.2.1.2"
    )
    lines = [line for line in output.splitlines() if "Counter32" in line]
    assert len(lines) == len(table) - 1
    assert lines[-1] == ".1.3.6.1.2.1.2.2.1.20.16385 = Counter32: 327700"


@pytest.mark.peers
async def test_snmpwalk_ends_at_the_end_of_the_table(tool, responder):
    output = await tool(
        "snmpwalk", "-v2c", "-cpublic", "-On", f"127.0.0.1:{responder.port}", "1.3.6.1.2.1.2.2.1.20"
    )
    assert "not increasing" not in output
    assert len([line for line in output.splitlines() if "Counter32" in line]) == 40


@pytest.mark.peers
async def test_snmpset_sets_and_snmpget_reads_it_back(tool, responder):
    address = f"127.0.0.1:{responder.port}"
    assert "INTEGER: 14" in await tool(
        "snmpset", "-v2c", "-cprivate", "-On", address, f"{COLUMN}.1", "i", "14"
    )
    assert "INTEGER: 14" in await tool("snmpget", "-v2c", "-cpublic", "-On", address, f"{COLUMN}.1")
    assert "noAccess" in await tool("snmpset", "-v2c", "-cpublic", "-On", address, f"{COLUMN}.1", "i", "15")


def _oid_and_value(row):
    assert row == encode_varbind(*_decoded(row))
    oid, _, value = _decoded(row)
    return oid_text(oid), value


def _decoded(row):
    return read_varbinds(row, 0, len(row))[0]


def _asked(request):
    return encode_community(V2C, b"public", request.with_id(2**30))
