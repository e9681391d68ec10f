"""The usual round of a device brings what a whole one brings, and anything unusual is asked for anew."""

import time

import pytest

from coldaisle.core.events.types import SamplesRecorded
from coldaisle.integrations.snmp import DeviceConfig, Responder, Table, Target, built_in_profiles, tags
from coldaisle.integrations.snmp.ber import encode_varbind, read_varbinds
from coldaisle.integrations.snmp.device_watch import DeviceWatch
from coldaisle.integrations.snmp.layout import layout_of
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.poll import identify, plan_for, poll
from coldaisle.integrations.snmp.recording import read_table
from coldaisle.integrations.snmp.routine import Routine
from coldaisle.integrations.snmp.shared import Shared

RECORDED = ("apc-8641", "eaton-93e-80", "vertiv-power", "geist-temperature-sensor", "arista-dcs-7150s-52-cl",
            "cisco-n5000", "hp-onboard-administrator", "ibm-x3550-m3")  # fmt: skip
IF_NAME, IF_OCTETS = "1.3.6.1.2.1.31.1.1.1.1", "1.3.6.1.2.1.31.1.1.1.6"
UPTIME = "1.3.6.1.2.1.1.3.0"


@pytest.mark.parametrize("name", RECORDED)
async def test_a_usual_round_of_a_recording_reads_as_a_whole_one(client, recording, name):
    async with Responder(Table(read_table(recording(name))), max_reply_bytes=60_000) as device:
        target = Target("127.0.0.1", device.port, timeout_seconds=10.0)
        profile = await identify(client, target, built_in_profiles())
        found = await poll(client, target, plan_for(profile), 60.0)
        routine = Routine(Shared())
        routine.learn(profile, found, target)
        usual = [await routine.ask(client, target, 60.0) for _ in range(2)]
    for each in usual:
        assert each is not None
        assert dict(zip(each.script.sheet.names, each.readings, strict=True)) == found.readings
        assert each.strange == found.decoded.strange
        assert each.life.uptime_ticks == found.life.uptime_ticks
        counted = [count.value for count in found.decoded.counts.values()]
        assert list(each.script.sheet.counts(each.numbers)) == counted


@pytest.fixture
async def switch(client, seen):
    """A table, the responder with it, and a watch that polls it with the profile of interfaces."""
    rows = {UPTIME: (tags.TIMETICKS, 100)}
    for index in (1, 2):
        rows |= {f"{IF_NAME}.{index}": (tags.OCTET_STRING, b"eth%d" % index),
                 f"{IF_OCTETS}.{index}": (tags.COUNTER64, 1_000 * index)}  # fmt: skip
    table = Table(rows)
    async with Responder(table) as device:
        config = DeviceConfig("switch-1", f"127.0.0.1:{device.port}", profile="if_mib")
        watching = DeviceWatch(client, config, 10.0, "agent-1", built_in_profiles(), seen)
        for _ in range(3):
            await watching.poll_once()
        yield table, device, watching


def last(seen):
    sample = seen.of(SamplesRecorded)[-1]
    return dict(zip(sample.metrics, sample.values, strict=True))


async def requests_of(device, watching):
    before = device.requests_count
    await watching.poll_once()
    return device.requests_count - before


async def test_a_usual_round_of_a_small_device_is_one_request_and_reads_new_numbers(switch, seen):
    table, device, watching = switch
    for value in (1_500, 2**40, 2**63 + 7):  # each of another length
        table.update({f"{IF_OCTETS}.1": (tags.COUNTER64, value), UPTIME: (tags.TIMETICKS, 200)})
        assert await requests_of(device, watching) == 1
        assert last(seen)['if_in_octets_total{interface="eth1"}'] == float(value)
        assert last(seen)['if_in_octets_per_second{interface="eth1"}'] > 0


@pytest.mark.parametrize("is_whole", [False, True])
@pytest.mark.parametrize("step_seconds", [-3_600, -20, 20, 3_600])
async def test_a_clock_that_is_set_between_two_polls_bends_no_rate(
    switch, seen, monkeypatch, step_seconds, is_whole
):
    """Also a step too small to be held for a restart of the device."""
    table, _, watching = switch
    look, rate = time.time_ns, 'if_in_octets_per_second{interface="eth1"}'
    before = time.monotonic()
    await watching.poll_once()
    began = time.monotonic()
    monkeypatch.setattr(time, "time_ns", lambda: look() + step_seconds * 10**9)
    table.update({f"{IF_OCTETS}.1": (tags.COUNTER64, 1_001_000), UPTIME: (tags.TIMETICKS, 200)})
    if is_whole:
        table.update({f"{IF_NAME}.2": (tags.OCTET_STRING, b"uplink")})
    ended = time.monotonic()
    await watching.poll_once()
    after = time.monotonic()
    assert 1_000_000 / (after - before) <= last(seen)[rate] <= 1_000_000 / (ended - began)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({f"{IF_NAME}.2": (tags.OCTET_STRING, b"uplink")}, {"eth1", "uplink"}),
        ({f"{IF_NAME}.3": (tags.OCTET_STRING, b"eth3"), f"{IF_OCTETS}.3": (tags.COUNTER64, 7)},
         {"eth1", "eth2", "eth3"}),
    ],
)  # fmt: skip
async def test_another_name_or_a_new_row_is_seen_in_the_same_poll(switch, seen, change, expected):
    table, _, watching = switch
    table.update(change)
    await watching.poll_once()
    names = [name for name in last(seen) if name.startswith("if_in_octets_total")]
    assert {name.split('"')[1] for name in names} == expected


async def test_a_row_that_is_gone_is_no_longer_told_and_its_return_gives_a_rate(switch, seen):
    table, _, watching = switch
    gone = {oid: table.value(oid) for oid in (f"{IF_NAME}.2", f"{IF_OCTETS}.2")}
    table.remove(gone)
    for _ in range(4):
        await watching.poll_once()
        assert 'if_in_octets_total{interface="eth2"}' not in last(seen)
    table.update(gone)
    await watching.poll_once()
    assert last(seen)['if_in_octets_per_second{interface="eth2"}'] == 0.0


async def test_a_value_of_another_type_is_decoded_as_a_whole(switch, seen):
    table, _, watching = switch
    table.update({f"{IF_OCTETS}.1": (tags.COUNTER32, 9)})
    await watching.poll_once()
    assert last(seen)['if_in_octets_total{interface="eth1"}'] == 9.0
    assert last(seen)['if_in_octets_per_second{interface="eth1"}'] is None


@pytest.mark.parametrize(
    ("tag", "value"),
    [(tags.INTEGER, -1), (tags.INTEGER, -129), (tags.INTEGER, 2**31 - 1), (tags.COUNTER32, 2**32 - 1),
     (tags.GAUGE32, 0), (tags.COUNTER64, 2**64 - 1), (tags.COUNTER64, 2**63), (tags.TIMETICKS, 255)],
)  # fmt: skip
def test_a_layout_reads_numbers_of_any_type_and_length(tag, value):
    octets = encode_varbind(encode_oid("1.3.6.1.2.1.1"), tag, value)
    layout = layout_of(octets, read_varbinds(octets, 0, len(octets)), [0], [])
    assert layout is not None
    assert layout.numbers(octets) == [value]


def test_a_layout_reads_a_counter_sent_negative_as_it_is_decoded():
    octets = bytes.fromhex("300d06082b060102010101024101ff")
    varbinds = read_varbinds(octets, 0, len(octets))
    layout = layout_of(octets, varbinds, [0], [])
    assert layout is not None
    assert layout.numbers(octets) == [varbinds[0][2]] == [2**32 - 1]


def test_a_layout_leaves_an_unsigned_number_that_turns_negative_to_the_whole_decoder():
    oid = encode_oid("1.3.6.1.2.1.1")
    usual = encode_varbind(oid, tags.COUNTER32, 2**31 - 1)
    layout = layout_of(usual, read_varbinds(usual, 0, len(usual)), [0], [])
    assert layout is not None
    assert layout.numbers(usual) == [2**31 - 1]
    negative = usual[:-4] + b"\xff" * 4
    assert layout.numbers(negative) is None
    learned = layout_of(negative, read_varbinds(negative, 0, len(negative)), [0], [])
    assert learned is not None
    assert learned.numbers(negative) == [2**32 - 1]


def test_a_layout_tells_a_change_of_what_is_fixed_but_not_of_what_is_ignored():
    oids = [encode_oid(f"1.3.6.1.2.1.{number}") for number in (1, 2)]

    def reply(text, ignored):
        return encode_varbind(oids[0], tags.OCTET_STRING, text) + encode_varbind(
            oids[1], tags.INTEGER, ignored
        )

    octets = reply(b"eth1", 5)
    layout = layout_of(octets, read_varbinds(octets, 0, len(octets)), [], [0])
    assert layout is not None
    assert layout.numbers(reply(b"eth1", 6)) == []
    assert layout.numbers(reply(b"eth2", 5)) is None
    assert layout.numbers(octets[:-1]) is None
