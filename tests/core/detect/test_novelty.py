"""Stage 1: the same bits however samples are cut into calls, what it makes of odd series, and its size."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldaisle.core.detect.novelty import Novelty, NoveltyState
from coldaisle.core.detect.records import RECORD_BYTES
from coldaisle.core.detect.univariate import SeriesDetector, detector

START = 1_700_000_000
STEP = 300
DAY_STEPS = 288


def wave(steps: int, seed: int = 1, height: float = 5.0) -> list[float]:
    """A daily wave with noise, a value each five minutes."""
    source = random.Random(seed)
    return [50 + height * math.sin(n / DAY_STEPS * 2 * math.pi) + source.gauss(0, 0.3) for n in range(steps)]


def run(values: list[float], step_seconds: int = STEP) -> tuple[SeriesDetector, list[tuple[float, float]]]:
    """The detector after these values, and the scores that it gave."""
    one = detector()
    return one, [one.scores(START + n * step_seconds, value) for n, value in enumerate(values)]


def update(state: NoveltyState, series: list[int], values: list[float], times: list[int]) -> Novelty:
    state.reserve(max(series) + 1)
    return state.update(np.array(series), np.array(values), np.array(times))


def test_a_series_takes_256_bytes_in_memory_and_in_the_snapshot() -> None:
    state = NoveltyState()
    state.reserve(100_000)
    assert state.records.octets.nbytes == 100_000 * RECORD_BYTES == 25_600_000


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 40), cuts=st.integers(1, 7))
def test_one_at_a_time_scattered_and_in_a_block_give_the_same_bits(seed: int, size: int, cuts: int) -> None:
    source = random.Random(seed)
    whole, scattered, alone = NoveltyState(), NoveltyState(), NoveltyState()
    for each in (whole, scattered, alone):
        each.reserve(size)
    times = [START + source.randrange(400) for _ in range(size)]
    for _ in range(60):
        times = [time + source.choice((1, 10, 240, 300, 301, 3_600, 90_000)) for time in times]
        values = [source.gauss(n, 10.0 ** source.randrange(-3, 4)) for n in range(size)]
        found = update(whole, list(range(size)), values, times)
        order = source.sample(range(size), size)
        for start in range(0, size, cuts):
            part = order[start : start + cuts]
            some = update(scattered, part, [values[n] for n in part], [times[n] for n in part])
            assert some.score.tobytes() == found.score[part].tobytes()
        for n in range(size):
            update(alone, [n], [values[n]], [times[n]])
        assert whole.records.octets.tobytes() == alone.records.octets.tobytes()
        assert whole.records.octets.tobytes() == scattered.records.octets.tobytes()


def test_a_block_of_ten_thousand_gives_the_bits_of_single_series() -> None:
    count = 10_000
    state, source = NoveltyState(), np.random.default_rng(5)
    state.reserve(count)
    alone = {n: detector() for n in (0, 1, 4_095, 4_096, 9_999)}
    for step in range(80):
        values = source.normal(10, 3, count)
        times = np.full(count, START + step * STEP)
        found = state.update(np.arange(count), values, times)
        for n, one in alone.items():
            assert one.scores(int(times[n]), float(values[n])) == (found.score[n], found.value_score[n])


def test_a_daily_wave_is_inside_its_range_and_a_record_is_not() -> None:
    one, scores = run(wave(14 * DAY_STEPS))
    assert max(score for score, _ in scores[-DAY_STEPS:]) < 0.1
    score, value_score = one.scores(START + 14 * DAY_STEPS * STEP, 80.0)
    assert score > 0.5
    assert value_score > 0.5


def test_one_alarm_for_an_event_not_one_for_each_sample() -> None:
    one, _ = run(wave(14 * DAY_STEPS))
    time = START + 14 * DAY_STEPS * STEP
    scores = [one.update(time + n * STEP, 80.0) for n in range(12)]
    assert scores[0] > 0.5
    assert max(scores[2:]) < scores[0] / 2


def test_an_unusual_hour_scores_although_the_value_is_in_its_range() -> None:
    """The daily peak at the hour of the daily low."""
    one, _ = run(wave(21 * DAY_STEPS))
    low_hour = 21 * DAY_STEPS + DAY_STEPS * 3 // 4
    for n in range(21 * DAY_STEPS, low_hour):
        one.update(START + n * STEP, 50 + 5 * math.sin(n / DAY_STEPS * 2 * math.pi))
    score, value_score = one.scores(START + low_hour * STEP, 55.0)
    assert score > 0.1
    assert value_score < 0.02


def test_a_level_shift_is_found_once_and_then_is_the_new_normal() -> None:
    one, _ = run(wave(14 * DAY_STEPS))
    shifted = [value + 20 for value in wave(7 * DAY_STEPS, seed=2)]
    time = START + 14 * DAY_STEPS * STEP
    scores = [one.update(time + n * STEP, value) for n, value in enumerate(shifted)]
    assert max(scores[:3]) > 0.4
    assert max(scores[-3 * DAY_STEPS :]) < 0.1


def test_a_gap_of_days_is_no_surprise_and_leaves_the_ranges() -> None:
    one, _ = run(wave(14 * DAY_STEPS))
    time = START + (14 + 5) * DAY_STEPS * STEP
    scores = [one.update(time + n * STEP, value) for n, value in enumerate(wave(DAY_STEPS, seed=3))]
    assert max(scores) < 0.15


def test_the_first_change_of_a_constant_is_a_surprise() -> None:
    one, scores = run([7.0] * 200)
    assert max(scores) == (0.0, 0.0)
    assert one.scores(START + 200 * STEP, 8.0)[1] > 0.9


def test_a_large_offset_costs_no_precision() -> None:
    """float32 alone would lose the wave: its spacing at 1e9 is 64."""
    plain, lifted = wave(10 * DAY_STEPS), [value + 1e9 for value in wave(10 * DAY_STEPS)]
    _, expected = run(plain)
    _, scores = run(lifted)
    difference = max(abs(a[1] - b[1]) for a, b in zip(expected, scores, strict=True))
    assert difference < 1e-3


@pytest.mark.parametrize("huge", [1e300, -1e300, 1e19])
def test_values_beyond_float32_neither_overflow_nor_stay_in_the_record_as_nan(huge: float) -> None:
    values = wave(100)
    one, _ = run([*values, huge, *values])
    assert np.isfinite(one._state.records.words(slice(0, 1))[0, :32]).all()


def test_fast_polls_step_as_their_mean_and_their_records_count_at_once() -> None:
    """Polls each 10 s are one step in 4 minutes; a spike of one poll is a record when it comes."""
    source = random.Random(4)
    one = detector()
    for n in range(4 * DAY_STEPS * 30):
        one.update(START + n * 10, 20 + 2 * math.sin(n / 8_640 * 2 * math.pi) + source.gauss(0, 0.1))
    assert one._state.records.facts.steps[0] == pytest.approx(4 * DAY_STEPS * 300 / 240, abs=2)
    _, value_score = one.scores(START + 4 * DAY_STEPS * 300, 40.0)
    assert value_score > 0.5


def test_two_samples_of_one_moment_change_no_step() -> None:
    one, _ = run(wave(100))
    before = int(one._state.records.facts.steps[0])
    one.update(START + 99 * STEP, 50.0)
    assert one._state.records.facts.steps[0] == before


def test_a_clock_that_was_set_back_does_not_stop_the_steps_for_ever() -> None:
    one, _ = run(wave(100))
    before = int(one._state.records.facts.steps[0])
    for n in range(300):
        one.update(START - 86_400 + n, 50.0)
    assert one._state.records.facts.steps[0] > before
