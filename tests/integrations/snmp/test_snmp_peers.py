"""Our walk of Debian's snmpd against that of snmpbulkwalk: the same rows, types and values."""

import re

import pytest

from coldaisle.integrations.snmp import oid_text, tags
from coldaisle.integrations.snmp.ber import value_text

pytestmark = pytest.mark.peers

TYPES = {
    "INTEGER": tags.INTEGER, "STRING": tags.OCTET_STRING, "Hex-STRING": tags.OCTET_STRING,
    "OID": tags.OBJECT_IDENTIFIER, "Timeticks": tags.TIMETICKS, "Counter32": tags.COUNTER32,
    "Gauge32": tags.GAUGE32, "Counter64": tags.COUNTER64, "IpAddress": tags.IP_ADDRESS,
}  # fmt: skip
STEADY = {tags.INTEGER, tags.OBJECT_IDENTIFIER, tags.IP_ADDRESS}


@pytest.mark.parametrize(
    "root", ["1.3.6.1.2.1.1", "1.3.6.1.2.1.2", "1.3.6.1.2.1.31", "1.3.6.1.2.1.4", "1.3.6.1.6.3"]
)
async def test_our_walk_equals_that_of_snmpbulkwalk(client, snmpd, tool, root):
    output = await tool(
        "snmpbulkwalk", "-v2c", "-cpublic", "-On", "-Oe", "-Ot", f"127.0.0.1:{snmpd.port}", root
    )
    theirs = _parsed(output)
    ours = await client.walk(snmpd, root)
    assert [(oid_text(oid), tag) for oid, tag, _ in ours] == [(oid, tag) for oid, tag, _ in theirs]
    assert len(ours) > 5
    for (_, tag, value), (_, _, text) in zip(ours, theirs, strict=True):
        if tag in STEADY:
            assert value_text(tag, value) == text.removeprefix(".")


async def test_columns_walked_together_equal_columns_walked_alone(client, snmpd):
    columns = [f"1.3.6.1.2.1.2.2.1.{column}" for column in (1, 2, 3, 7)]
    alone = [await client.walk(snmpd, column) for column in columns]
    assert await client.walk_table(snmpd, columns) == alone


def _parsed(output):
    """Lines of ``-On`` output as (OID, tag, text); bare numbers are Timeticks (option -Ot)."""
    rows = []
    for line in re.split(r"\n(?=\.1)", output.strip()):
        oid, _, rest = line.partition(" = ")
        kind, _, text = rest.partition(": ")
        if rest.startswith("No more variables"):
            continue
        tag = tags.TIMETICKS if rest.isdigit() else tags.OCTET_STRING if rest == '""' else TYPES[kind]
        rows.append((oid.removeprefix("."), tag, text))
    return rows
