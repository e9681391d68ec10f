"""What the tables show of each kind of resource."""

from datetime import UTC, datetime

from coldaisle.cli.output import Column
from coldaisle.cli.words import (
    NOTHING,
    age,
    clock,
    enum_word,
    json_object,
    number,
    pairs,
    short,
    span,
    time_of,
)
from coldaisle.v1.alerts_pb2 import Alert, Verdict
from coldaisle.v1.assets_pb2 import Asset
from coldaisle.v1.common_pb2 import Event
from coldaisle.v1.maintenances_pb2 import Maintenance
from coldaisle.v1.playbooks_pb2 import Playbook, Run
from coldaisle.v1.silences_pb2 import Silence
from coldaisle.v1.system_pb2 import AgentStatus

MAX_BODY_CHARACTERS = 100
MAX_NAMED_ASSETS = 4


def _ago(time_text: str) -> str:
    return time_text if time_text == NOTHING else f"{time_text} ago"


def location(asset: Asset) -> str:
    """Where the asset is, by its own link."""
    return next((short(link.asset) for link in asset.links if link.edge == "located_in"), NOTHING)


def reached(asset: Asset) -> str:
    """Whether the asset's device answers, in a word."""
    match asset.reachability:
        case Asset.REACHABILITY_REACHED:
            return "yes"
        case Asset.REACHABILITY_LOST:
            return "LOST"
        case _:
            return NOTHING


def _newest(asset: Asset) -> str:
    times = [moment for each in asset.readings if (moment := time_of(each.time))]
    return span((datetime.now(UTC) - max(times)).total_seconds()) + " ago" if times else NOTHING


ASSETS: tuple[Column[Asset], ...] = (
    Column("NAME", lambda asset: short(asset.name)),
    Column("KIND", lambda asset: asset.kind),
    Column("LOCATION", location),
    Column("ANSWERS", reached),
    Column("ALERTS", lambda asset: str(len(asset.open_alerts) or NOTHING), right=True),
    Column("READINGS", lambda asset: str(len(asset.readings)), right=True),
    Column("NEWEST", _newest),
    Column(
        "VALUES", lambda asset: pairs({each.metric: each.value for each in asset.readings[:4]}), wide=True
    ),
    Column("ATTRIBUTES", lambda asset: pairs(dict(sorted(asset.attributes.items()))), wide=True),
)


def severity(alert: Alert) -> str:
    """``warn`` or ``page``."""
    return enum_word(Alert.Severity.Name(alert.severity))


def alert_state(alert: Alert) -> str:
    """``open``, ``cleared``; of an open one also whether it was seen, and whether it is kept quiet."""
    word = enum_word(Alert.State.Name(alert.state))
    if alert.state != Alert.STATE_OPEN:
        return word
    marks = (("seen", alert.acknowledged), ("quiet", bool(alert.suppressed_by)), ("flapping", alert.flapping))
    return ", ".join([word, *(mark for mark, holds in marks if holds)])


def verdict(alert: Alert) -> str:
    """What a person said of it, in a word."""
    return enum_word(Verdict.Name(alert.verdict)) if alert.verdict else NOTHING


ALERTS: tuple[Column[Alert], ...] = (
    Column("NAME", lambda alert: short(alert.name)),
    Column("SEVERITY", severity),
    Column("STATE", alert_state),
    Column("ASSET", lambda alert: short(alert.asset)),
    Column("KIND", lambda alert: alert.kind, wide=True),
    Column("METRIC", lambda alert: alert.metric, wide=True),
    Column("OPENED", lambda alert: _ago(age(alert.open_time, datetime.now(UTC)))),
    Column("CLEARED", lambda alert: clock(alert.clear_time), wide=True),
    Column("VERDICT", verdict, wide=True),
    Column("POSITION", lambda alert: f"@{alert.open_position}", wide=True, right=True),
    Column("SUMMARY", lambda alert: alert.summary),
)


ENDED = frozenset(
    {Run.STATE_SUCCEEDED, Run.STATE_FAILED, Run.STATE_REJECTED, Run.STATE_CANCELLED, Run.STATE_UNKNOWN}
)
"""States that a run never leaves."""


def run_state(run: Run) -> str:
    """The state in a word; a plan that was only looked at has none."""
    if not run.state:
        return "not recorded"
    return enum_word(Run.State.Name(run.state))


def steps_done(run: Run) -> str:
    """How many steps succeeded, of how many."""
    done = sum(step.state == "succeeded" for step in run.steps)
    return f"{done}/{len(run.plan.steps)}"


def outcome(run: Run) -> str:
    """How it ended, or which run on the same device it waits for."""
    return run.outcome or (f"waits for {short(run.waits_for)}" if run.waits_for else "")


def asked_by(run: Run) -> str:
    """The policy and alert that asked, or a person."""
    if run.policy:
        return f"policy {run.policy} for {short(run.alert)}" if run.alert else f"policy {run.policy}"
    return short(run.alert) or "a person"


RUNS: tuple[Column[Run], ...] = (
    Column("NAME", lambda run: short(run.name)),
    Column("PLAYBOOK", lambda run: short(run.plan.playbook)),
    Column("STATE", run_state),
    Column("STEPS", steps_done, right=True),
    Column("ASKED BY", asked_by),
    Column("APPROVER", lambda run: run.approver or NOTHING),
    Column("REASON", lambda run: run.reason, wide=True),
    Column("PLAN HASH", lambda run: run.plan.hash, wide=True),
    Column("OUTCOME", lambda run: outcome(run) or NOTHING),
)

PLAYBOOKS: tuple[Column[Playbook], ...] = (
    Column("NAME", lambda playbook: short(playbook.name)),
    Column("TITLE", lambda playbook: playbook.title),
    Column(
        "PARAMETERS",
        lambda playbook: " ".join(
            each.name if each.required else f"[{each.name}]" for each in playbook.parameters
        ),
    ),
    Column("REVISION", lambda playbook: playbook.revision[:12], wide=True),
)


def event_body(event: Event) -> str:
    """The body on one line, cut at a bound; the machine forms have it whole."""
    text = pairs(json_object(event.data_json))
    return text if len(text) <= MAX_BODY_CHARACTERS else text[: MAX_BODY_CHARACTERS - 1] + "…"


EVENTS: tuple[Column[Event], ...] = (
    Column("POSITION", lambda event: f"@{event.position}", right=True),
    Column("TIME", lambda event: clock(event.time)),
    Column("TYPE", lambda event: event.type),
    Column("STREAM", lambda event: event.stream),
    Column("ACTOR", lambda event: event.actor),
    Column("RECORDED", lambda event: clock(event.recorded), wide=True),
    Column("ID", lambda event: event.id, wide=True),
    Column("CAUSED BY", lambda event: event.causation_id or NOTHING, wide=True),
    Column("BODY", event_body),
)

AGENTS: tuple[Column[AgentStatus], ...] = (
    Column("NAME", lambda agent: short(agent.name)),
    Column("CONNECTED", lambda agent: "yes" if agent.connected else "NO"),
    Column("LAST SEEN", lambda agent: _ago(age(agent.last_seen_time, datetime.now(UTC)))),
    Column("SPOOLED", lambda agent: number(agent.spool_events), right=True),
    Column("RECEIVED", lambda agent: number(agent.received_events), right=True),
)


def matched(silence: Silence) -> str:
    """Which alerts a silence is of, ``asset=rack-a01 kind=limit``."""
    matcher = silence.matcher
    named = {"asset": short(matcher.asset), "metric": matcher.metric, "kind": matcher.kind}
    return pairs({key: value for key, value in named.items() if value})


SILENCES: tuple[Column[Silence], ...] = (
    Column("NAME", lambda silence: short(silence.name) or "not recorded"),
    Column("ALERTS", matched),
    Column("FROM", lambda silence: clock(silence.start_time)),
    Column("UNTIL", lambda silence: clock(silence.end_time)),
    Column("REASON", lambda silence: silence.reason),
)


def covered(work: Maintenance) -> str:
    """The first few assets by name, and how many more."""
    names = [short(name) for name in work.assets]
    more = f" and {len(names) - MAX_NAMED_ASSETS} more" if len(names) > MAX_NAMED_ASSETS else ""
    return ", ".join(names[:MAX_NAMED_ASSETS]) + more


MAINTENANCES: tuple[Column[Maintenance], ...] = (
    Column("NAME", lambda work: short(work.name) or "not recorded"),
    Column("ASSETS", covered),
    Column("FROM", lambda work: clock(work.start_time)),
    Column("UNTIL", lambda work: clock(work.end_time)),
    Column("REASON", lambda work: work.reason),
)
