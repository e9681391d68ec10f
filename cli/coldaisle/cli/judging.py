"""What a person decides about alerts: notice, verdicts, silences, maintenance."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from coldaisle.cli import columns
from coldaisle.cli.client import Client, moment_of
from coldaisle.cli.moments import AsOf
from coldaisle.cli.output import emit, note, note_position
from coldaisle.cli.paging import read_all
from coldaisle.cli.words import named
from coldaisle.v1.alerts_pb2 import (
    AcknowledgeAlertRequest,
    Alert,
    GetAlertRequest,
    JudgeAlertRequest,
    Verdict,
)
from coldaisle.v1.maintenances_pb2 import (
    EndMaintenanceRequest,
    ListMaintenancesRequest,
    Maintenance,
    ScheduleMaintenanceRequest,
)
from coldaisle.v1.silences_pb2 import (
    CreateSilenceRequest,
    ExpireSilenceRequest,
    ListSilencesRequest,
    Matcher,
    Silence,
)

STATISTICAL = ("novelty", "entity", "peer")
"""Kinds that a verdict teaches something; a limit holds whatever people say."""


@dataclass(frozen=True, slots=True)
class Window:
    """When something holds, and why. ``start`` None: from now on."""

    seconds: int
    reason: str
    start: datetime | None = None
    dry_run: bool = False

    @property
    def start_time(self) -> Timestamp | None:
        """As the API takes it."""
        if self.start is None:
            return None
        time = Timestamp()
        time.FromDatetime(self.start)
        return time


def acknowledge(client: Client, name: str, remark: str, form: str, *, dry_run: bool) -> None:
    """Note that someone took notice, and print the alert."""
    request = AcknowledgeAlertRequest(
        name=named("alerts", name), note=remark, request_id=str(uuid.uuid4()), validate_only=dry_run
    )
    _print_alert(client.call(client.alerts.AcknowledgeAlert, request), form, dry_run=dry_run)


def judge(client: Client, name: str, verdict: str, remark: str, form: str, *, dry_run: bool) -> None:
    """Say what an alert was, and print it."""
    request = JudgeAlertRequest(
        name=named("alerts", name), verdict=Verdict.Value(f"VERDICT_{verdict.upper()}"), note=remark,
        request_id=str(uuid.uuid4()), validate_only=dry_run,
    )  # fmt: skip
    alert = client.call(client.alerts.JudgeAlert, request)
    _print_alert(alert, form, dry_run=dry_run)
    if alert.kind not in STATISTICAL and verdict != "confirmed":
        note(f"it is of kind {alert.kind}: it stays open while that holds; change the limit in [detect]")


def _print_alert(alert: Alert, form: str, *, dry_run: bool) -> None:
    emit(form, alert, [alert], columns.ALERTS, lambda each: each.name)
    _say_recorded(alert.revision, dry_run=dry_run)


def silence_alert(client: Client, name: str, window: Window, form: str) -> None:
    """Silence alerts of the same asset, metric and kind as this one."""
    alert = client.call(client.alerts.GetAlert, GetAlertRequest(name=named("alerts", name)))
    matcher = Matcher(asset=alert.asset, metric=alert.metric.partition("{")[0], kind=alert.kind)
    create_silence(client, matcher, window, form)


def create_silence(client: Client, matcher: Matcher, window: Window, form: str) -> None:
    """Silence what fits, and print the silence."""
    request = CreateSilenceRequest(
        matcher=matcher, start_time=window.start_time, duration=Duration(seconds=window.seconds),
        reason=window.reason, request_id=str(uuid.uuid4()), validate_only=window.dry_run,
    )  # fmt: skip
    _print_silence(client.call(client.silences.CreateSilence, request), form, dry_run=window.dry_run)


def expire_silence(client: Client, name: str, reason: str, form: str, *, dry_run: bool) -> None:
    """End a silence, and print it."""
    request = ExpireSilenceRequest(
        name=named("silences", name), reason=reason, request_id=str(uuid.uuid4()), validate_only=dry_run
    )
    _print_silence(client.call(client.silences.ExpireSilence, request), form, dry_run=dry_run)


def _print_silence(silence: Silence, form: str, *, dry_run: bool) -> None:
    emit(form, silence, [silence], columns.SILENCES, lambda each: each.name)
    _say_recorded(silence.revision, dry_run=dry_run)


def show_silences(client: Client, as_of: AsOf | None, limit: int, form: str) -> None:
    """Print those in force and to come."""
    request = ListSilencesRequest(moment=moment_of(as_of))
    answer = read_all(client, client.silences.ListSilences, request, "silences", limit)
    emit(form, answer, answer.silences, columns.SILENCES, lambda each: each.name)
    note_position(answer.revision, form)


def schedule(
    client: Client, assets: Sequence[str], window: Window, form: str, *, with_dependents: bool
) -> None:
    """Schedule work, and print it."""
    request = ScheduleMaintenanceRequest(
        assets=[named("assets", asset) for asset in assets], with_dependents=with_dependents,
        start_time=window.start_time, duration=Duration(seconds=window.seconds), reason=window.reason,
        request_id=str(uuid.uuid4()), validate_only=window.dry_run,
    )  # fmt: skip
    work = client.call(client.maintenances.ScheduleMaintenance, request)
    _print_work(work, form, dry_run=window.dry_run)
    note(f"covers {len(work.assets)} assets")


def end_work(client: Client, name: str, reason: str, form: str, *, dry_run: bool) -> None:
    """End work, and print it."""
    request = EndMaintenanceRequest(
        name=named("maintenances", name), reason=reason, request_id=str(uuid.uuid4()), validate_only=dry_run
    )
    _print_work(client.call(client.maintenances.EndMaintenance, request), form, dry_run=dry_run)


def _print_work(work: Maintenance, form: str, *, dry_run: bool) -> None:
    emit(form, work, [work], columns.MAINTENANCES, lambda each: each.name)
    _say_recorded(work.revision, dry_run=dry_run)


def show_work(client: Client, as_of: AsOf | None, limit: int, form: str) -> None:
    """Print what goes on and what is to come."""
    request = ListMaintenancesRequest(moment=moment_of(as_of))
    answer = read_all(client, client.maintenances.ListMaintenances, request, "maintenances", limit)
    emit(form, answer, answer.maintenances, columns.MAINTENANCES, lambda each: each.name)
    note_position(answer.revision, form)


def _say_recorded(revision: int, *, dry_run: bool) -> None:
    note("nothing was changed (--dry-run)" if dry_run else f"recorded at @{revision}")
