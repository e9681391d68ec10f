"""Noise that depends on nothing but the seed, the sensor and the moment, so that a run can be repeated."""

from functools import lru_cache

_MASK = (1 << 64) - 1
MAX_CACHED_CHANNELS, MAX_CACHED_LEVELS = 16_384, 16_384


def _mix(value: int) -> int:
    """Scramble 64 bits (the finaliser of SplitMix64)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def uniform(seed: int, channel: int, moment: int) -> float:
    """Return a number in [0, 1) that is fixed for these three."""
    return _mix(_begun(seed, channel) ^ moment) / 2.0**64


@lru_cache(maxsize=MAX_CACHED_CHANNELS)
def _begun(seed: int, channel: int) -> int:
    return _mix(_mix(seed) ^ channel)


def jitter(seed: int, channel: int, moment: int) -> float:
    """Return a number in (-1, 1), most often near 0 (a triangle)."""
    return uniform(seed, channel, moment) - uniform(seed, ~channel & _MASK, moment)


@lru_cache(maxsize=MAX_CACHED_LEVELS)
def level(seed: int, channel: int, slot: int) -> float:
    """Return the jitter of a slot that is asked for many times."""
    return jitter(seed, channel, slot)


def wander(seed: int, channel: int, seconds: float, slot_seconds: float) -> float:
    """Return a number in (-1, 1) that goes straight from one slot's jitter to the next one's."""
    slot = int(seconds // slot_seconds)
    before, after = level(seed, channel, slot), level(seed, channel, slot + 1)
    return before + (after - before) * (seconds / slot_seconds - slot)
