"""Actions: what was set is proved by reading it back, and what cannot be told is said to be unknown."""

import re

import pytest

from coldaisle.core.actions import ActionRequest, ActionResult
from coldaisle.integrations.snmp import DeviceConfig, Responder, SnmpActions, Table, tags
from coldaisle.integrations.snmp.message import decode

LIEBERT = "1.3.6.1.4.1.476.1.42.3.4.1"
RPDU = "1.3.6.1.4.1.318.1.1.26.9.2"
SETPOINT_OID = f"{LIEBERT}.3.3.1.6.7"
ROWS = {
    f"{LIEBERT}.3.3.1.2.3": (tags.OBJECT_IDENTIFIER, f"{LIEBERT}.1.2"),
    f"{LIEBERT}.3.3.1.2.7": (tags.OBJECT_IDENTIFIER, f"{LIEBERT}.1.3"),
    f"{LIEBERT}.3.3.1.6.3": (tags.INTEGER, 30),
    SETPOINT_OID: (tags.INTEGER, 18),
    f"{RPDU}.3.1.5.4": (tags.INTEGER, 2),
    f"{RPDU}.4.1.5.4": (tags.INTEGER, 1),
}
SETPOINT = {"metric": "supply_setpoint_celsius", "value": 14}


class Hall:
    """Two devices behind one table; ``status`` answers a SET, a deaf model agrees and does nothing."""

    def __init__(self):
        self.table = Table(ROWS)
        self.status = 0
        self.deaf = False

    def on_set(self, oid, tag, value):
        if self.status == 0 and not self.deaf:
            self.table.update({oid: (tag, value)})
            if oid.startswith(f"{RPDU}.4.1.5."):
                state = {1: 2, 2: 1}[value]  # commanded on (1) it shows on (2), and the reverse
                self.table.update({oid.replace(f"{RPDU}.4.", f"{RPDU}.3."): (tag, state)})
        return self.status


@pytest.fixture
def hall():
    return Hall()


@pytest.fixture
async def device(hall):
    async with Responder(hall.table, on_set=hall.on_set) as responder:
        yield responder


@pytest.fixture
async def actions(device, monkeypatch):
    monkeypatch.setenv("WRITE", "private")
    address = f"127.0.0.1:{device.port}"
    devices = [
        DeviceConfig("crac-1", address, "liebert_crac", timeout_seconds=0.1, write_community_env="WRITE"),
        DeviceConfig("pdu-1", address, "apc_rpdu2", timeout_seconds=0.1, write_community_env="WRITE"),
        DeviceConfig("read-only", address, "liebert_crac"),
    ]
    async with SnmpActions(devices, read_back_seconds=0.01) as acting:
        yield acting


def request(asset="crac-1", verb="perform", timeout_seconds=5.0, **arguments):
    return ActionRequest("run-1/step-1", verb, "snmp.set", asset, arguments or SETPOINT, timeout_seconds)


async def test_a_setpoint_is_set_in_the_row_of_the_supply_sensor_and_read_back(actions, hall):
    result = await actions.carry_out(request())
    assert result == ActionResult(
        "done", observed={"metric": "supply_setpoint_celsius", "value": 14.0},
        undo={"metric": "supply_setpoint_celsius", "value": 18.0},
    )  # fmt: skip
    assert hall.table.value(SETPOINT_OID) == (tags.INTEGER, 14)
    assert hall.table.value(f"{LIEBERT}.3.3.1.6.3") == (tags.INTEGER, 30)


async def test_a_probe_of_a_device_that_is_not_configured_any_more_knows_nothing(actions):
    assert (await actions.carry_out(request("crac-9"))).outcome == "not_done"
    assert (await actions.carry_out(request("crac-9", "probe"))).outcome == "unknown"


async def test_undo_takes_the_arguments_that_perform_gave(actions, hall):
    done = await actions.carry_out(request())
    undone = await actions.carry_out(request(verb="undo", **done.undo))
    assert (undone.outcome, hall.table.value(SETPOINT_OID)) == ("done", (tags.INTEGER, 18))


async def test_an_outlet_is_commanded_in_one_column_and_proved_in_another(actions, hall):
    result = await actions.carry_out(request("pdu-1", metric='outlet_state{outlet="4"}', value=0))
    assert result.outcome == "done"
    assert hall.table.value(f"{RPDU}.4.1.5.4") == (tags.INTEGER, 2)


async def test_a_probe_looks_and_changes_nothing(actions, hall):
    assert (await actions.carry_out(request(verb="probe"))).outcome == "not_done"
    await actions.carry_out(request())
    assert (await actions.carry_out(request(verb="probe"))).outcome == "done"
    assert (await actions.carry_out(request("read-only", verb="probe"))).outcome == "done"


async def test_an_object_is_set_by_oid_and_type(actions):
    result = await actions.carry_out(request(oid=SETPOINT_OID, type="integer", value=15))
    assert result.undo == {"oid": SETPOINT_OID, "type": "integer", "value": 18}
    assert result.outcome == "done"


async def test_the_devices_reason_is_passed_on(actions, hall):
    hall.status = 10
    result = await actions.carry_out(request())
    assert (result.outcome, result.undo) == ("not_done", None)
    assert "wrongValue" in result.reason


async def test_a_failed_undo_within_the_device_leaves_the_outcome_unknown(actions, hall):
    hall.status = 15
    assert (await actions.carry_out(request())).outcome == "unknown"


async def test_a_value_taken_but_not_shown_is_unknown(actions, hall):
    hall.deaf = True
    result = await actions.carry_out(request(timeout_seconds=0.3))
    assert result.outcome == "unknown"
    assert "18.0" in result.reason


@pytest.mark.parametrize(
    ("asset", "arguments", "reason"),
    [
        ("nobody", SETPOINT, "nobody"),
        ("read-only", SETPOINT, "write community"),
        ("crac-1", {"metric": "supply_setpoint_celsius", "value": 14.5}, "steps of 1"),
        ("crac-1", {"metric": "supply_setpoint_celsius", "value": "warm"}, "number"),
        ("crac-1", {"metric": "supply_setpoint_celsius", "value": float("nan")}, "number"),
        ("crac-1", {"metric": "supply_setpoint_celsius", "value": 2**40}, "not between"),
        ("crac-1", {"metric": "return_temperature_celsius", "value": 1}, "not|no return"),
        ("crac-1", {"metric": "humour", "value": 1}, "no humour"),
        ("pdu-1", {"metric": 'outlet_state{outlet="99"}', "value": 1}, "outlet"),
        ("pdu-1", {"metric": 'outlet_state{outlet="4"}', "value": 7}, "no state 7"),
        ("crac-1", {"oid": "1.3.x", "type": "integer", "value": 1}, "numbers"),
        ("crac-1", {"oid": SETPOINT_OID, "type": "float", "value": 1}, "type of"),
        ("crac-1", {"oid": SETPOINT_OID, "type": "integer", "value": "x"}, "integer"),
        ("crac-1", {"oid": "1.3.6.9", "type": "integer", "value": 1}, "no object"),
    ],
)
async def test_what_cannot_be_sent_is_certainly_not_done(actions, hall, asset, arguments, reason):
    result = await actions.carry_out(request(asset, **arguments))
    assert result.outcome == "not_done"
    assert re.search(reason, result.reason)
    assert hall.table.value(SETPOINT_OID) == (tags.INTEGER, 18)


@pytest.mark.parametrize(("takes", "outcome"), [(True, "done"), (False, "not_done")])
async def test_after_a_lost_answer_the_device_itself_is_asked(scripted, monkeypatch, takes, outcome):
    """A SET whose answer is lost took effect, or did not: reading tells."""
    hall = Hall()
    hall.deaf = not takes
    inner = Responder(hall.table, on_set=hall.on_set)

    def lose_answers_to_sets(data):
        shell, _ = decode(data)
        reply = inner.answer(data)
        return [] if shell.pdu == tags.SET or reply is None else [reply]

    result = await _perform(scripted, monkeypatch, lose_answers_to_sets)
    assert result.outcome == outcome


async def test_a_device_that_falls_silent_leaves_the_outcome_unknown(scripted, monkeypatch):
    inner = Responder(Table(ROWS))
    silent = []

    def answer_until_a_set(data):
        shell, _ = decode(data)
        if shell.pdu == tags.SET:
            silent.append(True)
        reply = inner.answer(data)
        return [] if silent or reply is None else [reply]

    assert (await _perform(scripted, monkeypatch, answer_until_a_set)).outcome == "unknown"


async def test_a_silent_device_is_not_done_and_its_probe_unknown(scripted, monkeypatch):
    assert (await _perform(scripted, monkeypatch, lambda data: [])).outcome == "not_done"
    assert (await _perform(scripted, monkeypatch, lambda data: [], "probe")).outcome == "unknown"


async def test_a_bare_object_is_set_once_also_when_its_device_is_silent(scripted, monkeypatch):
    """It may be a command: a device that took longer than a second switched an outlet three times."""
    hall = Hall()
    hall.deaf = True  # a command object goes on showing what it showed
    taken = []

    def on_set(oid, tag, value):
        taken.append(value)
        return 0

    inner = Responder(hall.table, on_set=on_set)

    def lose_answers_to_sets(data):
        shell, _ = decode(data)
        reply = inner.answer(data)
        return [] if shell.pdu == tags.SET or reply is None else [reply]

    command = {"oid": SETPOINT_OID, "type": "integer", "value": 3}
    result = await _perform(scripted, monkeypatch, lose_answers_to_sets, **command)
    assert (result.outcome, taken) == ("unknown", [3])
    probed = await _perform(scripted, monkeypatch, lose_answers_to_sets, "probe", **command)
    assert probed.outcome == "unknown"  # "not done" would have the runner set it again


async def _perform(scripted, monkeypatch, script, verb="perform", **arguments):
    monkeypatch.setenv("WRITE", "private")
    device = await scripted(script)
    config = DeviceConfig(
        "crac-1",
        f"127.0.0.1:{device.port}",
        "liebert_crac",
        timeout_seconds=0.05,
        retries=1,
        write_community_env="WRITE",
    )
    async with SnmpActions([config], read_back_seconds=0.01) as acting:
        return await acting.carry_out(request(verb=verb, timeout_seconds=0.6, **arguments))
