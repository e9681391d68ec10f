"""Rounding is no news: how far out is counted in the steps of the series."""

from math import inf

import pytest

from coldaisle.core.detect.quanta import steps


@pytest.mark.parametrize(
    ("value", "low", "high", "seen", "outside", "span"),
    [
        (227.0, 228.0, 232.0, (230.0,), 1.0, 4.0),
        (226.0, 228.0, 232.0, (231.0,), 2.0, 4.0),
        (49.8, 49.9, 50.1, (50.0,), 1.0, 2.0),
        (31.0, 20.0, 30.0, (25.0,), 1.0, 10.0),
        (45.0, 20.0, 40.0, (30.0, 35.0), 1.0, 4.0),
        (230.0, 228.0, 232.0, (229.0,), 0.0, 4.0),
    ],
)
def test_a_rounded_value_is_counted_in_its_steps(
    value: float, low: float, high: float, seen: tuple[float, ...], outside: float, span: float
) -> None:
    found = steps(value, low, high, seen)
    assert (round(found.outside, 6), round(found.span, 6)) == (outside, span)


def test_one_step_is_not_far_and_two_are() -> None:
    assert not steps(227.0, 228.0, 232.0, (230.0,)).is_far
    assert steps(226.0, 228.0, 232.0, (231.0,)).is_far


def test_a_value_that_is_not_rounded_has_no_steps() -> None:
    found = steps(5.13721, 1.10307, 4.94113, (3.33333,))
    assert (found.outside, found.span) == (inf, inf)
    assert found.is_far
    assert found.is_fine


def test_of_a_constant_only_the_decimals_are_known() -> None:
    changed = steps(9.0, 8.0, 8.0, (8.0,))
    assert changed.is_first_change
    assert not changed.is_far
    assert steps(5.0, 8.0, 8.0, (8.0,)).is_far
