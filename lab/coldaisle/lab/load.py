"""What the racks are asked to compute: a daily wave and bursts of jobs, a pure function of seed and time."""

import math

from coldaisle.lab.hall import Hall, Rack
from coldaisle.lab.noise import uniform

DAY_SECONDS = 86_400.0
START_OF_RUN_SECONDS = 10 * 3600.0
"""The clock of the hall when a run begins: ten in the morning."""
DAILY_UTILISATION = 0.05
BURST_SECONDS = 900
BURST_RAMP_SECONDS = 90.0
BURST_UTILISATION = 0.15
BURST_CHANCE = 0.25


def rack_demand(hall: Hall, seconds: float) -> list[float]:
    """Return the watts that each rack wants at this moment."""
    clock = (seconds + START_OF_RUN_SECONDS) / DAY_SECONDS
    wave = DAILY_UTILISATION * math.sin(2.0 * math.pi * (clock - 0.375))
    return [_watts(rack, wave + _burst(hall.seed, index, seconds)) for index, rack in enumerate(hall.racks)]


def _watts(rack: Rack, extra: float) -> float:
    return rack.idle_watts + (rack.busy_watts - rack.idle_watts) * min(1.0, rack.utilisation + extra)


def _burst(seed: int, rack: int, seconds: float) -> float:
    """Return the extra utilisation of the jobs now running, ramped from one quarter hour to the next."""
    slot = int(seconds // BURST_SECONDS)
    level = _slot_level(seed, rack, slot)
    ramp = (seconds - slot * BURST_SECONDS) / BURST_RAMP_SECONDS
    if ramp >= 1.0:
        return level
    before = _slot_level(seed, rack, slot - 1)
    return before + (level - before) * ramp


def _slot_level(seed: int, rack: int, slot: int) -> float:
    draw = uniform(seed, rack, slot)
    return BURST_UTILISATION * draw / BURST_CHANCE if draw < BURST_CHANCE else 0.0
