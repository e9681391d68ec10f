"""History into twin: ``fold(twin, facts) -> twin``, pure. No clock, no randomness, no I/O.

One call copies a map once, and each asset's readings, when they are first touched; the given twin is never
changed. So a page of events costs its own size and that of the maps that it touches, and whoever remembers
something of the assets or alerts sees by their map whether it still holds.
"""

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush
from typing import TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Fact
from coldaisle.core.twin.model import Agent, Alert, Asset, Link, Playbook, Reading, Twin
from coldaisle.core.twin.runs import apply_run_event

MAX_ENDED_ALERTS = 10_000
"""Cleared alerts that the twin remembers; older ones stay in the history."""


class _Cleared:
    """Cleared alerts, the least recently changed first: looked for once a fold, not at each event."""

    def __init__(self, alerts: Mapping[str, Alert]) -> None:
        self._queue = [(alert.revision, alert.id) for alert in alerts.values() if alert.cleared is not None]
        self._ids = {name for _, name in self._queue}
        heapify(self._queue)

    def changed(self, alert: Alert) -> None:
        """One more, or one of them at a later revision."""
        self._ids.add(alert.id)
        heappush(self._queue, (alert.revision, alert.id))

    def forget_oldest(self, alerts: dict[str, Alert]) -> None:
        """Keep no more than the twin remembers."""
        while len(self._ids) > MAX_ENDED_ALERTS:
            revision, name = heappop(self._queue)
            if name in self._ids and alerts[name].revision == revision:
                self._ids.remove(name)
                del alerts[name]


class _Draft:
    """A twin under construction; owned by one fold call."""

    def __init__(self, twin: Twin) -> None:
        self._given = twin
        self.assets = twin.assets
        self.readings = dict(twin.readings)
        self.alerts = twin.alerts
        self.cleared: _Cleared | None = None
        self.runs = dict(twin.runs)
        self.agents = dict(twin.agents)
        self.playbooks = dict(twin.playbooks)
        self.silences, self.maintenances = twin.silences, twin.maintenances
        self._owned_readings: set[str] = set()

    def freeze(self, position: int) -> Twin:
        return Twin(
            position, self.assets, self.readings, self.alerts, self.runs, self.agents, self.playbooks,
            self.silences, self.maintenances,
        )  # fmt: skip

    def asset(self, asset_id: str) -> Asset:
        return self.assets.get(asset_id) or Asset(asset_id)

    def own_assets(self) -> dict[str, Asset]:
        if self.assets is self._given.assets:
            self.assets = dict(self.assets)
        return self.assets

    def own_alerts(self) -> dict[str, Alert]:
        if self.alerts is self._given.alerts:
            self.alerts = dict(self.alerts)
        return self.alerts

    def own_readings(self, asset_id: str) -> dict[str, Reading]:
        if asset_id not in self._owned_readings:
            self._owned_readings.add(asset_id)
            self.readings[asset_id] = dict(self.readings.get(asset_id, ()))
        return self.readings[asset_id]

    def remove(self, asset_id: str) -> None:
        self.own_assets().pop(asset_id, None)
        self.readings.pop(asset_id, None)
        self._owned_readings.discard(asset_id)


def fold(twin: Twin, facts: Iterable[Fact]) -> Twin:
    """The twin after these facts, which must follow its position in order."""
    draft = _Draft(twin)
    position = twin.position
    for fact in facts:
        _apply(draft, fact)
        position = fact.position
    return draft.freeze(position)


def _apply(draft: _Draft, fact: Fact) -> None:
    match fact.body:
        case t.SamplesRecorded() as body:
            _apply_samples(draft, fact, body)
        case (
            t.AssetObserved()
            | t.AssetLinked()
            | t.AssetRemoved()
            | t.DeviceReached()
            | t.DeviceLost() as body
        ):
            _apply_asset(draft, body)
        case (
            t.AlertOpened()
            | t.AlertEscalated()
            | t.AlertCleared()
            | t.AlertAcknowledged()
            | t.AlertFlapping()
            | t.FeedbackGiven()
            | t.LearningResumed() as body
        ):
            _apply_alert(draft, fact, body)
        case (
            t.SilenceCreated() | t.SilenceExpired() | t.MaintenanceScheduled() | t.MaintenanceEnded() as body
        ):
            _apply_overlay(draft, fact, body)
        case t.AgentStarted() | t.AgentConnected() | t.AgentDisconnected() as body:
            _apply_agent(draft, fact, body)
        case t.PlaybookPublished(playbook=name, revision=revision, source=source):
            draft.playbooks[name] = Playbook(name, revision, source)
        case (
            t.LogLinesRecorded()
            | t.LogTemplateAdded()
            | t.LogTemplateGeneralised()
            | t.LogTemplateRetired()
            | t.TrapReceived()
            | t.GapRecorded()
            | t.InputRejected()
            | t.DetectorConfigured()
            | t.PoliciesConfigured()
            | t.ServerStarted()
            | t.AccessRefused()
            | t.EventsRemoved()
        ):
            pass  # part of the history, not of the twin
        case run_event:
            apply_run_event(draft.runs, fact, run_event)


def _apply_samples(draft: _Draft, fact: Fact, body: t.SamplesRecorded) -> None:
    """Keep the newest value by source time: a late sample is history, not state."""
    if body.asset not in draft.assets:
        draft.own_assets()[body.asset] = Asset(body.asset)
    readings = draft.own_readings(body.asset)
    for metric, value in zip(body.metrics, body.values, strict=False):
        known = readings.get(metric)
        if known is not None and known.time > fact.time:
            continue
        if value is None:
            readings.pop(metric, None)
        else:
            readings[metric] = Reading(value, fact.time, fact.position)


_AssetBody = t.AssetObserved | t.AssetLinked | t.AssetRemoved | t.DeviceReached | t.DeviceLost


def _apply_asset(draft: _Draft, body: _AssetBody) -> None:
    asset = draft.asset(body.asset)
    match body:
        case t.AssetObserved(kind=kind, attributes=attributes, source=source):
            asset = replace(asset, kind=kind, attributes=dict(attributes), source=source)
        case t.AssetLinked():
            asset = _linked(asset, body)
        case t.DeviceReached():
            asset = replace(asset, reached=True, reached_reason="")
        case t.DeviceLost(reason=reason):
            asset = replace(asset, reached=False, reached_reason=reason)
        case t.AssetRemoved():
            draft.remove(body.asset)
            return
    draft.own_assets()[body.asset] = asset


def _linked(asset: Asset, body: t.AssetLinked) -> Asset:
    link = Link(body.edge, body.target, body.group, body.need, body.source)
    if link in asset.links:
        return asset
    others = tuple(x for x in asset.links if (x.edge, x.target) != (link.edge, link.target))
    return replace(asset, links=(*others, link))


_AlertBody = (
    t.AlertOpened
    | t.AlertEscalated
    | t.AlertCleared
    | t.AlertAcknowledged
    | t.AlertFlapping
    | t.FeedbackGiven
    | t.LearningResumed
)


def _apply_alert(draft: _Draft, fact: Fact, body: _AlertBody) -> None:
    if isinstance(body, t.AlertOpened):
        if body.alert in draft.alerts:
            draft.cleared = None  # one of them may open again
        draft.own_alerts()[body.alert] = Alert(
            body.alert, body.asset, body.metric, body.kind, body.severity, body.summary, body.evidence,
            opened=fact.time, opened_position=fact.position, revision=fact.position,
            suppressed_by=body.suppressed_by or UNSET,
        )  # fmt: skip
        return
    alert = draft.alerts.get(body.alert)
    if alert is None:
        return  # its opening is older than what the twin remembers
    match body:
        case t.AlertEscalated(severity=severity, summary=summary, evidence=evidence):
            alert = replace(alert, severity=severity, summary=summary, evidence=evidence)
        case t.AlertCleared():
            alert = replace(alert, cleared=fact.time)
        case t.AlertAcknowledged():
            alert = replace(alert, acknowledged=True)
        case t.AlertFlapping():
            alert = replace(alert, flapping=True)
        case t.FeedbackGiven(verdict=verdict):
            alert = replace(alert, feedback=verdict)
        case t.LearningResumed():
            alert = replace(alert, learned=True)
    alert = draft.own_alerts()[body.alert] = replace(alert, revision=fact.position)
    if alert.cleared is not None:
        _forget_oldest_cleared(draft, alert)


def _forget_oldest_cleared(draft: _Draft, changed: Alert) -> None:
    if len(draft.alerts) <= MAX_ENDED_ALERTS:
        return
    if draft.cleared is None:
        draft.cleared = _Cleared(draft.alerts)
    else:
        draft.cleared.changed(changed)
    draft.cleared.forget_oldest(draft.own_alerts())


_OverlayBody = t.SilenceCreated | t.SilenceExpired | t.MaintenanceScheduled | t.MaintenanceEnded
_Ending = TypeVar("_Ending", t.SilenceCreated, t.MaintenanceScheduled)


def _apply_overlay(draft: _Draft, fact: Fact, body: _OverlayBody) -> None:
    """Silences and maintenances that were called off leave; those that ran out leave with the next one."""
    match body:
        case t.SilenceCreated(silence=name):
            draft.silences = _unended(draft.silences, fact.time) | {name: body}
        case t.SilenceExpired(silence=name):
            draft.silences = {key: x for key, x in _unended(draft.silences, fact.time).items() if key != name}
        case t.MaintenanceScheduled(maintenance=name):
            draft.maintenances = _unended(draft.maintenances, fact.time) | {name: body}
        case t.MaintenanceEnded(maintenance=name):
            current = _unended(draft.maintenances, fact.time)
            draft.maintenances = {key: x for key, x in current.items() if key != name}


def _unended(overlays: dict[str, _Ending] | UnsetType, time: int) -> dict[str, _Ending]:
    if isinstance(overlays, UnsetType):
        return {}
    return {name: overlay for name, overlay in overlays.items() if overlay.ends > time}


_AgentBody = t.AgentStarted | t.AgentConnected | t.AgentDisconnected


def _apply_agent(draft: _Draft, fact: Fact, body: _AgentBody) -> None:
    agent = replace(draft.agents.get(body.agent) or Agent(body.agent), seen=fact.recorded)
    match body:
        case t.AgentStarted(host=host, agent_version=version):
            agent = replace(agent, host=host, version=version)
        case t.AgentConnected():
            agent = replace(agent, connected=True)
        case t.AgentDisconnected():
            agent = replace(agent, connected=False)
    draft.agents[body.agent] = agent
