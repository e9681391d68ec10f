"""What a poll is held against: limits, its own past, its peers, the model of its asset."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct, UnsetType

from coldaisle.core.detect import describe
from coldaisle.core.detect.alerts import Alerts, Key
from coldaisle.core.detect.learning import Learning
from coldaisle.core.detect.limits import broken, well_inside
from coldaisle.core.detect.lines import is_about_lines, line_severity
from coldaisle.core.detect.machine import AlertMachine, Change, Hysteresis
from coldaisle.core.detect.neighbours import Neighbourhood
from coldaisle.core.detect.novelty import Novelty, NoveltyState
from coldaisle.core.detect.peers import Peers, is_compared
from coldaisle.core.detect.quanta import steps
from coldaisle.core.detect.rates import Changes
from coldaisle.core.detect.records import Singles
from coldaisle.core.detect.surprise import EARLY_VALUE_STEPS, HALF_SCORE, relative
from coldaisle.core.events import types as t
from coldaisle.core.reactor import Reaction

NOVELTY_CLEAR_SECONDS = 600.0
NANOSECONDS = 1_000_000_000
MIN_PAGE_SECONDS = 86_400
"""Statistics page nobody in a series' first day, whatever the configured warm-up."""
KNOWN_SECONDS = 5 * 86_400
"""A past of fewer days is a poor measure: by so much more must it be left."""
MIN_PAGE_SAMPLES, PAGE_WINDOW_SAMPLES = 2, 3
"""So many of the last ones must each be worth a page."""


class Sample(Struct, frozen=True, gc=False):
    """One value of a poll, and where stage 1 put it: its series, its place in the call."""

    metric: str
    value: float
    series: int
    column: int


class Conditions:
    """Judges samples under one configuration."""

    def __init__(
        self,
        config: t.DetectorConfigured,
        plant: Neighbourhood,
        novelty: NoveltyState,
        learning: Learning,
        alerts: Alerts,
        peers: Peers,
        changes: Changes,
    ) -> None:
        self._config, self._plant, self._novelty = config, plant, novelty
        self._learning, self._alerts, self._peers, self._changes = learning, alerts, peers, changes
        self._warn = np.float32(config.novelty_warn_score)
        self._page = np.float32(config.novelty_page_score)
        k, n, m = config.raise_count, config.raise_window, config.clear_count
        self._usual = Hysteresis(k, n, m, 0.0, config.flap_cycles)
        self._once = Hysteresis(1, 1, m, 0.0, config.flap_cycles)
        self._record = Hysteresis(1, PAGE_WINDOW_SAMPLES, m, NOVELTY_CLEAR_SECONDS, config.flap_cycles)

    def surprising(self, found: Novelty) -> list[int]:
        """The places of a call's samples that surprise, in order."""
        hot = np.flatnonzero((found.score >= self._warn) | (found.value_score >= self._page))
        places: list[int] = hot.tolist()
        return places

    def meet_rule(
        self, context: describe.Context, sample: Sample, rule: t.LimitRule, found: Novelty
    ) -> list[Reaction]:
        """A limit or a state that is known beforehand."""
        key = (context.asset, sample.metric, rule.name)
        value: float | None = sample.value
        if not isinstance(rule.per_seconds, UnsetType):
            value = self._changes.change(key, context.fact.time, sample.value, rule.per_seconds)
        if value is None:
            return []
        held = value
        machine = self._alerts.machine(key, self._once if rule.kind == "state" else self._usual)
        bad, inside = broken(rule, held), well_inside(rule, held)
        change = machine.update(context.fact.time, held, bad, clears=inside)
        if change is None:
            return []

        def told() -> tuple[str, t.Evidence]:
            past = self._past(sample, found, context.fact.time)
            return (
                describe.limit_summary(context, sample.metric, held, rule, machine),
                describe.limit_evidence(context, rule, held, machine, past),
            )

        return self._alerts.changed(change, context.fact, key, rule.kind, told)

    def meet_novelty(
        self, context: describe.Context, sample: Sample, found: Novelty, hot: bool, before: Singles
    ) -> list[Reaction]:  # fmt: skip
        """The series' own past. Nothing warns by statistics in its warm-up; an open alert freezes it."""
        key = (context.asset, sample.metric, "novelty")
        machine = self._alerts.known(key)
        if not hot and (machine is None or not machine.alert):
            return []
        machine = machine or self._alerts.machine(key, self._record)
        bad = self._novelty_severity(context, sample, found, machine) if hot or machine.alert else None
        inside = describe.in_range(sample.value, *machine.range)
        change = machine.update(context.fact.time, sample.value, bad, clears=bad is None and inside)
        if change is None:
            return self._alerts.resume_learning(context.fact, key, self._config.learn_after_seconds)
        return self._tell_novelty(change, context, sample, found, machine, before)

    def meet_entity(self, context: describe.Context, known_since: float) -> list[Reaction]:
        """The model of the asset's values together. ``known_since``: UTC seconds."""
        if context.entity is None:
            return []
        score, usual = context.entity
        key = (context.asset, "", "entity")
        limit = usual * self._config.entity_warn_factor
        over = usual > 0 and score > limit
        if not over and self._alerts.known(key) is None:
            return []
        warm = context.fact.time / NANOSECONDS - known_since >= self._config.warmup_seconds
        machine = self._alerts.machine(key, self._usual)
        change = machine.update(
            context.fact.time, score, "warn" if over and warm else None, clears=score <= usual
        )
        if change is None:
            return self._alerts.resume_learning(context.fact, key, self._config.learn_after_seconds)

        def told() -> tuple[str, t.Evidence]:
            return describe.entity_summary(context), describe.entity_evidence(context, score, limit, machine)

        return self._hold(change, key, machine, context, self._alerts.changed(
            change, context.fact, key, "entity", told))  # fmt: skip

    def meet_peers(self, context: describe.Context, sample: Sample) -> list[Reaction]:
        """The others of its kind in the same place."""
        limit = self._config.peer_deviations
        if not limit or not is_compared(sample.metric):
            return []
        asset, time = context.asset, context.fact.time
        learn = not self._plant.has_open_alert(asset)
        compared = self._peers.update(
            sample.metric, asset, self._plant.peers(asset), sample.value, time, learn
        )
        if compared is None:
            return []
        deviations, expected = compared
        key = (asset, sample.metric, "peer")
        if deviations <= limit and self._alerts.known(key) is None:
            return []
        machine = self._alerts.machine(key, self._usual)
        bad: t.Severity | None = "warn" if deviations > limit else None
        change = machine.update(time, sample.value, bad, clears=deviations <= limit / 2)
        if change is None:
            return self._alerts.resume_learning(context.fact, key, self._config.learn_after_seconds)

        def told() -> tuple[str, t.Evidence]:
            evidence = describe.peer_evidence(context, sample.value, deviations, expected, limit, machine)
            return describe.peer_summary(context, sample.metric, sample.value, expected), evidence

        return self._hold(change, key, machine, context, self._alerts.changed(
            change, context.fact, key, "peer", told))  # fmt: skip

    def moved(self, metrics: Sequence[str], found: Novelty, first: int) -> tuple[str, ...]:
        """The metrics of a poll that surprised, most surprising first."""
        scores = np.maximum(found.score, found.value_score)[first : first + len(metrics)]
        order = np.argsort(-scores, kind="stable")[: describe.MAX_SHARES].tolist()
        return tuple(metrics[place] for place in order if scores[place] > 0)

    def _hold(
        self, change: Change, key: Key, machine: AlertMachine, context: describe.Context,
        reactions: list[Reaction],
    ) -> list[Reaction]:  # fmt: skip
        if change == "opened":
            self._learning.hold(machine.alert, context.fact.time)
        return reactions

    def _novelty_severity(
        self, context: describe.Context, sample: Sample, found: Novelty, machine: AlertMachine
    ) -> t.Severity | None:
        """While an alert is open its range stands still, and only a record past it is worse.

        A first sample warns: a page takes MIN_PAGE_SAMPLES that are far enough out, for one may be noise.
        """
        age = context.fact.time / NANOSECONDS - self._novelty.first_time(sample.series)
        steps = int(found.steps[sample.column])
        if steps <= self._config.warmup_samples or age < self._config.warmup_seconds:
            return None
        if machine.alert:
            bar = _grown(self._page, age)
            return "page" if age >= MIN_PAGE_SECONDS and self._stays_far(machine, sample, bar) else None
        if not self._is_news(sample, found, age):
            return None
        highest = float(found.high[sample.column]) + float(self._novelty.records.facts.origins[sample.series])
        return line_severity(sample.metric, sample.value, highest, "warn")

    def _is_news(self, sample: Sample, found: Novelty, age: float) -> bool:
        """Whether a surprise is more than how a coarse series is rounded, and great for its age."""
        origin = float(self._novelty.records.facts.origins[sample.series])
        low, high = float(found.low[sample.column]), float(found.high[sample.column])
        taken = steps(sample.value, low + origin, high + origin, (origin,))
        is_far = taken.is_far or taken.is_first_change
        if is_far and found.value_score[sample.column] >= self._record_bar(age):
            return True
        return (is_far or taken.is_fine) and bool(found.score[sample.column] >= _grown(self._warn, age))

    def _record_bar(self, age: float) -> float:
        """The score of a value's own record that is an alert at this age of its series, in seconds."""
        return max(float(self._page), min(_grown(self._warn, age), _grown(self._page, age)))

    def _stays_far(self, machine: AlertMachine, sample: Sample, bar: float) -> bool:
        """Whether this sample pages, and enough of those before it."""
        if not self._pages(machine, sample, sample.value, bar):
            return False
        before = [value for _, value in machine.samples][1 - PAGE_WINDOW_SAMPLES :]
        return 1 + sum(self._pages(machine, sample, value, bar) for value in before) >= MIN_PAGE_SAMPLES

    def _pages(self, machine: AlertMachine, sample: Sample, value: float, bar: float) -> bool:
        """Whether the value's record pages, against the range as it stood when the alert opened."""
        held = self._learning.held_range(machine.alert)
        if held is None or is_about_lines(sample.metric):
            return False
        low, high = machine.range
        origin = float(self._novelty.records.facts.origins[sample.series])
        outside = max(value - high, low - value)
        if outside <= 0 or not steps(value, low, high, (origin, sample.value)).is_far:
            return False
        measured, span = np.array([outside], np.float32), np.array([high - low], np.float32)
        early = np.array([EARLY_VALUE_STEPS], np.float32)
        record = float(relative(measured, span, held.facts.steps.astype(np.int64), early)[0])
        return record / (record + float(HALF_SCORE)) >= bar

    def _tell_novelty(
        self, change: Change, context: describe.Context, sample: Sample, found: Novelty,
        machine: AlertMachine, before: Singles,
    ) -> list[Reaction]:  # fmt: skip
        key = (context.asset, sample.metric, "novelty")
        past = self._past(sample, found, context.fact.time)
        similar = self._alerts.earlier(key)
        if change == "opened":
            machine.range = (past.low, past.high)

        def told() -> tuple[str, t.Evidence]:
            return (
                describe.novelty_summary(context, sample.metric, sample.value, past),
                describe.novelty_evidence(context, sample.value, machine, past, similar),
            )

        reactions = self._alerts.changed(change, context.fact, key, "novelty", told)
        if change == "opened":
            self._learning.freeze(machine.alert, sample.series, before[sample.column], context.fact.time)
        return reactions

    def _past(self, sample: Sample, found: Novelty, time: int) -> describe.Past:
        origin = float(self._novelty.records.facts.origins[sample.series])
        steps = int(found.steps[sample.column])
        first = self._novelty.first_time(sample.series)
        bar = self._record_bar(time / NANOSECONDS - first)
        damped = max(steps - 10, 1)
        early = (damped / (damped + EARLY_VALUE_STEPS)) ** 0.5
        return describe.Past(
            float(found.score[sample.column]),
            float(found.value_score[sample.column]),
            describe.largest_shares(found.shares(sample.column)),
            float(found.low[sample.column]) + origin,
            float(found.high[sample.column]) + origin,
            first,
            self._novelty.usual(sample.series, time // NANOSECONDS),
            float(HALF_SCORE) * bar / max(1 - bar, 1e-9) / early,
        )


def _grown(score: np.float32, age_seconds: float) -> float:
    """The score that stands for a surprise as much greater as the series is too young."""
    surprise = float(score) / max(1 - float(score), 1e-9) * max(KNOWN_SECONDS / max(age_seconds, 1.0), 1.0)
    return surprise / (1 + surprise)
