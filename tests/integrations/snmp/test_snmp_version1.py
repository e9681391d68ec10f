"""Version 1, both ways: what it lacks is translated, and it is never asked with GETBULK."""

import pytest
from msgspec import structs

from coldaisle.integrations.snmp import ErrorStatus, InvalidValue, Responder, Table, Target, oid_text, tags
from coldaisle.integrations.snmp.message import V1, decode

UPTIME = "1.3.6.1.2.1.1.3.0"
COLUMN = "1.3.6.1.2.1.2.2.1.10"
BIG = "1.3.6.1.2.1.31.1.1.1.6"


@pytest.fixture
def old(target):
    return structs.replace(target, version=V1)


async def test_pitfall_no_such_name_drops_the_named_object_and_asks_for_the_rest(client, old, responder):
    rows = await client.get(old, ["1.3.6.1.9", UPTIME, "1.3.6.1.8", f"{COLUMN}.3"])
    assert [(tag, value) for _, tag, value in rows] == [
        (tags.NO_SUCH_INSTANCE, None), (tags.TIMETICKS, 4711), (tags.NO_SUCH_INSTANCE, None),
        (tags.COUNTER32, 30),
    ]  # fmt: skip
    assert responder.requests_count == 3


async def test_a_device_that_has_nothing_of_it_answers_in_exceptions(client, old):
    assert [row[1] for row in await client.get(old, ["1.3.6.1.9"])] == [tags.NO_SUCH_INSTANCE]
    assert [row[1] for row in await client.get_next(old, ["1.3.6.1.9"])] == [tags.END_OF_MIB_VIEW]


async def test_a_walk_in_version_1_equals_that_in_version_2c(client, old, target):
    for root in ("1.3.6.1.2.1.2.2", COLUMN, "1.3.6.1"):
        assert await client.walk(old, root) == await client.walk(target, root)
    columns = [f"1.3.6.1.2.1.2.2.1.{column}" for column in (10, 16, 99)]
    assert await client.walk_table(old, columns) == await client.walk_table(target, columns)


async def test_pitfall_version_1_never_sends_get_bulk(client, scripted, table):
    inner, pdus = Responder(table), []

    def script(data):
        pdus.append(decode(data)[0].pdu)
        return [inner.answer(data)]

    device = await scripted(script)
    old = Target("127.0.0.1", device.port, version=V1)
    await client.walk(old, COLUMN)
    await client.get_bulk(old, [COLUMN])
    assert set(pdus) == {tags.GET_NEXT}


async def test_pitfall_version_1_has_no_counter64(client, table):
    table.update({f"{BIG}.1": (tags.COUNTER64, 5), f"{BIG}.2": (tags.COUNTER64, 6)})
    table.update({"1.3.6.1.2.1.31.1.1.1.15.1": (tags.GAUGE32, 7)})
    async with Responder(table, on_set=lambda *_: 0) as device:
        old = Target("127.0.0.1", device.port, "private", version=V1)
        assert (await client.get(old, [f"{BIG}.1"]))[0][1] == tags.NO_SUCH_INSTANCE
        assert oid_text((await client.get_next(old, [BIG]))[0][0]) == "1.3.6.1.2.1.31.1.1.1.15.1"
        with pytest.raises(InvalidValue, match="Counter64"):
            await client.set(old, [(f"{BIG}.1", tags.COUNTER64, 1)])


@pytest.mark.parametrize(
    ("status", "name"), [(17, "noSuchName"), (10, "badValue"), (14, "genErr"), (5, "genErr")]
)
async def test_newer_errors_are_told_in_the_words_of_version_1(client, status, name):
    async with Responder(Table(), on_set=lambda *_: status) as device:
        old = Target("127.0.0.1", device.port, "private", version=V1)
        with pytest.raises(ErrorStatus, match=name):
            await client.set(old, [(UPTIME, tags.TIMETICKS, 0)])


async def test_too_big_returns_the_request_in_version_1(client):
    rows = {f"{COLUMN}.{n}": (tags.OCTET_STRING, b"x" * 100) for n in range(20)}
    async with Responder(Table(rows), max_reply_bytes=700) as device:
        with pytest.raises(ErrorStatus, match="tooBig"):
            await client.get(Target("127.0.0.1", device.port, version=V1), list(rows)[:10])


@pytest.mark.peers
async def test_tools_of_net_snmp_get_walk_and_set_ours_in_version_1(tool, responder, table):
    address = f"127.0.0.1:{responder.port}"
    output = await tool("snmpwalk", "-v1", "-cpublic", "-On", address, "1.3.6.1.2.1.2")
    assert len([line for line in output.splitlines() if "Counter32" in line]) == len(table) - 1
    assert "noSuchName" in await tool("snmpget", "-v1", "-cpublic", "-On", address, "1.3.6.1.9.9")
    assert "INTEGER: 3" in await tool("snmpset", "-v1", "-cprivate", "-On", address, "1.3.6.1.9.9", "i", "3")


@pytest.mark.peers
async def test_debians_agent_in_version_1_equals_itself_in_version_2c(client, snmpd):
    old = structs.replace(snmpd, version=V1)
    assert await client.walk(old, "1.3.6.1.2.1.1.9") == await client.walk(snmpd, "1.3.6.1.2.1.1.9")
    rows = await client.get(old, ["1.3.6.1.2.1.1.4.0", "1.3.6.1.9.9"])
    assert [row[1] for row in rows] == [tags.OCTET_STRING, tags.NO_SUCH_INSTANCE]
