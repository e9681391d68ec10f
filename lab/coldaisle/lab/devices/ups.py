"""A UPS that answers UPS-MIB (RFC 1628): battery, input, output, load and alarms."""

from coldaisle.lab.devices.rows import ENTERPRISES, MIB_2, Rows, column, gauge, integer, oid, system, text
from coldaisle.lab.hall import Hall
from coldaisle.lab.inputs import Inputs
from coldaisle.lab.load import daily_wave
from coldaisle.lab.mains import feed_volts, mains_hertz, output_volts
from coldaisle.lab.plant import Plant
from coldaisle.lab.power import BATTERY_JOULES, LINE_VOLTS, POWER_FACTOR, UPS_EFFICIENCY, UPS_RATED_WATTS

UPS = f"{MIB_2}.33.1"
OBJECT_ID = f"{ENTERPRISES}.534.1"
INPUT, OUTPUT = f"{UPS}.3.3.1", f"{UPS}.4.4.1"
ALARM = f"{UPS}.6.2.1"
ON_BATTERY_ALARM = f"{UPS}.6.3.3"
LINES = 3
SOURCE_NONE, SOURCE_NORMAL, SOURCE_BATTERY = 2, 3, 5
BATTERY_NORMAL, BATTERY_LOW, BATTERY_DEPLETED = 2, 3, 4
LOW_PERCENT = 20.0
FULL_VOLTS, EMPTY_VOLTS = 436.0, 380.0
BATTERY_CELSIUS, BATTERY_DAILY_KELVIN = 25.2, 0.8


def fixed(hall: Hall, index: int) -> Rows:
    """What never changes."""
    name = hall.upses[index]
    return {
        **system(name, "Eaton 93E 120 kVA", OBJECT_ID, "hall-1"),
        f"{UPS}.1.1.0": text("EATON"),
        f"{UPS}.1.2.0": text("Eaton 93E 120"),
        f"{UPS}.1.3.0": text("1.10"),
        f"{UPS}.1.4.0": text("2.04"),
        f"{UPS}.1.5.0": text(name),
        f"{UPS}.3.2.0": integer(LINES),
        f"{UPS}.4.3.0": integer(LINES),
        **column(INPUT, 1, [integer(n) for n in range(1, LINES + 1)]),
        **column(OUTPUT, 1, [integer(n) for n in range(1, LINES + 1)]),
    }


def changing(hall: Hall, inputs: Inputs, plant: Plant, index: int) -> Rows:
    """What moves with the plant; an alarm row only while there is an alarm."""
    live, fed = plant.power.side_live[index], inputs.feed_live[index]
    watts = plant.power.ups_watts[index] if live else 0.0
    celsius = BATTERY_CELSIUS + BATTERY_DAILY_KELVIN * daily_wave(hall.seed, plant.seconds)
    return {
        **_battery(plant.power.battery_joules[index], watts, fed=fed),
        f"{UPS}.2.7.0": integer(celsius),
        **_lines(watts, live=live, fed=fed),
        **_mains(hall.seed, index, plant.seconds, live=live, fed=fed),
    }


def _mains(seed: int, index: int, seconds: float, *, live: bool, fed: bool) -> Rows:
    """Voltages and frequencies: the feed's come in, what goes out is regulated."""
    hertz = 10.0 * mains_hertz(seed, seconds)
    lines = range(LINES)
    incoming = [integer(feed_volts(seed, index, line, seconds) if fed else 0.0) for line in lines]
    outgoing = [integer(output_volts(seed, index, line, seconds) if live else 0.0) for line in lines]
    return {
        **column(INPUT, 2, [integer(hertz if fed else 0)] * LINES),
        **column(INPUT, 3, incoming),
        f"{UPS}.4.2.0": integer((hertz if fed else 500.0) if live else 0),
        **column(OUTPUT, 2, outgoing),
    }


def _battery(joules: float, watts: float, *, fed: bool) -> Rows:
    percent = 100.0 * joules / BATTERY_JOULES
    amps = 0.0 if fed else watts / FULL_VOLTS
    return {
        f"{UPS}.2.1.0": integer(_battery_status(percent)),
        f"{UPS}.2.2.0": integer(0 if fed else (BATTERY_JOULES - joules) / max(1.0, watts)),
        f"{UPS}.2.3.0": integer(joules / max(1_000.0, watts / UPS_EFFICIENCY) / 60.0),
        f"{UPS}.2.4.0": integer(percent),
        f"{UPS}.2.5.0": integer(10.0 * (EMPTY_VOLTS + (FULL_VOLTS - EMPTY_VOLTS) * percent / 100.0)),
        f"{UPS}.2.6.0": integer(10.0 * amps),
    }


def _battery_status(percent: float) -> int:
    if percent <= 0.0:
        return BATTERY_DEPLETED
    return BATTERY_LOW if percent < LOW_PERCENT else BATTERY_NORMAL


def _lines(watts: float, *, live: bool, fed: bool) -> Rows:
    drawn = watts / UPS_EFFICIENCY if fed else 0.0
    source = SOURCE_NORMAL if fed else SOURCE_BATTERY if live else SOURCE_NONE
    alarm = {f"{ALARM}.1.1": integer(1), f"{ALARM}.2.1": oid(ON_BATTERY_ALARM)} if not fed else {}
    return {
        f"{UPS}.3.1.0": gauge(0 if fed else 1),
        **column(INPUT, 4, [integer(10.0 * _amps(drawn))] * LINES),
        **column(INPUT, 5, [integer(drawn / LINES)] * LINES),
        f"{UPS}.4.1.0": integer(source),
        **column(OUTPUT, 3, [integer(10.0 * _amps(watts))] * LINES),
        **column(OUTPUT, 4, [integer(watts / LINES)] * LINES),
        **column(OUTPUT, 5, [integer(100.0 * watts / UPS_RATED_WATTS)] * LINES),
        f"{UPS}.6.1.0": gauge(0 if fed else 1),
        **alarm,
    }


def _amps(watts: float) -> float:
    return watts / LINES / LINE_VOLTS / POWER_FACTOR
