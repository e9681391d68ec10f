"""Each profile against a public recording of its device: what is read, and that it is plausible.

The golden files hold the first rows of each metric and how many there are. Write them anew with
``COLDAISLE_WRITE_GOLDEN=1``, and read the difference.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from coldaisle.integrations.snmp import Responder, Table, Target, built_in_profiles
from coldaisle.integrations.snmp.plausible import compare
from coldaisle.integrations.snmp.poll import identify, plan_for, poll
from coldaisle.integrations.snmp.recording import read_table
from coldaisle.integrations.snmp.survey import survey

GOLDEN = Path(__file__).parent / "golden"
SHOWN_ROWS_PER_METRIC = 2
DEADLINE_SECONDS = 60.0
MAX_ROWS = 10_000

RECORDED = {
    "apc-8641": "apc_rpdu2", "apc-8932": "apc_rpdu2", "apc-7902b": "apc_rpdu2", "eaton-93e-80": "ups",
    "phoenixtec-power": "ups",
    "vertiv-power": "liebert_crac", "geist-temperature-sensor": "geist", "arista-dcs-7150s-52-cl": "arista",
    "cisco-n5000": "cisco_nxos", "cisco-c3560": "cisco_ios", "hp-onboard-administrator": "hp_oa",
    "juniper-mx960-12-3r6-6": "juniper", "ibm-x3550-m3": "host_resources",
    "hpe-procurve-516733-b21": "if_mib", "isilon-onefs": "generic",
}  # fmt: skip
FAULTS = {"dlink-des3038": ['if_high_speed_megabits_per_second{interface="1/25"}']}
"""What recorded devices tell wrongly: this one has the speed of a port in bit/s."""

COMPARED = {"apc-8641": 2, "apc-8932": 2, "eaton-93e-80": 3}
"""How many relations the loaded devices show; the other recordings are without load or power."""


@pytest.fixture
async def read(client, recording):
    """Polls a recording with the profile that its sysObjectID chooses, or a named one."""

    async def poll_recording(name, profile_name=""):
        rows = read_table(recording(name))
        async with Responder(Table(rows), max_reply_bytes=60_000) as device:
            target = Target("127.0.0.1", device.port, timeout_seconds=10.0)
            chosen = await identify(client, target, built_in_profiles())
            profile = built_in_profiles()[profile_name] if profile_name else chosen
            return profile, await poll(client, target, plan_for(profile), DEADLINE_SECONDS)

    return poll_recording


@pytest.mark.parametrize(("name", "profile_name"), RECORDED.items())
async def test_a_recording_reads_as_its_golden_file_says(read, name, profile_name):
    profile, found = await read(name)
    assert profile.name == profile_name
    assert (found.problems, found.decoded.strange) == ((), {})
    _hold_against(GOLDEN / f"{name}.txt", _shown(found.readings))
    comparisons = compare(profile, found.readings)
    assert len(comparisons) == COMPARED.get(name, 0)
    assert all(comparison.holds for comparison in comparisons), comparisons


async def test_every_recording_reads_without_a_problem_or_a_strange_value(client, each_recording):
    """The chosen profile on the first rows of each of the 116: nothing out of range, no relation broken."""
    async with Responder(Table(read_table(each_recording, MAX_ROWS)), max_reply_bytes=60_000) as device:
        target = Target("127.0.0.1", device.port, timeout_seconds=10.0)
        found = await survey(client, target, built_in_profiles())
    name = each_recording.name.partition(".")[0]
    strange = [finding.metric for finding in found.findings if finding.verdict.startswith("outside")]
    assert strange == FAULTS.get(name, [])
    assert found.problems == ()
    assert all(line.endswith("ok") for line in found.relations)


async def test_an_older_pdu_without_power_agrees_with_its_volts_and_amperes(read):
    _, found = await read("apc-7902b", "apc_rpdu")
    readings = found.readings
    assert readings["device_power_watts"] == pytest.approx(
        readings["line_voltage_volts"] * readings['load_current_amperes{load="1"}'], rel=0.01
    )


async def test_the_sensors_of_any_device_read_by_their_own_scales(read):
    _, found = await read("arista-dcs-7150s-52-cl", "entity_sensor")
    values = [
        value for name, value in found.readings.items() if name.startswith("sensor_temperature_celsius")
    ]
    assert 28.2 in values
    assert all(15 < value < 60 for value in values)


async def test_a_transceiver_has_the_volts_of_its_data_sheet_and_no_amperes(read):
    """Its bias would be a thousand times too large: see the profile."""
    _, found = await read("cisco-n5000")
    volts = [value for name, value in found.readings.items() if name.startswith("sensor_voltage_volts")]
    assert len(volts) > 10
    assert all(3.0 < value < 3.6 for value in volts)
    assert not any(name.startswith("sensor_current_amperes") for name in found.readings)


def _shown(readings):
    """The first rows of each metric, then how many rows there are."""
    lines: list[str] = []
    counts: Counter[str] = Counter()
    for full, value in sorted(readings.items()):
        name = full.partition("{")[0]
        counts[name] += 1
        if counts[name] <= SHOWN_ROWS_PER_METRIC:
            lines.append(f"{full} {'-' if value is None else format(value, '.12g')}")
    many = [f"# {name}: {count} rows" for name, count in counts.items() if count > SHOWN_ROWS_PER_METRIC]
    return "\n".join([*lines, *many]) + "\n"


def _hold_against(file, text):
    if os.environ.get("COLDAISLE_WRITE_GOLDEN") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert file.read_text() == text
