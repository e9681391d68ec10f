"""The electrical side: feeds, UPS batteries, PDU sides and outlets, down to the watts of each rack."""

from dataclasses import dataclass, replace

from coldaisle.lab.hall import OUTLETS, SIDES, Hall
from coldaisle.lab.inputs import Inputs
from coldaisle.lab.load import rack_demand

UPS_EFFICIENCY = 0.95
UPS_RATED_WATTS = 120_000.0
BATTERY_JOULES = 60_000.0 * 480.0
"""Eight minutes at 60 kW."""
CHARGER_WATTS = 6_000.0
LINE_VOLTS = 230.0
PHASE_RATED_AMPS = 16.0
OVERLOAD_AMPS = 18.5
"""What a full overload draws on phase L1, over its 16 A."""
POWER_FACTOR = 0.97


@dataclass(frozen=True, slots=True)
class Power:
    """The state of the power chain; watts hold for the step that follows."""

    pdu_watts: tuple[float, ...]
    pdu_joules: tuple[float, ...]
    battery_joules: tuple[float, ...]
    side_live: tuple[bool, ...]
    """Whether the UPS of the side still gives power."""
    ups_watts: tuple[float, ...]
    rack_watts: tuple[float, ...]


def first_power(hall: Hall) -> Power:
    """Return the chain just switched on: charged, and without load until the first step."""
    pdus, racks, sides = len(hall.pdus), len(hall.racks), len(SIDES)
    return Power(
        pdu_watts=(0.0,) * pdus,
        pdu_joules=tuple(3.6e6 * (4000.0 + 37.0 * index) for index in range(pdus)),
        battery_joules=(BATTERY_JOULES,) * sides,
        side_live=(True,) * sides,
        ups_watts=(0.0,) * sides,
        rack_watts=(0.0,) * racks,
    )


def advance_power(hall: Hall, inputs: Inputs, power: Power, seconds: float, dt: float) -> Power:
    """Return the chain after `dt` seconds, with the load of this moment held for the step."""
    pdu_watts = _pdu_watts(hall, inputs, power.side_live, seconds)
    ups_watts = tuple(sum(pdu_watts[side :: len(SIDES)]) for side in range(len(SIDES)))
    battery = tuple(
        _battery(power.battery_joules[side], inputs.feed_live[side], ups_watts[side], dt)
        for side in range(len(SIDES))
    )
    return replace(
        power,
        pdu_watts=tuple(pdu_watts),
        pdu_joules=tuple(j + w * dt for j, w in zip(power.pdu_joules, pdu_watts, strict=True)),
        battery_joules=battery,
        side_live=tuple(inputs.feed_live[side] or battery[side] > 0.0 for side in range(len(SIDES))),
        ups_watts=ups_watts,
        rack_watts=tuple(pdu_watts[2 * rack] + pdu_watts[2 * rack + 1] for rack in range(len(hall.racks))),
    )


def _battery(joules: float, feed_live: bool, watts: float, dt: float) -> float:
    if feed_live:
        return min(BATTERY_JOULES, joules + CHARGER_WATTS * dt)
    return max(0.0, joules - watts / UPS_EFFICIENCY * dt)


def _pdu_watts(hall: Hall, inputs: Inputs, side_live: tuple[bool, ...], seconds: float) -> list[float]:
    watts: list[float] = []
    for index, demand in enumerate(rack_demand(hall, seconds)):
        a, b = rack_split(hall, inputs, side_live, index, seconds)
        for side, share in enumerate((a, b)):
            extra = inputs.overload[2 * index + side] * overload_watts() if side_live[side] else 0.0
            watts.append(max(demand * share, extra))
    return watts


def overload_watts() -> float:
    """Return the watts of a PDU whose L1 alone carries a full overload."""
    return OVERLOAD_AMPS * LINE_VOLTS * POWER_FACTOR


def rack_split(
    hall: Hall, inputs: Inputs, side_live: tuple[bool, ...], rack: int, seconds: float
) -> tuple[float, float]:
    """Return the shares of the rack's demand that its A and B PDU carry; a dark server asks for nothing."""
    a_share = hall.racks[rack].a_share
    off_a, off_b = inputs.outlet_off_until[2 * rack], inputs.outlet_off_until[2 * rack + 1]
    lost = inputs.psu_lost[2 * rack : 2 * rack + 2]
    if all(side_live) and not any(map(any, (off_a, off_b, *lost))):
        return a_share, 1.0 - a_share
    shares = [outlet_split(hall, inputs, side_live, rack, outlet, seconds) for outlet in range(OUTLETS)]
    return sum(a for a, _ in shares) / OUTLETS, sum(b for _, b in shares) / OUTLETS


def outlet_split(
    hall: Hall, inputs: Inputs, side_live: tuple[bool, ...], rack: int, outlet: int, seconds: float
) -> tuple[float, float]:
    """Return the shares of one server's demand that its outlets on the A and on the B side carry.

    What a dead outlet or a failing power supply does not take, the other one does.
    """
    able = [
        0.0
        if not side_live[side] or seconds < inputs.outlet_off_until[2 * rack + side][outlet]
        else 1.0 - inputs.psu_lost[2 * rack + side][outlet]
        for side in range(len(SIDES))
    ]
    a_share = hall.racks[rack].a_share
    a, b = a_share * able[0], (1.0 - a_share) * able[1]
    return (a / (a + b), b / (a + b)) if a + b > 0.0 else (0.0, 0.0)
