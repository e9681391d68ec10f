"""The alert state machine: hysteresis, levels, returns, flapping."""

import pytest

from coldaisle.core.detect.machine import AlertMachine, Hysteresis
from coldaisle.core.events.types import Severity

MINUTE = 60 * 1_000_000_000
WARN: Severity = "warn"


def feed(machine: AlertMachine, pattern: str, start: int = 0) -> list[str]:
    """A sample a minute: ``w`` and ``p`` are bad, ``.`` is good, ``-`` neither. Answers the changes."""
    changes = []
    for n, letter in enumerate(pattern, start=start):
        bad: Severity | None = {"w": "warn", "p": "page"}.get(letter)  # type: ignore[assignment]
        change = machine.update(n * MINUTE, 1.0, bad, clears=letter == ".")
        if change == "opened":
            machine.open(f"a-{n}")
        if change == "cleared":
            machine.close()
        changes += [f"{change}@{n}"] if change else []
    return changes


def test_it_opens_at_k_of_n_and_closes_after_m_in_a_row() -> None:
    machine = AlertMachine(Hysteresis(3, 5, 3))
    assert feed(machine, "w.w.w..-...") == ["opened@4", "cleared@10"]


def test_its_state_has_the_names_of_the_drawing() -> None:
    machine = AlertMachine(Hysteresis(2, 3, 2))
    states = [machine.state]
    for n, letter in enumerate("w-w..", start=0):
        feed(machine, letter, start=n)
        states.append(machine.state)
    assert states == ["ok", "pending", "pending", "active", "recovering", "ok"]


def test_it_escalates_once() -> None:
    machine = AlertMachine(Hysteresis(1, 1, 2))
    assert feed(machine, "wwppp..") == ["opened@0", "escalated@2", "cleared@6"]


def test_a_condition_that_returns_while_it_recovers_is_the_same_alert() -> None:
    machine = AlertMachine(Hysteresis(1, 1, 3))
    assert feed(machine, "w..w..w...") == ["opened@0", "cleared@9"]


def test_what_comes_and_goes_is_said_once_and_ends_when_it_stays_away() -> None:
    machine = AlertMachine(Hysteresis(1, 1, 2, 0.0, 3))
    returns = "w.w.w.w.w."
    assert feed(machine, returns) == ["opened@0", "flapping@8"]
    assert machine.cycles == 4
    assert feed(machine, "." * 14, start=len(returns)) == []
    assert feed(machine, "..", start=len(returns) + 14) == ["cleared@24"]


def test_it_must_be_quiet_for_its_time_too() -> None:
    machine = AlertMachine(Hysteresis(1, 1, 3, 600.0))
    assert feed(machine, "w" + "." * 15) == ["opened@0", "cleared@11"]


@pytest.mark.parametrize("cut", range(12))
def test_a_machine_that_was_saved_goes_on_as_before(cut: int) -> None:
    pattern = "w.w.ww..p..."
    machine, expected = AlertMachine(Hysteresis(2, 3, 3, 0.0, 1)), AlertMachine(Hysteresis(2, 3, 3, 0.0, 1))
    before = feed(machine, pattern[:cut])
    again = AlertMachine.of(machine.saved())
    assert before + feed(again, pattern[cut:], start=cut) == feed(expected, pattern)
    assert again.saved() == expected.saved()
