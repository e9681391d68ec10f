"""Stage 1, on every series: record novelty. How far outside its own past is this series now?

For each series ten statistics are followed (the value, its change, three moving averages, what is usual at
this hour, its variation). Each remembers the range that it ever had; the surprise is how far outside that
range it is, in units of the range. No distribution, no threshold per series, O(1) a sample, and the
explanation is the computation.

Time constants are in seconds, so that polls of any period can be mixed; a gap weighs at most as one time
constant. Only + - * / sqrt, comparisons and frexp are used: the same on every CPU. Arrays hold one series
a column; a series must occur once in a call.

Limits: no weekly season, no daylight-saving correction. Float64 throughout: about 600 bytes a series.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STATISTICS = (
    "value", "diff", "accel", "ew_fast", "ew_mid", "ew_slow",
    "seasonal", "seasonal_smooth", "logstd_fast", "logstd_slow",
)  # fmt: skip
WEIGHTS = np.array([1.25, 0.25, 0.5, 0.5, 1.0, 1.25, 0.5, 0.375, 0.5, 0.25])

PERIOD_SECONDS = 300.0
"""The sampling period at which the constants below were found."""

SLOTS = 24
DAY_SECONDS = 86_400
IGNORED_SAMPLES = 10
YOUNG_SAMPLES = 20
EARLY_LIFE_PERIODS = 1_000.0
FORGET_PER_PERIOD = 6e-5
ONSET_SHARE = 0.5
ONSET_SECONDS = 22_500.0
FIRST_CHANGE_SURPRISE = 5.0
HALF_SCORE = 0.3
LN_2 = 0.6931472


def _tau_seconds(alpha: float) -> float:
    """The time constant whose weight dt / (dt + tau) is ``alpha`` at one period."""
    return PERIOD_SECONDS * (1 - alpha) / alpha


_TAU_AVERAGES = np.array([[_tau_seconds(a)] for a in (0.3, 0.05, 0.01)])
_TAU_SMOOTH = _tau_seconds(0.15)
_TAU_VARIATION = np.array([[_tau_seconds(a)] for a in (0.1, 0.02)])


@dataclass(frozen=True, slots=True)
class Novelty:
    """Scores of one call, one element a sample: 0 (as ever) to 1; ``shares`` has a row per statistic.

    ``value_score`` looks at the value's own record alone. ``low`` and ``high`` are the range of the value
    as it stood before this sample. ``age_seconds`` is how long the series has been known.
    """

    score: Floats
    value_score: Floats
    shares: Floats
    low: Floats
    high: Floats
    count: Ints
    age_seconds: Floats


class NoveltyState:
    """The state of all series, as arrays of equal length; grows as series appear. Times in seconds."""

    def __init__(self) -> None:
        self.count: Ints = np.zeros(0, np.int64)
        self.origin: Floats = np.zeros(0)
        self.first_time: Floats = np.zeros(0)
        self.last_time: Floats = np.zeros(0)
        self.previous: Floats = np.zeros(0)
        self.diff: Floats = np.zeros(0)
        self.smooth: Floats = np.zeros(0)
        self.envelope: Floats = np.zeros(0)
        self.averages: Floats = np.zeros((3, 0))
        self.means: Floats = np.zeros((2, 0))
        self.variances: Floats = np.zeros((2, 0))
        self.profile: Floats = np.zeros((SLOTS, 0))
        self.seen: Ints = np.zeros((SLOTS, 0), np.int64)
        self.low: Floats = np.zeros((len(STATISTICS), 0))
        self.high: Floats = np.zeros((len(STATISTICS), 0))
        self.frozen: Bools = np.zeros(0, np.bool_)

    def reserve(self, series_count: int) -> None:
        """Make room for this many series; doubles, so that growing costs little."""
        room = self.count.shape[-1]
        if series_count <= room:
            return
        for name, array in vars(self).items():
            wider = np.zeros((*array.shape[:-1], max(1_024, 2 * room, series_count)), array.dtype)
            wider[..., :room] = array
            setattr(self, name, wider)

    def deviation(self, series: Ints) -> Floats:
        """How many standard deviations the last value lies from its slow mean, per series."""
        spread = np.sqrt(self.variances[1, series])
        distance = np.abs(self.previous[series] - self.means[1, series])
        deviation: Floats = np.divide(distance, spread, out=np.zeros_like(distance), where=spread > 0)
        return deviation

    def update(self, series: Ints, values: Floats, times: Floats) -> Novelty:
        """Score one finite sample for each of these distinct series, then learn it where not frozen."""
        self._start_new(series, values, times)
        first = self.count[series] == 0
        step = np.where(first, 0.0, np.maximum(times - self.last_time[series], 0.0))
        y = values - self.origin[series]
        q = self._statistics(series, y, values, times, step, first)
        shares, low, high = self._surprise(series, q, times, step)
        score = self._onset(series, shares, step)
        value_surprise = shares[0] / WEIGHTS[0]
        self.count[series] += 1
        self.last_time[series] = times
        return Novelty(
            score, value_surprise / (HALF_SCORE + value_surprise), shares,
            low + self.origin[series], high + self.origin[series],
            self.count[series], times - self.first_time[series],
        )  # fmt: skip

    def _start_new(self, series: Ints, values: Floats, times: Floats) -> None:
        new = self.count[series] == 0
        fresh = series[new]
        self.origin[fresh] = values[new]
        self.first_time[fresh] = times[new]
        self.last_time[fresh] = times[new]

    def _statistics(
        self, series: Ints, y: Floats, raw: Floats, times: Floats, step: Floats, first: Bools
    ) -> Floats:
        """The ten statistics, a row each; every moving one is updated on the way."""
        diff = np.where(first, 0.0, y - self.previous[series])
        accel = np.where(first, 0.0, diff - self.diff[series])
        averages = self.averages[:, series]
        averages += _weight(step, _TAU_AVERAGES) * (y - averages)
        seasonal, smooth = self._season(series, y, times, step)
        logstd = self._variation(series, y, raw, step)
        self.previous[series], self.diff[series] = y, diff
        self.averages[:, series] = averages
        return np.vstack([y, diff, accel, averages, seasonal, smooth, logstd])

    def _season(self, series: Ints, y: Floats, times: Floats, step: Floats) -> tuple[Floats, Floats]:
        """The distance from what is usual at this hour, and its moving average; 0 in an unseen hour."""
        slot = ((times % DAY_SECONDS) * SLOTS // DAY_SECONDS).astype(np.int64)
        seen = self.seen[slot, series]
        usual = self.profile[slot, series]
        residual = np.where(seen > 0, y - usual, 0.0)
        smooth = self.smooth[series]
        smooth = np.where(seen > 0, smooth + _weight(step, _TAU_SMOOTH) * (residual - smooth), smooth)
        self.smooth[series] = smooth
        rate = np.where(self.frozen[series], 0.0, np.maximum(0.1 * step / PERIOD_SECONDS, 1.0 / (seen + 1)))
        self.profile[slot, series] = usual + np.minimum(rate, 1.0) * (y - usual)
        self.seen[slot, series] = seen + 1
        return residual, np.where(seen > 0, smooth, 0.0)

    def _variation(self, series: Ints, y: Floats, raw: Floats, step: Floats) -> Floats:
        """Logarithms of two moving standard deviations; the floor keeps a constant from minus infinity."""
        weight = _weight(step, _TAU_VARIATION)
        means, variances = self.means[:, series], self.variances[:, series]
        floor = 1e-12 + 1e-4 * variances[1] + 1e-12 * raw * raw
        distance = y - means
        means += weight * distance
        variances = (1 - weight) * (variances + weight * distance * distance)
        self.means[:, series], self.variances[:, series] = means, variances
        return 0.5 * _logarithm(variances + floor)

    def _surprise(
        self, series: Ints, q: Floats, times: Floats, step: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Each statistic's weighted surprise, and the value's range before this sample; then learn."""
        count, low, high = self.count[series], self.low[:, series], self.high[:, series]
        begins = count <= IGNORED_SAMPLES
        span = high - low
        outside = np.maximum(np.maximum(q - high, low - q), 0.0)
        age = (times - self.first_time[series]) / PERIOD_SECONDS
        early = np.sqrt(age / (age + EARLY_LIFE_PERIODS))
        surprise = np.divide(outside, span, out=np.zeros_like(outside), where=span > 0) * early
        surprise = np.where((span == 0) & (outside > 0), FIRST_CHANGE_SURPRISE, surprise)
        surprise = np.where(count > IGNORED_SAMPLES + YOUNG_SAMPLES, surprise, 0.0)
        forget = np.minimum(FORGET_PER_PERIOD * step / PERIOD_SECONDS, 0.5) / 2 * span
        learned_low = np.where(begins, q, np.minimum(low + forget, q))
        learned_high = np.where(begins, q, np.maximum(high - forget, q))
        frozen = self.frozen[series]
        self.low[:, series] = np.where(frozen, low, learned_low)
        self.high[:, series] = np.where(frozen, high, learned_high)
        return surprise * WEIGHTS[:, None], low[0], high[0]

    def _onset(self, series: Ints, shares: Floats, step: Floats) -> Floats:
        """One alarm for an event, not one for each of its samples."""
        total = np.zeros(len(series))
        for share in shares:  # summed in a fixed order: the same on every machine
            total = total + share
        envelope = self.envelope[series]
        onset = np.maximum(total - ONSET_SHARE * envelope, 0.0)
        self.envelope[series] = np.maximum(envelope / (1 + step / ONSET_SECONDS), total)
        return onset / (HALF_SCORE + onset)


def _weight(step: Floats, tau: Floats | float) -> Floats:
    """The weight of a sample after ``step`` seconds: dt / (dt + tau), at most as after one tau."""
    bounded = np.minimum(step, tau)
    return np.asarray(bounded / (bounded + tau), np.float64)


def _logarithm(x: Floats) -> Floats:
    """ln x but for a constant, by exponent and linear mantissa: numpy's log may differ in its last bit."""
    mantissa, exponent = np.frexp(x)
    logarithm: Floats = LN_2 * (exponent + 2 * mantissa - 2)
    return logarithm
