"""ForecastService: what is coming, from what was recorded. Reads only; computes in a thread."""

import asyncio
from typing import Any

import grpc

from coldaisle.core.forecast import (
    Crossing,
    Outlook,
    Sample,
    crossing,
    crossing_sentence,
    outlook,
    steps_of,
    trend,
)
from coldaisle.core.forecast.forecaster import COVERAGE
from coldaisle.core.forecast.life import AlertRecord, Life, alert_record, life, wear_of
from coldaisle.core.forecast.limit import HOUR_SECONDS
from coldaisle.core.store import EventStore
from coldaisle.server.convert import timestamp
from coldaisle.server.errors import InvalidRequest, NotFound
from coldaisle.server.moments import Moments
from coldaisle.server.paging import resource_id
from coldaisle.server.sampled import SamplesByMetric, recorded_samples
from coldaisle.v1 import common_pb2, forecasts_pb2, forecasts_pb2_grpc

DAY_SECONDS = 86_400
SEEN_HORIZONS = 14
"""How many horizons of the past a forecast looks at, within the two bounds below."""
MIN_SEEN_SECONDS = 3 * DAY_SECONDS
MAX_SEEN_SECONDS = 28 * DAY_SECONDS
LIFE_SEEN_SECONDS = 90 * DAY_SECONDS
MAX_COMPUTING = 2
"""Forecasts computed at once; more wait their turn."""


class ForecastService(forecasts_pb2_grpc.ForecastServiceServicer):
    """See forecasts.proto."""

    def __init__(self, store: EventStore, moments: Moments) -> None:
        self._store = store
        self._moments = moments
        self._turns = asyncio.Semaphore(MAX_COMPUTING)

    async def GetForecast(  # noqa: N802 - the API's name
        self, request: forecasts_pb2.GetForecastRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> forecasts_pb2.Forecast:
        """Follow the recorded series to its end and tell the horizon."""
        asset = resource_id(request.asset, "assets", "asset")
        horizon = request.horizon.seconds if request.HasField("horizon") else DAY_SECONDS
        seen = min(max(SEEN_HORIZONS * horizon, MIN_SEEN_SECONDS), MAX_SEEN_SECONDS)
        async with self._turns:
            by_metric = await recorded_samples(self._store, asset, seen, lambda m: m == request.metric)
            samples = by_metric.get(request.metric)
            if not samples:
                raise NotFound(
                    f"{asset} has no samples of {request.metric!r}: ask GetOutlook for its metrics"
                )
            try:
                found = await asyncio.to_thread(outlook, samples, horizon)
            except ValueError as error:
                raise InvalidRequest("horizon", str(error)) from error
            assert found is not None
            answer = _forecast(request, found, len(samples))
            if request.HasField("limit"):
                met = await asyncio.to_thread(_crossing, samples, request.limit, horizon)
                answer.crossing.CopyFrom(met)
        return answer

    async def GetOutlook(  # noqa: N802 - the API's name
        self, request: forecasts_pb2.GetOutlookRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> forecasts_pb2.Outlook:
        """Metrics with samples, and the lives of parts among them."""
        asset = resource_id(request.asset, "assets", "asset")
        twin = await self._moments.twin(common_pb2.Moment())
        async with self._turns:
            samples = await recorded_samples(self._store, asset, LIFE_SEEN_SECONDS, _wears)
            if not samples:
                raise NotFound(f"{asset} has no samples: coldaisle get assets lists what there is")
            now = max(series[-1][0] for series in samples.values())
            opened = [alert.opened for alert in twin.alerts.values() if alert.asset == asset]
            alerts = alert_record(opened, now)
            lives = await asyncio.to_thread(_lives, samples, alerts)
        return forecasts_pb2.Outlook(
            asset=request.asset, metrics=sorted(samples), lives=lives,
            alerts_last_30_days=alerts.recent, alerts_60_days_before=alerts.before,
        )  # fmt: skip


def _forecast(
    request: forecasts_pb2.GetForecastRequest, found: Outlook, sample_count: int
) -> forecasts_pb2.Forecast:
    answer = forecasts_pb2.Forecast(
        asset=request.asset, metric=request.metric, coverage=COVERAGE,
        intervals_said=found.said, intervals_held=found.hits, sample_count=sample_count,
    )  # fmt: skip
    answer.step.seconds = found.step_seconds
    step = found.step_seconds * 1_000_000_000
    first = found.now - len(found.recent) * step
    for number, value in enumerate(found.recent):
        answer.recent.add(time=timestamp(first + number * step), value=value)
    for point in found.points:
        answer.points.add(
            time=timestamp(found.now + (point.lead - 1) * step), value=point.value,
            low=point.low, high=point.high, model=point.model,
        )  # fmt: skip
    return answer


def _crossing(samples: list[Sample], limit: float, horizon: int) -> forecasts_pb2.Crossing:
    hours = steps_of(samples, HOUR_SECONDS)
    line = trend(hours)
    if line is None:
        return forecasts_pb2.Crossing(limit=limit, sentence="fewer than six hours are known")
    found = crossing(line, limit, horizon)
    return _crossing_message(found, max(hours), crossing_sentence(found, horizon))


def _crossing_message(found: Crossing, last_hour: int, sentence: str) -> forecasts_pb2.Crossing:
    now = (last_hour + 1) * HOUR_SECONDS
    answer = forecasts_pb2.Crossing(limit=found.limit, sentence=sentence)
    for name in ("earliest", "likely", "latest"):
        seconds = getattr(found, name)
        if seconds is not None:
            getattr(answer, name).CopyFrom(timestamp(int((now + seconds) * 1e9)))
    return answer


def _wears(metric: str) -> bool:
    return wear_of(metric) is not None


def _lives(samples: SamplesByMetric, alerts: AlertRecord) -> list[forecasts_pb2.RemainingLife]:
    found = []
    for metric in sorted(samples):
        wear = wear_of(metric)
        hours = steps_of(samples[metric], HOUR_SECONDS) if wear else {}
        part = life(metric, wear, hours, alerts) if wear else None
        if part is not None:
            found.append(_life_message(part, max(hours)))
    return found


def _life_message(part: Life, last_hour: int) -> forecasts_pb2.RemainingLife:
    return forecasts_pb2.RemainingLife(
        metric=part.metric, part=part.part, value=part.value, sentence=part.sentence,
        crossing=_crossing_message(part.crossing, last_hour, part.sentence),
    )  # fmt: skip
