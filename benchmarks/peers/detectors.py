"""One peer over the series of a file, in an environment of its own; ``benchmarks/detect_peers.py`` starts it.

    detectors.py PEER SAMPLES.npz SCORES.npz

SAMPLES holds an array of values for each series, by its name, and beside it how many first rows are not
scored (``NAME:skip``). SCORES gets a score of 0..1 for each row; the CPU seconds of the detector go to
standard output. Nothing of ours is imported here, and the peers only where they run.
"""

import importlib
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Way = Callable[[Floats, int], "list[float]"]

TREES, TREE_POINTS, SHINGLE = 40, 256, 4
"""Of the streaming example in rrcf's own documentation."""


def knn_cad(values: Floats, skip: int) -> list[float]:
    """pysad's KNNCAD has no default for its probationary period: it gets the benchmark's."""
    model = importlib.import_module("pysad.models").KNNCAD(probationary_period=max(skip, 48))
    return _streamed(model.fit_score_partial, values)


def pysad(name: str) -> Way:
    """A model of pysad whose arguments all have defaults."""

    def run(values: Floats, skip: int) -> list[float]:
        return _streamed(getattr(importlib.import_module("pysad.models"), name)().fit_score_partial, values)

    return run


def streamad(name: str) -> Way:
    """A detector of streamad; it gives no score in its warm-up."""

    def run(values: Floats, skip: int) -> list[float]:
        return _streamed(getattr(importlib.import_module("streamad.model"), name)().fit_score, values)

    return run


def forest(values: Floats, skip: int) -> list[float]:
    """A robust random cut forest (rrcf): insert the newest points, score them, forget the oldest."""
    tree = importlib.import_module("rrcf").RCTree
    trees = [tree() for _ in range(TREES)]
    scores = [0.0] * (SHINGLE - 1)  # no whole point yet
    for index, point in enumerate(np.lib.stride_tricks.sliding_window_view(values, SHINGLE)):
        for each in trees:
            if len(each.leaves) >= TREE_POINTS:
                each.forget_point(index - TREE_POINTS)
            each.insert_point(point, index=index)
        scores.append(_squeezed(sum(each.codisp(index) for each in trees) / TREES))
    return scores


def adtk(name: str) -> Way:
    """A detector of ADTK, fitted to the first rows and applied to all: a file at once, alarm or none.

    Its windows count rows, so that the index needs no true times (it admits no time twice).
    """

    def run(values: Floats, skip: int) -> list[float]:
        pandas, detector = importlib.import_module("pandas"), importlib.import_module("adtk.detector")
        index = pandas.date_range("2000-01-01", periods=len(values), freq="5min")
        rows = pandas.Series(values, index=index)
        model = getattr(detector, name)()
        model.fit(rows[:skip])
        return [float(each == 1) for each in model.detect(rows)]

    return run


def _streamed(update: Callable[[Floats], Any], values: Floats) -> list[float]:
    return [_squeezed(update(np.array([value]))) for value in values]


def _squeezed(found: Any) -> float:
    """Any score, of either sign, to 0..1 in the same order, all that the benchmark sees; none is 0."""
    score = math.nan if found is None else float(np.ravel(found)[0])
    if math.isfinite(score):
        return 0.5 + 0.5 * score / (1 + abs(score))
    return float(score == math.inf)


WAYS: Mapping[str, Way] = {
    "pysad KNNCAD": knn_cad,
    "pysad LODA": pysad("LODA"),
    "pysad StandardAbsoluteDeviation": pysad("StandardAbsoluteDeviation"),
    "streamad KNNDetector": streamad("KNNDetector"),
    "streamad SpotDetector": streamad("SpotDetector"),
    "streamad ZScoreDetector": streamad("ZScoreDetector"),
    "rrcf": forest,
    "adtk PersistAD": adtk("PersistAD"),
    "adtk InterQuartileRangeAD": adtk("InterQuartileRangeAD"),
}


def main(peer: str, source: str, target: str) -> None:
    """Warm up (imports) on a few rows, then score each series with a new detector."""
    run, series = WAYS[peer], np.load(source)
    names = [name for name in series.files if not name.endswith(":skip")]
    values = {name: series[name] for name in names}
    skips = {name: int(series[f"{name}:skip"]) for name in names}
    run(values[names[0]][:300], 100)
    began = time.process_time()
    scores = {name: run(values[name], skips[name]) for name in names}
    seconds = time.process_time() - began
    np.savez(target, **{name: np.array(found) for name, found in scores.items()})
    print(seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
