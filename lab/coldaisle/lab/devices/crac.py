"""A cooling unit that answers like a Liebert: temperatures keyed by what they measure, and a set-point."""

from coldaisle.lab.air import COMPRESSOR_WATTS, CRAC_FAN_SPEED
from coldaisle.lab.devices.pdu import relative_humidity_percent
from coldaisle.lab.devices.rows import ENTERPRISES, Rows, gauge, integer, oid, system, text
from coldaisle.lab.hall import Hall
from coldaisle.lab.inputs import Inputs
from coldaisle.lab.noise import jitter
from coldaisle.lab.plant import SECONDS_A_READING, Plant

LIEBERT = f"{ENTERPRISES}.476.1.42"
OBJECT_ID = LIEBERT
TEMPERATURE = f"{LIEBERT}.3.4.1.3.3.1"
HUMIDITY = f"{LIEBERT}.3.4.2.2.3.1"
STATE = f"{LIEBERT}.3.4.3"
CONDITIONS_PRESENT = f"{LIEBERT}.3.2.2.0"

CONTROL, RETURN, SUPPLY = (f"{LIEBERT}.3.4.1.1.{number}" for number in (1, 2, 3))
"""The names in column 2: a reader keys the rows by them."""
SUPPLY_ROW, RETURN_ROW = 1, 2
RETURN_HUMIDITY = f"{LIEBERT}.3.4.2.1.2"
SETPOINT = f"{TEMPERATURE}.6.{SUPPLY_ROW}"
LOWEST_CELSIUS, HIGHEST_CELSIUS = 10, 30
HIGH_SUPPLY_CELSIUS, HIGH_RETURN_CELSIUS, LOW_CELSIUS = 24, 38, 8
HUMIDITY_SETPOINT_PERCENT = 45
ON, OFF = 1, 2
PROBE_NOISE_KELVIN = 0.3
"""Shown in whole degrees: a value near a half goes to and fro, a steady one hardly ever moves."""
NOISE_CHANNEL = 5_000
ALARM_SHARE = 0.5
"""A unit notices by itself when no more than this is left of its cooling, its fan's speed or its air."""


def fixed(hall: Hall, index: int) -> Rows:
    """What never changes."""
    name = hall.cracs[index]
    return {
        **system(name, "Liebert iCOM CRAC", OBJECT_ID, "hall-1"),
        f"{LIEBERT}.2.1.1.0": text("Liebert Corporation"),
        f"{LIEBERT}.2.1.2.0": text("CRV CR035"),
        f"{LIEBERT}.2.1.3.0": text("PA1.04.033.STD"),
        f"{LIEBERT}.2.1.4.0": text(f"LB{hall.seed:04d}{index:04d}"),
        **_sensor(SUPPLY_ROW, SUPPLY, HIGH_SUPPLY_CELSIUS),
        **_sensor(RETURN_ROW, RETURN, HIGH_RETURN_CELSIUS),
        f"{HUMIDITY}.1.1": integer(1),
        f"{HUMIDITY}.2.1": oid(RETURN_HUMIDITY),
        f"{HUMIDITY}.6.1": integer(HUMIDITY_SETPOINT_PERCENT),
        f"{STATE}.17.0": gauge(0),
    }


def _sensor(row: int, name: str, high: int) -> Rows:
    return {
        f"{TEMPERATURE}.1.{row}": integer(row),
        f"{TEMPERATURE}.2.{row}": oid(name),
        f"{TEMPERATURE}.4.{row}": integer(high),
        f"{TEMPERATURE}.5.{row}": integer(LOW_CELSIUS),
    }


def changing(hall: Hall, inputs: Inputs, plant: Plant, index: int) -> Rows:
    """What moves with the plant."""
    air = plant.air
    speed = inputs.fan_speed[index] if any(inputs.feed_live) else 0.0
    cooling = air.cooling_watts[index] > 0.0
    alarm = is_alarming(inputs, index)
    return {
        f"{TEMPERATURE}.3.{SUPPLY_ROW}": integer(air.seen_discharge[index] + _noise(hall, plant, 2 * index)),
        f"{TEMPERATURE}.3.{RETURN_ROW}": integer(air.seen_return[index] + _noise(hall, plant, 2 * index + 1)),
        SETPOINT: integer(inputs.setpoint_celsius[index]),
        f"{HUMIDITY}.3.1": integer(relative_humidity_percent(air.seen_return[index])),
        f"{STATE}.1.0": integer(ON),
        f"{STATE}.2.0": integer(ON if cooling else OFF),
        f"{STATE}.7.0": integer(ON if speed > 0.0 else OFF),
        f"{STATE}.8.0": integer(ON if alarm else OFF),
        f"{STATE}.9.0": gauge(100.0 * air.cooling_watts[index] / COMPRESSOR_WATTS),
        f"{STATE}.16.0": gauge(100.0 * CRAC_FAN_SPEED * speed),
        CONDITIONS_PRESENT: gauge(1 if alarm else 0),
    }


def is_alarming(inputs: Inputs, index: int) -> bool:
    """Whether the unit knows that something is wrong with it."""
    left = inputs.compressor[index], inputs.fan_speed[index], inputs.airflow[index]
    return min(left) <= ALARM_SHARE


def _noise(hall: Hall, plant: Plant, probe: int) -> float:
    moment = int(plant.seconds // SECONDS_A_READING)
    return PROBE_NOISE_KELVIN * jitter(hall.seed, NOISE_CHANNEL + probe, moment)
