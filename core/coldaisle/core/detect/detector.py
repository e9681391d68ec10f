"""The detection reactor: samples in, alerts out.

A page of facts is cut into batches in which each series occurs once; stage 1 scores a batch in one
vectorised call. Then each sample meets its rules and machines, in the order of the history. What an alert
says depends on the facts before it only.
"""

import hashlib
from collections.abc import Sequence
from functools import partial

import numpy as np
from msgspec import MsgspecError, Struct

from coldaisle.core.detect import describe, saved
from coldaisle.core.detect.entities import EntityModel
from coldaisle.core.detect.limits import broken, well_inside
from coldaisle.core.detect.lines import is_about_lines, line_severity
from coldaisle.core.detect.machine import AlertMachine
from coldaisle.core.detect.neighbours import Neighbourhood
from coldaisle.core.detect.novelty import Novelty, NoveltyState
from coldaisle.core.detect.rates import Rates, is_counter
from coldaisle.core.events import id_text
from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Fact
from coldaisle.core.reactor import Reaction, form_number

NANOSECONDS = 1_000_000_000


class _Polled(Struct, frozen=True):
    """A poll's usable samples, waiting for the batch: ``columns`` index the batch's arrays."""

    fact: Fact
    body: t.SamplesRecorded
    metrics: list[str]
    values: list[float]
    first_column: int


class Detector:
    """See the module. One instance a process; state grows with the number of series."""

    name = "detector"
    snapshot_schema = form_number(saved.DetectorState, saved.REACTION_MEANING, saved.RIVER_VERSION)

    def __init__(self) -> None:
        self._config = t.DetectorConfigured(limits=())
        self._plant = Neighbourhood()
        self._rates = Rates()
        self._novelty = NoveltyState()
        self._series: dict[tuple[str, str], int] = {}
        self._rules: dict[tuple[str, str], tuple[t.LimitRule, ...]] = {}
        self._machines: dict[tuple[str, str, str], AlertMachine] = {}
        self._entities: dict[str, EntityModel] = {}
        self._lost: dict[str, str] = {}

    @property
    def series_count(self) -> int:
        """How many series are followed."""
        return len(self._series)

    def react(self, facts: Sequence[Fact]) -> list[Reaction]:
        """See Reactor."""
        reactions: list[Reaction] = []
        batch: list[_Polled] = []
        assets: set[str] = set()
        columns = 0
        for fact in facts:
            body = fact.body
            if not isinstance(body, t.SamplesRecorded) or body.asset in assets:
                reactions += self._judge(batch)
                batch, assets, columns = [], set(), 0
            if isinstance(body, t.SamplesRecorded):
                polled = self._polled(fact, body, columns)
                columns += len(polled.values)
                assets.add(body.asset)
                batch.append(polled)
            else:
                reactions += self._take_in(fact)
        return reactions + self._judge(batch)

    def save(self) -> bytes:
        """See Remembering. Which rules apply where is found again when asked."""
        state = saved.DetectorState(
            self._config,
            self._plant.state,
            self._rates.last,
            self._series,
            saved.pack_novelty(self._novelty, len(self._series)),
            {key: machine.state() for key, machine in self._machines.items()},
            {asset: model.state() for asset, model in self._entities.items()},
            self._lost,
        )
        return saved.encoder.encode(state)

    def load(self, data: bytes) -> None:
        """See Remembering."""
        try:
            state = saved.decoder.decode(data)
        except MsgspecError as error:
            raise ValueError(f"not a detector's state: {error}") from error
        novelty = saved.unpack_novelty(state.novelty, len(state.series))
        entities = {asset: EntityModel.of(model) for asset, model in state.entities.items()}
        self._config, self._plant, self._rules = state.config, Neighbourhood(state.plant), {}
        self._rates, self._series, self._novelty = Rates(state.rates), state.series, novelty
        self._machines = {key: AlertMachine.of(machine) for key, machine in state.machines.items()}
        self._entities, self._lost = entities, state.lost

    def _polled(self, fact: Fact, body: t.SamplesRecorded, first_column: int) -> _Polled:
        """The poll's finite values; counters as rates."""
        metrics: list[str] = []
        values: list[float] = []
        for metric, value in zip(body.metrics, body.values, strict=False):
            if value is not None and is_counter(metric):
                value = self._rates.rate(body.asset, metric, value, fact.time)
            if value is not None:
                metrics.append(metric)
                values.append(value)
        return _Polled(fact, body, metrics, values, first_column)

    def _take_in(self, fact: Fact) -> list[Reaction]:
        """Facts other than samples: the plant, the configuration, reachability."""
        match fact.body:
            case t.AssetObserved() | t.AssetLinked() | t.AssetRemoved() as body:
                self._plant.observe(body)
                self._rules = {key: rules for key, rules in self._rules.items() if key[0] != body.asset}
            case t.DetectorConfigured() as config:
                self._config, self._rules = config, {}
            case t.DeviceLost() as body if body.asset not in self._lost:
                return [self._lose(fact, body)]
            case t.DeviceReached(asset=asset) if asset in self._lost:
                alert = self._lost.pop(asset)
                return [self._clear(fact, asset, alert, f"{asset} answers again", None)]
            case _:
                pass
        return []

    def _lose(self, fact: Fact, body: t.DeviceLost) -> Reaction:
        alert = _alert_id(fact, "unreachable", "")
        self._lost[body.asset] = alert
        evidence = t.Evidence(
            "reachability", 0.0, 1.0, f"agent {body.agent} polls {body.address}", fact.time,
            upstream=self._plant.upstream(body.asset), cause_position=fact.position,
        )  # fmt: skip
        summary = f"{body.asset} does not answer: {body.reason}"
        return self._open(
            fact, t.AlertOpened(alert, body.asset, "", "unreachable", "warn", summary, evidence)
        )

    def _judge(self, batch: list[_Polled]) -> list[Reaction]:
        """Score a batch at once, then let each poll meet its rules in order."""
        if not any(polled.values for polled in batch):
            return []
        series = np.array([self._index(p.body.asset, m) for p in batch for m in p.metrics], np.int64)
        values = np.array([value for polled in batch for value in polled.values])
        times = np.repeat([p.fact.time / NANOSECONDS for p in batch], [len(p.values) for p in batch])
        self._novelty.reserve(len(self._series))
        scores = self._novelty.update(series, values, times)
        deviations = self._novelty.deviation(series)
        return [
            reaction
            for polled in batch
            for reaction in self._judge_poll(polled, scores, deviations[polled.first_column :])
        ]

    def _index(self, asset: str, metric: str) -> int:
        return self._series.setdefault((asset, metric), len(self._series))

    def _judge_poll(
        self, polled: _Polled, novelty: Novelty, deviations: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    ) -> list[Reaction]:
        asset, fact = polled.body.asset, polled.fact
        learn = not self._plant.has_open_alert(asset)
        vector = {m: v for m, v in zip(polled.metrics, polled.values, strict=True) if not is_about_lines(m)}
        entity = self._entity(asset).update(vector, learn) if vector else None
        shares = describe.largest(polled.metrics, deviations[: len(polled.metrics)])
        context = describe.Context(fact, asset, partial(self._plant.upstream, asset), entity, shares)
        reactions: list[Reaction] = []
        for offset, (metric, value) in enumerate(zip(polled.metrics, polled.values, strict=True)):
            column = polled.first_column + offset
            for rule in self._rules_of(asset, metric):
                reactions += self._meet_rule(context, metric, value, rule, novelty, column)
            reactions += self._meet_novelty(context, metric, value, novelty, column)
        return reactions + self._meet_entity(context)

    def _entity(self, asset: str) -> EntityModel:
        model = self._entities.get(asset)
        if model is None:
            model = self._entities[asset] = EntityModel(self._config.seed)
        return model

    def _rules_of(self, asset: str, metric: str) -> tuple[t.LimitRule, ...]:
        rules = self._rules.get((asset, metric))
        if rules is None:
            name = metric.partition("{")[0]
            rules = self._rules[asset, metric] = tuple(
                rule
                for rule in self._config.limits
                if rule.metric == name and self._plant.applies(rule, asset, self._config.assumed_attributes)
            )
        return rules

    def _meet_rule(
        self,
        context: describe.Context,
        metric: str,
        value: float,
        rule: t.LimitRule,
        novelty: Novelty,
        column: int,
    ) -> list[Reaction]:
        once = rule.kind == "state"
        machine = self._machine(context.asset, metric, rule.name, once)
        bad = broken(rule, value)
        change = machine.update(context.fact.time, value, bad, clears=well_inside(rule, value))
        if change is None:
            return []
        evidence = describe.limit_evidence(context, rule, value, machine, novelty, column)
        summary = describe.limit_summary(context, metric, value, rule, machine)
        return self._changed(change, context, metric, rule.kind, machine, summary, evidence)

    def _meet_novelty(
        self, context: describe.Context, metric: str, value: float, novelty: Novelty, column: int
    ) -> list[Reaction]:
        """Nothing pages or warns by statistics in a series' first day; an open alert freezes its range."""
        config, score, page = self._config, float(novelty.score[column]), float(novelty.value_score[column])
        key = (context.asset, metric, "novelty")
        surprising = score >= config.novelty_warn_score or page >= config.novelty_page_score
        if not surprising and key not in self._machines:
            return []
        warm = (
            novelty.count[column] > config.warmup_samples
            and novelty.age_seconds[column] >= config.warmup_seconds
        )
        bad: t.Severity | None = None
        if surprising and warm:
            severity: t.Severity = "page" if page >= config.novelty_page_score else "warn"
            bad = line_severity(metric, value, float(novelty.high[column]), severity)
        machine = self._machine(*key, once=True)
        change = machine.update(
            context.fact.time, value, bad, clears=describe.in_range(value, novelty, column)
        )
        if change is None:
            return []
        self._novelty.frozen[self._series[context.asset, metric]] = change != "cleared"
        evidence = describe.novelty_evidence(context, value, machine, novelty, column)
        summary = describe.novelty_summary(context, metric, value, novelty, column)
        return self._changed(change, context, metric, "novelty", machine, summary, evidence)

    def _meet_entity(self, context: describe.Context) -> list[Reaction]:
        if context.entity is None:
            return []
        score, usual = context.entity
        key = (context.asset, "", "entity")
        limit = usual * self._config.entity_warn_factor
        over = usual > 0 and score > limit
        if not over and key not in self._machines:
            return []
        first = self._series_age(context)
        bad: t.Severity | None = "warn" if over and first >= self._config.warmup_seconds else None
        machine = self._machine(*key, once=False)
        change = machine.update(context.fact.time, score, bad, clears=score <= usual)
        if change is None:
            return []
        evidence = describe.entity_evidence(context, score, limit, machine)
        summary = describe.entity_summary(context)
        return self._changed(change, context, "", "entity", machine, summary, evidence)

    def _series_age(self, context: describe.Context) -> float:
        """Seconds since the asset's most telling metric was first seen."""
        index = self._series[context.asset, context.shares[0][0]] if context.shares else 0
        return context.fact.time / NANOSECONDS - float(self._novelty.first_time[index])

    def _machine(self, asset: str, metric: str, rule: str, once: bool) -> AlertMachine:
        machine = self._machines.get((asset, metric, rule))
        if machine is None:
            config = self._config
            raise_count, window = (1, 1) if once else (config.raise_count, config.raise_window)
            machine = AlertMachine(raise_count, window, config.clear_count)
            self._machines[asset, metric, rule] = machine
        return machine

    def _changed(
        self, change: str, context: describe.Context, metric: str, kind: t.AlertKind,
        machine: AlertMachine, summary: str, evidence: t.Evidence,
    ) -> list[Reaction]:  # fmt: skip
        fact, asset = context.fact, context.asset
        if change == "opened":
            machine.open(_alert_id(fact, kind, metric))
            opened = t.AlertOpened(machine.alert, asset, metric, kind, machine.severity, summary, evidence)
            return [self._open(fact, opened)]
        if change == "escalated":
            return [Reaction(fact, t.AlertEscalated(machine.alert, machine.severity, summary, evidence))]
        alert, machine.alert = machine.alert, ""
        return [self._clear(fact, asset, alert, f"over: {summary}", evidence.value)]

    def _open(self, fact: Fact, body: t.AlertOpened) -> Reaction:
        self._plant.alert_opened(body.asset, body.alert, body.summary)
        return Reaction(fact, body)

    def _clear(self, fact: Fact, asset: str, alert: str, summary: str, value: float | None) -> Reaction:
        self._plant.alert_cleared(asset, alert)
        return Reaction(fact, t.AlertCleared(alert, summary, value))


def _alert_id(fact: Fact, kind: str, metric: str) -> str:
    digest = hashlib.sha256(f"{id_text(fact.id)}/{kind}/{metric}".encode()).hexdigest()
    return f"a-{digest[:10]}"
