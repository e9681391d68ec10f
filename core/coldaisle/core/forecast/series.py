"""Samples at any times as steps of equal length: the median of each; None where there was no sample."""

from collections.abc import Iterable, Mapping
from statistics import median

from msgspec import Struct

from coldaisle.core.forecast.forecaster import COVERAGE, Forecaster, Point
from coldaisle.core.forecast.models import DAY_SECONDS

NANOSECONDS = 1_000_000_000
STEP_SECONDS = (60, 300, 900, 1_800, 3_600)
AIMED_STEPS_AHEAD = 96
MAX_HORIZON_SECONDS = 14 * DAY_SECONDS
MIN_HORIZON_SECONDS = 60

Sample = tuple[int, float]
"""UTC ns and value."""


class Outlook(Struct, frozen=True):
    """What a series will be: ``points`` at ``now + lead * step_seconds`` (UTC ns), and its last steps.

    Of ``said`` intervals at the furthest lead, ``hits`` held: the record of these very forecasts.
    """

    now: int
    step_seconds: int
    recent: tuple[float | None, ...]
    points: tuple[Point, ...]
    hits: int
    said: int


def steps_of(samples: Iterable[Sample], step_seconds: int) -> dict[int, float]:
    """The median of each step that has a sample, by the step's number since 1970, in order."""
    found: dict[int, list[float]] = {}
    for time, value in samples:
        found.setdefault(time // (step_seconds * NANOSECONDS), []).append(value)
    return {step: median(values) for step, values in sorted(found.items())}


def step_for(horizon_seconds: int) -> int:
    """The step at which a horizon is told in about AIMED_STEPS_AHEAD steps; raises ValueError."""
    if not MIN_HORIZON_SECONDS <= horizon_seconds <= MAX_HORIZON_SECONDS:
        raise ValueError(
            f"a horizon of {horizon_seconds} s: from {MIN_HORIZON_SECONDS} s to "
            f"{MAX_HORIZON_SECONDS // DAY_SECONDS} days can be told"
        )
    fine = [step for step in STEP_SECONDS if horizon_seconds / step <= AIMED_STEPS_AHEAD]
    return fine[0] if fine else STEP_SECONDS[-1]


def outlook(samples: Iterable[Sample], horizon_seconds: int, coverage: float = COVERAGE) -> Outlook | None:
    """Follow the series to its end, and tell the horizon; None without any sample. Raises ValueError."""
    step_seconds = step_for(horizon_seconds)
    steps = steps_of(samples, step_seconds)
    if not steps:
        return None
    first, last = min(steps), max(steps)
    steps_ahead = max(1, round(horizon_seconds / step_seconds))
    forecaster = Forecaster(step_seconds, steps_ahead, first, coverage)
    for step in range(first, last + 1):
        forecaster.update(steps.get(step))
    hits, said = forecaster.record
    return Outlook(
        (last + 1) * step_seconds * NANOSECONDS,
        step_seconds,
        _recent(steps, last, steps_ahead),
        tuple(forecaster.forecast()),
        hits,
        said,
    )


def _recent(steps: Mapping[int, float], last: int, count: int) -> tuple[float | None, ...]:
    """As many steps of the past as are told ahead."""
    return tuple(steps.get(step) for step in range(max(min(steps), last - count + 1), last + 1))
