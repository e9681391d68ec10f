"""The detection reactor: samples in, alerts out.

A page of facts is cut into batches in which each series occurs once; stage 1 scores a batch in one
vectorised call. Then each sample meets its rules and machines, in the order of the history. What an alert
says depends on the facts before it only.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from msgspec import MsgspecError, Struct

from coldaisle.core.detect import describe, saved
from coldaisle.core.detect.alerts import Alerts, alert_id
from coldaisle.core.detect.conditions import NANOSECONDS, Conditions, Sample
from coldaisle.core.detect.entities import EntityModel
from coldaisle.core.detect.freshness import Freshness, Pulse
from coldaisle.core.detect.habits import HabitConditions, Habits
from coldaisle.core.detect.learning import Learning
from coldaisle.core.detect.lines import are_about_lines, is_about_lines
from coldaisle.core.detect.neighbours import Neighbourhood
from coldaisle.core.detect.novelty import Novelty, NoveltyState
from coldaisle.core.detect.overlays import Overlays
from coldaisle.core.detect.peers import Peers
from coldaisle.core.detect.rates import Changes, Rates, is_counter, rate_name
from coldaisle.core.detect.records import Floats, Singles
from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Fact
from coldaisle.core.pieces import encode_in_pieces
from coldaisle.core.reactor import Reaction, form_number


class _Polled(Struct, frozen=True):
    """A poll's usable samples, waiting for the batch."""

    fact: Fact
    asset: str
    samples: list[Sample]
    is_of_lines: bool

    @property
    def metrics(self) -> list[str]:
        """The samples' metrics."""
        return [sample.metric for sample in self.samples]


class Detector:
    """See the module. One instance a process; state grows with the number of series."""

    name = "detector"
    snapshot_schema = form_number(saved.DetectorState, saved.REACTION_MEANING, saved.RIVER_VERSION)

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], int] = {}
        self._lost: dict[str, str] = {}
        self._entities: dict[str, EntityModel] = {}
        self._freshness, self._rates, self._peers = Freshness(), Rates(), Peers()
        self._changes, self._habits = Changes(), Habits()
        self._plant, self._overlays, self._learning = Neighbourhood(), Overlays(), Learning()
        self._novelty = NoveltyState()
        self._alerts = Alerts(self._plant, self._overlays, self._learning, self._novelty)
        self._configure(t.DetectorConfigured(limits=()))

    @property
    def series_count(self) -> int:
        """How many series are followed."""
        return len(self._series)

    def react(self, facts: Sequence[Fact]) -> list[Reaction]:
        """See Reactor."""
        reactions: list[Reaction] = []
        batch: list[_Polled] = []
        sources: set[tuple[str, bool]] = set()
        columns = 0
        for fact in facts:
            body = fact.body
            if isinstance(body, t.ServerStarted):
                self._freshness.listen(fact.recorded)
            silent = self._freshness.silent(fact.recorded, self._config.stale_seconds)
            of_lines = isinstance(body, t.SamplesRecorded) and are_about_lines(body.metrics)
            if silent or not isinstance(body, t.SamplesRecorded) or (body.asset, of_lines) in sources:
                reactions += self._judge(batch)
                batch, sources, columns = [], set(), 0
            for asset, pulse in silent:
                reactions += self._fall_silent(fact, asset, pulse)
            if not isinstance(body, t.SamplesRecorded):
                reactions += self._take_in(fact)
            elif of_lines or self._freshness.heard(body, fact.time, fact.recorded):
                sources.add((body.asset, of_lines))
                batch.append(self._polled(fact, body, columns, of_lines))
                columns += len(batch[-1].samples)
        return reactions + self._judge(batch)

    def save(self) -> bytes:
        """See Remembering. Which rules apply where is found again when asked."""
        state = saved.DetectorState(
            self._config,
            self._plant.state,
            self._rates.last,
            self._series,
            saved.pack_novelty(self._novelty, len(self._series)),
            self._alerts.state(),
            {asset: model.state() for asset, model in self._entities.items()},
            self._lost,
            self._overlays.state,
            self._freshness.state(),
            self._learning.state,
            self._peers.standings,
            self._changes.recent,
            self._habits.state,
        )
        return encode_in_pieces(state, saved.DEPTH)

    def load(self, data: bytes) -> None:
        """See Remembering."""
        try:
            state = saved.decoder.decode(data)
        except MsgspecError as error:
            raise ValueError(f"not a detector's state: {error}") from error
        novelty = saved.unpack_novelty(state.novelty, len(state.series))
        entities = {asset: EntityModel.of(model) for asset, model in state.entities.items()}
        self._series, self._lost, self._entities, self._novelty = state.series, state.lost, entities, novelty
        self._freshness, self._rates = Freshness(state.freshness), Rates(state.rates)
        self._peers, self._plant = Peers(state.peers), Neighbourhood(state.plant)
        self._changes, self._habits = Changes(state.changes), Habits(state.habits)
        self._overlays, self._learning = Overlays(state.overlays), Learning(state.learning)
        self._alerts = Alerts(self._plant, self._overlays, self._learning, self._novelty, state.alerts)
        self._configure(state.config)

    def _configure(self, config: t.DetectorConfigured) -> None:
        self._config = config
        self._alerts.escalate_related = config.escalate_related
        self._rules: dict[str, dict[str, tuple[t.LimitRule, ...]]] = {}
        self._conditions = Conditions(
            config, self._plant, self._novelty, self._learning, self._alerts, self._peers, self._changes
        )
        self._habit_conditions = HabitConditions(config, self._habits, self._learning, self._alerts)

    def _polled(self, fact: Fact, body: t.SamplesRecorded, column: int, of_lines: bool) -> _Polled:
        """The poll's finite values; counters as rates, unless the source tells the rate as well."""
        samples: list[Sample] = []
        told = set(body.metrics)
        for metric, value in zip(body.metrics, body.values, strict=False):
            if value is not None and is_counter(metric):
                if rate_name(metric) in told:
                    continue
                value = self._rates.rate(body.asset, metric, value, fact.time)
            if value is not None:
                series = self._series.setdefault((body.asset, metric), len(self._series))
                samples.append(Sample(metric, value, series, column + len(samples)))
        return _Polled(fact, body.asset, samples, of_lines)

    def _take_in(self, fact: Fact) -> list[Reaction]:
        """Facts other than samples: the plant, the configuration, reachability, what people say."""
        match fact.body:
            case t.AssetObserved() | t.AssetLinked() | t.AssetRemoved() as body:
                self._observe(body)
            case t.DetectorConfigured() as config:
                self._configure(config)
            case t.DeviceLost() as body if body.asset not in self._lost:
                return self._lose(fact, body)
            case t.DeviceReached(asset=asset) if asset in self._lost:
                alert = self._lost.pop(asset)
                return [self._alerts.clear(fact, asset, alert, f"{asset} answers again", None)]
            case t.FeedbackGiven() as feedback:
                return self._alerts.judged(fact, feedback)
            case (
                t.SilenceCreated() | t.SilenceExpired() | t.MaintenanceScheduled() | t.MaintenanceEnded()
            ) as body:
                self._overlays.observe(body)
            case _:
                pass
        return []

    def _observe(self, body: t.AssetObserved | t.AssetLinked | t.AssetRemoved) -> None:
        self._plant.observe(body)
        if isinstance(body, t.AssetRemoved):
            self._freshness.forget(body.asset)
            self._peers.forget(body.asset)
            self._habits.forget(body.asset)
        if not isinstance(body, t.AssetLinked):
            self._rules.pop(body.asset, None)

    def _lose(self, fact: Fact, body: t.DeviceLost) -> list[Reaction]:
        alert = self._lost[body.asset] = alert_id(fact, "unreachable", "")
        evidence = t.Evidence(
            "reachability", 0.0, 1.0, f"agent {body.agent} polls {body.address}", fact.time,
            upstream=self._plant.upstream(body.asset), cause_position=fact.position,
        )  # fmt: skip
        summary = f"{body.asset} does not answer: {body.reason}"
        return self._alerts.open(fact, body.asset, "", "unreachable", alert, "warn", summary, evidence)

    def _fall_silent(self, fact: Fact, asset: str, pulse: Pulse) -> list[Reaction]:
        alert = self._freshness.alerts[asset] = alert_id(fact, "no_data", asset)
        seconds = (fact.recorded - pulse.arrived) / NANOSECONDS
        reference = f"a poll every {pulse.period_seconds:.0f} s, {self._config.stale_seconds:g} s allowed"
        evidence = t.Evidence(
            "silence", round(seconds, 3), self._config.stale_seconds, reference, pulse.time,
            upstream=self._plant.upstream(asset), cause_position=fact.position,
        )  # fmt: skip
        summary = f"{asset}: no data for {seconds:.0f} s"
        return self._alerts.open(fact, asset, "", "no_data", alert, "warn", summary, evidence)

    def _judge(self, batch: list[_Polled]) -> list[Reaction]:
        """Score a batch at once, then let each poll meet its rules in order."""
        samples = [sample for polled in batch for sample in polled.samples]
        if not samples:
            return [reaction for polled in batch for reaction in self._speak_again(polled)]
        series = np.array([sample.series for sample in samples], np.int64)
        values = np.array([sample.value for sample in samples])
        seconds = [polled.fact.time // NANOSECONDS for polled in batch for _ in polled.samples]
        self._novelty.reserve(len(self._series))
        self._reopen(batch)
        before = self._novelty.records.words(series)
        found = self._novelty.update(series, values, np.array(seconds, np.int64))
        deviations = self._novelty.deviation(series)
        hot = set(self._conditions.surprising(found))
        reactions: list[Reaction] = []
        for polled in batch:
            reactions += self._judge_poll(polled, found, deviations, hot, before)
        return reactions

    def _reopen(self, batch: list[_Polled]) -> None:
        """Work on an asset ended: what it measures may mean something else now."""
        for polled in batch:
            if self._overlays.is_worked_on(polled.asset, polled.fact.time)[1]:
                self._novelty.reopen(np.array([sample.series for sample in polled.samples], np.int64))

    def _speak_again(self, polled: _Polled) -> list[Reaction]:
        alert = None if polled.is_of_lines else self._freshness.alerts.pop(polled.asset, None)
        if alert is None:
            return []
        return [self._alerts.clear(polled.fact, polled.asset, alert, f"{polled.asset} speaks again", None)]

    def _judge_poll(
        self, polled: _Polled, found: Novelty, deviations: Floats, hot: set[int], before: Singles
    ) -> list[Reaction]:
        reactions = self._speak_again(polled)
        if not polled.samples:
            return reactions
        context = self._context(polled, found, deviations)
        worked_on = bool(self._overlays.maintenance(polled.asset, polled.fact.time))
        for sample in polled.samples:
            rules = self._rules_of(polled.asset, sample.metric)
            for rule in rules:
                reactions += self._conditions.meet_rule(context, sample, rule, found)
            if worked_on or any(rule.kind == "state" for rule in rules):
                continue
            surprising = sample.column in hot
            reactions += self._conditions.meet_novelty(context, sample, found, surprising, before)
            reactions += self._conditions.meet_peers(context, sample)
            reactions += self._habit_conditions.meet(context, sample.metric, sample.value)
        if worked_on:
            return reactions
        return reactions + self._conditions.meet_entity(context, self._known_since(context))

    def _context(self, polled: _Polled, found: Novelty, deviations: Floats) -> describe.Context:
        asset, metrics, first = polled.asset, polled.metrics, polled.samples[0].column
        learn = not self._plant.has_open_alert(asset)
        model = self._entities.get(asset)
        if model is None:
            model = self._entities[asset] = EntityModel(self._config.seed)
        vector = {s.metric: s.value for s in polled.samples if not is_about_lines(s.metric)}
        entity = model.update(vector, learn) if vector else None
        return describe.Context(
            polled.fact,
            asset,
            partial(self._plant.upstream, asset),
            entity,
            describe.largest(metrics, deviations[first : first + len(metrics)]),
            self._conditions.moved(metrics, found, first),
            self._config.versions,
        )

    def _rules_of(self, asset: str, metric: str) -> tuple[t.LimitRule, ...]:
        of_asset = self._rules.setdefault(asset, {})
        rules = of_asset.get(metric)
        if rules is None:
            name = metric.partition("{")[0]
            rules = of_asset[metric] = tuple(
                rule
                for rule in self._config.limits
                if rule.metric == name and self._plant.applies(rule, asset, self._config.assumed_attributes)
            )
        return rules

    def _known_since(self, context: describe.Context) -> float:
        """When the asset's most telling metric was first seen, UTC seconds."""
        index = self._series[context.asset, context.shares[0][0]] if context.shares else 0
        return float(self._novelty.first_time(index))
