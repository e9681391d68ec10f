"""A leak: what is left of a resource falls for hours, faster than it ever did, and will not last a day.

A host that works takes and gives back memory by the minute; a leak only takes. So means of quarters of an
hour are compared: the younger half of the last hours against the older. Twice as much as ever, while each
half fell on its own, and gone within a day if it goes on: then it is told long before the limit.
"""

from math import inf
from statistics import fmean

from msgspec import Struct

METRIC_ENDINGS = ("_available_bytes", "_free_bytes")
BUCKET_SECONDS = 900
KEPT_BUCKETS = 16
"""Four hours."""

HALF_SECONDS = BUCKET_SECONDS * KEPT_BUCKETS // 2
"""From the middle of the older half to that of the younger."""

MIN_LEARNED_BUCKETS = 96 - 2 * KEPT_BUCKETS
"""A day, with the hours that the first fall takes and those that it waits."""

MIN_HALF_SHARE = 0.2
"""Of the whole fall, that each half must have on its own: of an even ramp it is a half, of a step nothing."""

FASTER_THAN_EVER = 1.5
MAX_LEFT_SECONDS = 86_400.0
MAX_TAUGHT = 1.5
"""A fall counts at most so many times the largest one before it, after the first day."""

_SECOND = 1_000_000_000


class Leak(Struct, frozen=True):
    """What falls: how much from half to half, the most that this ever was, and how long the rest will last
    at this rate; that is for ever when nothing is wrong."""

    fall: float
    largest: float
    left_seconds: float

    @property
    def is_grave(self) -> bool:
        """Whether it needs looking at today."""
        return self.left_seconds <= MAX_LEFT_SECONDS


class Level(Struct, array_like=True):
    """The means of the last quarters of an hour, the one that is open, the falls of the last hours, and the
    largest of those before: a fall is learned late, or it would be its own excuse."""

    means: list[float]
    bucket: int
    total: float
    count: int
    waiting: list[float] = []
    learned: int = 0
    largest: float = 0.0

    @classmethod
    def begun(cls, time: int) -> "Level":
        """Of a series that begins at this time, UTC ns."""
        return cls([], time // (BUCKET_SECONDS * _SECOND), 0.0, 0)

    def update(self, value: float, time: int) -> Leak | None:
        """Take in a sample; says what it knows of a leak at the end of each quarter of an hour."""
        bucket = time // (BUCKET_SECONDS * _SECOND)
        if bucket == self.bucket:
            self.total += value
            self.count += 1
            return None
        if bucket > self.bucket + 1 or not self.count:
            self.means.clear()  # what happened in a gap is not known
        else:
            self.means.append(self.total / self.count)
            del self.means[:-KEPT_BUCKETS]
        self.bucket, self.total, self.count = bucket, value, 1
        return self._judged()

    def _judged(self) -> Leak | None:
        """The fall from half to half; the largest before it is that of hours ago."""
        half = len(self.means) // 2
        if len(self.means) < KEPT_BUCKETS:
            return None
        older, younger = self.means[:half], self.means[half:]
        fall = fmean(older) - fmean(younger)
        self._learn(fall)
        least = MIN_HALF_SHARE * fall
        is_steady = _fall(older) > least and _fall(younger) > least
        is_new = self.learned > MIN_LEARNED_BUCKETS and fall > FASTER_THAN_EVER * self.largest
        lasts = younger[-1] / fall * HALF_SECONDS if is_steady and is_new else inf
        return Leak(fall, self.largest, lasts)

    def _learn(self, fall: float) -> None:
        self.waiting.append(fall)
        if len(self.waiting) > KEPT_BUCKETS:
            self.learned += 1
            known = self.waiting.pop(0)
            if self.learned > MIN_LEARNED_BUCKETS:
                known = min(known, MAX_TAUGHT * self.largest)
            self.largest = max(self.largest, known)


def may_run_out(metric: str) -> bool:
    """Whether the metric tells what is left of something."""
    return metric.partition("{")[0].endswith(METRIC_ENDINGS)


def _fall(means: list[float]) -> float:
    half = len(means) // 2
    return fmean(means[:half]) - fmean(means[half:])
