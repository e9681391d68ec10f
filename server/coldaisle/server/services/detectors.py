"""DetectorService: how the detector judges, and what it learns, as the history tells."""

from typing import Any

import grpc

from coldaisle.core.events import Fact, decode
from coldaisle.core.events.types import DetectorConfigured
from coldaisle.core.store import EventStore
from coldaisle.core.twin import Alert, Twin
from coldaisle.server.convert import json_text, maintenance_message, silence_message, timestamp
from coldaisle.server.errors import NotFound
from coldaisle.server.moments import Moments
from coldaisle.server.overlays import in_force
from coldaisle.v1 import detectors_pb2, detectors_pb2_grpc

STREAM = "model-detector"


class DetectorService(detectors_pb2_grpc.DetectorServiceServicer):
    """See detectors.proto."""

    def __init__(self, store: EventStore, moments: Moments) -> None:
        self._store = store
        self._moments = moments

    async def GetDetector(  # noqa: N802 - the API's name
        self, request: detectors_pb2.GetDetectorRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> detectors_pb2.Detector:
        """The configuration in force at a moment, what is held, silenced and worked on."""
        twin = await self._moments.twin(request.moment)
        time = await self._moments.time(request.moment)
        fact, config = await self._configuration(twin.position)
        detector = detectors_pb2.Detector(
            configuration_json=json_text(config),
            configured_position=fact.position,
            configured_time=timestamp(fact.time),
            versions=config.versions,
            asset_count=len(twin.readings),
            series_count=twin.series_count(),
            silences=[silence_message(each, twin.position) for each in in_force(twin.silences, time)],
            maintenances=[
                maintenance_message(each, twin.position) for each in in_force(twin.maintenances, time)
            ],
            revision=twin.position,
        )
        _add_alerts(detector, twin)
        return detector

    async def _configuration(self, position: int) -> tuple[Fact, DetectorConfigured]:
        """The newest one at or before the position; raises NotFound."""
        for event in await self._store.read_stream(STREAM, backwards=True):
            fact = decode(event) if event.position <= position else None
            if fact is not None and isinstance(fact.body, DetectorConfigured):
                return fact, fact.body
        raise NotFound(f"nothing configured the detector up to position {position}: ask for a later moment")


def _add_alerts(detector: detectors_pb2.Detector, twin: Twin) -> None:
    """Which open alerts hold learning, were learned, flap or bother nobody; oldest first."""
    for alert in twin.open_alerts():
        name = f"alerts/{alert.id}"
        if alert.learned:
            detector.learned_alerts.append(name)
        else:
            detector.held.append(_held(alert, name))
        if alert.flapping:
            detector.flapping_alerts.append(name)
        if alert.suppressed_by:
            detector.suppressed_alerts.append(name)


def _held(alert: Alert, name: str) -> detectors_pb2.Held:
    metric = alert.metric if alert.kind == "novelty" else ""
    return detectors_pb2.Held(
        asset=f"assets/{alert.asset}", metric=metric, alert=name, since=timestamp(alert.opened)
    )
