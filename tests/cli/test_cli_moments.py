"""``--as-of``: what is understood, and that everything else is refused with a word on how to write it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldaisle.cli.moments import parse_as_of

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("@0", 0),
        ("@4711", 4711),
        ("-3h", NOW - timedelta(hours=3)),
        ("-90s", NOW - timedelta(seconds=90)),
        ("-1.5m", NOW - timedelta(seconds=90)),
        ("-250ms", NOW - timedelta(milliseconds=250)),
        ("-2w", NOW - timedelta(weeks=2)),
        ("2026-11-20T10:42Z", datetime(2026, 11, 20, 10, 42, tzinfo=UTC)),
        ("2026-11-20T10:42", datetime(2026, 11, 20, 10, 42, tzinfo=UTC)),
        ("2026-11-20T12:42+02:00", datetime(2026, 11, 20, 10, 42, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
    ],
)
def test_a_moment_is_understood(text, moment):
    assert parse_as_of(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "@", "@-1", "@1.5", "@²", "-3", "-h", "-3y", "3h", "now", "@" + "9" * 30]
)
def test_anything_else_is_refused_with_what_would_do(text):
    with pytest.raises(ValueError, match=r"write"):
        parse_as_of(text, NOW)


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_every_position_survives(position):
    assert parse_as_of(f"@{position}", NOW) == position


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_iso_time_survives(moment):
    assert parse_as_of(moment.isoformat(), NOW) == moment


@given(st.text(max_size=20))
def test_no_text_does_worse_than_being_refused(text):
    try:
        moment = parse_as_of(text, NOW)
    except ValueError:
        return
    assert isinstance(moment, int) or moment.tzinfo is not None
