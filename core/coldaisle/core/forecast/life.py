"""How long parts that wear out may last: disks, batteries, fans; from their trend and their alerts.

Nothing here was held against a labelled record of failures: it extends what is measured, says how sure the
line is, and claims no more. A part without a trend has no date.
"""

from collections.abc import Mapping, Sequence
from math import comb

from msgspec import Struct

from coldaisle.core.forecast.limit import Crossing, crossing, crossing_sentence, trend

DAY_NANOSECONDS = 86_400_000_000_000
LIFE_HORIZON_DAYS = 365
RECENT_DAYS = 30
BEFORE_DAYS = 60
RISING_PROBABILITY = 0.05


class Wear(Struct, frozen=True):
    """A metric that tells of wear, by its name without labels, and when the part is at its end.

    ``limit`` is a value of the metric; ``share_of_best`` a share of the best day that was seen.
    """

    metric: str
    part: str
    limit: float | None = None
    share_of_best: float | None = None
    falling: bool = False
    source: str = ""


WEAR = (
    Wear("disk_wear_percent", "disk", limit=100.0, source="rated writes are used up"),
    Wear("disk_spare_percent", "disk", limit=10.0, falling=True, source="10 % of spare blocks left"),
    Wear("filesystem_used_ratio", "file system", limit=1.0, source="it is full"),
    Wear(
        "ups_battery_runtime_seconds", "battery", share_of_best=0.8, falling=True,
        source="80 % of its best runtime, after IEEE 1188",
    ),
    Wear(
        "ups_battery_health_percent", "battery", limit=80.0, falling=True,
        source="80 % of its capacity, after IEEE 1188",
    ),
    Wear("fan_speed_rpm", "fan", share_of_best=0.7, falling=True, source="70 % of its best speed"),
)  # fmt: skip


class Life(Struct, frozen=True):
    """What may be said of one part."""

    metric: str
    part: str
    value: float
    limit: float
    crossing: Crossing
    sentence: str


class AlertRecord(Struct, frozen=True):
    """Alerts of an asset in the last RECENT_DAYS and in the BEFORE_DAYS before; is it more than chance?"""

    recent: int
    before: int
    is_rising: bool


def wear_of(metric: str) -> Wear | None:
    """The rule for a metric, with or without labels."""
    name = metric.partition("{")[0]
    return next((wear for wear in WEAR if wear.metric == name), None)


def life(metric: str, wear: Wear, hours: Mapping[int, float], alerts: AlertRecord) -> Life | None:
    """What the hourly medians of a part say; None where they are too few."""
    line = trend(hours)
    if line is None:
        return None
    limit = wear.limit if wear.limit is not None else (wear.share_of_best or 0.0) * max(hours.values())
    horizon_seconds = LIFE_HORIZON_DAYS * 86_400.0
    is_over = line.level <= limit if wear.falling else line.level >= limit
    found = Crossing(limit, 0.0, 0.0, 0.0) if is_over else crossing(line, limit, horizon_seconds)
    sentence = f"{wear.part}: end of life ({wear.source}) {crossing_sentence(found, horizon_seconds)}"
    if alerts.is_rising:
        sentence += (
            f"; its asset's alerts rise ({alerts.recent} in {RECENT_DAYS} days): plan for the earliest"
        )
    return Life(metric, wear.part, line.level, limit, found, sentence)


def alert_record(opened: Sequence[int], now: int) -> AlertRecord:
    """From the times (UTC ns) at which an asset's alerts opened."""
    ages = [(now - time) / DAY_NANOSECONDS for time in opened]
    recent = sum(0 <= age < RECENT_DAYS for age in ages)
    before = sum(RECENT_DAYS <= age < RECENT_DAYS + BEFORE_DAYS for age in ages)
    return AlertRecord(recent, before, _tail(recent, recent + before) < RISING_PROBABILITY)


def _tail(recent: int, total: int) -> float:
    """How likely so many of all would be recent if they came evenly."""
    share = RECENT_DAYS / (RECENT_DAYS + BEFORE_DAYS)
    return sum(comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(recent, total + 1))
