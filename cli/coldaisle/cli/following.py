"""What ``watch`` and ``events -f`` print, line by line."""

from collections.abc import Callable

import click

from coldaisle.cli import columns
from coldaisle.cli.client import Client
from coldaisle.cli.output import M, emit_lines, plain, yaml_text
from coldaisle.cli.resuming import resumed
from coldaisle.cli.telling import tell
from coldaisle.cli.words import clock, named, number, short
from coldaisle.v1.alerts_pb2 import Alert, WatchAlertsRequest
from coldaisle.v1.common_pb2 import Event
from coldaisle.v1.history_pb2 import EventFilter, WatchEventsRequest
from coldaisle.v1.playbooks_pb2 import Run, WatchRunRequest
from coldaisle.v1.telemetry_pb2 import WatchSamplesRequest, WatchSamplesResponse


def follow_alerts(client: Client, after: int, form: str) -> None:
    """Print each change of an alert."""
    watch = client.alerts.WatchAlerts
    for answer in resumed(
        lambda revision: client.stream(watch, WatchAlertsRequest(resume_after_revision=revision)), after
    ):
        if answer.HasField("alert"):
            _print(answer.alert, form, alert_line, lambda alert: alert.name)


def follow_events(client: Client, chosen: EventFilter, after: int, form: str) -> None:
    """Print each event that fits."""
    watch = client.history.WatchEvents
    for answer in resumed(
        lambda revision: client.stream(
            watch, WatchEventsRequest(filter=chosen, resume_after_revision=revision)
        ),
        after,
    ):
        for event in answer.events:
            _print(event, form, event_line, lambda each: f"@{each.position}")


def follow_samples(client: Client, asset: str, after: int, form: str) -> None:
    """Print samples as they are recorded."""
    watch, name = client.telemetry.WatchSamples, named("assets", asset) if asset else ""
    for answer in resumed(
        lambda revision: client.stream(
            watch, WatchSamplesRequest(asset=name, resume_after_revision=revision)
        ),
        after,
    ):
        if answer.samples:
            _print(answer, form, samples_line, lambda each: each.asset)


def follow_run(client: Client, run: str, form: str) -> None:
    """Print a run at each change, until it ends."""
    request, seen = WatchRunRequest(name=named("runs", run)), 0
    for answer in resumed(lambda _: client.stream(client.playbooks.WatchRun, request)):
        if answer.revision > seen:  # opened again it begins with the run as it is
            seen = answer.revision
            _print(answer.run, form, run_line, lambda each: each.name)
        if answer.run.state in columns.ENDED:
            return


def alert_line(alert: Alert) -> str:
    """An alert on one line."""
    state, severity = columns.alert_state(alert), columns.severity(alert)
    return f"@{alert.revision}  {short(alert.name)}  {state}  {severity}  {alert.summary}"


def event_line(event: Event) -> str:
    """An event on one line."""
    body = columns.event_body(event)
    return f"@{event.position}  {clock(event.time)}  {event.type}  {event.stream}  {event.actor}  {body}"


def samples_line(answer: WatchSamplesResponse) -> str:
    """A poll on one line."""
    values = " ".join(
        f"{each.metric}={number(each.value) if each.HasField('value') else '?'}" for each in answer.samples
    )
    return f"@{answer.revision}  {clock(answer.samples[0].time)}  {short(answer.asset)}  {values}"


def run_line(run: Run) -> str:
    """A run on one line."""
    state, done = columns.run_state(run), columns.steps_done(run)
    return f"@{run.revision}  {short(run.name)}  {state}  steps {done}  {columns.outcome(run)}".rstrip()


def _print(item: M, form: str, line: Callable[[M], str], name: Callable[[M], str]) -> None:
    """One item of a stream: json comes as lines too, for a document that never ends is none."""
    match form:
        case "json" | "jsonl":
            emit_lines([item])
        case "yaml":
            click.echo("---\n" + yaml_text(plain(item)), nl=False)
        case "name":
            tell([name(item)])
        case _:
            tell([line(item)])
