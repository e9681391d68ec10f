"""The alert state machine of one condition: opens once, escalates, clears with hysteresis.

OK ─(k of the last n samples are bad)─▶ open ─(worse)─▶ escalated ─(m good samples in a row)─▶ OK

A missing sample changes nothing: absence is not normality.
"""

from collections import deque
from typing import Literal

from msgspec import Struct

from coldaisle.core.events.types import Severity

Change = Literal["opened", "escalated", "cleared"]


class MachineState(Struct, frozen=True, array_like=True):
    """All that a machine knows; see AlertMachine."""

    raise_count: int
    raise_window: int
    clear_count: int
    window: list[Severity | None]
    good: int
    samples: list[tuple[int, float]]
    alert: str
    severity: Severity
    since: int


class AlertMachine:
    """One condition on one series. ``alert`` is the id of the open alert, empty when there is none.

    ``since`` is the time (UTC ns) of the first bad sample of the present spell.
    """

    __slots__ = ("_clear_count", "_good", "_raise_count", "_window", "alert", "samples", "severity", "since")

    def __init__(self, raise_count: int, raise_window: int, clear_count: int) -> None:
        self._raise_count = raise_count
        self._clear_count = clear_count
        self._window: deque[Severity | None] = deque(maxlen=raise_window)
        self._good = 0
        self.samples: deque[tuple[int, float]] = deque(maxlen=raise_window)
        self.alert = ""
        self.severity: Severity = "warn"
        self.since = 0

    def update(self, time: int, value: float, bad: Severity | None, clears: bool) -> Change | None:
        """Take in a sample that is ``bad`` or not; ``clears`` says that it counts towards the end."""
        if bad is not None and not self.alert and not any(self._window):
            self.since = time
        self._window.append(bad)
        self.samples.append((time, value))
        self._good = self._good + 1 if clears else 0
        if self.alert:
            return self._while_open()
        return "opened" if self._raised("warn") else None

    def open(self, alert: str) -> None:
        """Note the id under which the alert was opened."""
        self.alert = alert
        self.severity = "page" if self._raised("page") else "warn"

    def state(self) -> MachineState:
        """What ``of`` makes an equal machine from."""
        return MachineState(
            self._raise_count, self._window.maxlen or 0, self._clear_count, list(self._window), self._good,
            list(self.samples), self.alert, self.severity, self.since,
        )  # fmt: skip

    @classmethod
    def of(cls, state: MachineState) -> "AlertMachine":
        """The machine that was in this state."""
        machine = cls(state.raise_count, state.raise_window, state.clear_count)
        machine._window.extend(state.window)
        machine._good = state.good
        machine.samples.extend(state.samples)
        machine.alert, machine.severity, machine.since = state.alert, state.severity, state.since
        return machine

    def _while_open(self) -> Change | None:
        if self._good >= self._clear_count:
            self._window.clear()
            return "cleared"
        if self.severity == "warn" and self._raised("page"):
            self.severity = "page"
            return "escalated"
        return None

    def _raised(self, severity: Severity) -> bool:
        count = sum(1 for bad in self._window if bad == "page" or bad == severity)
        return count >= self._raise_count
