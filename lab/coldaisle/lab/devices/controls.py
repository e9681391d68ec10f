"""What a SET does: each writable object, its range, and the input of the plant that it changes."""

from dataclasses import replace

from coldaisle.integrations.snmp.tags import INTEGER
from coldaisle.lab.devices import crac, pdu, switch
from coldaisle.lab.devices.rows import NOT_WRITABLE, WRONG_TYPE, WRONG_VALUE
from coldaisle.lab.hall import OUTLETS, PORTS, Hall
from coldaisle.lab.inputs import Inputs, replaced

REBOOT_SECONDS = 10.0
"""How long an outlet stays off in a reboot, in plant seconds."""


def change(
    hall: Hall, inputs: Inputs, device: str, oid: str, tag: int, value: object, seconds: float
) -> Inputs | int:
    """Return the inputs after a SET at plant second `seconds`, or the error-status that refuses it."""
    if device in hall.cracs and oid == crac.SETPOINT:
        return _checked(tag, value) or _setpoint(inputs, hall.cracs.index(device), int(str(value)))
    table, _, row = oid.rpartition(".")
    if device in hall.pdus and table == pdu.COMMAND and 1 <= int(row) <= OUTLETS:
        index = hall.pdus.index(device)
        return _checked(tag, value) or _outlet(inputs, index, int(row) - 1, int(str(value)), seconds)
    if device in hall.switches and table == switch.ADMIN_STATUS and 1 <= int(row) <= PORTS:
        port = hall.switches.index(device) * PORTS + int(row) - 1
        return _checked(tag, value) or _port(inputs, port, int(str(value)))
    return NOT_WRITABLE


def _checked(tag: int, value: object) -> int:
    return 0 if tag == INTEGER and isinstance(value, int) else WRONG_TYPE


def _setpoint(inputs: Inputs, index: int, celsius: int) -> Inputs | int:
    if not crac.LOWEST_CELSIUS <= celsius <= crac.HIGHEST_CELSIUS:
        return WRONG_VALUE
    return replace(inputs, setpoint_celsius=replaced(inputs.setpoint_celsius, index, float(celsius)))


def _outlet(inputs: Inputs, index: int, outlet: int, command: int, seconds: float) -> Inputs | int:
    until = {pdu.ON: 0.0, pdu.OFF: float("inf"), pdu.REBOOT: seconds + REBOOT_SECONDS}.get(command)
    if until is None:
        return WRONG_VALUE
    outlets = replaced(inputs.outlet_off_until[index], outlet, until)
    return replace(inputs, outlet_off_until=replaced(inputs.outlet_off_until, index, outlets))


def _port(inputs: Inputs, port: int, status: int) -> Inputs | int:
    if status not in (switch.UP, switch.DOWN):
        return WRONG_VALUE
    return replace(inputs, port_enabled=replaced(inputs.port_enabled, port, status == switch.UP))
