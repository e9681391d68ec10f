"""How far outside its own past is a series? The ranges of its statistics, and the score; columns.

Records are common early in life, and mean little: each surprise is damped by the number of steps. Ranges
forget slowly, but for the value's own: that one is the record that pages.
"""

from dataclasses import dataclass

import numpy as np

from coldaisle.core.detect.records import ENVELOPE, HIGH, LOW, SURPRISE, Indices, Ints, Singles

WEIGHTS = (1.25, 0.5, 1.0, 1.25, 0.5, 0.375, 0.5, 0.25, 1.0)
IGNORED_STEPS = 10
YOUNG_STEPS = 30
EARLY_VALUE_STEPS = 1_000.0
EARLY_STEPS = 4_000.0
FORGET_PER_STEP = 1e-5
FORGET_EVERY_STEPS = 64
ONSET_SHARE = np.float32(0.5)
FIRST_CHANGE_SURPRISE = np.float32(5)
HALF_SCORE = np.float32(0.3)

_WEIGHTS = np.array(WEIGHTS, np.float32)[:, None]
_EARLY = np.array([EARLY_VALUE_STEPS] + [EARLY_STEPS] * 8, np.float32)
_NONE = np.zeros(0, np.intp)
_KEPT = np.float32(FORGET_PER_STEP * FORGET_EVERY_STEPS / 2)


@dataclass(slots=True)
class Surprise:
    """The series of a block that left some range: ``columns`` in the block, ``shares`` (9, m).

    ``outside`` are the columns whose value left its own range, ``record`` how far; ``changed``, some of them
    twice, those whose ranges are no longer what they were.
    """

    columns: Indices
    shares: Singles
    score: Singles
    outside: Indices
    record: Singles
    changed: Indices


def value_record(columns: Singles, y: Singles, steps: Ints, youngest: int) -> tuple[Indices, Singles]:
    """Which values lie outside all they ever were, and how far in ranges; then the records are theirs.

    The largest is kept for the step that follows.
    """
    low, high, own = columns[LOW][:1], columns[HIGH][:1], columns[SURPRISE]
    places, surprise = _measure(low, high, y[None], steps, youngest)
    _extend(low, high, y[None], places)
    own[places] = np.maximum(own[places], surprise)
    return places, surprise


def surprised(columns: Singles, q: Singles, steps: Ints, youngest: int, fading: Singles) -> Surprise:
    """Each statistic's surprise and the score; then ranges and envelope learn. ``columns`` and ``q`` are
    contiguous.

    ``fading``: what the envelope loses, as a weight.
    """
    low, high, own = columns[LOW], columns[HIGH], columns[SURPRISE]
    places, surprise = _measure(low, high, q, steps, youngest)
    due = _forget(low[1:], high[1:], steps)
    _extend(low, high, q, places)
    records = int(places.searchsorted(len(steps)))
    outside, record = places[:records], surprise[:records]
    own[outside] = np.maximum(own[outside], record)
    statistic, left = np.divmod(places, len(steps))
    shares = _shares(own, statistic[records:], left[records:], surprise[records:])
    own[...] = 0
    begun = np.flatnonzero(steps <= IGNORED_STEPS) if youngest <= IGNORED_STEPS else _NONE
    changed = np.concatenate((left, due, begun))
    return Surprise(*shares, _onset(columns[ENVELOPE], *shares, fading), outside, record, changed)


def _measure(low: Singles, high: Singles, q: Singles, steps: Ints, youngest: int) -> tuple[Indices, Singles]:
    """Which statistics of which series are outside their ranges, and how far; ranges begin.

    Places are those in the flat array: several times faster than pairs of indices.
    """
    outside = q - high
    np.maximum(outside, low - q, out=outside)
    if youngest <= IGNORED_STEPS:
        begins = np.flatnonzero(steps <= IGNORED_STEPS)
        low[:, begins] = high[:, begins] = q[:, begins]
        outside[:, begins] = 0
    places = np.flatnonzero(outside > 0)
    statistic, column = np.divmod(places, len(steps))
    span = high.reshape(-1)[places] - low.reshape(-1)[places]
    return places, relative(outside.reshape(-1)[places], span, steps[column], _EARLY[statistic])


def relative(outside: Singles, span: Singles, steps: Ints, early: Singles) -> Singles:
    """``outside`` > 0 in units of ``span``, damped by age; all of shape (m,)."""
    age = (steps - IGNORED_STEPS).astype(np.float32)
    early = age + early
    np.divide(age, early, out=age)
    surprise = np.sqrt(age, out=age)
    surprise *= outside
    constant = span <= 0
    span[constant] = 1
    surprise /= span
    surprise[constant] = FIRST_CHANGE_SURPRISE
    surprise[steps <= YOUNG_STEPS] = 0
    return surprise


def _extend(low: Singles, high: Singles, q: Singles, places: Indices) -> None:
    """What is outside a range is in it from now on."""
    low, high, new = low.reshape(-1), high.reshape(-1), q.reshape(-1)[places]
    high[places] = np.maximum(high[places], new)
    low[places] = np.minimum(low[places], new)


def _forget(low: Singles, high: Singles, steps: Ints) -> Indices:
    """Every 64th step, 64 steps' worth: cheaper, and less is rounded away. Gives those that forgot."""
    due = np.flatnonzero(steps & (FORGET_EVERY_STEPS - 1) == 0)
    if len(due):
        places = due + np.arange(0, low.size, len(steps))[:, None]
        low, high = low.reshape(-1), high.reshape(-1)
        lowest, highest = low[places], high[places]
        shrink = (highest - lowest) * _KEPT
        high[places], low[places] = highest - shrink, lowest + shrink
    return due


def _shares(own: Singles, statistic: Indices, column: Indices, surprise: Singles) -> tuple[Indices, Singles]:
    """The series that left a range, and what each statistic gives to their scores."""
    left = own > 0
    left[column] = True
    found = np.flatnonzero(left)
    shares = np.zeros((len(WEIGHTS), len(found)), np.float32)
    shares[0] = own[found]
    shares[statistic, found.searchsorted(column)] = surprise
    shares *= _WEIGHTS
    return found, shares


def _onset(envelope: Singles, found: Indices, shares: Singles, fading: Singles) -> Singles:
    """The score: the sum, in a fixed order, less what was there before. One alarm for an event, not one for
    each of its samples."""
    total: Singles = np.add.accumulate(shares)[-1]
    before = envelope[found]
    envelope *= np.float32(1) - fading
    envelope[found] = np.maximum(envelope[found], total)
    total -= ONSET_SHARE * before
    np.maximum(total, np.float32(0), out=total)
    total /= total + HALF_SCORE
    return total
