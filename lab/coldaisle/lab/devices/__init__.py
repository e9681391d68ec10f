"""The devices of the hall: what each shows of the plant, as object identifiers and values."""

from collections.abc import Callable

from coldaisle.lab.devices import crac, pdu, switch, ups
from coldaisle.lab.devices.rows import Rows
from coldaisle.lab.hall import SIDES, Hall
from coldaisle.lab.inputs import Inputs
from coldaisle.lab.plant import Plant

__all__ = ["Rows", "changing_rows", "fixed_rows", "is_answering"]

_Changing = Callable[[Hall, Inputs, Plant, int], Rows]
_Fixed = Callable[[Hall, int], Rows]


def fixed_rows(hall: Hall, device: str) -> Rows:
    """Return what the device shows for ever."""
    fixed, _, index = _find(hall, device)
    return fixed(hall, index)


def changing_rows(hall: Hall, inputs: Inputs, plant: Plant, device: str) -> Rows:
    """Return what the device shows at this moment of the plant."""
    _, changing, index = _find(hall, device)
    return changing(hall, inputs, plant, index)


def is_answering(hall: Hall, inputs: Inputs, plant: Plant, device: str) -> bool:
    """Whether the device answers: nothing silences it and, for a PDU, its side has power."""
    if device in inputs.silent:
        return False
    return device not in hall.pdus or plant.power.side_live[hall.pdus.index(device) % len(SIDES)]


def _find(hall: Hall, device: str) -> tuple[_Fixed, _Changing, int]:
    if device in hall.cracs:
        return crac.fixed, crac.changing, hall.cracs.index(device)
    if device in hall.pdus:
        return pdu.fixed, pdu.changing, hall.pdus.index(device)
    if device in hall.upses:
        return ups.fixed, ups.changing, hall.upses.index(device)
    return switch.fixed, switch.changing, hall.switches.index(device)
