"""What devices show of the plant and what a SET does, without a socket."""

from dataclasses import replace

import pytest

from coldaisle.integrations.snmp.tags import INTEGER, OCTET_STRING
from coldaisle.lab.devices import changing_rows, crac, fixed_rows, is_answering, pdu, switch, ups
from coldaisle.lab.devices.controls import change
from coldaisle.lab.devices.rows import NOT_WRITABLE, WRONG_TYPE, WRONG_VALUE, Rows
from coldaisle.lab.errors import FaultRefused
from coldaisle.lab.faults import FAULT_KINDS, Fault, checked, under
from coldaisle.lab.hall import Hall, build_hall
from coldaisle.lab.inputs import Inputs, healthy
from coldaisle.lab.notices import notice_of
from coldaisle.lab.plant import Plant, first_plant, step


@pytest.fixture(scope="module")
def hall() -> Hall:
    return build_hall(1)


@pytest.fixture(scope="module")
def rested(hall: Hall) -> Plant:
    return first_plant(hall)


def shown(hall: Hall, plant: Plant, device: str, *faults: Fault) -> Rows:
    inputs = under(hall, healthy(hall), faults)
    return fixed_rows(hall, device) | changing_rows(hall, inputs, step(hall, inputs, plant, 120.0), device)


def number(rows: Rows, oid: str) -> int:
    value = rows[oid][1]
    assert isinstance(value, int)
    return value


def changed(hall: Hall, device: str, oid: str, value: object, tag: int = INTEGER) -> Inputs:
    result = change(hall, healthy(hall), device, oid, tag, value, 0.0)
    assert isinstance(result, Inputs)
    return result


def test_every_device_names_itself_and_its_kind(hall: Hall) -> None:
    assert len(hall.devices) == 40
    for name in hall.devices:
        rows = fixed_rows(hall, name)
        assert rows["1.3.6.1.2.1.1.5.0"][1] == name
        assert str(rows["1.3.6.1.2.1.1.2.0"][1]).startswith("1.3.6.1.4.1.")


def test_a_pdu_agrees_with_itself(hall: Hall, rested: Plant) -> None:
    """Volts times amps of the phases is the power, within the rounding of the columns."""
    rows = shown(hall, rested, "pdu-a01-a")
    amps = sum(number(rows, f"{pdu.PHASE}.5.{phase}") for phase in (1, 2, 3)) / 10.0
    watts = number(rows, f"{pdu.DEVICE}.5.1") * 10.0
    assert watts == pytest.approx(amps * 230.0 * 0.97, rel=0.03)
    assert number(rows, f"{pdu.DEVICE}.4.1") == pdu.NORMAL


def test_only_pdus_on_the_a_side_have_an_inlet_probe(hall: Hall, rested: Plant) -> None:
    a, b = shown(hall, rested, "pdu-b03-a"), shown(hall, rested, "pdu-b03-b")
    assert 210 < number(a, f"{pdu.PROBE}.8.1") < 245
    assert 30 < number(a, f"{pdu.PROBE}.10.1") < 60
    assert not any(oid.startswith(pdu.PROBE) for oid in b)


def test_a_phase_overload_shows_on_l1_alone(hall: Hall, rested: Plant) -> None:
    rows = shown(hall, rested, "pdu-a02-b", Fault("phase_overload", "pdu-a02-b"))
    assert number(rows, f"{pdu.PHASE}.5.1") > 160
    assert number(rows, f"{pdu.PHASE}.4.1") == pdu.OVERLOAD
    assert number(rows, f"{pdu.PHASE}.5.2") == 0


def test_a_dead_compressor_shows_an_alarm_no_cooling_and_a_turning_fan(hall: Hall, rested: Plant) -> None:
    rows = shown(hall, rested, "crac-1", Fault("compressor_failure", "crac-1"))
    assert number(rows, f"{crac.STATE}.8.0") == crac.ON
    assert number(rows, f"{crac.STATE}.9.0") == 0
    assert number(rows, f"{crac.STATE}.16.0") > 50
    assert number(rows, f"{crac.TEMPERATURE}.3.{crac.SUPPLY_ROW}") > 26
    assert number(shown(hall, rested, "crac-2"), f"{crac.STATE}.8.0") == crac.OFF


def test_a_ups_without_its_feed_runs_on_battery_and_says_so(hall: Hall, rested: Plant) -> None:
    rows = shown(hall, rested, "ups-a", Fault("feed_loss", "feed-a"))
    assert number(rows, f"{ups.UPS}.4.1.0") == ups.SOURCE_BATTERY
    assert number(rows, f"{ups.UPS}.2.4.0") < 100
    assert rows[f"{ups.ALARM}.2.1"][1] == ups.ON_BATTERY_ALARM
    assert f"{ups.ALARM}.2.1" not in shown(hall, rested, "ups-b", Fault("feed_loss", "feed-a"))


def test_the_pdus_of_a_dark_side_fall_silent(hall: Hall, rested: Plant) -> None:
    inputs = under(hall, healthy(hall), [Fault("feed_loss", "feed-a")])
    dark = step(hall, inputs, rested, 1800.0)
    answering = {name for name in hall.devices if is_answering(hall, inputs, dark, name)}
    assert set(hall.devices) - answering == {name for name in hall.pdus if name.endswith("-a")}


def test_a_cut_link_is_down_and_hides_the_neighbour(hall: Hall, rested: Plant) -> None:
    rows = shown(hall, rested, "switch-1", Fault("link_down", "switch-1:17"))
    assert number(rows, f"{switch.IF}.8.17") == switch.DOWN
    assert number(rows, f"{switch.IF}.7.17") == switch.UP
    neighbour = f"{switch.LLDP_REMOTE}.9.0.17.1"
    assert neighbour not in rows
    assert shown(hall, rested, "switch-1")[neighbour][1] == "switch-2"


def test_a_set_point_in_range_is_taken_and_shown(hall: Hall, rested: Plant) -> None:
    inputs = changed(hall, "crac-2", crac.SETPOINT, 14)
    assert inputs.setpoint_celsius == (18.0, 14.0, 18.0, 18.0)
    assert changing_rows(hall, inputs, rested, "crac-2")[crac.SETPOINT][1] == 14


@pytest.mark.parametrize(
    ("device", "oid", "tag", "value", "status"),
    [
        ("crac-1", crac.SETPOINT, INTEGER, 9, WRONG_VALUE),
        ("crac-1", crac.SETPOINT, INTEGER, 31, WRONG_VALUE),
        ("crac-1", crac.SETPOINT, OCTET_STRING, b"14", WRONG_TYPE),
        ("crac-1", f"{crac.TEMPERATURE}.3.1", INTEGER, 14, NOT_WRITABLE),
        ("crac-1", "1.3.6.1.2.1.1.5.0", INTEGER, 14, NOT_WRITABLE),
        ("pdu-a01-a", f"{pdu.COMMAND}.9", INTEGER, 1, NOT_WRITABLE),
        ("pdu-a01-a", f"{pdu.COMMAND}.1", INTEGER, 7, WRONG_VALUE),
        ("switch-1", f"{switch.ADMIN_STATUS}.19", INTEGER, 1, NOT_WRITABLE),
        ("switch-1", f"{switch.ADMIN_STATUS}.1", INTEGER, 3, WRONG_VALUE),
        ("ups-a", f"{ups.UPS}.1.5.0", OCTET_STRING, b"x", NOT_WRITABLE),
    ],
)
def test_a_wrong_set_is_refused(
    hall: Hall, device: str, oid: str, tag: int, value: object, status: int
) -> None:
    assert change(hall, healthy(hall), device, oid, tag, value, 0.0) == status


def test_an_outlet_command_shows_in_state_and_command(hall: Hall, rested: Plant) -> None:
    off = changing_rows(hall, changed(hall, "pdu-a01-a", f"{pdu.COMMAND}.3", pdu.OFF), rested, "pdu-a01-a")
    assert number(off, f"{pdu.OUTLET_STATUS}.5.3") == pdu.STATE_OFF
    assert number(off, f"{pdu.COMMAND}.3") == pdu.OFF
    assert number(off, f"{pdu.COMMAND}.2") == pdu.ON


def test_a_rebooted_outlet_is_on_again_after_its_pause(hall: Hall, rested: Plant) -> None:
    inputs = changed(hall, "pdu-a01-a", f"{pdu.COMMAND}.3", pdu.REBOOT)
    now = changing_rows(hall, inputs, rested, "pdu-a01-a")
    later = changing_rows(hall, inputs, replace(rested, seconds=11.0), "pdu-a01-a")
    states = [number(rows, f"{pdu.OUTLET_STATUS}.5.3") for rows in (now, later)]
    assert states == [pdu.STATE_OFF, pdu.STATE_ON]


def test_a_port_switched_off_stops_its_traffic(hall: Hall, rested: Plant) -> None:
    inputs = changed(hall, "switch-1", f"{switch.ADMIN_STATUS}.2", switch.DOWN)
    after = step(hall, inputs, rested, 60.0)
    assert after.network.in_octets[1] == rested.network.in_octets[1]
    assert after.network.in_octets[2] > rested.network.in_octets[2]


@pytest.mark.parametrize("kind", FAULT_KINDS.values(), ids=lambda kind: kind.name)
def test_every_fault_changes_something_and_clearing_restores_it(hall: Hall, kind: object) -> None:
    name = next(name for name, each in FAULT_KINDS.items() if each is kind)
    asset = next(iter(FAULT_KINDS[name].assets(hall)))
    fault = checked(hall, Fault(name, asset, 0.5))
    assert under(hall, healthy(hall), [fault]) != healthy(hall)
    assert under(hall, healthy(hall), []) == healthy(hall)


@pytest.mark.parametrize(
    "fault", [Fault("fire", "crac-1"), Fault("feed_loss", "crac-1"), Fault("fan_failure", "crac-1", 1.5)]
)
def test_an_impossible_fault_is_refused_with_the_choices(hall: Hall, fault: Fault) -> None:
    with pytest.raises(FaultRefused, match=r"choose one of|it fits|at most"):
        checked(hall, fault)


def test_only_faults_that_the_device_can_notice_are_announced() -> None:
    assert notice_of(Fault("stuck_sensor", "rack-a01"), cleared=False) is None
    assert notice_of(Fault("unreachable", "crac-1"), cleared=False) is None
    notice = notice_of(Fault("feed_loss", "feed-b"), cleared=False)
    assert notice is not None
    assert notice.device == "ups-b"
