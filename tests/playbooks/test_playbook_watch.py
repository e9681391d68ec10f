"""When a condition holds: by the samples' own time, unbroken, and of all assets together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldaisle.core.events import types as t
from coldaisle.playbooks.watch import Watch, judge

SECOND = 1_000_000_000
CONDITION = t.Condition(("a", "b"), "inlet_celsius", below=27.0, for_seconds=10, within_seconds=100)


def _verdict(samples, condition=CONDITION):
    watch = Watch(condition, since=0)
    for asset, seconds, value in samples:
        watch.take(seconds * SECOND, t.SamplesRecorded(asset, ("inlet_celsius",), (value,)))
    return watch.verdict()


def test_all_assets_must_hold_in_one_common_time():
    """a held long ago and then fell silent; b came later: nobody saw both hold together."""
    early, late = [("a", 1, 20.0), ("a", 12, 20.0)], [("b", 50, 20.0), ("b", 61, 20.0)]
    assert _verdict([*early, *late]).missing == "held for 0 s together, 10 s are needed"
    assert _verdict([*early, *late, ("a", 62, 20.0)]).holds


def test_polls_at_different_moments_count_together():
    assert _verdict([("a", 1, 20.0), ("b", 4, 20.0), ("a", 11, 20.0), ("b", 14, 20.0), ("a", 21, 20.0)]).holds


@pytest.mark.parametrize(
    ("samples", "missing"),
    [
        ([("a", 1, 20.0), ("a", 20, 20.0)], "no reading of inlet_celsius from b"),
        ([("a", 1, 20.0), ("b", 1, 30.0)], "below 27 not reached by b (30)"),
        ([("a", 5, 20.0), ("b", 5, 20.0), ("a", 14, 20.0), ("b", 14, 20.0)], "held for 9 s together"),
        ([("a", 1, 20.0), ("b", 1, 20.0), ("b", 5, None), ("a", 12, 20.0)], "from b"),
        ([("a", 0, 20.0), ("b", 0, 20.0)], "from a, b"),
        ([("a", 101, 20.0), ("b", 101, 20.0)], "from a, b"),
        ([("a", 1, 20.0), ("b", 1, 20.0), ("a", 12, 27.0), ("b", 12, 20.0)], "not reached by a (27)"),
        ([("c", 1, 20.0)], "from a, b"),
    ],
)
def test_what_is_missing_is_said(samples, missing):
    verdict = _verdict(samples)
    assert not verdict.holds
    assert missing in verdict.missing


_samples = st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.sampled_from([20.0, 27.0, 30.0, None]))


@settings(deadline=None)
@given(st.lists(_samples, max_size=30), st.booleans())
def test_what_is_asked_at_each_sample_is_what_the_verdict_says(samples, one_by_one):
    watch = Watch(CONDITION, since=0)
    for asset, seconds, value in samples if one_by_one else sorted(samples, key=lambda sample: sample[1]):
        watch.take(seconds * SECOND, t.SamplesRecorded(asset, ("inlet_celsius",), (value,)))
        assert watch.holds() == watch.verdict().holds


async def test_all_series_are_looked_at_once_a_page_and_not_at_each_sample(hall, monkeypatch):
    """Of 256 assets, one look at each sample took 400 µs, for each run that verified."""
    looks = []
    verdict = Watch.verdict
    monkeypatch.setattr(Watch, "verdict", lambda watch: looks.append(1) or verdict(watch))
    for seconds in range(1, 51):
        body = t.SamplesRecorded("a", ("inlet_celsius",), (20.0,))
        await hall.say(body, time=seconds * SECOND)
    _, said = await judge(hall.store, Watch(CONDITION, since=0), 0)
    assert (said.holds, len(looks)) == (False, 1)


def test_a_late_sample_changes_nothing():
    samples = [("a", 1, 20.0), ("b", 1, 20.0), ("a", 12, 20.0), ("b", 12, 20.0)]
    assert _verdict([*samples, ("a", 6, 99.0)]).holds


def test_every_series_of_a_metric_counts():
    condition = t.Condition(("a",), "inlet_celsius", above=5.0)
    watch = Watch(condition, since=0)
    names = ('inlet_celsius{sensor="1"}', 'inlet_celsius{sensor="2"}', "inlet_celsius_max")
    watch.take(SECOND, t.SamplesRecorded("a", names, (6.0, 4.0, 3.0)))
    assert "not reached by a (4)" in watch.verdict().missing
    watch.take(2 * SECOND, t.SamplesRecorded("a", names, (6.0, 6.0, 3.0)))
    assert watch.verdict().observed == {f"a {name}": 6.0 for name in names[:2]}


_SAMPLE = st.tuples(st.sampled_from("ab"), st.integers(0, 110), st.none() | st.sampled_from([20.0, 30.0]))


@given(st.lists(_SAMPLE, max_size=40))
def test_a_verdict_that_holds_rests_on_a_common_time(samples):
    """Checked against a plain reading of the rule: some stretch of samples of each asset, all inside."""
    if not _verdict(samples).holds:
        return
    seen: dict[str, list[tuple[int, float | None]]] = {"a": [], "b": []}
    for asset, seconds, value in samples:
        newest = seen[asset][-1][0] if seen[asset] else 0
        if newest < seconds <= 100:
            seen[asset].append((seconds, value))
    stretches = {asset: _last_stretch(values) for asset, values in seen.items()}
    start, end = max(low for low, _ in stretches.values()), min(high for _, high in stretches.values())
    assert end - start >= 10


def _last_stretch(values):
    inside = []
    for seconds, value in reversed(values):
        if value is None or value >= 27:
            break
        inside.append(seconds)
    return min(inside), max(inside)
