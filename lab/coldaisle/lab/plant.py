"""The plant: power, air and network of the hall moved on together, without clock and without I/O."""

from dataclasses import dataclass
from functools import lru_cache

from coldaisle.lab.air import Air, advance_air, first_air
from coldaisle.lab.hall import Hall
from coldaisle.lab.inputs import Inputs, healthy
from coldaisle.lab.network import Network, advance_network, first_network
from coldaisle.lab.noise import jitter
from coldaisle.lab.power import Power, advance_power, first_power
from coldaisle.lab.servers import Servers, advance_servers, first_servers

AIR_STEP_SECONDS = 1.0
POWER_STEP_SECONDS = 10.0
"""Loads change over minutes: the power chain is worked out this often."""
WARM_UP_SECONDS = 3600.0
MAX_RESTED_HALLS = 8
"""Halls at rest that are remembered: each takes some tenths of a second to come to rest."""
PROBE_NOISE_KELVIN = 0.1
SECONDS_A_READING = 10.0
"""A device refreshes what it shows this often."""


@dataclass(frozen=True, slots=True)
class Plant:
    """The true state of the hall at one moment, in plant seconds since the run began."""

    seconds: float
    air: Air
    power: Power
    network: Network
    servers: Servers
    shown_inlet_celsius: tuple[float, ...]
    """What the rack probes show: late, noisy, in tenths, and sometimes stuck."""


@lru_cache(maxsize=MAX_RESTED_HALLS)
def first_plant(hall: Hall) -> Plant:
    """Return the hall at rest, an hour after it was switched on."""
    plant = Plant(
        seconds=-WARM_UP_SECONDS,
        air=first_air(hall),
        power=first_power(hall),
        network=first_network(hall),
        servers=first_servers(hall),
        shown_inlet_celsius=(22.0,) * len(hall.racks),
    )
    return step(hall, healthy(hall), plant, WARM_UP_SECONDS)


def step(
    hall: Hall, inputs: Inputs, plant: Plant, dt_seconds: float, air_step_seconds: float = AIR_STEP_SECONDS
) -> Plant:
    """Return the plant `dt_seconds` later with these inputs held; cost grows with the time, so bound it.

    Steps of the air up to two seconds stay well below its shortest time constant, ten seconds.
    """
    air, power, network, seconds = plant.air, plant.power, plant.network, plant.seconds
    servers = plant.servers
    end = seconds + dt_seconds
    while end - seconds > 1e-9:
        span = min(POWER_STEP_SECONDS, end - seconds)
        power = advance_power(hall, inputs, power, seconds, span)
        network = advance_network(hall, inputs, network, power, seconds, span)
        servers = advance_servers(hall, inputs, servers, seconds, span)
        air = _air_over(hall, inputs, air, power.rack_watts, span, air_step_seconds)
        seconds += span
    return Plant(end, air, power, network, servers, _shown(hall, inputs, plant, air, end))


def _air_over(
    hall: Hall, inputs: Inputs, air: Air, rack_watts: tuple[float, ...], span: float, step_seconds: float
) -> Air:
    left = span
    while left > 1e-9:
        dt = min(step_seconds, left)
        air = advance_air(hall, inputs, air, rack_watts, dt)
        left -= dt
    return air


def _shown(hall: Hall, inputs: Inputs, before: Plant, air: Air, seconds: float) -> tuple[float, ...]:
    moment = int(seconds // SECONDS_A_READING)
    return tuple(
        before.shown_inlet_celsius[rack]
        if rack in inputs.stuck_probes
        else round(celsius + PROBE_NOISE_KELVIN * jitter(hall.seed, 1000 + rack, moment), 1)
        for rack, celsius in enumerate(air.probe)
    )
