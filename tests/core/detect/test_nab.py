"""The code that the server runs, scored on the Numenta Anomaly Benchmark; it sees one sample at a time."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from coldaisle.core.detect.novelty import NoveltyState
from coldaisle.core.detect.univariate import detector
from coldaisle.server.settings import DetectSettings

SHARED = Path(os.environ.get("COLDAISLE_SHARED", Path(__file__).parents[4] / "shared"))
CORPUS = SHARED / "data" / "nab"
SCORER = SHARED / "tools" / "nab_score.py"
GAP_SECONDS = 3_600.0

pytestmark = pytest.mark.skipif(
    not (CORPUS.is_dir() and SCORER.is_file()),
    reason=f"the benchmark's data is not part of this repository and not in {SHARED} (COLDAISLE_SHARED)",
)

Scores = dict[str, "np.ndarray[Any, np.dtype[np.float64]]"]


@pytest.fixture(scope="module")
def scorer() -> ModuleType:
    """The scorer, which reproduces the scores published with the benchmark."""
    spec = importlib.util.spec_from_file_location("nab_score", SCORER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nab_score"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def corpus(scorer: ModuleType) -> list[Any]:
    """The 58 series."""
    return list(scorer.load_corpus(CORPUS))


@pytest.fixture(scope="module")
def scored(corpus: list[Any]) -> tuple[Scores, Scores]:
    """Scores of all statistics, and of the value's record, with one series a column of a call."""
    state = NoveltyState()
    state.reserve(len(corpus))
    both: tuple[Scores, Scores] = ({}, {})
    for each in both:
        each.update((series.name, np.zeros(len(series.times))) for series in corpus)
    for row in range(max(len(series.times) for series in corpus)):
        alive = [n for n, series in enumerate(corpus) if row < len(series.times)]
        values = np.array([corpus[n].values[row] for n in alive])
        times = np.array([int(corpus[n].times[row]) for n in alive])
        found = state.update(np.array(alive), values, times)
        for place, n in enumerate(alive):
            both[0][corpus[n].name][row] = found.score[place]
            both[1][corpus[n].name][row] = found.value_score[place]
    return both


@pytest.mark.parametrize(
    ("profile", "least"), [("standard", 65.0), ("reward_low_FP_rate", 58.0), ("reward_low_FN_rate", 69.0)]
)
def test_the_benchmarks_score_does_not_fall(
    scorer: ModuleType, corpus: list[Any], scored: tuple[Scores, Scores], profile: str, least: float
) -> None:
    costs = json.loads((CORPUS / "config" / "profiles.json").read_text())[profile]["CostMatrix"]
    score, _ = scorer.profile_score(corpus, scored[0], costs)
    assert score >= least


def test_false_alarms_at_the_shipped_thresholds_stay_within_their_budgets(
    scorer: ModuleType, corpus: list[Any], scored: tuple[Scores, Scores]
) -> None:
    shipped = DetectSettings()
    warn = scorer.alarm_counts(corpus, scored[0], shipped.novelty_warn_score, GAP_SECONDS)
    page = scorer.alarm_counts(corpus, scored[1], shipped.novelty_page_score, GAP_SECONDS)
    assert warn["false_alarms_per_series_day"] <= 0.06
    assert warn["found"] >= 90
    assert page["false_alarms_per_series_day"] <= 0.01
    assert page["found"] >= 70


def test_one_series_alone_gives_the_bits_of_the_block(
    corpus: list[Any], scored: tuple[Scores, Scores]
) -> None:
    series = min(corpus, key=lambda each: len(each.times))
    one = detector()
    alone = [one.update(time, value) for time, value in zip(series.times, series.values, strict=True)]
    assert alone == scored[0][series.name].tolist()
