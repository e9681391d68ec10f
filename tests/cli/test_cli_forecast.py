"""``coldaisle forecast``: the picture, what is said beneath it, and what is asked of the server."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldaisle.cli.picture import BAND, COMING, HALF_COLUMNS, LIMIT, NOW, PAST, ROWS, picture


def test_a_forecast_is_drawn_with_its_interval_its_limit_and_its_record(cli):
    ran = cli("forecast", "rack-a01", "inlet_temperature_celsius", "--limit", "45", "--horizon", "12h")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == "rack-a01 inlet_temperature_celsius"
    assert all(mark in ran.out for mark in (PAST, COMING, BAND, LIMIT, NOW))
    assert "39 (34.50 to 48), by last value" in lines[-3]
    assert lines[-2] == "of 200 earlier intervals so far ahead 91% held (aim 90%)"
    assert lines[-1] == "45: in 5 h (4 h to 7 h, 90 %)"
    asked = cli.canned.requests[-1]
    assert (asked.asset, asked.horizon.seconds, asked.limit) == ("assets/rack-a01", 43_200, 45.0)


def test_without_a_limit_none_is_asked_for_and_the_horizon_is_a_day(cli):
    assert cli("forecast", "rack-a01", "power_watts").code == 0
    asked = cli.canned.requests[-1]
    assert not asked.HasField("limit")
    assert asked.horizon.seconds == 86_400


def test_without_a_metric_parts_and_metrics_are_told(cli):
    out = cli("forecast", "rack-a01").out
    assert "2 metrics can be forecast" in out
    assert "alerts: 2 in 30 days, 0 in the 60 days before" in out
    assert "fan_speed_rpm: fan: not within 365 days" in out


def test_json_is_the_whole_answer(cli):
    found = json.loads(cli("forecast", "rack-a01", "power_watts", "-o", "json").out)
    assert len(found["points"]) == 10
    assert found["points"][0]["low"] == 30.0


@pytest.mark.parametrize("arguments", [("--horizon", "7"), ("--horizon", "x"), ("--limit", "5")])
def test_what_cannot_be_asked_is_refused(cli, arguments):
    """A limit needs a metric."""
    assert cli("forecast", "rack-a01", *arguments).code == 2


def test_a_rising_series_is_drawn_from_the_lower_left_to_the_upper_right():
    lines = picture([1.0, 2.0, 3.0], [(4.0, 4.0, 4.0), (5.0, 5.0, 5.0)])
    assert len(lines) == ROWS
    assert lines[0].endswith(COMING)
    assert lines[-1].strip() == f"1 ┤{PAST}  {NOW}"


def test_a_limit_far_away_does_not_flatten_the_picture():
    assert LIMIT not in "".join(picture([1.0, 2.0], [(2.0, 2.0, 2.0)], limit=1e6))


FLOATS = st.floats(-1e9, 1e9)


@given(
    st.lists(FLOATS | st.none(), max_size=100),
    st.lists(st.tuples(FLOATS, FLOATS, FLOATS).map(lambda three: tuple(sorted(three))), max_size=100),
    FLOATS | st.none(),
)
def test_any_series_has_a_picture_of_bounded_size(recent, coming, limit):
    lines = picture(recent, coming, limit)
    assert len(lines) in (0, ROWS)
    assert all(len(line.partition("┤")[2]) <= 2 * HALF_COLUMNS + 1 for line in lines)
