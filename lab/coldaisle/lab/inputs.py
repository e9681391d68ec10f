"""What acts on the plant from outside: operators' commands, and the limits that faults set."""

from dataclasses import dataclass
from typing import TypeVar

from coldaisle.lab.hall import CRACS, OUTLETS, PORTS, Hall

T = TypeVar("T")

DEFAULT_SETPOINT_CELSIUS = 18.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that the plant is told; indices as in the hall."""

    setpoint_celsius: tuple[float, ...]
    compressor: tuple[float, ...]
    """Share of the cooling capacity that is there: 0 is a dead compressor."""
    airflow: tuple[float, ...]
    """Share of the air that still moves: 0 is a stopped fan, and a full filter takes some too."""
    fan_speed: tuple[float, ...]
    """Share of its speed that the fan still turns at; a filter does not slow it."""
    feed_live: tuple[bool, ...]
    outlet_off_until: tuple[tuple[float, ...], ...]
    """Per PDU and outlet, the plant second when it comes back: 0 is on, infinity is off."""
    overload: tuple[float, ...]
    """Per PDU, how far an overload of phase L1 has gone, 0 to 1."""
    port_enabled: tuple[bool, ...]
    port_intact: tuple[bool, ...]
    port_error_ratio: tuple[float, ...]
    psu_lost: tuple[tuple[float, ...], ...]
    """Per PDU and outlet, the share of its load that the power supply behind it no longer carries."""
    leak_bytes_a_second: tuple[float, ...]
    """Per server, what a process takes and never gives back."""
    storm_lines_a_second: tuple[float, ...]
    """Per logger, lines that say the same over and over."""
    stuck_probes: frozenset[int] = frozenset()
    """Racks whose inlet probe repeats its last value."""
    silent: frozenset[str] = frozenset()
    """Devices that do not answer."""


def healthy(hall: Hall) -> Inputs:
    """Return the inputs of a hall where all works and nobody touched a thing."""
    ports = PORTS * len(hall.switches)
    return Inputs(
        setpoint_celsius=(DEFAULT_SETPOINT_CELSIUS,) * CRACS,
        compressor=(1.0,) * CRACS,
        airflow=(1.0,) * CRACS,
        fan_speed=(1.0,) * CRACS,
        feed_live=(True,) * len(hall.feeds),
        outlet_off_until=((0.0,) * OUTLETS,) * len(hall.pdus),
        overload=(0.0,) * len(hall.pdus),
        port_enabled=(True,) * ports,
        port_intact=(True,) * ports,
        port_error_ratio=(0.0,) * ports,
        psu_lost=((0.0,) * OUTLETS,) * len(hall.pdus),
        leak_bytes_a_second=(0.0,) * len(hall.servers),
        storm_lines_a_second=(0.0,) * len(hall.loggers),
    )


def replaced(values: tuple[T, ...], index: int, value: T) -> tuple[T, ...]:
    """Return the tuple with one place changed."""
    return (*values[:index], value, *values[index + 1 :])
