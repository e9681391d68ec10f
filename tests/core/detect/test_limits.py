"""Limits that are known beforehand: on values, on states, on how fast a value changes."""

from collections.abc import Sequence

import pytest

from coldaisle.core.detect import Detector, default_rules
from coldaisle.core.detect.limits import broken, threshold, well_inside
from coldaisle.core.detect.rates import MAX_KEPT_SAMPLES, Changes
from coldaisle.core.events import Fact, sequenced_id
from coldaisle.core.events import types as t

SECOND = 1_000_000_000
BAND = t.LimitRule("band", "m", warn_above=27, page_above=32, warn_below=18, page_below=15, clear_margin=0.5)


@pytest.mark.parametrize(
    ("value", "severity", "limit", "inside"),
    [(26.4, None, 27, True), (26.8, None, 27, False), (27.1, "warn", 27, False), (32.1, "page", 32, False),
     (17.9, "warn", 18, False), (14.9, "page", 15, False), (18.2, None, 27, False)],
)  # fmt: skip
def test_a_band_is_broken_on_both_sides_and_left_by_its_margin(
    value: float, severity: str | None, limit: float, inside: bool
) -> None:
    assert (broken(BAND, value), threshold(BAND, value), well_inside(BAND, value)) == (
        severity,
        limit,
        inside,
    )


def react(rules: Sequence[t.LimitRule], values: Sequence[float], period: float) -> list[t.AnyEvent]:
    events: list[tuple[float, t.AnyEvent]] = [
        (0.0, t.DetectorConfigured(tuple(rules))),
        (0.0, t.AssetObserved("tape-1", "rack", {"storage": "tape"})),
        *((n * period, t.SamplesRecorded("tape-1", ("inlet_temperature_celsius",), (value,)))
          for n, value in enumerate(values)),
    ]  # fmt: skip
    facts = [
        Fact(n, "s", n, sequenced_id(SECOND, "test", n), int(at * SECOND), 0, "test", None, None, body)
        for n, (at, body) in enumerate(events, start=1)
    ]
    return [reaction.body for reaction in Detector().react(facts)]


def test_a_rack_with_tape_warns_when_it_warms_too_fast_and_not_when_slowly() -> None:
    change = [rule for rule in default_rules() if rule.per_seconds]
    fast = react(change, [20.0] * 20 + [20 + n * 0.8 for n in range(12)], 60.0)
    slow = react(change, [20 + n * 0.2 for n in range(40)], 60.0)
    (alert,) = fast
    assert isinstance(alert, t.AlertOpened)
    assert alert.kind == "limit"
    assert "in 900 s" in alert.summary
    assert slow == []


def test_nothing_is_said_of_a_change_across_a_gap() -> None:
    changes, key = Changes(), ("a", "m", "r")
    for n in range(20):
        changes.change(key, n * 60 * SECOND, 20.0, 900)
    assert changes.change(key, 20 * 60 * SECOND, 30.0, 900) == 10.0
    assert changes.change(key, 80 * 60 * SECOND, 50.0, 900) is None


def test_fast_polls_are_kept_within_bounds() -> None:
    changes, key = Changes(), ("a", "m", "r")
    found = [changes.change(key, n * SECOND, n / 100, 900) for n in range(3_000)]
    assert len(changes.recent[key]) <= MAX_KEPT_SAMPLES + 3
    assert found[-1] == pytest.approx(9.0, abs=0.2)
