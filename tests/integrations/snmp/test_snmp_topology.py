"""Sweeps of loopback addresses, and what recorded devices say of their neighbours and parts."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from coldaisle.core.errors import ConfigError
from coldaisle.core.events.types import AssetLinked, AssetObserved, DeviceReached, SamplesRecorded
from coldaisle.integrations.snmp import (
    DeviceConfig,
    Responder,
    SnmpCollector,
    Table,
    Target,
    built_in_profiles,
    device_watch,
    encode_oid,
    tags,
)
from coldaisle.integrations.snmp.device_watch import DeviceWatch
from coldaisle.integrations.snmp.discover import asset_names, hosts_in, sweep
from coldaisle.integrations.snmp.message import decode, encode, encode_varbinds
from coldaisle.integrations.snmp.recording import read_table
from coldaisle.integrations.snmp.topology import (
    CDP,
    ENTITY,
    IF_MAC,
    IF_NAME,
    LLDP_LOCAL_PORT,
    LLDP_REMOTE,
    TABLES,
    Neighbour,
    read_surroundings,
    surroundings,
    topology_events,
)

APC, CISCO = "1.3.6.1.4.1.318.1.3.4.6", "1.3.6.1.4.1.9.1.617"


def identity(object_id, name):
    return {
        "1.3.6.1.2.1.1.2.0": (tags.OBJECT_IDENTIFIER, object_id),
        "1.3.6.1.2.1.1.5.0": (tags.OCTET_STRING, name),
        "1.3.6.1.2.1.1.1.0": (tags.OCTET_STRING, b"a device\r\nof two lines"),
    }


@pytest.fixture
async def hall():
    """Three devices on 127.0.0.x, all at one port."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(
            Responder(Table(identity(APC, b"pdu-1.example")), "127.0.0.2")
        )
        rows = {"127.0.0.3": identity(CISCO, b"switch-1"), "127.0.0.5": identity("1.3.6.1.4.1.77777.1", b"")}
        for host, table in rows.items():
            await stack.enter_async_context(Responder(Table(table), host, first.port))
        yield first.port


async def test_a_sweep_finds_who_answers_and_what_they_are(client, hall):
    targets = [Target(host, hall, timeout_seconds=0.3) for host in hosts_in("127.0.0.0/29")]
    found = await sweep(client, targets, built_in_profiles(), 1_000)
    assert [(d.target.host, d.profile.name, d.name) for d in found] == [
        ("127.0.0.2", "apc_rpdu2", "pdu-1.example"),
        ("127.0.0.3", "cisco_ios", "switch-1"),
        ("127.0.0.5", "generic", ""),
    ]
    assert found[0].description == "a device of two lines"
    assert list(asset_names(found)) == ["pdu-1", "switch-1", "127.0.0.5"]


@pytest.mark.parametrize("object_id", [(tags.OBJECT_IDENTIFIER, b"\x2b\x81"), (tags.OCTET_STRING, "an id")])
async def test_a_sweep_goes_on_after_a_device_whose_identity_is_broken(client, hall, object_id):
    """Such a one is passed over, or generic; one that answers fewer objects than were asked for is none."""
    broken = {**identity(APC, b"odd"), "1.3.6.1.2.1.1.2.0": object_id}
    async with Responder(Table(broken), "127.0.0.4", hall):
        targets = [Target(f"127.0.0.{last}", hall, timeout_seconds=2.0) for last in (4, 2, 3)]
        found = await sweep(client, targets, built_in_profiles(), 1_000)
    assert [d.profile.name for d in found if d.name != "odd"] == ["apc_rpdu2", "cisco_ios"]
    assert {d.profile.name for d in found if d.name == "odd"} <= {"generic"}


async def test_a_sweep_goes_on_after_a_device_that_answers_fewer_objects(client, scripted, responder):
    def fewer(data):
        shell, rows = decode(data)
        return [encode(shell.community, tags.RESPONSE, shell.request_id, 0, 0, encode_varbinds(rows[:2]))]

    device = await scripted(fewer)
    targets = [Target("127.0.0.1", port, timeout_seconds=2.0) for port in (device.port, responder.port)]
    found = await sweep(client, targets, built_in_profiles(), 1_000)
    assert [device.target.port for device in found] == [responder.port]


async def test_a_sweep_keeps_to_its_rate(client, hall):
    """Three answer the first pass; the other eleven addresses are asked twice."""
    targets = [Target(host, hall, timeout_seconds=0.05) for host in hosts_in("127.0.0.0/28")]
    began = time.monotonic()
    await sweep(client, targets, built_in_profiles(), 100)
    assert time.monotonic() - began >= (13 + 10) / 100


async def test_two_devices_of_one_name_get_two_assets(client, hall):
    targets = [Target("127.0.0.2", hall), Target("127.0.0.2", hall)]
    found = await sweep(client, targets[:1], built_in_profiles(), 1_000)
    assert list(asset_names([*found, *found])) == ["pdu-1", f"pdu-1-127.0.0.2-{hall}"]


@pytest.mark.parametrize(("cidr", "reason"), [("10.0.0.0/8", "more than 65536"), ("nonsense", "no range of")])
def test_a_range_that_cannot_be_swept_is_refused(cidr, reason):
    with pytest.raises(ConfigError, match=reason):
        hosts_in(cidr)


@pytest.mark.parametrize(
    ("name", "source", "count"),
    [
        ("arista-dcs-7150s-52-cl", "lldp", 2), ("juniper-mx960-12-3r6-6", "lldp", 13),
        ("cisco-n5000", "lldp", 8), ("cisco-c3560", "cdp", 9),
    ],
)  # fmt: skip
async def test_recorded_switches_name_their_neighbours(client, recording, name, source, count):
    """Their local ports are a name, an ifIndex as text, a MAC address and an ifIndex as number."""
    async with Responder(Table(read_table(recording(name))), max_reply_bytes=60_000) as device:
        found = await read_surroundings(client, Target("127.0.0.1", device.port, timeout_seconds=10.0))
    said = [neighbour for neighbour in found.neighbours if neighbour.source == source]
    assert len(said) >= count
    assert [n for n in said if not n.port or n.port.isdigit() or n.port.count(":") == 5] == []


def test_pitfall_the_local_port_of_lldp_is_not_an_if_index():
    """Port 3 is ge-0/0/7 by the device's own table; interface 3 is another one."""
    rows = columns(
        {
            f"{LLDP_REMOTE}.9.0.3.1": b"switch-2", f"{LLDP_REMOTE}.7.0.3.1": b"xe-1",
            f"{LLDP_LOCAL_PORT}.3.3": b"ge-0/0/7", f"{IF_NAME}.3": b"em0",
        }
    )  # fmt: skip
    assert surroundings(rows).neighbours == (Neighbour("ge-0/0/7", "switch-2", "xe-1", "lldp"),)


def test_cdp_counts_by_if_index():
    rows = columns({f"{CDP}.6.3.1": b"switch-2", f"{CDP}.7.3.1": b"Gi0/1", f"{IF_NAME}.3": b"Gi0/24"})
    assert surroundings(rows).neighbours == (Neighbour("Gi0/24", "switch-2", "Gi0/1", "cdp"),)


def test_links_lead_to_known_assets_and_parts_to_their_device():
    rows = columns(
        {
            f"{LLDP_REMOTE}.9.0.3.1": b"Switch-2.example.net", f"{LLDP_REMOTE}.9.0.4.1": b"stranger",
            f"{LLDP_REMOTE}.9.0.5.1": b"switch-1", f"{ENTITY}.5.10": 6, f"{ENTITY}.4.10": 1,
            f"{ENTITY}.7.10": b"PSU 1", f"{ENTITY}.11.10": b"S123", f"{ENTITY}.5.11": 6, f"{ENTITY}.5.12": 8,
        }
    )  # fmt: skip
    assert topology_events("switch-1", surroundings(rows), ["switch-1", "switch-2"]) == [
        AssetLinked("switch-1", "connected_to", "switch-2", source="lldp"),
        AssetObserved("switch-1:PSU-1", "power_supply", {"serial": "S123"}, "snmp"),
        AssetLinked("switch-1:PSU-1", "located_in", "switch-1", source="snmp"),
    ]


def test_rows_without_the_index_of_their_table_tell_nothing():
    """Too short, and cut off inside a sub-identifier."""
    rows = columns({f"{LLDP_REMOTE}.9.3": b"switch-2", f"{ENTITY}.5.10": 6})
    for column in (f"{CDP}.6", f"{LLDP_REMOTE}.9", IF_MAC, f"{ENTITY}.5"):
        rows.setdefault(column, {})[b"\x01\x81"] = (b"", tags.INTEGER, 7)
    found = surroundings(rows)
    assert (found.neighbours, [part.index for part in found.parts]) == ((), [10])


def test_a_local_port_of_a_thousand_digits_is_no_if_index():
    digits = b"1" * 10_000
    rows = columns({f"{LLDP_REMOTE}.9.0.3.1": b"switch-2", f"{LLDP_LOCAL_PORT}.3.3": digits})
    assert surroundings(rows).neighbours[0].port == digits.decode()


def test_ten_thousand_neighbours_are_told_without_a_look_at_all_interfaces_for_each():
    """All interfaces bear one address, as those of a chassis may."""
    count, mac = 10_000, b"\x00\x11\x22\x33\x44\x55"
    rows = columns(
        {f"{LLDP_REMOTE}.9.0.{n}.1": b"switch-2" for n in range(count)}
        | {f"{LLDP_LOCAL_PORT}.2.{n}": 3 for n in range(count)}
        | {f"{LLDP_LOCAL_PORT}.3.{n}": mac for n in range(count)}
        | {f"{IF_MAC}.{n}": mac for n in range(count)}
        | {f"{IF_NAME}.{n}": b"Gi0/%d" % n for n in range(count)}
    )
    found = surroundings(rows).neighbours
    assert [neighbour.port for neighbour in found] == [f"Gi0/{n}" for n in range(count)]


async def test_a_look_around_does_not_ask_for_what_nobody_reads(client):
    """Such as the tables of learned addresses, which can have tens of thousands of rows."""
    learned = {f"1.3.6.1.2.1.17.4.3.1.2.0.17.34.51.68.{n}": (tags.INTEGER, 7) for n in range(256)}
    async with Responder(Table(learned)) as device:
        await read_surroundings(client, Target("127.0.0.1", device.port, timeout_seconds=5.0))
        assert device.requests_count == len(TABLES)


async def test_a_device_with_topology_tells_each_link_once(client, seen):
    rows = {**identity(CISCO, b"switch-1"), f"{CDP}.6.3.1": (tags.OCTET_STRING, b"switch-2"),
            "1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 5)}  # fmt: skip
    async with Responder(Table(rows)) as device:
        config = DeviceConfig("switch-1", f"127.0.0.1:{device.port}", timeout_seconds=2.0, topology=True)
        known = ["switch-1", "switch-2"]
        watching = DeviceWatch(client, config, 10.0, "agent-1", built_in_profiles(), seen, known_assets=known)
        await watching.poll_once()
        watching._topology_due = 0.0
        await watching.poll_once()
    assert seen.of(AssetLinked) == [AssetLinked("switch-1", "connected_to", "switch-2", source="cdp")]


async def test_parts_that_change_with_each_look_are_not_all_remembered(client, seen, monkeypatch):
    monkeypatch.setattr(device_watch, "MAX_TOLD_EVENTS", 4)
    table = Table({**identity(CISCO, b"switch-1"), "1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 5),
                   f"{ENTITY}.5.1": (tags.INTEGER, 6)})  # fmt: skip
    async with Responder(table) as device:
        config = DeviceConfig("switch-1", f"127.0.0.1:{device.port}", timeout_seconds=2.0, topology=True)
        watching = DeviceWatch(client, config, 10.0, "agent-1", built_in_profiles(), seen)
        for look in range(20):
            table.update({f"{ENTITY}.11.1": (tags.OCTET_STRING, b"S%d" % look)})
            watching._topology_due = 0.0
            await watching.poll_once()
    assert len(seen.of(AssetObserved)) == 20
    assert len(watching._told) == 4


async def test_a_neighbour_that_is_polled_since_a_reload_is_linked(seen):
    rows = {**identity(CISCO, b"switch-1"), f"{CDP}.6.3.1": (tags.OCTET_STRING, b"switch-2"),
            "1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 5)}  # fmt: skip
    async with Responder(Table(rows)) as device, asyncio.TaskGroup() as group:
        address = f"127.0.0.1:{device.port}"
        first = DeviceConfig("switch-1", address, timeout_seconds=5.0, topology=True)
        collector = SnmpCollector([first], 0.5, "agent-1")
        running = group.create_task(collector.run(seen))
        await seen.wait_for(SamplesRecorded, 2)
        collector.update([first, DeviceConfig("switch-2", address, timeout_seconds=5.0)], 0.5)
        await seen.wait_for(DeviceReached, 2)
        collector._watches["switch-1"]._topology_due = 0.0
        linked = await seen.wait_for(AssetLinked)
        running.cancel()
    assert linked == [AssetLinked("switch-1", "connected_to", "switch-2", source="cdp")]


def columns(values):
    """Rows by column and index, as walked; a column is what stands before the index of its table."""
    roots = [f"{LLDP_REMOTE}.{c}" for c in (7, 9)] + [f"{CDP}.{c}" for c in (6, 7)]
    roots += [f"{LLDP_LOCAL_PORT}.{c}" for c in (2, 3)] + [IF_NAME, IF_MAC]
    roots += [f"{ENTITY}.{c}" for c in (4, 5, 7, 11)]
    found = {}
    for oid, value in values.items():
        root = next(root for root in roots if oid.startswith(f"{root}."))
        tag = tags.INTEGER if isinstance(value, int) else tags.OCTET_STRING
        raw = encode_oid(oid)
        found.setdefault(root, {})[raw[len(encode_oid(root)) :]] = (raw, tag, value)
    return found
