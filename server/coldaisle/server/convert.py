"""The twin's values as messages of the API. Pure."""

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from coldaisle.core.events import Recorded, id_text
from coldaisle.core.events import types as t
from coldaisle.core.twin import Alert, Asset, Link, Run, Step, Twin
from coldaisle.core.twin.graph import Relations
from coldaisle.playbooks import waits_for
from coldaisle.v1 import alerts_pb2, assets_pb2, common_pb2, maintenances_pb2, playbooks_pb2, silences_pb2

_SEVERITIES = {"warn": alerts_pb2.Alert.SEVERITY_WARN, "page": alerts_pb2.Alert.SEVERITY_PAGE}
_VERDICTS: dict[t.Verdict | msgspec.UnsetType, alerts_pb2.Verdict.ValueType] = {
    msgspec.UNSET: alerts_pb2.VERDICT_UNSPECIFIED,
    "confirmed": alerts_pb2.VERDICT_CONFIRMED,
    "false": alerts_pb2.VERDICT_FALSE,
    "expected": alerts_pb2.VERDICT_EXPECTED,
}
_REACHABILITY = {
    None: assets_pb2.Asset.REACHABILITY_UNSPECIFIED,
    True: assets_pb2.Asset.REACHABILITY_REACHED,
    False: assets_pb2.Asset.REACHABILITY_LOST,
}


def timestamp(time: int) -> Timestamp:
    """UTC nanoseconds as a message."""
    moment = Timestamp()
    moment.FromNanoseconds(time)
    return moment


def json_text(value: object) -> str:
    """Any of our values as JSON text."""
    return msgspec.json.encode(value).decode()


def event_message(event: Recorded) -> common_pb2.Event:
    """A recorded event, its body as it was stored."""
    return common_pb2.Event(
        position=event.position,
        stream=event.stream,
        version=event.version,
        id=id_text(event.id),
        type=event.type,
        schema=event.schema,
        time=timestamp(event.time),
        recorded=timestamp(event.recorded),
        actor=event.actor,
        correlation_id=id_text(event.correlation_id) if event.correlation_id else "",
        causation_id=id_text(event.causation_id) if event.causation_id else "",
        data_json=event.data.decode("utf-8", "replace"),
    )


class AssetMessages:
    """Assets of one twin as messages: open alerts are looked through once for all of them."""

    def __init__(self, twin: Twin, relations: Relations) -> None:
        self._twin = twin
        self._relations = relations
        self._alerts: dict[str, list[str]] = {}
        for alert in twin.open_alerts():
            self._alerts.setdefault(alert.asset, []).append(f"alerts/{alert.id}")

    def message(self, asset: Asset) -> assets_pb2.Asset:
        """One asset with all that is known of it."""
        readings = self._twin.readings.get(asset.id, {})
        return assets_pb2.Asset(
            name=f"assets/{asset.id}",
            kind=asset.kind,
            attributes=asset.attributes,
            links=[_link(link, link.target) for link in asset.links],
            reverse_links=[_link(link, other) for link, other in self._relations.pointing_at(asset.id)],
            readings=[
                assets_pb2.Reading(metric=metric, value=reading.value, time=timestamp(reading.time))
                for metric, reading in sorted(readings.items())
            ],
            reachability=_REACHABILITY[asset.reached],
            reachability_reason=asset.reached_reason,
            open_alerts=self._alerts.get(asset.id, []),
            revision=self._twin.position,
        )


def _link(link: Link, other: str) -> assets_pb2.Link:
    return assets_pb2.Link(
        edge=link.edge, asset=f"assets/{other}", group=link.group, need=link.need, source=link.source
    )


def alert_message(alert: Alert, revision: int) -> alerts_pb2.Alert:
    """An alert with its evidence."""
    return alerts_pb2.Alert(
        name=f"alerts/{alert.id}",
        asset=f"assets/{alert.asset}",
        metric=alert.metric,
        kind=alert.kind,
        severity=_SEVERITIES[alert.severity],
        state=alerts_pb2.Alert.STATE_OPEN if alert.cleared is None else alerts_pb2.Alert.STATE_CLEARED,
        summary=alert.summary,
        open_time=timestamp(alert.opened),
        clear_time=None if alert.cleared is None else timestamp(alert.cleared),
        acknowledged=alert.acknowledged,
        evidence_json=json_text(alert.evidence),
        open_position=alert.opened_position,
        revision=revision,
        suppressed_by=alert.suppressed_by or "",
        verdict=_VERDICTS[alert.feedback],
        flapping=bool(alert.flapping),
        learned=bool(alert.learned),
    )


def silence_message(
    silence: t.SilenceCreated, revision: int, ended: int | None = None
) -> silences_pb2.Silence:
    """A silence; ``ended`` when it was ended by hand, UTC ns."""
    return silences_pb2.Silence(
        name=f"silences/{silence.silence}",
        matcher=silences_pb2.Matcher(
            asset=f"assets/{silence.asset}" if silence.asset else "",
            metric=silence.metric,
            kind=silence.kind,
        ),
        start_time=timestamp(silence.starts),
        end_time=timestamp(silence.ends if ended is None else ended),
        reason=silence.reason,
        revision=revision,
    )


def maintenance_message(
    work: t.MaintenanceScheduled, revision: int, ended: int | None = None
) -> maintenances_pb2.Maintenance:
    """Work on assets; ``ended`` when it was ended by hand, UTC ns."""
    return maintenances_pb2.Maintenance(
        name=f"maintenances/{work.maintenance}",
        assets=[f"assets/{asset}" for asset in work.assets],
        start_time=timestamp(work.starts),
        end_time=timestamp(work.ends if ended is None else ended),
        reason=work.reason,
        revision=revision,
    )


def plan_message(plan: t.Plan) -> playbooks_pb2.Plan:
    """A plan, each step with its exact arguments."""
    return playbooks_pb2.Plan(
        playbook=plan.playbook,
        revision=plan.revision,
        parameters_json=json_text(plan.parameters),
        twin_revision=plan.twin_position,
        steps=[
            playbooks_pb2.PlannedStep(
                id=step.id,
                action=step.action,
                asset=step.asset,
                arguments_json=json_text(step.arguments),
                timeout_seconds=step.timeout_seconds,
            )
            for step in plan.steps
        ],
        verification=condition_text(plan.verification),
        expire_time=timestamp(plan.expires_at),
        hash=plan.hash,
    )


def condition_text(condition: t.Condition | None) -> str:
    """What telemetry must show, as one line."""
    if condition is None:
        return ""
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("above", condition.above), ("below", condition.below))
        if bound is not None
    ]
    return (
        f"{condition.metric} of {', '.join(condition.assets)} {' and '.join(bounds)} "
        f"for {condition.for_seconds:g} s within {condition.within_seconds:g} s"
    )


def run_message(run: Run, twin: Twin) -> playbooks_pb2.Run:
    """A run with its plan and how far it is."""
    ahead = waits_for(run, twin.runs.values())
    return playbooks_pb2.Run(
        name=f"runs/{run.id}",
        state=playbooks_pb2.Run.State.Value(f"STATE_{run.state.upper()}"),
        plan=plan_message(run.plan),
        reason=run.reason,
        alert=f"alerts/{run.alert}" if run.alert else "",
        policy=run.policy,
        steps=[_step(step) for step in run.steps],
        outcome=run.outcome,
        approver=run.approver,
        proposed_position=run.proposed_position,
        revision=twin.position,
        waits_for=f"runs/{ahead.id}" if ahead is not None else "",
    )


def _step(step: Step) -> playbooks_pb2.StepStatus:
    return playbooks_pb2.StepStatus(
        id=step.id,
        state=step.state,
        reason=step.reason,
        observed_json=json_text(step.observed) if step.observed else "",
        position=step.position,
    )
