"""The alert state machine of one condition: opens once, escalates, clears with hysteresis.

OK ─(bad)─▶ PENDING ─(k of the last n samples are bad)─▶ ACTIVE ─(good)─▶ RECOVERING ─(m good in a row)─▶ OK
                                                           ▲─────(bad)──────┘

A missing sample changes nothing: absence is not normality. A condition that comes back while it recovers
goes on with the same alert; one that does so too often is flapping, and stays open until it stays away.
"""

from collections import deque
from typing import Literal

from msgspec import Struct

from coldaisle.core.events.types import Severity

Change = Literal["opened", "escalated", "cleared", "flapping"]
State = Literal["ok", "pending", "active", "recovering"]

FLAP_WINDOW_SECONDS = 3_600
FLAP_QUIET_SECONDS = 900
"""A flapping condition must stay away for so long."""

MAX_CYCLES = 100
_SECOND = 1_000_000_000


class Hysteresis(Struct, frozen=True, array_like=True):
    """When a condition opens and ends.

    ``raise_count`` of ``raise_window`` samples; ``clear_count`` in a row over at least ``clear_seconds``;
    more than ``flap_cycles`` returns in an hour are flapping, 0 for never.
    """

    raise_count: int
    raise_window: int
    clear_count: int
    clear_seconds: float = 0.0
    flap_cycles: int = 0


class MachineState(Struct, frozen=True, array_like=True):
    """All that a machine knows; see AlertMachine."""

    hysteresis: Hysteresis
    window: list[Severity | None]
    good: int
    good_since: int
    samples: list[tuple[int, float]]
    cycles: list[int]
    flapping: bool
    alert: str
    severity: Severity
    since: int
    range: tuple[float, float]


class AlertMachine:
    """One condition on one series. ``alert`` is the id of the open alert, empty when there is none.

    ``since`` is the time (UTC ns) of the first bad sample of the present spell; ``range`` is where a value
    must return to, as it stood when the alert opened, for conditions that have one.
    """

    __slots__ = ("_cycles", "_good", "_good_since", "_hysteresis", "_window", "alert", "flapping", "range",
                 "samples", "severity", "since")  # fmt: skip

    def __init__(self, hysteresis: Hysteresis) -> None:
        self._hysteresis = hysteresis
        self._window: deque[Severity | None] = deque(maxlen=hysteresis.raise_window)
        self._good = self._good_since = 0
        self._cycles: deque[int] = deque(maxlen=MAX_CYCLES)
        self.samples: deque[tuple[int, float]] = deque(maxlen=hysteresis.raise_window)
        self.flapping = False
        self.alert = ""
        self.severity: Severity = "warn"
        self.since = 0
        self.range = (0.0, 0.0)

    @property
    def state(self) -> State:
        """Where the condition stands."""
        if self.alert:
            return "recovering" if self._good else "active"
        return "pending" if any(self._window) else "ok"

    @property
    def cycles(self) -> int:
        """How often the condition came back within the last hour."""
        return len(self._cycles)

    def update(self, time: int, value: float, bad: Severity | None, clears: bool) -> Change | None:
        """Take in a sample that is ``bad`` or not; ``clears`` says that it counts towards the end."""
        if bad is not None and not self.alert and not any(self._window):
            self.since = time
        self._window.append(bad)
        self.samples.append((time, value))
        returns = self.state == "recovering" and bad is not None
        if clears and not self._good:
            self._good_since = time
        self._good = self._good + 1 if clears else 0
        if self.alert:
            return self._while_open(time, returns)
        return "opened" if self._raised("warn") else None

    def open(self, alert: str) -> None:
        """Note the id under which the alert was opened."""
        self.alert = alert
        self.severity = "page" if self._raised("page") else "warn"

    def close(self) -> str:
        """Forget the open alert, whose id it returns."""
        alert, self.alert, self.flapping = self.alert, "", False
        self._window.clear()
        self._cycles.clear()
        return alert

    def saved(self) -> MachineState:
        """What ``of`` makes an equal machine from."""
        return MachineState(
            self._hysteresis, list(self._window), self._good, self._good_since, list(self.samples),
            list(self._cycles), self.flapping, self.alert, self.severity, self.since, self.range,
        )  # fmt: skip

    @classmethod
    def of(cls, state: MachineState) -> "AlertMachine":
        """The machine that was in this state."""
        machine = cls(state.hysteresis)
        machine._window.extend(state.window)
        machine._good, machine._good_since = state.good, state.good_since
        machine.samples.extend(state.samples)
        machine._cycles.extend(state.cycles)
        machine.flapping, machine.range = state.flapping, state.range
        machine.alert, machine.severity, machine.since = state.alert, state.severity, state.since
        return machine

    def _while_open(self, time: int, returns: bool) -> Change | None:
        if self._is_over(time):
            return "cleared"
        if self.severity == "warn" and self._raised("page"):
            self.severity = "page"
            return "escalated"
        if returns:
            self._cycles.append(time)
        return self._flap(time)

    def _is_over(self, time: int) -> bool:
        wanted = FLAP_QUIET_SECONDS if self.flapping else self._hysteresis.clear_seconds
        quiet = (time - self._good_since) / _SECOND
        return self._good >= self._hysteresis.clear_count and quiet >= wanted

    def _flap(self, time: int) -> Change | None:
        """Says once that the condition comes and goes."""
        while self._cycles and self._cycles[0] < time - FLAP_WINDOW_SECONDS * _SECOND:
            self._cycles.popleft()
        bound = self._hysteresis.flap_cycles
        if self.flapping or not bound or len(self._cycles) <= bound:
            return None
        self.flapping = True
        return "flapping"

    def _raised(self, severity: Severity) -> bool:
        count = sum(1 for bad in self._window if bad == "page" or bad == severity)
        return count >= self._hysteresis.raise_count
