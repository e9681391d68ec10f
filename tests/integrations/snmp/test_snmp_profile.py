"""The built-in profiles against rows of public recordings (snmpsim-data, BSD-2), and the pure decoder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldaisle.integrations.snmp import ProfileError, built_in_profiles, encode_oid, load_profile, tags
from coldaisle.integrations.snmp.decode import (
    Decoded,
    columns_of,
    decode_objects,
    decode_table,
    samples,
    scaled,
)
from coldaisle.integrations.snmp.profile import profile_for
from coldaisle.integrations.snmp.profile_files import profiles_in

RPDU = "1.3.6.1.4.1.318.1.1.26"
LIEBERT = "1.3.6.1.4.1.476.1.42.3.4"
UPS = "1.3.6.1.2.1.33.1"
IF = "1.3.6.1.2.1.2.2.1"
IFX = "1.3.6.1.2.1.31.1.1.1"

APC_8641 = [
    (f"{RPDU}.4.3.1.5.1", tags.INTEGER, 121), (f"{RPDU}.4.3.1.9.1", tags.INTEGER, 19516),
    (f"{RPDU}.6.3.1.3.1", tags.INTEGER, 1), (f"{RPDU}.6.3.1.5.1", tags.INTEGER, 65),
    (f"{RPDU}.6.3.1.6.1", tags.INTEGER, 201), (f"{RPDU}.10.2.2.1.8.1", tags.INTEGER, -1),
    (f"{RPDU}.10.2.2.1.10.1", tags.INTEGER, -1), (f"{RPDU}.9.2.3.1.5.1", tags.INTEGER, 2),
    (f"{RPDU}.9.2.3.1.5.24", tags.INTEGER, 1),
]  # fmt: skip
VERTIV_POWER = [
    (f"{LIEBERT}.1.3.3.1.2.1", tags.OBJECT_IDENTIFIER, encode_oid(f"{LIEBERT}.1.1.1")),
    (f"{LIEBERT}.1.3.3.1.2.2", tags.OBJECT_IDENTIFIER, encode_oid(f"{LIEBERT}.1.1.3")),
    (f"{LIEBERT}.1.3.3.1.2.3", tags.OBJECT_IDENTIFIER, encode_oid(f"{LIEBERT}.1.1.2")),
    (f"{LIEBERT}.1.3.3.1.2.4", tags.OBJECT_IDENTIFIER, encode_oid(f"{LIEBERT}.1.1.11.1")),
    (f"{LIEBERT}.1.3.3.1.3.1", tags.INTEGER, 23), (f"{LIEBERT}.1.3.3.1.3.3", tags.INTEGER, 23),
    (f"{LIEBERT}.1.3.3.1.3.4", tags.INTEGER, 29), (f"{LIEBERT}.1.3.3.1.6.2", tags.INTEGER, 5),
    (f"{LIEBERT}.1.3.3.1.6.3", tags.INTEGER, 23), (f"{LIEBERT}.3.1.0", tags.INTEGER, 1),
    (f"{LIEBERT}.3.2.0", tags.INTEGER, 2), (f"{LIEBERT}.3.8.0", tags.INTEGER, 2),
    (f"{LIEBERT}.3.9.0", tags.GAUGE32, 0), (f"{LIEBERT}.3.16.0", tags.GAUGE32, 100),
]  # fmt: skip
EATON_93E = [
    (f"{UPS}.2.1.0", tags.INTEGER, 2), (f"{UPS}.2.3.0", tags.INTEGER, 1092),
    (f"{UPS}.2.4.0", tags.INTEGER, 100),
    (f"{UPS}.2.5.0", tags.INTEGER, 5210), (f"{UPS}.4.2.0", tags.INTEGER, 490),
    (f"{UPS}.4.4.1.2.1", tags.INTEGER, 220), (f"{UPS}.4.4.1.3.1", tags.INTEGER, 270),
    (f"{UPS}.4.4.1.4.1", tags.INTEGER, 5100), (f"{UPS}.4.4.1.5.1", tags.INTEGER, 21),
    (f"{UPS}.3.3.1.4.1", tags.INTEGER, 210),
]  # fmt: skip


def test_an_apc_pdu_reads_as_recorded():
    assert _readings("apc_rpdu2", APC_8641) == {
        "power_watts": 1210.0, "energy_kilowatt_hours_total": 1951.6,
        "inlet_temperature_celsius": None, "inlet_relative_humidity_percent": None,
        'phase_current_amperes{phase="1"}': 6.5, 'phase_voltage_volts{phase="1"}': 201.0,
        'outlet_state{outlet="1"}': 1.0, 'outlet_state{outlet="24"}': 0.0,
    }  # fmt: skip


def test_a_liebert_crac_is_keyed_by_what_column_two_names():
    assert _readings("liebert_crac", VERTIV_POWER) == {
        "system_state": 1.0, "cooling_state": 0.0, "alarm_active": 0.0, "cooling_percent": 0.0,
        "fan_percent": 100.0, "return_temperature_celsius": 23.0, "supply_setpoint_celsius": 5.0,
        "control_temperature_celsius": 23.0, "return_setpoint_celsius": 23.0,
    }  # fmt: skip


def test_a_ups_has_currents_that_fit_its_power():
    readings = _readings("ups", EATON_93E)
    assert readings['ups_output_current_amperes{line="1"}'] == 27.0
    assert readings['ups_output_power_watts{line="1"}'] == pytest.approx(27.0 * 220, rel=0.15)
    assert readings["ups_battery_voltage_volts"] == 521.0
    assert readings["ups_output_frequency_hertz"] == 49.0


def test_interfaces_are_known_by_name_and_keep_raw_counters():
    rows = [
        (f"{IFX}.1.17", tags.OCTET_STRING, b"Ethernet1/1"), (f"{IFX}.6.17", tags.COUNTER64, 2**40),
        (f"{IF}.8.17", tags.INTEGER, 1), (f"{IF}.8.18", tags.INTEGER, 2),
    ]  # fmt: skip
    assert _readings("if_mib", rows) == {
        'if_in_octets_total{interface="Ethernet1/1"}': 2.0**40,
        'if_oper_status{interface="Ethernet1/1"}': 1.0,
    }  # fmt: skip


def test_a_label_cannot_break_out_of_its_quotes():
    rows = [(f"{IFX}.1.1", tags.OCTET_STRING, b'a"b\\c\nd'), (f"{IF}.8.1", tags.INTEGER, 1)]
    assert _readings("if_mib", rows) == {'if_oper_status{interface="a\\"b\\\\c\\nd"}': 1.0}


@pytest.mark.parametrize("row", [(tags.INTEGER, 2147483647), (tags.GAUGE32, 4294967295), (tags.INTEGER, 7),
                                 (tags.OCTET_STRING, b"on"), (tags.OCTET_STRING, b"nan")])  # fmt: skip
def test_sentinels_unknown_states_and_text_are_no_value(row):
    assert _readings("liebert_crac", [(f"{LIEBERT}.3.1.0", *row)]) == {"system_state": None}


@pytest.mark.parametrize(
    ("object_id", "name"),
    [("1.3.6.1.4.1.318.1.3.4.6", "apc_rpdu2"), ("1.3.6.1.4.1.476.1.42", "liebert_crac"),
     ("1.3.6.1.4.1.705.1", "ups"), ("1.3.6.1.4.1.8072.3.2.10", "host_resources"),
     ("1.3.6.1.4.1.30065.1.3011", "arista"), ("1.3.6.1.4.1.31800", "generic"), ("", "generic")],
)  # fmt: skip
def test_the_object_id_chooses_the_profile(object_id, name):
    assert profile_for(encode_oid(object_id), built_in_profiles()).name == name


def test_every_entry_cites_its_source_and_no_two_can_apply_to_one_row():
    for profile in built_in_profiles().values():
        metrics = list(profile.metrics)
        apart = [(m.metric, m.where_column, value) for m in metrics for value in m.where or ("",)]
        assert all(metric.source for metric in metrics), profile.name
        assert len(apart) == len(set(apart)), profile.name


def test_every_entry_has_a_range_states_or_counts():
    """A value without a unit in its name is an enumeration with bounds, a translated state or a count."""
    bare = {
        f"{profile.name}: {metric.metric}"
        for profile in built_in_profiles().values()
        for metric in profile.metrics
        if metric.bounds is None and not metric.states and not metric.metric.endswith("_total")
    }
    assert bare == {"host_resources: host_processes"}


@pytest.mark.parametrize(
    "text",
    ["name = 1", "name = 'a'\nkind = 'b'\ncolour = 'c'", "name = ",
     "name='a'\nkind='b'\n[[objects]]\noid='1.3.6'\nmetric='m'\nsource='s'\ntype='float'",
     "name='a'\nkind='b'\n[[objects]]\noid='1.3.6'\nmetric='m'\nsource=''"],
)  # fmt: skip
def test_a_wrong_profile_is_refused_with_its_place(text):
    with pytest.raises(ProfileError, match=r"site\.toml"):
        load_profile(text, "site.toml")


def test_a_site_adds_profiles_of_its_own(tmp_path):
    (tmp_path / "own.toml").write_text("name='own'\nkind='pdu'\nmatch=['1.3.6.1.4.1.318.1.3.4.6']")
    profiles = profiles_in(tmp_path)
    assert profile_for(encode_oid("1.3.6.1.4.1.318.1.3.4.6"), profiles).name == "own"


def test_a_metric_is_recorded_for_the_asset_that_it_measures():
    readings = {"inlet_temperature_celsius": 24.5, "power_watts": 800.0, 'outlet_state{outlet="1"}': 1.0}
    measures = {"inlet_temperature_celsius": "rack-a01", "outlet_state": "server-a01"}
    found = {event.asset: (event.metrics, event.values, event.quality)
             for event in samples("pdu-a01", measures, readings, "partial")}  # fmt: skip
    assert found == {
        "rack-a01": (("inlet_temperature_celsius",), (24.5,), "partial"),
        "pdu-a01": (("power_watts",), (800.0,), "partial"),
        "server-a01": (('outlet_state{outlet="1"}',), (1.0,), "partial"),
    }


@given(st.integers(-(2**31), 2**31 - 1), st.sampled_from([1, 10, 100, 1000]))
def test_scales_of_tenths_give_the_number_that_people_write(wire, divisor):
    assert scaled(float(wire), 1 / divisor) == wire / divisor


def _readings(name, rows):
    profile = built_in_profiles()[name]
    varbinds = [(encode_oid(oid), tag, value) for oid, tag, value in rows]
    decoded = Decoded()
    decoded.take(varbinds)
    decode_objects(profile, decoded)
    for table in profile.tables:
        walked = [[row for row in varbinds if row[0].startswith(encode_oid(root))] for root in table.columns]
        decode_table(profile, table, columns_of(table.columns, walked), decoded)
    return decoded.readings
