"""Stage 2: one river model for each asset, on the vector of its metrics.

LODA notices combinations of values that each alone are in range. Its projections are fixed by the first
vector, so that metrics which appear later wait for a new model; a vector that lacks more than half of the
known metrics has no score. Learning stops while the asset has an alert open: a long fault is no new normal.
"""

from collections.abc import Mapping

from river import anomaly, preprocessing, stats

CUTS = 20
REFERENCE_QUANTILE = 0.99
MIN_METRICS = 2
MIN_LEARNED_SAMPLES = 30


class EntityModel:
    """The model of one asset."""

    def __init__(self, seed: int) -> None:
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
