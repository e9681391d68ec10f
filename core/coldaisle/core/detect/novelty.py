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

from coldaisle.core.detect import following, surprise
from coldaisle.core.detect.columns import Room
from coldaisle.core.detect.records import (
    CENTRE,
    HIGH,
    LAST,
    LOW,
    PROFILE,
    SLOTS,
    SQUARE,
    STATISTICS,
    SUM,
    Facts,
    Floats,
    Indices,
    Ints,
    Records,
    Rows,
    Singles,
)  # fmt: skip

BLOCK_SERIES = 12_000
"""Series worked on at once: their columns stay in the cache, and numpy's calls cost little for each.

No power of two: the columns of one series would meet in few lines of the cache."""

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
    parts: list[tuple[Indices, Singles]]

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
        self._room = Room(BLOCK_SERIES)

    def reserve(self, series_count: int) -> None:
        """Make room for this many series; doubles, so that growing costs little."""
        room = len(self.records)
        if series_count > room:
            wider = Records.empty(max(1_024, 2 * room, series_count))
            wider.octets[:, :room] = self.records.octets
            self.records = wider

    def deviation(self, series: Ints) -> Floats:
        """How many standard deviations the last value lies from its winsorised mean, per series."""
        last, centre, square = (self.records.word(word, series) for word in (LAST, CENTRE, SQUARE))
        spread = np.sqrt(square)
        distance = np.abs(last - centre)
        deviation: Floats = np.divide(distance, spread, out=np.zeros_like(distance), where=spread > 0)
        return deviation

    def first_time(self, series: int) -> int:
        """When the series' first sample was taken, UTC seconds."""
        return int(self.records.facts.first_times[series])

    def usual(self, series: int, time: int) -> float | None:
        """What is usual at this hour (``time`` in UTC seconds); None in an hour never seen."""
        slot = time % following.DAY_SECONDS * SLOTS // following.DAY_SECONDS
        if not following.seen_in(self.records.facts, series, slot):
            return None
        at = np.array([series])
        return float(self.records.word(PROFILE + slot, at)[0]) + float(self.records.facts.origins[series])

    def reopen(self, series: Ints) -> None:
        """Begin the ranges anew from the next sample: the series is known to mean something else now."""
        steps = self.records.facts.steps
        steps[series] = np.minimum(steps[series], 1)

    def update(self, series: Ints, values: Floats, times: Ints) -> Novelty:
        """Take in one finite sample for each of these distinct series; ``times`` in UTC seconds."""
        count = len(series)
        score, value_score = np.zeros(count, np.float32), np.zeros(count, np.float32)
        low, high = np.empty(count, np.float32), np.empty(count, np.float32)
        found = Novelty(score, value_score, np.empty(count, np.int64), low, high, [])
        for start in range(0, count, BLOCK_SERIES):
            part = slice(start, min(start + BLOCK_SERIES, count))
            self._update_block(found, part, series[part], values[part], times[part])
        return found

    def _update_block(self, found: Novelty, at: slice, series: Ints, values: Floats, times: Ints) -> None:
        """Let those step whose time has come; the samples of the others are added to what awaits a step."""
        rows = _rows(series)
        facts = self.records.facts_of(rows)
        due = times - facts.times >= MIN_STEP_SECONDS
        if due.all():
            self._step(found, self._begin(rows, facts, at, values, times))
            return
        due |= (facts.steps == 0) | (facts.awaiting == MAX_AWAITING)
        for take_in, places in ((self._await, np.flatnonzero(~due)), (self._step, np.flatnonzero(due))):
            if len(places):
                some, here = series[places], at.start + places
                facts = self.records.facts_of(some)
                take_in(found, self._begin(some, facts, here, values[places], times[places]))

    def _begin(self, rows: Rows, facts: Facts, at: Rows, values: Floats, times: Ints) -> "_Samples":
        """The samples relative to their origins; a series' first sample is its origin."""
        steps = facts.steps.astype(np.int64)
        youngest = int(steps.min())
        if not youngest:
            new = (steps == 0) & (facts.awaiting == 0)
            facts.origins[new] = values[new]
            facts.first_times[new] = facts.times[new] = times[new]
        columns = self._room.read(self.records, rows, len(steps))
        distance = values - facts.origins
        np.maximum(distance, -MAX_DISTANCE, out=distance)
        y: Singles = np.minimum(distance, MAX_DISTANCE, out=distance).astype(np.float32)
        columns[LAST] = y
        return _Samples(rows, facts, columns, y, times, steps, youngest, at)

    def _await(self, found: Novelty, new: "_Samples") -> None:
        """Samples that come before their step: what leaves the value's range is noted, and kept for it."""
        new.tell_past(found)
        outside, record = surprise.value_record(new.columns, new.y, new.steps, new.youngest)
        found.value_score[new.places(outside)] = record / (record + surprise.HALF_SCORE)
        new.columns[SUM] += new.y
        new.facts.awaiting[...] += 1
        self._put(new, np.arange(len(new.y)))

    def _step(self, found: Novelty, new: "_Samples") -> None:
        """One step of each series: the mean of what was gathered goes through all statistics."""
        new.tell_past(found)
        facts, columns, steps = new.facts, new.columns, new.steps
        awaited = np.flatnonzero(facts.awaiting)
        y, q = _mean(new, awaited), self._room.statistics(len(new.y))
        q[0] = new.y
        span = new.times - facts.times
        if not new.youngest:
            span[steps == 0] = following.PERIOD_SECONDS
        weight = following.weights(span)
        following.follow(columns, q, y, facts.origins.astype(np.float32), weight, steps, new.youngest)
        following.season(self.records, new.rows, facts, columns, q, y, weight, _slots(new.times))
        seen = surprise.surprised(columns, q, steps, new.youngest, weight[8])
        facts.times[...] = new.times
        facts.steps[...] = np.minimum(steps + 1, MAX_STEPS)
        found.value_score[new.places(seen.outside)] = seen.record / (seen.record + surprise.HALF_SCORE)
        places = new.places(seen.columns)
        found.score[places] = seen.score
        found.parts.append((places, seen.shares))
        self._put(new, np.concatenate((seen.changed, awaited)))

    def _put(self, new: "_Samples", changed: Indices) -> None:
        self._room.write(self.records, new.rows, new.columns, changed)
        self.records.put_facts(new.rows, new.facts)


@dataclass(slots=True)
class _Samples:
    """A block's new samples, with the facts and columns that they change, and where they are in the call.

    ``youngest`` is the least of ``steps``: most blocks hold no young series, and need not look for them.
    """

    rows: Rows
    facts: Facts
    columns: Singles
    y: Singles
    times: Ints
    steps: Ints
    youngest: int
    at: Rows

    def places(self, columns: Indices) -> Indices:
        """Where in the call these columns are."""
        return columns + self.at.start if isinstance(self.at, slice) else self.at[columns]

    def tell_past(self, found: Novelty) -> None:
        """What is told of each series as it was before its sample."""
        found.steps[self.at] = self.steps
        found.low[self.at], found.high[self.at] = self.columns[LOW.start], self.columns[HIGH.start]


def _mean(new: _Samples, awaited: Indices) -> Singles:
    """The mean of the samples gathered since the last step; none awaits the next one then."""
    if not len(awaited):
        return new.y
    total: Singles = new.columns[SUM] + new.y
    total /= new.facts.awaiting.astype(np.float32) + np.float32(1)
    new.columns[SUM], new.facts.awaiting[...] = 0, 0
    return total


def _slots(times: Ints) -> Ints:
    """The hour of the day, shape (1,) where all are equal."""
    if (times == times[0]).all():
        return np.array([int(times[0]) % following.DAY_SECONDS * SLOTS // following.DAY_SECONDS])
    slots: Ints = times % following.DAY_SECONDS * SLOTS // following.DAY_SECONDS
    return slots


def _rows(series: Ints) -> Rows:
    """A slice where the series lie one after the other: it saves copying them."""
    first, last = int(series[0]), int(series[-1])
    adjacent = last - first + 1 == len(series) and bool((series[1:] - series[:-1] == 1).all())
    return slice(first, last + 1) if adjacent else series
