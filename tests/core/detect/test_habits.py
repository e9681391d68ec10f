"""Sensors that stand still and resources that leak away."""

import random
from collections.abc import Iterable

from coldaisle.core.detect import Detector
from coldaisle.core.events import Fact, sequenced_id
from coldaisle.core.events import types as t

MINUTE, DAY_MINUTES = 60 * 1_000_000_000, 1_440
START = 1_700_000_000_000_000_000
GIB = 2.0**30
INLET, MEMORY = "inlet_temperature_celsius", "memory_available_bytes"


def told(metric: str, values: Iterable[float], kind: str) -> list[t.AlertOpened | t.AlertCleared]:
    """The alerts of this kind on a series with a value a minute."""
    polls = [t.SamplesRecorded("a", (metric,), (value,)) for value in values]
    facts = [
        Fact(n, "s", n, sequenced_id(START, "test", n), START + n * MINUTE, 0, "test", None, None, body)
        for n, body in enumerate([t.DetectorConfigured(()), *polls], start=1)
    ]
    said: list[t.AlertOpened | t.AlertCleared] = []
    alerts = set()
    for reaction in Detector().react(facts):
        body = reaction.body
        if isinstance(body, t.AlertOpened) and body.kind == kind:
            alerts.add(body.alert)
            said.append(body)
        elif isinstance(body, t.AlertCleared) and body.alert in alerts:
            said.append(body)
    return said


def lively(count: int) -> list[float]:
    """An inlet in tenths of a degree."""
    source = random.Random(1)
    return [round(22.0 + source.gauss(0.0, 0.2), 1) for _ in range(count)]


def noisy_memory(count: int, lost_an_hour: float = 0.0) -> list[float]:
    source = random.Random(2)
    return [(40.0 - lost_an_hour * n / 60.0 + source.gauss(0.0, 0.5)) * GIB for n in range(count)]


def test_a_lively_sensor_that_stands_still_warns_and_clears_when_it_moves() -> None:
    opened, cleared = told(INLET, lively(DAY_MINUTES) + [22.0] * 60 + lively(30), "stuck")
    assert isinstance(opened, t.AlertOpened)
    assert (opened.severity, opened.metric) == ("warn", INLET)
    assert opened.evidence.value > opened.evidence.threshold
    assert "equal samples" in opened.summary
    assert isinstance(cleared, t.AlertCleared)


def test_a_rounded_sensor_may_stand_still() -> None:
    """It moves once in twenty minutes: that is no lively one."""
    assert told(INLET, [float(22 + n // 20 % 2) for n in range(DAY_MINUTES)] + [22.0] * 600, "stuck") == []


def test_memory_that_leaks_is_told_of_before_it_is_gone() -> None:
    usual = noisy_memory(DAY_MINUTES + 240)
    leaking = noisy_memory(300, lost_an_hour=2.0)
    (opened,) = told(MEMORY, usual + leaking, "exhaustion")
    assert isinstance(opened, t.AlertOpened)
    assert opened.severity == "warn"
    assert "gone in" in opened.summary
    assert opened.evidence.value > opened.evidence.threshold > 0


def test_memory_that_a_job_takes_at_once_is_no_leak() -> None:
    usual = noisy_memory(DAY_MINUTES + 240)
    assert told(MEMORY, usual + [value - 8 * GIB for value in noisy_memory(600)], "exhaustion") == []
