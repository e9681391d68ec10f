"""One thing told in words and numbers."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from coldaisle.cli import columns
from coldaisle.cli.columns import alert_state, asked_by, reached, run_state, severity, verdict
from coldaisle.cli.evidence import evidence_lines
from coldaisle.cli.words import NOTHING, age, clock, json_object, number, pairs, short, value_text
from coldaisle.v1.alerts_pb2 import Alert
from coldaisle.v1.assets_pb2 import Asset, Link
from coldaisle.v1.playbooks_pb2 import Plan, Run
from coldaisle.v1.system_pb2 import Status

_LABEL_WIDTH = 14
MAX_DEPENDENTS = 12


def labelled(facts: Mapping[str, str]) -> list[str]:
    """``label:   value`` lines; what is empty is left out."""
    return [f"{label + ':':<{_LABEL_WIDTH}} {value}" for label, value in facts.items() if value]


def section(title: str, lines: Iterable[str]) -> list[str]:
    """A titled, indented block, or nothing where there are no lines."""
    body = [f"  {line}" for line in lines]
    return ["", title, *body] if body else []


def grid(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells in columns."""
    if not rows:
        return []
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def asset_lines(asset: Asset, alerts: Sequence[Alert]) -> list[str]:
    """An asset: where it hangs, what it says, what is wrong with it."""
    now = datetime.now(UTC)
    lost = f" ({asset.reachability_reason})" if asset.reachability_reason else ""
    head = labelled(
        {
            "asset": short(asset.name),
            "kind": asset.kind,
            "answers": reached(asset) + lost,
            "position": f"@{asset.revision}",
        }
    )
    readings = [(each.metric, number(each.value), f"{age(each.time, now)} ago") for each in asset.readings]
    return [
        *head,
        *section("Attributes", labelled(dict(sorted(asset.attributes.items())))),
        *section("Links", [_link(each, "→") for each in asset.links]),
        *section("Linked from", [_link(each, "←") for each in asset.reverse_links]),
        *section("Depends on it", _dependents(asset)),
        *section("Readings", grid(readings)),
        *section("Open alerts", [_alert_line(each, now) for each in alerts]),
    ]


def _dependents(asset: Asset) -> list[str]:
    """How many things, of which the first few by name."""
    names = [short(name) for name in asset.dependents]
    if not names:
        return []
    more = f" and {len(names) - MAX_DEPENDENTS} more" if len(names) > MAX_DEPENDENTS else ""
    return [f"{len(names)} assets, redundancy not weighed: {', '.join(names[:MAX_DEPENDENTS])}{more}"]


def _link(link: Link, arrow: str) -> str:
    redundancy = f"  (group {link.group}, needs {link.need})" if link.group else ""
    source = f"  by {link.source}" if link.source else ""
    return f"{link.edge} {arrow} {short(link.asset)}{redundancy}{source}"


def _alert_line(alert: Alert, now: datetime) -> str:
    return f"{short(alert.name)}  {severity(alert)}  {age(alert.open_time, now)} ago  {alert.summary}"


def alert_lines(alert: Alert) -> list[str]:
    """An alert: what holds, since when, and on what evidence."""
    now = datetime.now(UTC)
    opened = f"{clock(alert.open_time)} ({age(alert.open_time, now)} ago)"
    return [
        alert.summary,
        "",
        *labelled(
            {
                "alert": short(alert.name),
                "asset": short(alert.asset),
                "metric": alert.metric,
                "kind": alert.kind,
                "severity": severity(alert),
                "state": alert_state(alert),
                "quiet by": alert.suppressed_by,
                "verdict": verdict(alert) if alert.verdict else "",
                "learned": "nobody judged it for long: it is the new normal" if alert.learned else "",
                "opened": f"{opened} at @{alert.open_position}",
                "cleared": "" if clock(alert.clear_time) == NOTHING else clock(alert.clear_time),
                "changed": f"@{alert.revision}",
            }
        ),
        *section("Evidence", evidence_lines(alert.metric, json_object(alert.evidence_json), now)),
    ]


def run_lines(run: Run) -> list[str]:
    """A run: who asked, exactly what it does, how far it is."""
    return [
        *labelled(
            {
                "run": short(run.name),
                "playbook": f"{short(run.plan.playbook)} (revision {run.plan.revision[:12] or NOTHING})",
                "state": run_state(run),
                "waits for": short(run.waits_for),
                "asked by": asked_by(run),
                "reason": run.reason,
                "approver": run.approver,
                "outcome": run.outcome,
                "position": f"@{run.revision}",
            }
        ),
        *plan_lines(run.plan),
        *section("Progress", grid([_progress(run, at) for at in range(len(run.steps))])),
    ]


def _progress(run: Run, at: int) -> tuple[str, str, str, str]:
    step = run.steps[at]
    observed = json_object(step.observed_json)
    told = step.reason or (f"read back {pairs(observed)}" if observed else "")
    return (step.id, step.state, f"@{step.position}" if step.position else NOTHING, told)


def plan_lines(plan: Plan) -> list[str]:
    """Exactly what the plan does: this is what an approval is bound to."""
    steps = [
        (
            f"{number_of}.",
            step.id,
            step.action,
            short(step.asset),
            pairs(json_object(step.arguments_json)),
            f"within {number(step.timeout_seconds)} s",
        )
        for number_of, step in enumerate(plan.steps, 1)
    ]
    expires = clock(plan.expire_time)
    parameters = json_object(plan.parameters_json)
    return [
        *section("Parameters", [f"{key} = {value_text(value)}" for key, value in parameters.items()]),
        *section("Steps", grid(steps)),
        *section("Then telemetry must show", [plan.verification] if plan.verification else []),
        *section(
            "Plan",
            labelled(
                {
                    "hash": plan.hash,
                    "made from": f"@{plan.twin_revision}",
                    "expires": "" if expires == NOTHING else expires,
                }
            ),
        ),
    ]


def status_lines(status: Status, server: str) -> list[str]:
    """How the system is."""
    facts = {
        "server": f"{server}, version {status.version}",
        "healthy": "yes" if status.healthy else "NO",
        "store": status.store,
        "position": f"@{status.position}",
        "up since": clock(status.start_time),
        "assets": f"{status.asset_count} with {status.series_count} series",
        "open alerts": str(status.open_alert_count),
        "waiting runs": str(status.waiting_run_count),
    }
    agents = [[column.text(agent) for column in columns.AGENTS] for agent in status.agents]
    titles = [column.title for column in columns.AGENTS]
    reactors = [[each.name, f"@{each.position}", f"{each.lag_events} behind"] for each in status.reactors]
    return [
        *labelled(facts),
        *section("Needs a person", status.problems),
        *section("Agents", grid([titles, *agents]) if agents else []),
        *section("Reactors", grid(reactors)),
    ]
