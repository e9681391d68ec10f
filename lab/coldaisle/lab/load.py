"""What the racks are asked to compute: a daily wave and bursts of jobs, a pure function of seed and time."""

import math
from functools import lru_cache

from coldaisle.lab.hall import Hall
from coldaisle.lab.noise import level, uniform

DAY_SECONDS = 86_400.0
START_OF_RUN_SECONDS = 9.5 * 3600.0
"""The clock of the hall when a run begins: half past nine in the morning, at nearly the mean of the day."""
DAILY_UTILISATION = 0.1
"""How far the daily wave lifts the work of the afternoon over the mean of the day."""
DAY_TO_DAY_SHARE = 0.15
"""By how much, at most, the wave of one day is higher or lower than that of another."""
DAY_CHANNEL = 900
BURST_SECONDS = 900
BURST_RAMP_SECONDS = 90.0
BURST_UTILISATION = 0.15
BURST_CHANCE = 0.25
MAX_CACHED_SLOTS = 1_024


def rack_demand(hall: Hall, seconds: float) -> list[float]:
    """Return the watts that each rack wants at this moment."""
    return [watts_wanted(hall, index, seconds) for index in range(len(hall.racks))]


def watts_wanted(hall: Hall, rack: int, seconds: float) -> float:
    """Return the watts that one rack wants at this moment."""
    idle, busy = hall.racks[rack].idle_watts, hall.racks[rack].busy_watts
    return idle + (busy - idle) * utilisation(hall, rack, seconds)


def utilisation(hall: Hall, rack: int, seconds: float) -> float:
    """Return how busy one rack is at this moment, 0 to 1."""
    wave = DAILY_UTILISATION * daily_wave(hall.seed, seconds)
    return min(1.0, hall.racks[rack].utilisation + wave + _burst(hall.seed, rack, seconds))


def daily_wave(seed: int, seconds: float) -> float:
    """Return where the day's work stands: about 1 at three in the afternoon, about -1 twelve hours later.

    No day is as high as another: the height changes at nine in the morning, where the wave crosses zero.
    """
    turns = (seconds + START_OF_RUN_SECONDS) / DAY_SECONDS - 0.375
    height = 1.0 + DAY_TO_DAY_SHARE * level(seed, DAY_CHANNEL, math.floor(turns))
    return height * math.sin(2.0 * math.pi * turns)


def _burst(seed: int, rack: int, seconds: float) -> float:
    """Return the extra utilisation of the jobs now running, ramped from one quarter hour to the next."""
    slot = int(seconds // BURST_SECONDS)
    level = _slot_level(seed, rack, slot)
    ramp = (seconds - slot * BURST_SECONDS) / BURST_RAMP_SECONDS
    if ramp >= 1.0:
        return level
    before = _slot_level(seed, rack, slot - 1)
    return before + (level - before) * ramp


@lru_cache(maxsize=MAX_CACHED_SLOTS)
def _slot_level(seed: int, rack: int, slot: int) -> float:
    draw = uniform(seed, rack, slot)
    return BURST_UTILISATION * draw / BURST_CHANCE if draw < BURST_CHANCE else 0.0
