"""Intervals from the errors that were made: what was said so far ahead, and how far off it was.

The quantile asked for follows the hits and misses (adaptive conformal inference, Gibbs and Candès 2021):
after a miss intervals widen, after hits they narrow, so that the share of hits keeps to the coverage also
where the series changes. What they promise is that share over time, not for each single forecast.
"""

from bisect import bisect_left, insort
from collections import deque

WINDOW = 500
"""Errors remembered for each lead."""
MIN_ERRORS = 20
ADAPTATION = 0.01
MIN_MISS_SHARE = 0.001


class Errors:
    """Signed errors (value minus forecast) at one lead; ``hits`` of ``said`` intervals held."""

    def __init__(self, coverage: float, steps: int = 1) -> None:
        self._steps = steps
        self.said = 0
        self.hits = 0
        self._target = 1 - coverage
        self._miss_share = self._target
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    def interval(self, forecast: float) -> tuple[float, float] | None:
        """Low and high around a forecast; None while too few errors are known."""
        count = len(self._sorted)
        if count < MIN_ERRORS:
            return None
        # errors so far ahead overlap: the first few hundred are fewer witnesses than they seem
        share = max(self._miss_share, MIN_MISS_SHARE) * self.said / (self.said + self._steps)
        outside = int(share / 2 * (count + 1)) - 1
        outside = min(max(outside, 0), (count - 1) // 2)
        return forecast + self._sorted[outside], forecast + self._sorted[count - 1 - outside]

    def learn(self, error: float) -> None:
        """Remember an error; the oldest leaves a full window."""
        self._recent.append(error)
        insort(self._sorted, error)
        if len(self._recent) > WINDOW:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]

    def judge(self, low: float, value: float, high: float) -> None:
        """An interval that was said meets its value."""
        hit = low <= value <= high
        self.said += 1
        self.hits += hit
        self._miss_share += ADAPTATION * (self._target - (not hit))
        self._miss_share = min(max(self._miss_share, -self._target), 2 * self._target)
