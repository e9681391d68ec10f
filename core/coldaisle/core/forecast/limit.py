"""When a series that goes somewhere reaches a limit, and how sure that is.

The slope is Theil and Sen's, the median of slopes between pairs of medians, which a few wild values do not
move; only pairs of the same time of day count from two days on (Hirsch, Slack and Smith 1982),
so that a daily wave is no slope. Which past it is taken from, the last day or the last months, is decided
by which would have told the last day well. Its interval treats all times of day as one witness.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from math import floor, sqrt
from statistics import median

from msgspec import Struct

HOUR_SECONDS = 3_600
DAY_HOURS = 24
WINDOWS_HOURS = (24, 72, 168, 336, 2_160)
MIN_HOURS = 6
GOOD_ENOUGH = 1.25
"""The longest past is taken whose error is at most this many times the best one's: it has the surer slope."""
NORMAL_95 = 1.645
"""Two-sided 90 %."""


class Trend(Struct, frozen=True):
    """A line through hourly medians: ``level`` at the last hour, slopes an hour, 90 % intervals.

    ``below`` and ``above`` are how far single hours lie from the line.
    """

    level: float
    slope: float
    slope_low: float
    slope_high: float
    below: float
    above: float
    hours: int


class Crossing(Struct, frozen=True):
    """Seconds from the last hour until a limit is met. None: not within sight.

    ``earliest`` to ``latest`` is the interval; ``latest`` is None where it may never come.
    """

    limit: float
    earliest: float | None
    likely: float | None
    latest: float | None


def trend(hours: Mapping[int, float]) -> Trend | None:
    """The trend of hourly medians, by the hour's number; None where fewer than MIN_HOURS are known."""
    if len(hours) < MIN_HOURS:
        return None
    last = max(hours)
    windows = [w for w in WINDOWS_HOURS if w == WINDOWS_HOURS[0] or last - min(hours) >= w * 3 // 4]
    lead = max(min(DAY_HOURS, (last - min(hours)) // 4), 1)
    errors = {window: _error(hours, last, window, lead) for window in windows}
    good = [window for window, error in errors.items() if error <= GOOD_ENOUGH * min(errors.values())]
    return _fit(_window(hours, last, max(good)))


def crossing(line: Trend, limit: float, horizon_seconds: float) -> Crossing:
    """When the line meets the limit; what lies beyond the horizon is not told."""
    sign = 1.0 if limit >= line.level else -1.0
    distance = sign * (limit - line.level)
    slopes = sorted((sign * line.slope_low, sign * line.slope_high))
    noise = sorted((sign * line.below, sign * line.above))
    return Crossing(
        limit,
        _seconds(distance - max(noise[1], 0.0), slopes[1], horizon_seconds),
        _seconds(distance, sign * line.slope, horizon_seconds),
        _seconds(distance - min(noise[0], 0.0), slopes[0], horizon_seconds),
    )


def crossing_sentence(found: Crossing, horizon_seconds: float) -> str:
    """What may be said of it: a date only where its interval is narrower than the horizon."""
    days = horizon_seconds / (DAY_HOURS * HOUR_SECONDS)
    if found.earliest is None:
        return f"not within {days:g} days"
    if found.earliest == 0 and found.likely == 0:
        return "is there now"
    if found.likely is None or found.latest is None:
        return f"no date: {_span(found.earliest)} at the earliest, perhaps not within {days:g} days"
    return f"in {_span(found.likely)} ({_span(found.earliest)} to {_span(found.latest)}, 90 %)"


def _window(hours: Mapping[int, float], last: int, length: int) -> dict[int, float]:
    return {hour: value for hour, value in hours.items() if last - length < hour <= last}


def _error(hours: Mapping[int, float], last: int, length: int, lead: int) -> float:
    """How far off the window's line would have been, had it been drawn ``lead`` hours earlier."""
    past = _window(hours, last - lead, length)
    if len(past) < MIN_HOURS:
        return float("inf")
    line, end = _fit(past), max(past)
    ahead = [(hour, value) for hour, value in hours.items() if last - lead < hour]
    return median(abs(value - line.level - line.slope * (hour - end)) for hour, value in ahead)


def _fit(hours: Mapping[int, float]) -> Trend:
    points = sorted(hours.items())
    last = points[-1][0]
    daily = last - points[0][0] >= 2 * DAY_HOURS - 1
    slopes = sorted(_slopes(points, daily))
    if not slopes:
        slopes = sorted(_slopes(points, daily=False))
    slope = median(slopes)
    low, high = _slope_interval(slopes, len(points), daily)
    level = median(value - slope * (hour - last) for hour, value in points)
    residuals = sorted(value - level - slope * (hour - last) for hour, value in points)
    outside = len(residuals) // 20
    return Trend(level, slope, low, high, residuals[outside], residuals[-1 - outside], len(points))


def _slopes(points: list[tuple[int, float]], daily: bool) -> Iterator[float]:
    for group in _groups(points, daily):
        for (early, before), (late, after) in combinations(group, 2):
            yield (after - before) / (late - early)


def _groups(points: list[tuple[int, float]], daily: bool) -> list[list[tuple[int, float]]]:
    if not daily:
        return [points]
    return [[point for point in points if point[0] % DAY_HOURS == hour] for hour in range(DAY_HOURS)]


def _slope_interval(slopes: list[float], point_count: int, daily: bool) -> tuple[float, float]:
    """Kendall's variance gives the ranks; hours of one day say the same, so they do not narrow it."""
    groups = DAY_HOURS if daily else 1
    each = max(point_count / groups if daily else point_count / 3, 2.0)
    spread = NORMAL_95 * sqrt(each * (each - 1) * (2 * each + 5) / 18)
    pairs = each * (each - 1) / 2
    share = min(spread / pairs, 1.0) / 2
    low = max(floor((0.5 - share) * len(slopes)), 0)
    return slopes[low], slopes[len(slopes) - 1 - low]


def _seconds(distance: float, slope: float, horizon_seconds: float) -> float | None:
    if distance <= 0:
        return 0.0
    if slope <= 0 or distance / slope * HOUR_SECONDS > horizon_seconds:
        return None
    return distance / slope * HOUR_SECONDS


def _span(seconds: float) -> str:
    """Rounded to what the number can bear."""
    hours = seconds / HOUR_SECONDS
    if hours < 1:
        return f"{max(round(seconds / 60), 0)} min"
    return f"{hours:.0f} h" if hours < 2 * DAY_HOURS else f"{hours / DAY_HOURS:.0f} days"
