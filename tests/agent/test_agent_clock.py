"""Clocks that differ are found, and said once."""

import pytest

from coldaisle.agent.clock import MAX_OFFSET_SECONDS, Clock

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000


def test_an_offset_counts_from_the_middle_of_the_round_trip() -> None:
    clock = Clock()
    clock.compare(NOW + 3 * SECOND, NOW, 0.5)
    assert clock.offset_seconds == pytest.approx(3.25)


def test_a_server_that_says_no_time_leaves_it_unknown() -> None:
    clock = Clock()
    clock.compare(0, NOW, 0.5)
    assert clock.offset_seconds is None


def test_a_clock_beyond_the_bound_is_said_once_until_it_is_right_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    far = NOW - int((MAX_OFFSET_SECONDS + 1) * SECOND)
    for server_time in (far, far, NOW, far):
        clock.compare(server_time, NOW, 0.0)
    assert [record.__dict__["offset_seconds"] for record in caplog.records] == [-3.0, -3.0]


def test_a_slow_answer_is_no_wrong_clock(caplog: pytest.LogCaptureFixture) -> None:
    Clock().compare(NOW - 20 * SECOND, NOW, 40.0)
    Clock().compare(NOW - 39 * SECOND, NOW, 40.0)
    assert not caplog.records
