"""AlertService: conditions that held, with their evidence."""

import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc

from coldaisle.core.events.types import AlertAcknowledged, AnyEvent, FeedbackGiven, Verdict
from coldaisle.core.store import EventStore, LiveTwin
from coldaisle.core.twin import Alert, Twin
from coldaisle.server.convert import alert_message
from coldaisle.server.deciding import check_request_id, checked_text, record
from coldaisle.server.errors import InvalidRequest, NotFound
from coldaisle.server.moments import Moments
from coldaisle.server.paging import keep, page_of, parse_filter, resource_id
from coldaisle.server.watching import Watchers, resume_after
from coldaisle.v1 import alerts_pb2, alerts_pb2_grpc

FILTER_FIELDS = ("state", "severity", "asset", "kind", "metric", "suppressed", "verdict")
_VERDICTS: dict[int, Verdict] = {
    alerts_pb2.VERDICT_CONFIRMED: "confirmed",
    alerts_pb2.VERDICT_FALSE: "false",
    alerts_pb2.VERDICT_EXPECTED: "expected",
}


class AlertService(alerts_pb2_grpc.AlertServiceServicer):
    """See alerts.proto."""

    def __init__(self, store: EventStore, live: LiveTwin, moments: Moments, watchers: Watchers) -> None:
        self._store = store
        self._live = live
        self._moments = moments
        self._watchers = watchers
        self._by_revision = _ByRevision()

    async def GetAlert(  # noqa: N802 - the API's name
        self, request: alerts_pb2.GetAlertRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> alerts_pb2.Alert:
        """One alert at a moment."""
        twin = await self._moments.twin(request.moment)
        return alert_message(_alert(twin, request.name), twin.position)

    async def ListAlerts(  # noqa: N802 - the API's name
        self, request: alerts_pb2.ListAlertsRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> alerts_pb2.ListAlertsResponse:
        """Alerts, newest first."""
        twin = await self._moments.twin(request.moment)
        newest = sorted(twin.alerts.values(), key=lambda alert: -alert.opened_position)
        found = keep(
            newest,
            parse_filter(request.filter, FILTER_FIELDS),
            {
                "state": lambda alert: ("open" if alert.cleared is None else "cleared",),
                "severity": lambda alert: (alert.severity,),
                "asset": lambda alert: (alert.asset,),
                "kind": lambda alert: (alert.kind,),
                "metric": lambda alert: (alert.metric,),
                "suppressed": lambda alert: ("yes" if alert.suppressed_by else "no",),
                "verdict": lambda alert: (alert.feedback or "none",),
            },
        )
        page, next_token = page_of(
            found,
            request.page_size,
            request.page_token,
            key=lambda alert: -alert.opened_position,
            message=lambda alert: alert_message(alert, twin.position),
        )
        return alerts_pb2.ListAlertsResponse(
            alerts=page,
            next_page_token=next_token,
            total_size=len(found),
            revision=twin.position,
        )

    async def AcknowledgeAlert(  # noqa: N802 - the API's name
        self, request: alerts_pb2.AcknowledgeAlertRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> alerts_pb2.Alert:
        """Note that a person took notice."""
        check_request_id(request.request_id)
        alert = _alert(await self._moments.now(), request.name)
        body = AlertAcknowledged(alert.id, checked_text(request.note, "note"))
        return await self._said(request, None if alert.acknowledged else body)

    async def JudgeAlert(  # noqa: N802 - the API's name
        self, request: alerts_pb2.JudgeAlertRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> alerts_pb2.Alert:
        """Note what a person says of it; a verdict may be changed, the newest counts."""
        check_request_id(request.request_id)
        verdict = _VERDICTS.get(request.verdict)
        if verdict is None:
            raise InvalidRequest("verdict", "missing; say CONFIRMED, FALSE or EXPECTED")
        alert = _alert(await self._moments.now(), request.name)
        body = FeedbackGiven(alert.id, verdict, checked_text(request.note, "note"))
        return await self._said(request, None if alert.feedback == verdict else body)

    async def _said(
        self,
        request: alerts_pb2.AcknowledgeAlertRequest | alerts_pb2.JudgeAlertRequest,
        body: AnyEvent | None,
    ) -> alerts_pb2.Alert:
        """Record what is new, and answer the alert as it is then."""
        if body is not None and not request.validate_only:
            position = await record(self._store, body, request.request_id, time.time_ns())
            await self._live.at_least(position)
        twin = self._live.current
        return alert_message(_alert(twin, request.name), twin.position)

    async def WatchAlerts(  # noqa: N802 - the API's name
        self, request: alerts_pb2.WatchAlertsRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[alerts_pb2.WatchAlertsResponse]:
        """Alerts as they change. From 0: the open ones first."""
        seen = await resume_after(self._store, request.resume_after_revision)
        first = True
        with self._watchers.admitted():
            while True:
                twin = self._live.current
                changed = self._by_revision.after(seen, twin)
                for alert in _open(changed) if first and seen == 0 else changed:
                    yield alerts_pb2.WatchAlertsResponse(
                        alert=alert_message(alert, twin.position), revision=alert.revision
                    )
                if first:
                    yield alerts_pb2.WatchAlertsResponse(revision=twin.position, caught_up=True)
                seen, first = twin.position, False
                await self._live.beyond(seen)


class _ByRevision:
    """The alerts in the order of their last change: sorted once for all watchers, when one changed."""

    def __init__(self) -> None:
        self._alerts: dict[str, Alert] = {}
        self._sorted: list[Alert] = []

    def after(self, revision: int, twin: Twin) -> list[Alert]:
        """Those that changed since."""
        if self._alerts is not twin.alerts:
            self._alerts = twin.alerts
            self._sorted = sorted(twin.alerts.values(), key=_revision)
        return self._sorted[bisect_right(self._sorted, revision, key=_revision) :]


def _revision(alert: Alert) -> int:
    return alert.revision


def _open(alerts: Iterable[Alert]) -> list[Alert]:
    return [alert for alert in alerts if alert.cleared is None]


def _alert(twin: Twin, name: str) -> Alert:
    alert = twin.alerts.get(resource_id(name, "alerts"))
    if alert is None:
        raise NotFound(
            f"{name} is not known at position {twin.position}: `coldaisle alerts --all` lists them"
        )
    return alert
