"""Stage 1, on every series: record novelty. How far outside its own past is this series now?

For each series nine statistics are followed (see following.py) and each remembers the range that it had
(see surprise.py); the surprise is how far outside that range it is, in units of the range. No distribution,
no threshold per series, O(1) a sample, 256 bytes a series, and the explanation is the computation.

A step is taken at most every MIN_STEP_SECONDS; samples that come faster are gathered to their mean, so that
polls of any period can be mixed. The record of the value itself is looked at on every sample.

Limits: a day is the only season; no daylight-saving correction. A series may occur once in a call.
The same samples give the same bits, however they are cut into calls: each series is on its own, and only
+ - * / sqrt, comparisons and the bits of a number are used.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldaisle.core.detect import following, surprise
from coldaisle.core.detect.records import (
    CENTRE,
    COLUMNS,
    HIGH,
    LAST,
    LOW,
    PROFILE,
    SLOTS,
    SQUARE,
    STATISTICS,
    SUM,
    WORDS,
    Floats,
    Ints,
    Records,
    Singles,
)  # fmt: skip

BLOCK_SERIES = 8_192
"""Series worked on at once: their columns stay in the cache, and numpy's calls cost little for each."""

PADDING = 16
"""A row of columns must not be a power of two long: turning a block would hit few lines of the cache."""

MIN_STEP_SECONDS = 240
MAX_AWAITING = 255
MAX_STEPS = 65_535
MAX_DISTANCE = 1e15
"""Values are clipped to this distance from the first one: a square must fit into a float32."""


@dataclass(slots=True)
class Novelty:
    """Scores of one call, one element a sample: 0 (as ever) to 1.

    ``value_score`` looks at the value's own record alone, and at every sample; ``score`` is 0 for a sample
    that only awaits the next step. ``steps`` were taken before. ``low`` and ``high`` are the value's range
    before this sample, relative to the series' origin.
    """

    score: Singles
    value_score: Singles
    steps: Ints
    low: Singles
    high: Singles
    parts: list[tuple[NDArray[np.intp], Singles]]

    def shares(self, sample: int) -> list[float]:
        """What each statistic gave to the score of this sample."""
        for places, shares in self.parts:
            at = int(np.searchsorted(places, sample))
            if at < len(places) and places[at] == sample:
                given: list[float] = shares[:, at].tolist()
                return given
        return [0.0] * len(STATISTICS)


class NoveltyState:
    """The records of all series; grows as series appear."""

    def __init__(self) -> None:
        self.records = Records.empty(0)
        self._columns = np.empty((COLUMNS, BLOCK_SERIES + PADDING), np.float32)
        self._statistics = np.empty((len(STATISTICS), BLOCK_SERIES + PADDING), np.float32)

    def reserve(self, series_count: int) -> None:
        """Make room for this many series; doubles, so that growing costs little."""
        room = len(self.records)
        if series_count > room:
            wider = np.zeros((max(1_024, 2 * room, series_count), WORDS), np.float32)
            wider[:room] = self.records.words
            self.records = Records(wider)

    def deviation(self, series: Ints) -> Floats:
        """How many standard deviations the last value lies from its winsorised mean, per series."""
        words = self.records.words[series].astype(np.float64)
        spread = np.sqrt(words[:, SQUARE])
        distance = np.abs(words[:, LAST] - words[:, CENTRE])
        deviation: Floats = np.divide(distance, spread, out=np.zeros_like(distance), where=spread > 0)
        return deviation

    def first_time(self, series: int) -> int:
        """When the series' first sample was taken, UTC seconds."""
        return int(self.records.first_times[series])

    def usual(self, series: int, time: int) -> float | None:
        """What is usual at this hour (``time`` in UTC seconds); None in an hour never seen."""
        slot = time % following.DAY_SECONDS * SLOTS // following.DAY_SECONDS
        if not following.seen_in(self.records, series, slot):
            return None
        return float(self.records.words[series, PROFILE + slot]) + float(self.records.origins[series])

    def reopen(self, series: Ints) -> None:
        """Begin the ranges anew from the next sample: the series is known to mean something else now."""
        self.records.steps[series] = np.minimum(self.records.steps[series], 1)

    def update(self, series: Ints, values: Floats, times: Ints) -> Novelty:
        """Take in one finite sample for each of these distinct series; ``times`` in UTC seconds."""
        count = len(series)
        score, value_score = np.zeros(count, np.float32), np.zeros(count, np.float32)
        low, high = np.empty(count, np.float32), np.empty(count, np.float32)
        found = Novelty(score, value_score, np.zeros(count, np.int64), low, high, [])
        for start in range(0, count, BLOCK_SERIES):
            part = slice(start, start + BLOCK_SERIES)
            self._update_block(found, start, series[part], values[part], times[part])
        return found

    def _update_block(self, found: Novelty, start: int, series: Ints, values: Floats, times: Ints) -> None:
        rows = _rows(series)
        records = self.records.part(rows)
        new = _begin(records, self._columns[:, : len(series)], values, times)
        part = slice(start, start + len(series))
        found.steps[part] = new.steps
        found.low[part], found.high[part] = new.columns[LOW.start], new.columns[HIGH.start]
        self._gather(found, start, new)
        new.columns[LAST] = new.y
        records.words[:, :COLUMNS] = new.columns.T
        self.records.put(rows, records)

    def _gather(self, found: Novelty, start: int, new: "_Samples") -> None:
        """Add the samples to those that await a step; let those step whose time has come."""
        span = new.times - new.records.times
        due = span >= MIN_STEP_SECONDS
        if due.all():
            self._step(found, start, new, span)
            return
        due |= (new.steps == 0) | (new.records.awaiting == MAX_AWAITING)
        rest, rows = np.flatnonzero(~due), np.flatnonzero(due)
        if len(rest):
            waiting = new.of(rest)
            _await(found, start, waiting, rest)
            new.put(rest, waiting)
        if len(rows):
            stepping = new.of(rows)
            self._step(found, start, stepping, span[rows], rows)
            new.put(rows, stepping)

    def _step(
        self, found: Novelty, start: int, new: "_Samples", span: Ints, rows: Ints | None = None
    ) -> None:
        """One step of each series: the mean of what was gathered goes through all statistics."""
        records, columns, steps = new.records, new.columns, new.steps
        y, q = _mean(new), self._statistics[:, : len(new.y)]
        q[0] = new.y
        weight = following.weights(_periods(span, steps, new.youngest))
        following.follow(columns, q, y, records.origins.astype(np.float32), weight, steps, new.youngest)
        following.season(records, columns, q, y, weight, _slots(new.times))
        seen = surprise.surprised(columns, q, steps, new.youngest, weight[8])
        records.times[...] = new.times
        records.steps[...] = np.minimum(steps + 1, MAX_STEPS)
        outside = (seen.outside if rows is None else rows[seen.outside]) + start
        found.value_score[outside] = seen.record / (seen.record + surprise.HALF_SCORE)
        places = (seen.columns if rows is None else rows[seen.columns]) + start
        found.score[places] = seen.score
        found.parts.append((places, seen.shares))


@dataclass(slots=True)
class _Samples:
    """A block's new samples, with the records and columns that they change.

    ``youngest`` is the least of ``steps``: most blocks hold no young series, and need not look for them.
    """

    records: Records
    columns: Singles
    y: Singles
    times: Ints
    steps: Ints
    youngest: int

    def of(self, rows: Ints) -> "_Samples":
        """Copies of some."""
        records, columns, steps = self.records.part(rows), self.columns[:, rows], self.steps[rows]
        return _Samples(records, columns, self.y[rows], self.times[rows], steps, int(steps.min()))

    def put(self, rows: Ints, changed: "_Samples") -> None:
        """Put what ``of`` gave back into its place."""
        self.records.put(rows, changed.records)
        self.columns[:, rows] = changed.columns


def _begin(records: Records, columns: Singles, values: Floats, times: Ints) -> _Samples:
    """The samples relative to their origins; a series' first sample is its origin."""
    steps = records.steps.astype(np.int64)
    youngest = int(steps.min())
    if not youngest:
        new = (steps == 0) & (records.awaiting == 0)
        records.origins[new] = values[new]
        records.first_times[new] = records.times[new] = times[new]
    columns[...] = records.words[:, :COLUMNS].T
    distance = values - records.origins
    y: Singles = np.clip(distance, -MAX_DISTANCE, MAX_DISTANCE, out=distance).astype(np.float32)
    return _Samples(records, columns, y, times, steps, youngest)


def _await(found: Novelty, start: int, new: _Samples, rows: Ints) -> None:
    """Samples that come before their step: what is outside the value's range is noted, and kept for it."""
    outside, record = surprise.value_record(new.columns, new.y, new.steps, new.youngest)
    found.value_score[rows[outside] + start] = record / (record + surprise.HALF_SCORE)
    new.columns[SUM] += new.y
    new.records.awaiting[...] += 1


def _mean(new: _Samples) -> Singles:
    """The mean of the samples gathered since the last step; none awaits the next one then."""
    if not new.records.awaiting.any():
        return new.y
    total: Singles = new.columns[SUM] + new.y
    total /= new.records.awaiting.astype(np.float32) + np.float32(1)
    new.columns[SUM], new.records.awaiting[...] = 0, 0
    return total


def _periods(span: Ints, steps: Ints, youngest: int) -> Singles:
    """The span since the last step in sampling periods, shape (1,) where all are equal."""
    if not youngest:
        span = np.where(steps == 0, following.PERIOD_SECONDS, span)
    if (span == span[0]).all():
        span = span[:1]
    periods: Singles = span.astype(np.float32)
    periods /= np.float32(following.PERIOD_SECONDS)
    return np.minimum(periods, np.float32(following.MAX_PERIODS), out=periods)


def _slots(times: Ints) -> Ints:
    """The hour of the day, shape (1,) where all are equal."""
    if (times == times[0]).all():
        times = times[:1]
    slots: Ints = times % following.DAY_SECONDS * SLOTS // following.DAY_SECONDS
    return slots


def _rows(series: Ints) -> NDArray[np.int64] | slice:
    """A slice where the series lie one after the other: it saves copying them."""
    first, last = int(series[0]), int(series[-1])
    adjacent = last - first + 1 == len(series) and bool((series[1:] - series[:-1] == 1).all())
    return slice(first, last + 1) if adjacent else series
