"""Conditions of hours: a sensor that stands still, a resource that leaks away.

What stage 1 cannot see by construction: no record is broken by staying, and a ramp drags its range along.
"""

from collections.abc import Callable

from msgspec import Struct

from coldaisle.core.detect import describe
from coldaisle.core.detect.alerts import Alerts, Key
from coldaisle.core.detect.exhaustion import Leak, Level, may_run_out
from coldaisle.core.detect.learning import Learning
from coldaisle.core.detect.machine import Hysteresis
from coldaisle.core.detect.stuck import Run, may_be_stuck
from coldaisle.core.events import types as t
from coldaisle.core.reactor import Reaction

_Place = tuple[str, str]


class HabitsState(Struct, frozen=True):
    """All that is known, by asset and metric."""

    runs: dict[_Place, Run] = {}
    levels: dict[_Place, Level] = {}


class Habits:
    """The runs of all sensors and the levels of all that can run out."""

    def __init__(self, state: HabitsState | None = None) -> None:
        self.state = state or HabitsState({}, {})

    def forget(self, asset: str) -> None:
        """The asset is gone."""
        for known in (self.state.runs, self.state.levels):
            for place in [place for place in known if place[0] == asset]:
                del known[place]

    def run(self, asset: str, metric: str, value: float, time: int) -> Run | None:
        """The sensor's run with this sample; None of what is no sensor."""
        if not may_be_stuck(metric):
            return None
        run = self.state.runs.get((asset, metric))
        if run is None:
            run = self.state.runs[asset, metric] = Run(value, time)
        else:
            run.update(value, time)
        return run

    def leak(self, asset: str, metric: str, value: float, time: int) -> Leak | None:
        """What the sample says of a leak; None while it says nothing."""
        if not may_run_out(metric):
            return None
        level = self.state.levels.get((asset, metric))
        if level is None:
            level = self.state.levels[asset, metric] = Level.begun(time)
        return level.update(value, time)


class HabitConditions:
    """Judges samples by habits, under one configuration."""

    def __init__(
        self, config: t.DetectorConfigured, habits: Habits, learning: Learning, alerts: Alerts
    ) -> None:
        self._habits, self._learning, self._alerts = habits, learning, alerts
        self._learn_after_seconds = config.learn_after_seconds
        self._once = Hysteresis(1, 1, config.clear_count, 0.0, config.flap_cycles)

    def meet(self, context: describe.Context, metric: str, value: float) -> list[Reaction]:
        """Each condition that is about this metric."""
        return self._meet_run(context, metric, value) + self._meet_leak(context, metric, value)

    def _meet_run(self, context: describe.Context, metric: str, value: float) -> list[Reaction]:
        time = context.fact.time
        run = self._habits.run(context.asset, metric, value, time)
        if run is None:
            return []
        key, is_stuck = (context.asset, metric, "stuck"), run.is_stuck(time)
        if not is_stuck and self._alerts.known(key) is None:
            return []
        machine = self._alerts.machine(key, self._once)
        return self._update(
            context, key, "stuck", value, is_stuck, run.length <= run.longest,
            lambda: (describe.stuck_summary(context, metric, run),
                     describe.stuck_evidence(context, run, machine)),
        )  # fmt: skip

    def _meet_leak(self, context: describe.Context, metric: str, value: float) -> list[Reaction]:
        leak = self._habits.leak(context.asset, metric, value, context.fact.time)
        key = (context.asset, metric, "exhaustion")
        if leak is None or not (leak.is_grave or self._alerts.known(key)):
            return []
        machine = self._alerts.machine(key, self._once)
        return self._update(
            context, key, "exhaustion", value, leak.is_grave, not leak.is_grave,
            lambda: (describe.leak_summary(context, metric, value, leak),
                     describe.leak_evidence(context, value, leak, machine)),
        )  # fmt: skip

    def _update(
        self, context: describe.Context, key: Key, kind: t.AlertKind, value: float, is_bad: bool,
        clears: bool, told: Callable[[], tuple[str, t.Evidence]],
    ) -> list[Reaction]:  # fmt: skip
        """Warns and never pages: hours are left, or nothing but a sensor is broken."""
        fact, machine = context.fact, self._alerts.machine(key, self._once)
        change = machine.update(fact.time, value, "warn" if is_bad else None, clears)
        if change is None:
            return self._alerts.resume_learning(fact, key, self._learn_after_seconds)
        reactions = self._alerts.changed(change, fact, key, kind, told)
        if change == "opened":
            self._learning.hold(machine.alert, fact.time)
        return reactions
