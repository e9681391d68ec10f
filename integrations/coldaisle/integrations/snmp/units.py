"""The units of metrics, which are the last words of their names, and what is possible in each.

The ranges are wide: they tell a wrong scale or a sentinel that nobody listed from a hot day.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

Range = tuple[float, float]

RANGES: Mapping[str, Range] = {
    "celsius": (-60.0, 150.0),
    "percent": (0.0, 1_000.0),
    "volts": (-100_000.0, 100_000.0),
    "amperes": (-10_000.0, 10_000.0),
    "watts": (-10e6, 10e6),
    "volt_amperes": (-10e6, 10e6),
    "hertz": (0.0, 10_000.0),
    "minutes": (0.0, 1e6),
    "seconds": (0.0, 2**32),
    "rpm": (0.0, 100_000.0),
    "pascals": (-1e7, 1e7),
    "kilowatt_hours_total": (0.0, 1e10),
    "bytes": (0.0, 1e18),
    "megabits_per_second": (0.0, 1e8),
    "dbm": (-100.0, 50.0),
    "cubic_meters_per_second": (0.0, 10_000.0),
    "liters_per_minute": (0.0, 1e6),
    "per_second": (0.0, 1e15),
    "ratio": (-1.1, 1.1),
}
"""What a value of a unit can be; an entry of a profile may narrow it."""

CONVERSIONS: Mapping[str, Callable[[float], float]] = {
    "fahrenheit": lambda number: (number - 32.0) * 5.0 / 9.0,
}
"""Units that a device may speak, into those that are recorded."""

MAX_CACHED_METRICS = 4_096

_BY_LENGTH = sorted(RANGES, key=len, reverse=True)


def unit_of(metric: str) -> str:
    """The unit that a metric's name ends in; empty for states and counts."""
    bare = metric.partition("{")[0]
    return next((unit for unit in _BY_LENGTH if bare == unit or bare.endswith(f"_{unit}")), "")


@lru_cache(maxsize=MAX_CACHED_METRICS)
def range_of(metric: str) -> Range | None:
    """What is possible in the metric's unit; None when it has none."""
    return RANGES.get(unit_of(metric))
