"""A sensor that stands still: the same reading for much longer than it ever was.

Only of measurements that are lively by habit: what is constant, or rounded so that it often is, says nothing
by standing still. What a spell teaches is bounded, so that a broken sensor is not soon as usual.
"""

from msgspec import Struct

METRIC_ENDINGS = ("_celsius", "_relative_humidity_percent", "_pascals", "_watts")
"""Where a sensor stands behind the value."""

MIN_SAMPLES = 500
MIN_LIVELY_SHARE = 1 / 3
"""Of the samples, that must differ from the one before."""

LONGER_THAN_EVER = 3
MIN_STUCK_SECONDS = 1_800
MAX_TAUGHT = 2
"""A spell counts at most so many times the longest one before it."""

_SECOND = 1_000_000_000


class Run(Struct, array_like=True):
    """How long a series has had its value: samples, since when (UTC ns), and how that usually is."""

    value: float
    since: int
    length: int = 1
    longest: int = 1
    samples: int = 1
    changes: int = 0

    def update(self, value: float, time: int) -> None:
        """Take in a sample."""
        self.samples += 1
        if value == self.value:
            self.length += 1
            return
        self.longest = max(self.longest, min(self.length, MAX_TAUGHT * self.longest))
        self.value, self.since, self.length = value, time, 1
        self.changes += 1

    @property
    def allowed(self) -> int:
        """Equal samples that it may have in a row."""
        return LONGER_THAN_EVER * self.longest

    def is_stuck(self, time: int) -> bool:
        """Whether it stands still for longer than one may think usual."""
        moving = self.samples - self.length
        if self.length <= self.allowed or moving < MIN_SAMPLES or self.changes < MIN_LIVELY_SHARE * moving:
            return False
        return time - self.since >= MIN_STUCK_SECONDS * _SECOND


def may_be_stuck(metric: str) -> bool:
    """Whether a sensor stands behind this metric."""
    return metric.partition("{")[0].endswith(METRIC_ENDINGS)
