"""Stage 2: one river model for each asset, on the vector of its metrics.

LODA notices combinations of values that each alone are in range. Its projections are fixed by the first
vector, so that metrics which appear later wait for a new model; a vector that lacks more than half of the
known metrics has no score. Learning stops while the asset has an alert open: a long fault is no new normal.
"""

from collections.abc import Mapping

from msgspec import Struct
from river import anomaly, preprocessing, sketch, stats
from river.sketch.histogram import Bin

CUTS = 20
REFERENCE_QUANTILE = 0.99
MIN_METRICS = 2
MIN_LEARNED_SAMPLES = 30


class HistogramState(Struct, frozen=True, array_like=True):
    """One of LODA's histograms: samples seen, and its bins as left edge, right edge, count."""

    seen: int
    bins: list[tuple[float, float, int]]


class EntityState(Struct, frozen=True, array_like=True):
    """All that a model knows. ``ranges`` holds the least and the greatest value of each metric;
    ``usual`` is the running quantile as river's own type gives it, empty before its first value."""

    seed: int
    metrics: tuple[str, ...]
    learned_samples: int
    ranges: dict[str, tuple[float, float]]
    features: list[str]
    projections: list[dict[str, float]]
    histograms: list[HistogramState]
    usual: bytes


class EntityModel:
    """The model of one asset."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._scaler = preprocessing.MinMaxScaler()
        self._model = anomaly.LODA(n_random_cuts=CUTS, seed=seed)
        self._usual = stats.Quantile(REFERENCE_QUANTILE)
        self._metrics: tuple[str, ...] = ()
        self._learned_samples = 0

    def update(self, values: Mapping[str, float], learn: bool) -> tuple[float, float] | None:
        """The score of this vector and the score that 99 of 100 stay under; None while there is none."""
        if not self._metrics:
            self._metrics = tuple(sorted(values))
        known = {metric: values[metric] for metric in self._metrics if metric in values}
        if len(self._metrics) < MIN_METRICS or 2 * len(known) < len(self._metrics):
            return None
        if learn:
            self._scaler.learn_one(known)
        scaled = self._scaler.transform_one(known)
        found = self._score(scaled) if self._learned_samples >= MIN_LEARNED_SAMPLES else None
        if learn:
            self._learn(scaled, found)
        return found

    def _score(self, scaled: dict[str, float]) -> tuple[float, float]:
        return float(self._model.score_one(scaled)), float(self._usual.get() or 0.0)

    def _learn(self, scaled: dict[str, float], found: tuple[float, float] | None) -> None:
        self._model.learn_one(scaled)
        if found is not None:
            self._usual.update(found[0])
        self._learned_samples += 1

    def state(self) -> EntityState:
        """What ``of`` makes an equal model from."""
        lows, highs = self._scaler.min, self._scaler.max
        return EntityState(
            self._seed,
            self._metrics,
            self._learned_samples,
            {metric: (low.get(), highs[metric].get()) for metric, low in lows.items()},
            self._model.features_,
            self._model.projections_,
            [HistogramState(h.n, [(b.left, b.right, b.count) for b in h.data]) for h in self._histograms],
            self._usual._quantile.__getstate__() if self._usual.get() is not None else b"",
        )

    @classmethod
    def of(cls, state: EntityState) -> "EntityModel":
        """The model that was in this state; raises ValueError when river does not take it."""
        model = cls(state.seed)
        model._metrics, model._learned_samples = state.metrics, state.learned_samples
        for metric, (low, high) in state.ranges.items():
            model._scaler.min[metric].update(low)
            model._scaler.max[metric].update(high)
        model._model.features_, model._model.projections_ = state.features, state.projections
        model._model.histograms_ = [_histogram(one, model._model.n_bins) for one in state.histograms]
        if state.usual:
            _restore_quantile(model._usual, state.usual)
        return model

    @property
    def _histograms(self) -> list[sketch.Histogram]:
        return self._model.histograms_


def _restore_quantile(quantile: stats.Quantile, state: bytes) -> None:
    """21 numbers, how many of the first five values are known, and a truth value; others would end in a
    panic of river's Rust part, which is no Exception."""
    expected = len(quantile._quantile.__getstate__())
    if len(state) != expected or state[-2] > 5 or state[-1] > 1:
        raise ValueError(f"a quantile's state of {len(state)} bytes, river {expected}: made by another river")
    quantile._quantile.__setstate__(state)
    quantile._is_updated = True


def _histogram(state: HistogramState, max_bins: int) -> sketch.Histogram:
    histogram = sketch.Histogram(max_bins=max_bins)
    histogram.n = state.seen
    histogram.data = [Bin(left, right, count) for left, right, count in state.bins]
    return histogram
