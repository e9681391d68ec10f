"""What river does that surprises, each seen once; where we use it, that we stepped around it.

A test that fails after an upgrade says which workaround may go.
"""

import math
import pickle
import random
import subprocess
import sys
from importlib.metadata import version

import pytest
from river import anomaly, neighbors, preprocessing, stats, time_series

from coldaisle.core.detect.entities import MIN_LEARNED_SAMPLES, EntityModel

KEYS = ("fan_rpm", "inlet_celsius", "power_watts")


def poll(n: int, lift: float = 0.0) -> dict[str, float]:
    return {key: 20 + k + math.sin(n / 7 + k) + lift for k, key in enumerate(KEYS)}


def learned(count: int = 300) -> EntityModel:
    model = EntityModel(1)
    for n in range(count):
        model.update(poll(n), learn=True)
    return model


def test_the_release_that_cannot_be_imported_on_python_3_11_is_not_the_one_in_use() -> None:
    assert tuple(int(part) for part in version("river").split(".")[:3]) >= (0, 26, 1)


def test_gaussian_scorer_saturates_so_its_score_is_no_threshold() -> None:
    scorer = anomaly.GaussianScorer()
    for n in range(1_000):
        scorer.learn_one(None, math.sin(n))
    scores = {scorer.score_one(None, value) for value in (50.0, 60.0, 1e9)}
    assert scores == {1.0}


def test_absolute_deviation_over_quantiles_must_learn_before_it_scores() -> None:
    scorer = anomaly.StandardAbsoluteDeviation(sub_stat=stats.Quantile())
    with pytest.raises(TypeError):
        scorer.score_one(None, 1.0)


def test_holt_winters_cannot_forecast_before_a_season_so_nothing_of_ours_is_built_on_it() -> None:
    with pytest.raises(IndexError):
        time_series.HoltWinters(alpha=0.3, beta=0.1, gamma=0.1, seasonality=24).forecast(1)


def test_additive_holt_winters_begins_with_ratios_and_fails_on_zeros() -> None:
    model = time_series.HoltWinters(alpha=0.3, beta=0.1, gamma=0.1, seasonality=4)
    with pytest.raises(ZeroDivisionError):
        for _ in range(8):
            model.learn_one(0.0)


def test_loda_sorts_its_keys_so_they_are_all_strings_here() -> None:
    model = anomaly.LODA(seed=1)
    with pytest.raises(TypeError):
        model.learn_one({"a": 1.0, 1: 2.0})
    assert all(isinstance(key, str) for key in learned(1).state().metrics)


def test_half_space_trees_are_hundreds_of_kilobytes_so_there_is_none_a_series() -> None:
    trees = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(n_trees=25, height=8, seed=1)
    trees.learn_one({"value": 1.0})
    assert len(pickle.dumps(trees)) > 100_000


def test_predictive_detection_clips_at_one_so_residuals_are_our_own() -> None:
    model = anomaly.PredictiveAnomalyDetection(horizon=1, n_std=1.0, warmup_period=1)
    for n in range(50):
        model.learn_one({"n": n / 50}, math.sin(n))
    assert {model.score_one({"n": 1.0}, value) for value in (1e3, 1e6)} == {1.0}


def test_snarimax_diverges_on_bursts_so_no_forecast_of_ours_is_built_on_it() -> None:
    """Bursts as of a disk that writes now and then; the forecast leaves them by orders of magnitude."""
    source, model = random.Random(1), time_series.SNARIMAX(p=2, d=1, q=1)
    seen = [math.exp(source.gauss(0, 3)) for _ in range(600)]
    for value in seen:
        model.learn_one(value)
    worst = max(abs(value) for value in model.forecast(288))
    assert math.isnan(worst) or worst > 1e6 * max(seen)


def test_local_outlier_factor_costs_more_with_every_sample_so_it_is_not_for_streams() -> None:
    """A score compares with each sample that is kept, and that for each neighbour again."""

    def learned_factor(count: int) -> tuple[int, int]:
        compared = 0

        def distance(one: dict[str, float], other: dict[str, float]) -> float:
            nonlocal compared
            compared += 1
            return math.dist([one[key] for key in KEYS], [other[key] for key in KEYS])

        source = random.Random(1)
        model = anomaly.LocalOutlierFactor(
            n_neighbors=5, engine=neighbors.LazySearch(window_size=1_000, dist_func=distance)
        )
        for _ in range(count):
            model.learn_one({key: source.random() for key in KEYS})
        size_bytes = len(pickle.dumps(list(model._nn.window)))
        model.score_one(dict.fromkeys(KEYS, 0.5))
        return compared, size_bytes

    (few, few_bytes), (many, many_bytes) = learned_factor(100), learned_factor(400)
    assert many > 3 * few > 3 * 100
    assert many_bytes > 3 * few_bytes


def test_detectors_take_one_sample_a_call_so_batches_are_for_stage_1_in_numpy() -> None:
    used = (anomaly.LODA, anomaly.HalfSpaceTrees, anomaly.OneClassSVM, anomaly.GaussianScorer)
    assert not [model.__name__ for model in used if hasattr(model, "score_many")]


def test_half_space_trees_take_a_long_fault_for_normal_too() -> None:
    trees = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(
        n_trees=10, height=6, window_size=50, seed=1
    )
    for n in range(300):
        trees.learn_one(poll(n))
    found = trees.score_one(poll(300, 15.0))
    for n in range(300):
        trees.learn_one(poll(n, 15.0))
    assert trees.score_one(poll(600, 15.0)) < found / 2


def test_the_anomaly_module_can_be_imported_by_itself() -> None:
    """0.26.0 fails right here, with a TypeError of csv.DictReader; in a process that holds none of it yet."""
    assert subprocess.run([sys.executable, "-c", "from river import anomaly"], check=False).returncode == 0


def test_neither_the_command_line_nor_core_alone_loads_river() -> None:
    code = "import coldaisle.cli.main, coldaisle.core.twin, sys; sys.exit('river' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_ungated_model_takes_a_long_fault_for_normal_and_ours_does_not() -> None:
    gated, open_ended = learned(), learned()
    for n in range(600):
        gated.update(poll(n, 15.0), learn=False)
        open_ended.update(poll(n, 15.0), learn=True)
    found, lost = gated.update(poll(600, 15.0), learn=False), open_ended.update(poll(600, 15.0), learn=False)
    assert found is not None
    assert lost is not None
    assert found[0] > found[1]
    assert lost[0] < found[0] / 2


def test_the_same_seed_gives_the_same_scores_and_another_gives_others() -> None:
    def scores(seed: int) -> list[tuple[float, float] | None]:
        model = EntityModel(seed)
        return [model.update(poll(n), learn=True) for n in range(MIN_LEARNED_SAMPLES + 20)]

    assert scores(1) == scores(1)
    assert scores(1) != scores(2)


def test_a_vector_that_lacks_most_of_its_metrics_has_no_score() -> None:
    assert learned().update({"inlet_celsius": 21.0}, learn=True) is None


def test_the_agent_never_loads_river() -> None:
    """It costs a hundred megabytes."""
    code = "import coldaisle.agent.main, sys; sys.exit('river' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
