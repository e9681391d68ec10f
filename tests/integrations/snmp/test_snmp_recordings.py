"""All 116 public recordings, played by our responder: our walk equals that of snmpbulkwalk.

Usually the first rows of each; with COLDAISLE_SOAK=1 all 22 million, in slices that fit in memory.
"""

import bz2
import os
from itertools import islice, zip_longest

import pytest

from coldaisle.core.errors import ConfigError
from coldaisle.integrations.snmp import Responder, Table, Target, tags
from coldaisle.integrations.snmp.ber import value_number, value_text
from coldaisle.integrations.snmp.oid import oid_text
from coldaisle.integrations.snmp.recording import Skipped, parse_recorded, parse_walked, read_rows

SOAK = os.environ.get("COLDAISLE_SOAK") == "1"
SLICE_ROWS = 200_000 if SOAK else 10_000
ROWS_PER_GETBULK = 100
MAX_REPLY_BYTES = 60_000

NAMES = {
    tags.INTEGER: "INTEGER: ", tags.OBJECT_IDENTIFIER: "OID: .", tags.IP_ADDRESS: "IpAddress: ",
    tags.TIMETICKS: "", tags.COUNTER32: "Counter32: ", tags.GAUGE32: "Gauge32: ",
    tags.COUNTER64: "Counter64: ",
}  # fmt: skip


class Measured(Responder):
    """A responder that remembers its longest reply."""

    longest_bytes = 0

    def send(self, datagram, address):
        self.longest_bytes = max(self.longest_bytes, len(datagram))
        super().send(datagram, address)


@pytest.mark.peers
@pytest.mark.timeout(3600 if SOAK else 120)
async def test_our_walk_of_a_recording_equals_that_of_snmpbulkwalk(each_recording, client, tool):
    for rows in _slices(each_recording):
        await _compare(rows, client, tool)


@pytest.mark.peers
async def test_replies_over_four_kibibytes_arrive_whole(recording, client, tool):
    rows = _first(recording("netapp-fas3270"))
    assert await _compare(rows, client, tool) > 4_096


def _slices(path):
    """A recording as tables; rows at one OID, of which the last counts, may lie in two of them."""
    rows = read_rows(path)
    while table := _table(islice(rows, SLICE_ROWS)):
        yield table
        if not SOAK:
            return


def _first(path):
    return next(_slices(path))


def _table(rows):
    return {oid: (tag, value) for oid, tag, value in rows}


async def _compare(rows, client, tool):
    """Walk it both ways; answers the size of the longest reply."""
    async with Measured(Table(rows), max_reply_bytes=MAX_REPLY_BYTES) as device:
        target = Target("127.0.0.1", device.port, timeout_seconds=10.0, max_repetitions=ROWS_PER_GETBULK)
        ours = await client.walk(target, "")
        output = await tool(
            "snmpbulkwalk", "-v2c", "-cpublic", "-Onxet", "-t10", f"-Cr{ROWS_PER_GETBULK}",
            f"127.0.0.1:{device.port}", ".1",
        )  # fmt: skip
    theirs = [text for text in output.rstrip("\n").split("\n.") if " = No more variables left" not in text]
    assert len(ours) == len(rows)
    for varbind, text in zip_longest(ours, theirs):
        assert _as_net_snmp(varbind) == text.removeprefix(".").rstrip().replace(" \n", " ")
    return device.longest_bytes


def _as_net_snmp(varbind):
    """A varbind as ``-Onxet`` prints it: numbers, strings in hexadecimal, bare Timeticks."""
    oid, tag, value = varbind
    return f"{oid_text(oid)} = {_value_as_net_snmp(tag, value)}"


def _value_as_net_snmp(tag, value):
    if tag == tags.NULL:
        return "NULL"
    if tag == tags.OBJECT_IDENTIFIER and not value:
        return "OID: .0.0"
    if tag == tags.OCTET_STRING:
        return f"Hex-STRING: {value.hex(' ').upper()}" if value else '""'
    if tag == tags.OPAQUE:
        return _opaque_as_net_snmp(value)
    return NAMES[tag] + value_text(tag, value)


def _opaque_as_net_snmp(value):
    if value.startswith(b"\x9fx\x04"):
        return f"Opaque: Float: {value_number(tags.OPAQUE, value):f}"
    return f"OPAQUE: {value.hex(' ').upper()}"


def test_lines_of_a_recording_become_typed_values():
    lines = [
        "1.3.6.1|2|-5", "1.3.6.2|4|a|b", "1.3.6.3|4x|00ff", "1.3.6.4|6|1.3.6", "1.3.6.5|6|",
        "1.3.6.6|64|10.0.0.1", "1.3.6.7|65|-1", "1.3.6.8|2:numeric|min=1,max=2,initial=2",
        "1.3.6.9|4:writecache|value=a,b=c", "# a comment",
    ]  # fmt: skip
    assert [parse_recorded(line) for line in lines] == [
        ("1.3.6.1", tags.INTEGER, -5), ("1.3.6.2", tags.OCTET_STRING, b"a|b"),
        ("1.3.6.3", tags.OCTET_STRING, b"\x00\xff"), ("1.3.6.4", tags.OBJECT_IDENTIFIER, "1.3.6"),
        ("1.3.6.5", tags.OBJECT_IDENTIFIER, ""), ("1.3.6.6", tags.IP_ADDRESS, bytes((10, 0, 0, 1))),
        ("1.3.6.7", tags.COUNTER32, 2**32 - 1), ("1.3.6.8", tags.INTEGER, 2),
        ("1.3.6.9", tags.OCTET_STRING, b"a,b=c"), None,
    ]  # fmt: skip


def test_what_snmpwalk_prints_becomes_typed_values():
    lines = [
        ".1.3.6.1 = INTEGER: up(1)", ".1.3.6.2 = STRING: \"two\nlines\"",
        ".1.3.6.3 = Hex-STRING: 00 FF \n10 ",
        ".1.3.6.4 = OID: .1.3.6", ".1.3.6.5 = Timeticks: (42) 0:00:00.42", '.1.3.6.6 = ""',
        ".1.3.6.7 = Gauge32: 10 milli-seconds", ".1.3.6.8 = No more variables left in this MIB View",
    ]  # fmt: skip
    assert [parse_walked(line) for line in lines] == [
        ("1.3.6.1", tags.INTEGER, 1), ("1.3.6.2", tags.OCTET_STRING, b"two\nlines"),
        ("1.3.6.3", tags.OCTET_STRING, b"\x00\xff\x10"), ("1.3.6.4", tags.OBJECT_IDENTIFIER, "1.3.6"),
        ("1.3.6.5", tags.TIMETICKS, 42), ("1.3.6.6", tags.OCTET_STRING, b""),
        ("1.3.6.7", tags.GAUGE32, 10), None,
    ]  # fmt: skip


def test_lines_that_cannot_be_played_are_skipped_and_counted(tmp_path):
    file = tmp_path / "device.snmprec.bz2"
    file.write_bytes(bz2.compress(b"1.3.6.1|2|1\n1.3.6.2|2:redis|key=a\nnonsense\n1.3.6.3|2|9999999999\n"))
    skipped = Skipped()
    assert list(read_rows(file, skipped)) == [("1.3.6.1", tags.INTEGER, 1)]
    assert skipped.rows_count == 3
    assert "the variation module redis is not known" in " ".join(skipped.reasons)


async def test_a_walk_that_snmpwalk_printed_reads_back(snmpd, tool, client, tmp_path):
    file = tmp_path / "device.snmpwalk"
    file.write_text(
        await tool("snmpwalk", "-v2c", "-cpublic", "-On", f"127.0.0.1:{snmpd.port}", ".1.3.6.1.2.1.1")
    )
    rows = _table(read_rows(file))
    walked = await client.walk(snmpd, "1.3.6.1.2.1.1")
    assert [(oid_text(oid), tag) for oid, tag, _ in walked] == [(oid, tag) for oid, (tag, _) in rows.items()]


@pytest.mark.parametrize(("name", "content"), [("a.csv", b""), ("a.snmprec", b"x" * 2_000_000)])
def test_a_file_that_is_no_recording_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=name):
        list(read_rows(tmp_path / name))
