"""A rack PDU that answers like an APC rPDU2: load, phases, switched outlets, and a probe on the A side."""

import math

from coldaisle.lab.devices.rows import ENTERPRISES, Rows, column, integer, system, text
from coldaisle.lab.hall import OUTLETS, SIDES, Hall
from coldaisle.lab.inputs import Inputs
from coldaisle.lab.load import watts_wanted
from coldaisle.lab.mains import output_volts
from coldaisle.lab.noise import jitter
from coldaisle.lab.plant import SECONDS_A_READING, Plant
from coldaisle.lab.power import LINE_VOLTS, PHASE_RATED_AMPS, POWER_FACTOR, outlet_split

RPDU2 = f"{ENTERPRISES}.318.1.1.26"
OBJECT_ID = f"{ENTERPRISES}.318.1.3.4.6"
DEVICE, PHASE = f"{RPDU2}.4.3.1", f"{RPDU2}.6.3.1"
OUTLET_STATUS, OUTLET_CONTROL = f"{RPDU2}.9.2.3.1", f"{RPDU2}.9.2.4.1"
OUTLET_METER = f"{RPDU2}.9.4.3.1"
PROBE = f"{RPDU2}.10.2.2.1"
COMMAND = f"{OUTLET_CONTROL}.5"
PHASES = 3
PHASE_SHARES = (0.36, 0.33, 0.31)

ON, OFF, REBOOT = 1, 2, 3
STATE_OFF, STATE_ON = 1, 2
"""As the profile of these PDUs reads the state column."""
NORMAL, NEAR_OVERLOAD, OVERLOAD = 2, 3, 4
NEAR_OVERLOAD_SHARE = 0.8
SENSOR_NORMAL = 4
"""rPDU2SensorTempHumidityStatus: normal."""

DEW_POINT_CELSIUS = 10.5
CURRENT_NOISE = 0.01
OUTLET_NOISE = 0.04
"""The meter of an outlet sees one server, which is less steady than eight."""
OUTLET_CHANNEL, UPS_METERS = 8_000, 2


def fixed(hall: Hall, index: int) -> Rows:
    """What never changes."""
    name, rack = hall.pdus[index], hall.racks[index // len(SIDES)]
    outlets = [f"{rack.name}-server-{number}" for number in range(1, OUTLETS + 1)]
    return {
        **system(name, "APC Web/SNMP Management Card (MB:v4.1.0 PF:v6.5.6 MN:AP8641)", OBJECT_ID, rack.name),
        f"{RPDU2}.2.1.3.1": text(name),
        f"{RPDU2}.2.1.6.1": text("v6.5.6"),
        f"{RPDU2}.2.1.8.1": text("AP8641"),
        f"{RPDU2}.2.1.9.1": text(f"ZA{hall.seed:04d}{index:06d}"),
        f"{DEVICE}.1.1": integer(1),
        f"{DEVICE}.2.1": integer(1),
        f"{DEVICE}.3.1": text(name),
        **column(PHASE, 1, [integer(n) for n in range(1, PHASES + 1)]),
        **column(PHASE, 2, [integer(1)] * PHASES),
        **column(PHASE, 3, [integer(n) for n in range(1, PHASES + 1)]),
        **column(OUTLET_STATUS, 1, [integer(n) for n in range(1, OUTLETS + 1)]),
        **column(OUTLET_STATUS, 2, [integer(1)] * OUTLETS),
        **column(OUTLET_STATUS, 3, [text(outlet) for outlet in outlets]),
        **column(OUTLET_STATUS, 4, [integer(n) for n in range(1, OUTLETS + 1)]),
        **(_probe_identity(rack.name) if index % len(SIDES) == 0 else {}),
    }


def _probe_identity(rack: str) -> Rows:
    return {
        f"{PROBE}.1.1": integer(1),
        f"{PROBE}.2.1": integer(1),
        f"{PROBE}.3.1": text(f"{rack} inlet"),
        f"{PROBE}.4.1": integer(1),
        f"{PROBE}.5.1": integer(2),
        f"{PROBE}.6.1": integer(2),
        f"{PROBE}.9.1": integer(SENSOR_NORMAL),
        f"{PROBE}.11.1": integer(SENSOR_NORMAL),
    }


def changing(hall: Hall, inputs: Inputs, plant: Plant, index: int) -> Rows:
    """What moves with the plant."""
    amps = phase_amps(hall, inputs, plant, index)
    watts = sum(amps) * LINE_VOLTS * POWER_FACTOR
    rows = {
        f"{DEVICE}.4.1": integer(_load_state(max(amps))),
        f"{DEVICE}.5.1": integer(watts / 10.0),
        f"{DEVICE}.9.1": integer(plant.power.pdu_joules[index] / 3.6e5),
        **column(PHASE, 4, [integer(_load_state(each)) for each in amps]),
        **column(PHASE, 5, [integer(each * 10.0) for each in amps]),
        **column(PHASE, 6, [integer(each) for each in _phase_volts(hall, plant, index)]),
        **column(PHASE, 7, [integer(each * LINE_VOLTS * POWER_FACTOR / 10.0) for each in amps]),
        **_outlets(inputs, plant, index),
        **column(OUTLET_METER, 7, [integer(each) for each in outlet_watts(hall, inputs, plant, index)]),
    }
    return rows | _probe(plant, index // len(SIDES)) if index % len(SIDES) == 0 else rows


def phase_amps(hall: Hall, inputs: Inputs, plant: Plant, index: int) -> list[float]:
    """Return what flows in L1 to L3; an overload moves everything onto L1."""
    noise = 1.0 + CURRENT_NOISE * jitter(hall.seed, 2000 + index, int(plant.seconds // SECONDS_A_READING))
    total = plant.power.pdu_watts[index] * noise / (LINE_VOLTS * POWER_FACTOR)
    moved = inputs.overload[index]
    first = PHASE_SHARES[0] + (1.0 - PHASE_SHARES[0]) * moved
    return [total * first, *(total * share * (1.0 - moved) for share in PHASE_SHARES[1:])]


def outlet_watts(hall: Hall, inputs: Inputs, plant: Plant, index: int) -> list[float]:
    """Return what each outlet gives: its share of what the server behind it asks for."""
    rack, side = divmod(index, len(SIDES))
    seconds, live = plant.seconds, plant.power.side_live
    demand = watts_wanted(hall, rack, seconds) / OUTLETS
    moment = int(seconds // SECONDS_A_READING)
    return [
        demand
        * outlet_split(hall, inputs, live, rack, outlet, seconds)[side]
        * (1.0 + OUTLET_NOISE * jitter(hall.seed, OUTLET_CHANNEL + index * OUTLETS + outlet, moment))
        for outlet in range(OUTLETS)
    ]


def _phase_volts(hall: Hall, plant: Plant, index: int) -> list[float]:
    place = UPS_METERS + index
    return [output_volts(hall.seed, place, phase, plant.seconds) for phase in range(PHASES)]


def _load_state(amps: float) -> int:
    if amps > PHASE_RATED_AMPS:
        return OVERLOAD
    return NEAR_OVERLOAD if amps > NEAR_OVERLOAD_SHARE * PHASE_RATED_AMPS else NORMAL


def _outlets(inputs: Inputs, plant: Plant, index: int) -> Rows:
    on = [plant.seconds >= until for until in inputs.outlet_off_until[index]]
    return {
        **column(OUTLET_STATUS, 5, [integer(STATE_ON if each else STATE_OFF) for each in on]),
        **column(OUTLET_CONTROL, 5, [integer(ON if each else OFF) for each in on]),
    }


def _probe(plant: Plant, rack: int) -> Rows:
    celsius = plant.shown_inlet_celsius[rack]
    return {
        f"{PROBE}.7.1": integer((celsius * 1.8 + 32.0) * 10.0),
        f"{PROBE}.8.1": integer(celsius * 10.0),
        f"{PROBE}.10.1": integer(relative_humidity_percent(celsius)),
    }


def relative_humidity_percent(celsius: float) -> float:
    """Return the humidity of the hall's air at this temperature: its dew point is held."""
    return 100.0 * _vapour(DEW_POINT_CELSIUS) / _vapour(celsius)


def _vapour(celsius: float) -> float:
    """Saturation pressure by Magnus, up to a constant."""
    return math.exp(17.62 * celsius / (243.12 + celsius))
