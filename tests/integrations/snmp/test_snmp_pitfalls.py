"""Every known way to read a right number wrongly, one test each: counters, clocks, indexes, scales, units."""

import asyncio
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldaisle.core.events.types import AssetObserved, InputRejected, SamplesRecorded
from coldaisle.integrations.snmp import (
    DeviceConfig,
    ProfileError,
    Responder,
    Table,
    Target,
    built_in_profiles,
    encode_oid,
    tags,
)
from coldaisle.integrations.snmp import rates as rates_module
from coldaisle.integrations.snmp.decode import (
    Count,
    Decoded,
    columns_of,
    decode_objects,
    decode_table,
    reading,
)
from coldaisle.integrations.snmp.device_watch import DeviceWatch
from coldaisle.integrations.snmp.learned import Learned, Memory
from coldaisle.integrations.snmp.message import decode, encode
from coldaisle.integrations.snmp.naming import row_names
from coldaisle.integrations.snmp.plausible import compare
from coldaisle.integrations.snmp.poll import plan_for, poll
from coldaisle.integrations.snmp.profile import Metric, Profile, TableProfile
from coldaisle.integrations.snmp.profile_files import profiles_in
from coldaisle.integrations.snmp.rates import MAX_MISSING_SECONDS, Life, Rates, ran_on, rate_between

IF, IFX = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"
UPTIME = "1.3.6.1.2.1.1.3.0"
DAY = 86_400.0
OCTETS = Metric("1.3.6.1", "octets_total", "test", rate="octets_per_second")
GIGABIT = 125_000_000.0
"""The octets per second of a gigabit link."""

SLOW_SECONDS = 0.3


class Slow(Responder):
    """Answers after a while."""

    def send(self, datagram, address):
        asyncio.get_running_loop().call_later(SLOW_SECONDS, super().send, datagram, address)


class Heard(Responder):
    """Counts the octets of its requests."""

    heard_bytes = 0

    def datagram_received(self, data, addr):
        self.heard_bytes += len(data)
        super().datagram_received(data, addr)


def life(seconds, ticks=None, boots=None, engine=None):
    return Life(int(seconds * 1e9), ticks, boots, engine)


def count32(value, **more):
    return Count(OCTETS, tags.COUNTER32, value, **more)


def count64(value, **more):
    return Count(OCTETS, tags.COUNTER64, value, **more)


# --- counters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [b"1e308", b"-1e308", b"nan", b"inf"])
def test_pitfall_a_number_that_its_scale_makes_infinite_is_none(text):
    """History holds finite numbers only."""
    metric = Metric("1.3.6.1.4.1.9.1.0", "level", "an own profile", scale=100.0)
    assert reading(Profile("own", "device"), metric, (b"", tags.OCTET_STRING, text)) is None


def test_pitfall_interfaces_that_come_and_go_are_forgotten():
    """As those of containers do: an hour after it was read last, no counter of them is kept."""
    rates = Rates()
    for minute in range(600):
        rates.take(life(minute * 60), {f"in@veth{minute}": count64(minute)}, {})
    assert len(rates._counts) <= MAX_MISSING_SECONDS / 60 + 2


def test_pitfall_counters_that_are_gone_take_no_place_from_those_that_are_read(monkeypatch):
    monkeypatch.setattr(rates_module, "MAX_COUNTERS", 2)
    rates = Rates()
    for second in range(4):
        rates.take(life(second), {f"in@veth{second}": count64(5), "in@eth0": count64(second * 100)}, {})
    found = rates.take(life(4), {"in@eth0": count64(400)}, {})
    assert list(found.values()) == [100.0]


def test_pitfall_counter_wrap_is_counted_through_when_the_rate_is_possible():
    assert rate_between(count32(2**32 - 500), count32(500), 10.0, True, GIGABIT) == 100.0


def test_pitfall_a_wrap_that_no_link_could_carry_is_a_gap():
    assert rate_between(count32(2**31), count32(100), 10.0, True, GIGABIT / 100) is None


def test_pitfall_a_64_bit_counter_never_wraps_so_a_decrease_is_a_gap():
    assert rate_between(count64(2**64 - 500), count64(500), 10.0, True, None) is None


def test_pitfall_reboot_taken_for_overflow():
    """The counter began anew at the restart: the first difference is a gap, and the next rate is right."""
    rates = Rates()
    assert rates.take(life(0, 500_000), {"octets_total": count32(4_000_000_000)}, {}) == {}
    assert rates.take(life(60, 3_000), {"octets_total": count32(1_000)}, {}) == {"octets_per_second": None}
    assert rates.take(life(120, 9_000), {"octets_total": count32(7_000)}, {}) == {"octets_per_second": 100.0}


def test_pitfall_a_restart_shows_even_when_the_uptime_grew():
    """Ten seconds up, then not asked for an hour, in which it restarted and ran for half of it."""
    assert ran_on(life(0, 1_000), life(3_600, 180_000)) is False


def test_pitfall_uptime_wraps_after_497_days():
    before = 2**32 - 1_000
    assert ran_on(life(0, before), life(20, 1_000)) is True
    assert ran_on(life(0, before), life(2 * DAY, 1_000)) is False


def test_pitfall_engine_boots_tell_a_restart_that_the_uptime_hides():
    assert ran_on(life(0, 1_000, boots=3, engine=10), life(10, 2_000, boots=4, engine=0)) is False


def test_pitfall_boots_stuck_and_engine_time_frozen_still_leave_one_clock():
    assert ran_on(life(0, 100_000, 1, 500), life(600, 160_000, 1, 500)) is True
    assert ran_on(life(0, 100_000, 1, 500), life(600, 100, 1, 500)) is False


def test_pitfall_a_decrease_without_discontinuity_time_is_a_gap():
    """No clock and no discontinuity time: a lower value is a reset, not a wrap."""
    assert ran_on(life(0), life(10)) is None
    assert rate_between(count32(5_000), count32(100), 10.0, None, None) is None


def test_pitfall_a_discontinuity_time_that_changed_is_a_gap():
    assert (
        rate_between(count64(100, discontinuity=0), count64(900, discontinuity=7), 10.0, True, None) is None
    )


def test_pitfall_32_bit_counters_on_fast_links_may_wrap_more_than_once():
    """At 10 Gb/s a 32-bit octet counter wraps each 3.4 s: nothing can be said after 10 s."""
    assert rate_between(count32(0), count32(1_000), 10.0, True, 10 * GIGABIT) is None


def test_pitfall_the_64_bit_column_is_preferred_row_by_row():
    rows = [
        (f"{IFX}.1.1", tags.OCTET_STRING, b"eth0"),
        (f"{IFX}.1.2", tags.OCTET_STRING, b"tun0"),
        (f"{IFX}.6.1", tags.COUNTER64, 2**40),
        (f"{IF}.10.1", tags.COUNTER32, 17),
        (f"{IF}.10.2", tags.COUNTER32, 18),
    ]
    found = decoded("if_mib", rows)
    assert found.readings['if_in_octets_total{interface="eth0"}'] == 2.0**40
    assert found.counts['if_in_octets_total{interface="eth0"}'].tag == tags.COUNTER64
    assert found.readings['if_in_octets_total{interface="tun0"}'] == 18.0


@given(
    st.integers(0, 2**32 - 1), st.integers(0, 2**31), st.floats(1, 600), st.booleans(), st.integers(1, 10**6)
)
def test_pitfall_no_rate_ever_exceeds_the_link(before, grown, seconds, restarted, limit):
    after = grown % 2**32 if restarted else (before + grown) % 2**32
    rate = rate_between(count32(before), count32(after), seconds, not restarted, float(limit))
    assert rate is None or 0 <= rate <= 1.1 * limit


# --- identity -------------------------------------------------------------------------------------------


def switch(first, second, octets, ticks):
    """Two interfaces at the given indexes."""
    return {
        "1.3.6.1.2.1.1.2.0": (tags.OBJECT_IDENTIFIER, "1.3.6.1.4.1.30065.1"),
        UPTIME: (tags.TIMETICKS, ticks),
        f"{IFX}.1.{first}": (tags.OCTET_STRING, b"Ethernet1/1"),
        f"{IFX}.1.{second}": (tags.OCTET_STRING, b"Ethernet1/2"),
        f"{IFX}.6.{first}": (tags.COUNTER64, octets),
        f"{IFX}.6.{second}": (tags.COUNTER64, 10**12),
    }


async def test_pitfall_interfaces_are_renumbered(client, seen):
    """The indexes of two interfaces change places at a restart: series go on by name, the map is recorded."""
    memory, now = Memory(), int(time.monotonic() * 100)
    async with Responder(Table(switch(1, 2, 5_000, 10**6 + now))) as device:
        watching = watch(client, device.port, seen, memory)
        await watching.poll_once()
        device.table = Table(switch(2, 1, 7_000, 50))
        await watching.poll_once()
    first, second = seen.of(SamplesRecorded)
    series = 'if_in_octets_total{interface="Ethernet1/1"}'
    assert [dict(zip(s.metrics, s.values, strict=True))[series] for s in (first, second)] == [5_000, 7_000]
    assert (
        dict(zip(second.metrics, second.values, strict=True))[
            'if_in_octets_per_second{interface="Ethernet1/1"}'
        ]
        is None
    )
    moved = {event.asset: event.attributes for event in seen.of(AssetObserved)}
    assert moved["switch-1:Ethernet1-1"] == {
        "device": "switch-1",
        "name": "Ethernet1/1",
        "index": "2",
        "previous_index": "1",
    }
    assert memory.of("switch-1").indexes["interface"] == {"Ethernet1/1": "2", "Ethernet1/2": "1"}


def test_pitfall_a_row_that_moved_without_a_restart_is_a_gap():
    assert rate_between(count64(1, index=b"\1"), count64(900, index=b"\2"), 10.0, True, None) is None


def test_pitfall_interfaces_with_one_name_are_told_apart_by_alias_and_mac():
    table = TableProfile((), "interface", "name", ("alias",), "mac")
    text = {
        "name": [b"Slot0", b"Slot0", b"Slot0", b""],
        "alias": [b"uplink", b"", b"", b"mgmt"],
        "mac": [b"\0\1\2\3\4\5", b"\0\1\2\3\4\6", b"", b""],
    }
    rows = {
        column: {bytes([n]): (b"", tags.OCTET_STRING, value) for n, value in enumerate(values, 1)}
        for column, values in text.items()
    }
    assert row_names(table, rows) == {
        b"\1": "uplink",
        b"\2": "00:01:02:03:04:06",
        b"\3": "Slot0#3",
        b"\4": "mgmt",
    }


# --- values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "oid", "tag", "value"),
    [
        ("apc_rpdu2", "1.3.6.1.4.1.318.1.1.26.4.3.1.5.1", tags.INTEGER, -1),
        ("liebert_crac", "1.3.6.1.4.1.476.1.42.3.4.3.9.0", tags.GAUGE32, 4294967295),
        ("liebert_crac", "1.3.6.1.4.1.476.1.42.3.4.3.16.0", tags.GAUGE32, 2147483647),
    ],
)
def test_pitfall_sentinels_are_never_values(profile, oid, tag, value):
    assert list(decoded(profile, [(oid, tag, value)]).readings.values()) == [None]


def test_pitfall_scale_and_precision_stand_in_the_table():
    base = "1.3.6.1.2.1.99.1.1.1"
    rows = [
        (f"{base}.{column}.7", tags.INTEGER, value) for column, value in [(1, 8), (2, 9), (3, 1), (4, 282)]
    ]
    rows += [
        (f"{base}.{column}.8", tags.INTEGER, value) for column, value in [(1, 4), (2, 8), (3, 0), (4, 3300)]
    ]
    assert decoded("entity_sensor", rows).readings == {
        'sensor_temperature_celsius{sensor="7"}': 28.2,
        'sensor_voltage_volts{sensor="8"}': 3.3,
    }


def test_pitfall_a_signed_scale_divides_when_it_is_negative():
    base = "1.3.6.1.4.1.2606.7.4.2.2.1"
    rows = []
    for index, (unit, scale, value) in enumerate(
        [("°C", b"-100", 2350), ("mA", b"+1", 1500), ("°F", b"-10", 770)]
    ):
        rows += [
            (f"{base}.3.1.{index}", tags.OCTET_STRING, b"V%d" % index),
            (f"{base}.5.1.{index}", tags.OCTET_STRING, unit.encode()),
            (f"{base}.7.1.{index}", tags.OCTET_STRING, scale),
            (f"{base}.11.1.{index}", tags.INTEGER, value),
        ]
    assert decoded("rittal_cmc3", rows).readings == {
        'variable_temperature_celsius{variable="V0"}': 23.5,
        'variable_current_amperes{variable="V1"}': 1.5,
        'variable_temperature_celsius{variable="V2"}': 25.0,
    }


def test_pitfall_digits_of_a_sensor_stand_in_another_table():
    value, digits = "1.3.6.1.4.1.13742.6.5.2.3.1.4", "1.3.6.1.4.1.13742.6.3.3.4.1.7"
    rows = [
        (f"{value}.1.1.1", tags.GAUGE32, 6512),
        (f"{digits}.1.1.1", tags.GAUGE32, 3),
        (f"{value}.1.1.4", tags.GAUGE32, 230),
        (f"{digits}.1.1.4", tags.GAUGE32, 0),
        (f"{value}.1.1.5", tags.GAUGE32, 1400),
        (f"{digits}.1.1.5", tags.GAUGE32, 0),
    ]
    readings = decoded("raritan", rows).readings
    assert readings['inlet_current_amperes{inlet="1.1"}'] == 6.512
    assert readings['inlet_voltage_volts{inlet="1.1"}'] == 230.0
    assert [comparison.holds for comparison in compare(built_in_profiles()["raritan"], readings)] == [True]


@pytest.mark.parametrize(("setting", "wire", "celsius"), [(1, 250, 25.0), (0, 770, 25.0)])
def test_pitfall_a_device_may_speak_fahrenheit_by_a_setting(setting, wire, celsius):
    rows = [
        ("1.3.6.1.4.1.21239.5.1.1.7.0", tags.INTEGER, setting),
        ("1.3.6.1.4.1.21239.5.1.4.1.3.2", tags.OCTET_STRING, b"rack"),
        ("1.3.6.1.4.1.21239.5.1.4.1.5.2", tags.INTEGER, wire),
    ]
    assert decoded("geist", rows).readings == {'probe_temperature_celsius{probe="rack"}': celsius}


@pytest.mark.parametrize(("unit", "wire"), [(1, 25), (2, 77)])
def test_pitfall_a_probe_may_speak_fahrenheit_by_its_column(unit, wire):
    base = "1.3.6.1.4.1.318.1.1.10.2.3.2.1"
    rows = [
        (f"{base}.2.1", tags.OCTET_STRING, b"row 1"),
        (f"{base}.4.1", tags.INTEGER, wire),
        (f"{base}.5.1", tags.INTEGER, unit),
    ]
    assert decoded("apc_environment", rows).readings == {'probe_temperature_celsius{probe="row 1"}': 25.0}


def test_pitfall_a_cooling_unit_says_unit_and_divisor_in_the_row():
    base = "1.3.6.1.4.1.318.1.1.27.1.4.1.2.1"
    rows = []
    for n, (name, value, unit, divisor) in enumerate(
        [(b"Supply Air", 159, b"C", 10), (b"Supply Air", 606, b"F", 10), (b"Cool Output", 123, b"kW", 10)], 1
    ):
        rows += [
            (f"{base}.2.1.{n}", tags.OCTET_STRING, name),
            (f"{base}.3.1.{n}", tags.INTEGER, value),
            (f"{base}.4.1.{n}", tags.OCTET_STRING, unit),
            (f"{base}.5.1.{n}", tags.INTEGER, divisor),
        ]
    assert decoded("apc_cooling", rows).readings == {
        'unit_temperature_celsius{point="Supply Air#1.1"}': 15.9,
        'unit_power_watts{point="Cool Output"}': 12_300.0,
    }


def test_pitfall_ups_currents_are_tenths_though_a_public_module_has_them_whole():
    profile = built_in_profiles()["ups"]
    wrong = {
        'ups_output_voltage_volts{line="1"}': 220.0,
        'ups_output_current_amperes{line="1"}': 270.0,
        'ups_output_power_watts{line="1"}': 5100.0,
    }
    [comparison] = compare(profile, wrong)
    assert not comparison.holds
    assert comparison.share == pytest.approx(11.6, abs=0.1)


async def test_pitfall_a_rack_inlet_of_400_celsius_is_a_scale_error(client, seen):
    """It is no value, and it is told once with what it was."""
    rows = {
        "1.3.6.1.2.1.1.2.0": (tags.OBJECT_IDENTIFIER, "1.3.6.1.4.1.318.1.3.4.6"),
        "1.3.6.1.4.1.318.1.1.26.10.2.2.1.8.1": (tags.INTEGER, 4_000),
    }
    async with Responder(Table(rows)) as device:
        watching = watch(client, device.port, seen)
        for _ in range(3):
            await watching.poll_once()
    assert [event.values for event in seen.of(SamplesRecorded)] == [(None,)] * 3
    [rejected] = seen.of(InputRejected)
    assert (rejected.reason, rejected.raw) == ("inlet_temperature_celsius is outside its sanity range", "400")


# --- time and completeness ------------------------------------------------------------------------------


async def test_pitfall_a_sample_has_the_time_of_its_reply_not_of_its_slot(client):
    """Half of the round trip lies between the sample and its arrival."""
    async with Slow(Table({UPTIME: (tags.TIMETICKS, 100)})) as device:
        target = Target("127.0.0.1", device.port, timeout_seconds=5.0)
        before = time.time_ns()
        found = await poll(client, target, plan_for(built_in_profiles()["generic"]), 10.0)
        after = time.time_ns()
    assert before + SLOW_SECONDS * 0.4e9 < found.time < after - SLOW_SECONDS * 0.4e9


async def test_pitfall_a_table_cut_by_a_timeout_is_partial_and_teaches_nothing(client, seen, scripted):
    """Rows that did not come are unknown: no column is given up for them."""
    responder = Responder(Table(switch(1, 2, 5, 10)))

    def silent_tables(data):
        shell, _ = decode(data)
        if shell.pdu == tags.GET:
            return [responder.answer(data)]
        return [encode(shell.community, tags.RESPONSE, shell.request_id, 5, 0, b"")]

    device = await scripted(silent_tables)
    memory = Memory()
    await watch(client, device.port, seen, memory).poll_once()
    assert [event.quality for event in seen.of(SamplesRecorded)] == ["partial"]
    assert memory.of("switch-1").needless == frozenset()


# --- what is learned ------------------------------------------------------------------------------------


async def test_columns_that_bring_nothing_are_not_asked_for_again_until_a_restart(client, seen):
    rows, memory = switch(1, 2, 5, 10**6), Memory()
    async with Heard(Table(rows)) as device:
        watching = watch(client, device.port, seen, memory)
        first, second = [await heard_in_a_round(watching, device) for _ in range(2)]
        assert f"{IF}.10" in memory.of("switch-1").needless
        device.table = Table({**rows, UPTIME: (tags.TIMETICKS, 5)})
        _, after = [await heard_in_a_round(watching, device) for _ in range(2)]
    assert second < first / 2
    assert after > first / 2


async def test_what_was_learned_survives_a_restart_of_the_agent(client, seen, tmp_path):
    file = tmp_path / "learned.json"
    async with Responder(Table(switch(1, 2, 5, 10**6))) as device:
        memory = Memory(file)
        await watch(client, device.port, seen, memory).poll_once()
        memory.save()
        again = Memory(file)
        assert again.of("switch-1") == memory.of("switch-1")
        assert again.of("switch-1").profile == "arista"
        device.table = Table(switch(2, 1, 5, 10**6))
        await watch(client, device.port, seen, again).poll_once()
    assert {event.asset for event in seen.of(AssetObserved)} == {
        "switch-1:Ethernet1-1",
        "switch-1:Ethernet1-2",
    }


async def test_what_is_learned_while_a_thread_writes_is_kept_by_the_next(tmp_path):
    """The file is a pipe, so that the writing lasts until it is read."""
    file, many = tmp_path / "learned.json", "x" * 1_000_000
    os.mkfifo(file.with_suffix(".partly"))
    memory = Memory(file)
    memory.learn("switch-1", Learned(many))
    writing = asyncio.create_task(asyncio.to_thread(memory.save))
    with await asyncio.to_thread(file.with_suffix(".partly").open, "rb") as pipe:
        memory.learn("switch-2", Learned("arista"))
        await asyncio.to_thread(pipe.read)
    await writing
    memory.save()
    assert file.is_file()
    assert Memory(file).of("switch-2").profile == "arista"


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}', b"\xff"])
def test_a_spoilt_memory_is_begun_anew(tmp_path, content, caplog):
    file = tmp_path / "learned.json"
    file.write_bytes(content)
    assert Memory(file).of("switch-1").profile == ""
    assert "begun anew" in caplog.text


# --- profiles -------------------------------------------------------------------------------------------


def test_a_profile_extends_others_and_its_own_entries_win(tmp_path):
    (tmp_path / "own.toml").write_text(
        "name='own'\nkind='pdu'\nextends=['ups','if_mib']\n[[objects]]\noid='1.3.6.1.5.0'\n"
        "metric='ups_battery_status'\nsource='test'\nlow=0.0"
    )
    own = profiles_in(tmp_path)["own"]
    assert [metric.oid for metric in own.objects if metric.metric == "ups_battery_status"] == ["1.3.6.1.5.0"]
    assert {table.label for table in own.tables} == {"line", "interface"}
    assert own.sentinels_of(
        next(metric for metric in own.objects if metric.metric == "ups_alarms_active")
    ) == (-1,)


@pytest.mark.parametrize(
    ("extends", "reason"), [("['nope']", "extends 'nope', known: .*ups"), ("['own']", "own -> own")]
)
def test_an_unknown_or_circular_parent_is_refused(tmp_path, extends, reason):
    (tmp_path / "own.toml").write_text(f"name='own'\nkind='pdu'\nextends={extends}")
    with pytest.raises(ProfileError, match=reason):
        profiles_in(tmp_path)


def watch(client, port, seen, memory=None):
    device = DeviceConfig("switch-1", f"127.0.0.1:{port}", timeout_seconds=2.0, retries=0)
    return DeviceWatch(client, device, 10.0, "agent-1", built_in_profiles(), seen, memory)


async def heard_in_a_round(watching, device):
    """The octets of the requests of one round."""
    before = device.heard_bytes
    await watching.poll_once()
    return device.heard_bytes - before


def decoded(name, rows):
    """Rows in the words of a built-in profile."""
    profile = built_in_profiles()[name]
    varbinds = [(encode_oid(oid), tag, value) for oid, tag, value in rows]
    found = Decoded()
    found.take(varbinds)
    decode_objects(profile, found)
    for table in profile.tables:
        walked = [
            [row for row in varbinds if row[0].startswith(encode_oid(f"{root}"))] for root in table.columns
        ]
        decode_table(profile, table, columns_of(table.columns, walked), found)
    return found
