"""How far outside its own past is a series? The ranges of its statistics, and the score; columns.

Records are common early in life, and mean little: each surprise is damped by the number of steps. Ranges
forget slowly, but for the value's own: that one is the record that pages.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldaisle.core.detect.records import ENVELOPE, HIGH, LOW, SURPRISE, Ints, Singles

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
_KEPT = np.float32(FORGET_PER_STEP * FORGET_EVERY_STEPS / 2)
Indices = NDArray[np.intp]


@dataclass(slots=True)
class Surprise:
    """The series of a block that left some range: ``columns`` in the block, ``shares`` (9, m)."""

    columns: Indices
    shares: Singles
    score: Singles


def value_record(columns: Singles, y: Singles, steps: Ints, youngest: int) -> tuple[Indices, Singles]:
    """Which values lie outside all they ever were, and how far in ranges; then the records are theirs.

    The largest since the last step is kept for the step that follows.
    """
    low, high = columns[LOW.start], columns[HIGH.start]
    outside = np.maximum(y - high, low - y)
    if youngest <= IGNORED_STEPS:
        begins = np.flatnonzero(steps <= IGNORED_STEPS)
        low[begins] = high[begins] = y[begins]
        outside[begins] = 0
    found = np.flatnonzero(outside > 0)
    surprise = relative(outside[found], high[found] - low[found], steps[found], EARLY_VALUE_STEPS)
    np.maximum(high, y, out=high)
    np.minimum(low, y, out=low)
    columns[SURPRISE, found] = np.maximum(columns[SURPRISE, found], surprise)
    return found, surprise


def relative(outside: Singles, span: Singles, steps: Ints, early_steps: float) -> Singles:
    """``outside`` > 0 in units of ``span``, damped by age; all of shape (m,)."""
    age = (steps - IGNORED_STEPS).astype(np.float32)
    surprise = np.sqrt(age / (age + np.float32(early_steps)))
    surprise *= outside
    constant = span <= 0
    surprise /= np.where(constant, np.float32(1), span)
    surprise[constant] = FIRST_CHANGE_SURPRISE
    surprise[steps <= YOUNG_STEPS] = 0
    return surprise


def surprised(columns: Singles, q: Singles, steps: Ints, youngest: int, fading: Singles) -> Surprise:
    """Each statistic's surprise and the score; then ranges and envelope learn. Row 0 was done before.

    ``fading``: what the envelope loses, as a weight.
    """
    low, high = columns[LOW][1:], columns[HIGH][1:]
    outside = q - high
    np.maximum(outside, low - q, out=outside)
    if youngest <= IGNORED_STEPS:
        begins = np.flatnonzero(steps <= IGNORED_STEPS)
        low[:, begins] = high[:, begins] = q[:, begins]
        outside[:, begins] = 0
    places = np.divmod(np.flatnonzero(outside > 0), len(steps))
    surprise = relative(outside[places], high[places] - low[places], steps[places[1]], EARLY_STEPS)
    _forget(low, high, steps)
    high[places] = np.maximum(high[places], q[places])
    low[places] = np.minimum(low[places], q[places])
    return _score(columns, places, surprise, fading)


def _forget(low: Singles, high: Singles, steps: Ints) -> None:
    """Every 64th step, 64 steps' worth: cheaper, and less is rounded away."""
    due = np.flatnonzero(steps & (FORGET_EVERY_STEPS - 1) == 0)
    if len(due):
        shrink = (high[:, due] - low[:, due]) * _KEPT
        high[:, due] -= shrink
        low[:, due] += shrink


def _score(columns: Singles, places: tuple[Indices, Indices], surprise: Singles, fading: Singles) -> Surprise:
    """The weighted sum of each series that left a range, in a fixed order, less what was there before:
    one alarm for an event, not one for each of its samples."""
    envelope, own = columns[ENVELOPE], columns[SURPRISE]
    left = own > 0
    left[places[1]] = True
    found = np.flatnonzero(left)
    shares = np.zeros((len(WEIGHTS), len(found)), np.float32)
    shares[0] = own[found]
    shares[places[0] + 1, np.searchsorted(found, places[1])] = surprise
    shares *= _WEIGHTS
    total = np.zeros(len(found), np.float32)
    for share in shares:
        total += share
    onset = np.maximum(total - ONSET_SHARE * envelope[found], np.float32(0))
    envelope *= np.float32(1) - fading
    envelope[found] = np.maximum(envelope[found], total)
    return Surprise(found, shares, onset / (onset + HALF_SCORE))
