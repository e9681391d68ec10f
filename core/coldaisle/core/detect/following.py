"""The nine statistics of a series, followed from sample to sample; columns, one a series.

Constants are weights of one sample at PERIOD_SECONDS. A sample after another span weighs as a rational
function of it, dt / (dt + tau), which needs no exponential and so is the same on every processor; beyond
MAX_PERIODS it weighs no more, so that a gap leaves the state nearly as it was.
"""

from functools import lru_cache

import numpy as np

from coldaisle.core.detect.records import (
    AVERAGES,
    CENTRE,
    MEANS,
    OCTET,
    PROFILE,
    SMOOTH,
    SQUARE,
    VARIANCES,
    Facts,
    Ints,
    Records,
    Rows,
    Singles,
)  # fmt: skip

PERIOD_SECONDS = 300
MAX_PERIODS = 4.0
DAY_SECONDS = 86_400
ALPHAS = (0.3, 0.05, 0.01, 0.1, 0.02, 0.002, 0.15, 0.1)
"""Three averages; means and variances, fast, slow and winsorised; smoothed residual; profile."""

ONSET_GAIN = 0.013422618604342462
"""exp(1/75) - 1: what the envelope loses in a period, against a memory of 75."""

WINSORISE_FROM_STEPS = 100
WINSORISE_DEVIATIONS = 5.0
MAX_SEEN = 9
MAX_KNOWN_SPANS = 64
LEARNED_STEPS = 500
"""From here on the winsorised mean's weight is the constant one."""

_GAINS = np.array([a / (1 - a) for a in ALPHAS] + [ONSET_GAIN], np.float32)[:, None]
_HALF_LN_2 = np.float32(0.5 * 0.6931472)
_MANTISSA = np.float32(2.0**-23)


def weights(span: Ints) -> Singles:
    """Weights of one sample, shape (9, n): those of ALPHAS, then what the envelope loses.

    ``span``: seconds since the step before, shape (n,); where all are equal the shape is (9, 1).
    """
    if (span == span[0]).all():
        return _weights_after(int(span[0]))
    return _weights(span)


@lru_cache(maxsize=MAX_KNOWN_SPANS)
def _weights_after(seconds: int) -> Singles:
    return _weights(np.array([seconds]))


def _weights(span: Ints) -> Singles:
    periods = span.astype(np.float32)
    periods /= np.float32(PERIOD_SECONDS)
    gained = _GAINS * np.minimum(periods, np.float32(MAX_PERIODS), out=periods)
    weights: Singles = gained / (gained + np.float32(1))
    return weights


def follow(
    columns: Singles, q: Singles, y: Singles, origin: Singles, weight: Singles, steps: Ints, youngest: int
) -> None:
    """Take in the values ``y``, relative to the origin, and fill the rows of ``q``: all but the first.

    Rows 4 and 5 come from ``season``. ``steps``: taken before this one; ``youngest``: the least of them.
    """
    means, variances, square = columns[: MEANS.stop], columns[VARIANCES], columns[SQUARE]
    floor, bound = _floor(y, origin, square), _bound(columns[CENTRE], origin, square)
    if youngest < LEARNED_STEPS:
        bound[steps <= WINSORISE_FROM_STEPS] = np.inf
        weight = np.tile(weight, len(y) // weight.shape[1])
        np.maximum(weight[CENTRE], np.float32(1) / (steps + 1).astype(np.float32), out=weight[CENTRE])
    distance = y - means
    _clip(distance[CENTRE], bound)
    moved = distance * weight[: MEANS.stop]
    means += moved
    moved[MEANS] *= distance[MEANS]
    variances += moved[MEANS]
    variances *= np.float32(1) - weight[MEANS]
    q[1:4] = means[AVERAGES]
    logarithm_of_root(variances[:2] + floor, q[6:8])
    np.sqrt(square, out=q[8])


def _floor(y: Singles, origin: Singles, square: Singles) -> Singles:
    """What is added to a variance before its logarithm: keeps a constant from minus infinity."""
    raw = y + origin
    raw *= raw
    raw *= np.float32(1e-12)
    raw += square * np.float32(1e-4)
    raw += np.float32(1e-12)
    return raw


def _bound(centre: Singles, origin: Singles, square: Singles) -> Singles:
    """How far a sample may move the winsorised mean and variance: no single one can carry them away."""
    bound = np.sqrt(square)
    bound += np.float32(1e-9)
    bound += np.abs(centre + origin) * np.float32(1e-6)
    bound *= np.float32(WINSORISE_DEVIATIONS)
    return bound


def _clip(distance: Singles, bound: Singles) -> None:
    np.minimum(distance, bound, out=distance)
    np.maximum(distance, np.negative(bound, out=bound), out=distance)


def logarithm_of_root(x: Singles, out: Singles) -> None:
    """ln(sqrt(x)) but for a constant: the exponent, and the mantissa in a straight line between powers.

    The bits of a float32 read as a whole number are just that. numpy's log may differ in its last bit
    from one processor to the next.
    """
    np.multiply(x.view(np.int32), _MANTISSA * _HALF_LN_2, out=out, dtype=np.float32, casting="unsafe")


def season(
    records: Records, rows: Rows, facts: Facts, columns: Singles, q: Singles, y: Singles,
    weight: Singles, slot: Ints,
) -> None:  # fmt: skip
    """Rows 4 and 5: the distance from what is usual in this hour, and its average; 0 in an unseen hour.

    The records' profiles and the facts are changed in place.
    """
    profile, place = _place(records, rows, slot)
    usual = profile[place]
    residual = np.subtract(y, usual, out=q[4])
    smooth = columns[SMOOTH]
    if facts.known.all():
        smooth += weight[6] * (residual - smooth)
        q[5] = smooth
        profile[place] = usual + weight[7] * residual
        return
    seen = count_sample(facts, slot)
    rate = np.maximum(weight[7], np.float32(1) / (seen + 1).astype(np.float32))
    profile[place] = usual + rate * residual
    known = (seen > 0).astype(np.float32)
    residual *= known
    smooth += known * (weight[6] * (residual - smooth))
    np.multiply(known, smooth, out=q[5])


def _place(records: Records, rows: Rows, slot: Ints) -> tuple[Singles, Rows]:
    """Where this hour's usual values are; a view where the hour is the same for all, as after a poll."""
    word = PROFILE + slot
    octet, place = word // OCTET, word % OCTET
    if len(slot) == 1:
        return records.octets[octet[0], :, place[0]], rows
    if isinstance(rows, slice):
        rows = np.arange(rows.start, rows.stop)
    return records.octets.reshape(-1), (octet * len(records) + rows) * OCTET + place


def count_sample(facts: Facts, slot: Ints) -> Ints:
    """How many samples of this hour each series had before, at most 9; counts this one."""
    rows = np.arange(len(facts.steps))
    byte, shift = slot >> 1, (slot & 1) << 2
    held = facts.seen[rows, byte]
    seen = (held >> shift.astype(np.uint8)) & 15
    more = seen < MAX_SEEN
    facts.seen[rows, byte] = held + (more.astype(np.uint8) << shift.astype(np.uint8))
    for row in np.flatnonzero(seen == MAX_SEEN - 1).tolist():
        halves = facts.seen[row]
        facts.known[row] = bool(((halves & 15) == MAX_SEEN).all() and ((halves >> 4) == MAX_SEEN).all())
    before: Ints = seen.astype(np.int64)
    return before


def seen_in(facts: Facts, row: int, slot: int) -> int:
    """How many samples of this hour the series had, at most 9."""
    return int(facts.seen[row, slot >> 1] >> ((slot & 1) << 2)) & 15
