"""Forecasts through the API: from samples that an agent reported."""

import math

import pytest
from google.protobuf.duration_pb2 import Duration

from coldaisle.core.events import encode, new_id
from coldaisle.core.events.types import SamplesRecorded
from coldaisle.core.store.memory import MemoryStore
from coldaisle.server import sampled
from coldaisle.server.sampled import recorded_samples
from coldaisle.v1 import forecasts_pb2

SECOND = 1_000_000_000
START = 1_700_006_400 * SECOND
METRIC = "filesystem_used_ratio"


@pytest.fixture
async def filling(api, agent, on_wire):
    """A file system that fills up by half a percent an hour, over five days in steps of ten minutes."""
    events = [
        on_wire(
            SamplesRecorded("nas-1", (METRIC, "temperature_celsius"),
                            (0.2 + n * 0.005 / 6, 25 + 2 * math.sin(n / 144 * 2 * math.pi))),
            time_unix_nano=START + n * 600 * SECOND, id=new_id(START + n * 600 * SECOND),
        )
        for n in range(5 * 144)
    ]  # fmt: skip
    await agent.send(*events)
    return api


def asking(**fields: object) -> forecasts_pb2.GetForecastRequest:
    return forecasts_pb2.GetForecastRequest(**({"asset": "assets/nas-1", "metric": METRIC} | fields))


async def test_a_forecast_goes_on_from_the_newest_sample_with_intervals(filling) -> None:
    found = await filling.call(filling.forecasts.GetForecast, asking(metric="temperature_celsius"))
    assert found.step.seconds == 900
    assert len(found.points) == 96
    assert found.points[0].time.seconds - found.recent[-1].time.seconds == 900
    assert all(point.low <= point.value <= point.high for point in found.points)
    assert abs(found.points[47].value - (25 + 2 * math.sin((719 + 72) / 144 * 2 * math.pi))) < 0.5
    assert found.sample_count == 720


async def test_a_limit_is_met_at_a_time_with_an_interval(filling) -> None:
    asked = asking(limit=1.0, horizon=Duration(seconds=7 * 86_400))
    met = (await filling.call(filling.forecasts.GetForecast, asked)).crossing
    expected = START / SECOND + (0.8 / 0.005) * 3_600
    assert abs(met.likely.seconds - expected) < 2 * 3_600
    assert met.earliest.seconds <= met.likely.seconds <= met.latest.seconds
    soon = asking(limit=1.0, horizon=Duration(seconds=3_600))
    met = (await filling.call(filling.forecasts.GetForecast, soon)).crossing
    assert not met.HasField("earliest")
    assert met.sentence.startswith("not within")


async def test_the_outlook_lists_metrics_and_lives(filling) -> None:
    found = await filling.call(
        filling.forecasts.GetOutlook, forecasts_pb2.GetOutlookRequest(asset="assets/nas-1")
    )
    assert list(found.metrics) == [METRIC, "temperature_celsius"]
    [part] = found.lives
    assert (part.metric, part.part) == (METRIC, "file system")
    assert part.crossing.HasField("likely")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metric": "nonsense"}, ("NOT_FOUND", "NOT_FOUND", [])),
        ({"asset": "assets/ghost"}, ("NOT_FOUND", "NOT_FOUND", [])),
        ({"asset": "nas-1"}, ("INVALID_ARGUMENT", "INVALID_REQUEST", ["asset"])),
        ({"horizon": Duration(seconds=5)}, ("INVALID_ARGUMENT", "INVALID_REQUEST", ["horizon"])),
        ({"horizon": Duration(seconds=-5)}, ("INVALID_ARGUMENT", "INVALID_REQUEST", ["horizon"])),
    ],
)
async def test_what_cannot_be_told_is_refused_with_a_reason(filling, fields, said) -> None:
    refused = await filling.refused(filling.forecasts.GetForecast, asking(**fields))
    assert refused.said == said


def all_metrics(metric: str) -> bool:
    return True


async def test_of_a_metric_that_nobody_asked_for_the_newest_sample_is_held() -> None:
    """A switch has a thousand, and twenty thousand polls of them all take gigabytes."""
    store = MemoryStore()
    events = [
        encode(SamplesRecorded("a", ("x", "y"), (float(n), 2.0 * n)), id=new_id(n), time=n, actor="t")
        for n in range(100)
    ]
    await store.append("telemetry-a", events)
    found = await recorded_samples(store, "a", 3_600, lambda metric: metric == "x")
    assert (len(found["x"]), found["y"]) == (100, [(99, 198.0)])


@pytest.fixture
async def long_history() -> MemoryStore:
    """30 days by the minute, in a store of its own."""
    store = MemoryStore()
    for day in range(30):
        times = [START + (day * 1_440 + n) * 60 * SECOND for n in range(1_440)]
        events = [
            encode(SamplesRecorded("a", ("x",), (float(day),)), id=new_id(time), time=time, actor="t")
            for time in times
        ]
        await store.append("telemetry-a", events)
    return store


async def test_of_a_long_history_evenly_spread_polls_are_read(long_history, monkeypatch) -> None:
    monkeypatch.setattr(sampled, "MAX_PLACES", 600)
    found = (await recorded_samples(long_history, "a", 100 * 86_400, all_metrics))["x"]
    assert len(found) == 600
    assert {value for _, value in found} == {float(day) for day in range(30)}
    assert found[-1][0] == START + (30 * 1_440 - 1) * 60 * SECOND


async def test_only_the_time_asked_for_is_read(long_history) -> None:
    found = (await recorded_samples(long_history, "a", 3_600, all_metrics))["x"]
    assert len(found) == 61
