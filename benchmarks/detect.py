"""How fast detection is: stage 1 on many series, the model of an asset; and what it finds, beside peers.

Stage 1 is measured in the state in which it is nearly always: every hour of the day known, a few samples in
a hundred outside a range, series of many ages (each forgets at its own steps). Peers (river's own
detectors) run with their defaults on the whole Numenta Anomaly Benchmark, where its data is at hand; those
of other packages, which want versions of their own, are in ``detect_peers.py``.
"""

import importlib
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from measure import Bar, interleaved, report
from river import anomaly, preprocessing, stats

from coldaisle.core.detect.entities import EntityModel
from coldaisle.core.detect.novelty import NoveltyState
from coldaisle.core.detect.records import RECORD_BYTES
from coldaisle.core.detect.univariate import detector

SERIES = 100_000
LEARNED_SERIES = 4_000
LEARNED_STEPS = 1_500
STEP_SECONDS = 300
DAY_STEPS = 288
ROUNDS = 15
ENTITY_METRICS = 8
ENTITY_UPDATES = 2_000
SHARED = Path(os.environ.get("COLDAISLE_SHARED", Path(__file__).parents[2] / "shared"))


class Streaming(Protocol):
    """What the scorer wants."""

    def update(self, timestamp_epoch_s: float, value: float) -> float:
        """The score of the next sample."""
        ...


class Hall:
    """Many series that have been followed for days; each asks for the next sample of all."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(1)
        self._base = self._random.normal(50, 20, LEARNED_SERIES)
        self._steps = 0
        few = NoveltyState()
        few.reserve(LEARNED_SERIES)
        for _ in range(LEARNED_STEPS):
            few.update(np.arange(LEARNED_SERIES), self._few(), np.full(LEARNED_SERIES, self.advance()))
        self.state = NoveltyState()
        self.state.reserve(SERIES)
        copies = SERIES // LEARNED_SERIES
        learned = few.records.octets[:, :LEARNED_SERIES]
        self.state.records.octets[:, :SERIES] = np.tile(learned, (copies, 1))
        ages = self._random.integers(0, 64, SERIES)
        self.state.records.facts.steps[:SERIES] += ages.astype(np.uint16)

    def advance(self) -> int:
        """The time of the next step, UTC seconds."""
        self._steps += 1
        return 1_700_000_000 + self._steps * STEP_SECONDS

    def values(self) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """A value for each series."""
        return np.concatenate([self._few() for _ in range(SERIES // LEARNED_SERIES)])

    def shuffled(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """All series, in no order."""
        return self._random.permutation(SERIES)

    def _few(self) -> "np.ndarray[Any, np.dtype[np.float64]]":
        wave = 5 * math.sin(self._steps / DAY_STEPS * 2 * math.pi)
        return self._base + wave + self._random.normal(0, 1, LEARNED_SERIES)


def rate(hall: Hall, batch: int, *, scattered: bool) -> tuple[float, float]:
    """Samples per second of CPU (median of the rounds), and the share that surprised in the last one."""
    seconds, surprised = [], 0
    for _ in range(ROUNDS):
        series = hall.shuffled() if scattered else np.arange(SERIES)
        values, now = hall.values()[series], hall.advance()
        parts = [slice(start, start + batch) for start in range(0, SERIES, batch)]
        calls = [(series[part], values[part], np.full(len(values[part]), now)) for part in parts]
        began = time.process_time()
        found = [hall.state.update(*call) for call in calls]
        seconds.append(time.process_time() - began)
        surprised = sum(int((each.score > 0).sum()) for each in found)
    return SERIES / statistics.median(seconds), surprised / SERIES


def entity_seconds() -> float:
    """CPU time of one asset's model for one poll of eight metrics."""
    source = np.random.default_rng(2)
    polls = [
        {f"metric_{k}": float(value) for k, value in enumerate(row)}
        for row in source.normal(20, 3, (ENTITY_UPDATES, ENTITY_METRICS))
    ]

    def run() -> None:
        model = EntityModel(1)
        for poll in polls:
            model.update(poll, learn=True)

    return interleaved({"entity": run}, 5)["entity"].cpu / ENTITY_UPDATES


class RiverPeer:
    """One of river's detectors on the value, scaled; its score squeezed to 0..1."""

    def __init__(self, model: Any) -> None:
        self._scaler, self._model = preprocessing.MinMaxScaler(), model

    def update(self, timestamp_epoch_s: float, value: float) -> float:
        """Score, then learn."""
        self._scaler.learn_one({"value": value})
        features = self._scaler.transform_one({"value": value})
        score = float(self._model.score_one(features))
        self._model.learn_one(features)
        return _squeezed(score)


class DeviationPeer:
    """river's standard absolute deviation."""

    def __init__(self) -> None:
        self._model = anomaly.StandardAbsoluteDeviation(sub_stat=stats.Mean())

    def update(self, timestamp_epoch_s: float, value: float) -> float:
        """Learn, then score: it cannot score before it learned."""
        self._model.learn_one(None, value)
        return _squeezed(float(self._model.score_one(None, value)))


def _squeezed(score: float) -> float:
    """Any score to 0..1 without ties at the end; order is all that the benchmark sees."""
    return score / (1 + score) if score > 0 and math.isfinite(score) else 0.0


PEERS: dict[str, Callable[[], Streaming]] = {
    "coldaisle": detector,
    "river_loda": lambda: RiverPeer(anomaly.LODA(n_random_cuts=20, seed=1)),
    "river_half_space_trees": lambda: RiverPeer(anomaly.HalfSpaceTrees(10, 6, seed=1)),
    "river_absolute_deviation": DeviationPeer,
}


def peers() -> dict[str, object]:
    """Standard score and samples per second of each peer."""
    if not (SHARED / "tools" / "nab_score.py").is_file():
        return {"peers": f"not run: no benchmark data in {SHARED} (COLDAISLE_SHARED)"}
    sys.path.insert(0, str(SHARED / "tools"))
    scorer = importlib.import_module("nab_score")
    corpus = scorer.load_corpus(SHARED / "data" / "nab")
    costs = json.loads((SHARED / "data" / "nab" / "config" / "profiles.json").read_text())
    figures: dict[str, object] = {}
    for name, make in PEERS.items():
        began = time.process_time()
        scores = scorer.run_detector(make, corpus)
        seconds = time.process_time() - began
        score = scorer.profile_score(corpus, scores, costs["standard"]["CostMatrix"])[0]
        figures[f"{name}_standard"] = round(score, 2)
        figures[f"{name}_samples_per_second"] = round(sum(len(s.times) for s in corpus) / seconds)
    return figures


def main() -> None:
    hall = Hall()
    dense, surprised = rate(hall, SERIES, scattered=False)
    thousand, _ = rate(hall, 1_000, scattered=True)
    thousands, scattered = rate(hall, 4_000, scattered=True)
    entity = entity_seconds()
    figures: dict[str, object] = {
        "series": SERIES,
        "dense_samples_per_second": round(dense),
        "dense_share_that_surprised": round(surprised, 4),
        "scattered_by_1000_samples_per_second": round(thousand),
        "scattered_by_4000_samples_per_second": round(thousands),
        "scattered_share_that_surprised": round(scattered, 4),
        "entity_microseconds": round(entity * 1e6, 1),
        **peers(),
    }
    bars = {
        "dense_million_samples_per_second": Bar(dense / 1e6, 10.0),
        "scattered_by_1000_million_samples_per_second": Bar(thousand / 1e6, 5.0),
        "bytes_per_series": Bar(float(RECORD_BYTES), 256.0, "at_most"),
        "entity_update_microseconds": Bar(entity * 1e6, 60.0, "at_most"),
    }
    report("detect", figures, bars)


if __name__ == "__main__":
    main()
