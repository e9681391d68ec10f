"""Streams for watchers: resumable, each thing once, bounded, and no burden for others."""

import asyncio
import json
import os
from pathlib import Path

import grpc
import pytest

from coldaisle.core.events import encode, new_id
from coldaisle.core.events.types import AlertOpened, AssetObserved, DeviceReached, Evidence, SamplesRecorded
from coldaisle.core.store import LiveTwin
from coldaisle.core.store.memory import MemoryStore
from coldaisle.server.errors import TooManyWatchers
from coldaisle.server.moments import Moments
from coldaisle.server.services.alerts import AlertService
from coldaisle.server.watching import MAX_WATCHERS, Watchers
from coldaisle.v1 import alerts_pb2, assets_pb2, history_pb2, telemetry_pb2

MAX_STALLED_BYTES = 96 << 20
"""What a stalled watcher may cost a server that has 192 MiB to tell it."""


async def until(stream, done) -> list:
    """The messages up to the first for which ``done``."""
    found = []
    async with asyncio.timeout(30):
        while True:
            found.append(await stream.read())
            assert found[-1] is not grpc.aio.EOF
            if done(found[-1]):
                return found


def watch_events(api, **request):
    return api.watch(api.history.WatchEvents, history_pb2.WatchEventsRequest(**request))


def names(messages) -> list[str]:
    return [json.loads(event.data_json)["asset"] for message in messages for event in message.events]


async def test_events_are_watched_from_a_revision_each_once_over_a_cut(api, agent) -> None:
    start = (await agent.report(AssetObserved("rack-0", "rack"))).position
    await agent.report(*(AssetObserved(f"rack-{n}", "rack") for n in range(1, 4)))
    only = history_pb2.EventFilter(types=["AssetObserved"])
    watch = watch_events(api, filter=only, resume_after_revision=start)
    seen = await until(watch, lambda message: message.caught_up)
    await agent.report(AssetObserved("rack-4", "rack"))
    seen += await until(watch, lambda message: message.events)
    watch.cancel()
    await agent.report(AssetObserved("rack-5", "rack"))
    watch = watch_events(api, filter=only, resume_after_revision=seen[-1].revision)
    seen += await until(watch, lambda message: message.caught_up)
    watch.cancel()
    assert names(seen) == [f"rack-{n}" for n in range(1, 6)]


async def test_what_a_watcher_of_alerts_costs_does_not_grow_with_them(count_steps) -> None:
    """Two hundred looked through ten thousand alerts each, at every event."""
    alerts, store, evidence = 1_000, MemoryStore(), Evidence("limit", 28.0, 27.0, "a limit", 5)
    bodies = [AlertOpened(f"a-{n}", "rack-1", "m", "limit", "warn", "s", evidence) for n in range(alerts)]
    await store.append("alerts", [encode(body, id=new_id(1), time=1, actor="test") for body in bodies])
    live = LiveTwin(store)
    following = asyncio.ensure_future(live.run())
    await live.at_least(alerts)
    service = AlertService(store, live, Moments(store, live), Watchers())
    watch = service.WatchAlerts(alerts_pb2.WatchAlertsRequest(resume_after_revision=alerts), None)
    assert (await anext(watch)).caught_up
    body = SamplesRecorded("rack-1", ("m",), (1.0,))
    await store.append("telemetry", [encode(body, id=new_id(1), time=1, actor="test")])
    await live.at_least(alerts + 1)
    waiting = anext(watch)
    assert count_steps(lambda: waiting.send(None)) < alerts
    waiting.close()
    following.cancel()


async def test_a_watch_without_a_revision_starts_now(api, agent) -> None:
    await agent.report(AssetObserved("before", "rack"))
    watch = watch_events(api)
    seen = await until(watch, lambda message: message.caught_up)
    await agent.report(AssetObserved("after", "rack"))
    seen += await until(watch, lambda message: message.events)
    watch.cancel()
    assert names(seen) == ["after"]


async def test_large_events_are_watched_and_listed_in_answers_that_a_client_admits(api, agent) -> None:
    for n in range(12):
        await agent.report(AssetObserved(f"rack-{n}", "rack", {"note": "x" * 900_000}))
    only = history_pb2.EventFilter(types=["AssetObserved"])
    watch = watch_events(api, filter=only, resume_after_revision=1)
    seen = await until(watch, lambda message: message.caught_up)
    watch.cancel()
    assert names(seen) == [f"rack-{n}" for n in range(12)]
    assert len(await api.events("AssetObserved")) == 12


async def test_samples_are_watched_of_one_asset_and_the_stream_says_when_it_is_live(api, agent) -> None:
    for n in range(3):
        await agent.report(*(SamplesRecorded(rack, ("m",), (float(n),)) for rack in ("rack-1", "rack-10")))
    request = telemetry_pb2.WatchSamplesRequest(asset="assets/rack-1", resume_after_revision=1)
    watch = api.watch(api.telemetry.WatchSamples, request)
    seen = await until(watch, lambda message: message.caught_up)
    await agent.report(SamplesRecorded("rack-1", ("m",), (3.0,)))
    seen += await until(watch, lambda message: message.samples)
    watch.cancel()
    assert {message.asset for message in seen if message.samples} == {"assets/rack-1"}
    assert [sample.value for message in seen for sample in message.samples] == [0.0, 1.0, 2.0, 3.0]
    assert [message.caught_up for message in seen] == [False, False, False, True, False]


async def test_alerts_are_watched_open_ones_first_then_each_change(api, agent, losing) -> None:
    await agent.report(losing("rack-1"), losing("rack-2"))
    await api.event("AlertOpened", count=2)
    await agent.report(DeviceReached("rack-2", "192.0.2.1", "hall-1"))
    await api.event("AlertCleared")
    await api.call(api.assets.ListAssets, assets_pb2.ListAssetsRequest())
    watch = api.watch(api.alerts.WatchAlerts, alerts_pb2.WatchAlertsRequest())
    seen = await until(watch, lambda message: message.caught_up)
    assert [message.alert.asset for message in seen] == ["assets/rack-1", ""]
    watch.cancel()
    await agent.report(losing("rack-3"))
    await api.event("AlertOpened", count=3)
    request = alerts_pb2.WatchAlertsRequest(resume_after_revision=seen[-1].revision)
    watch = api.watch(api.alerts.WatchAlerts, request)
    again = await until(watch, lambda message: message.alert.asset)
    note = alerts_pb2.AcknowledgeAlertRequest(name=seen[0].alert.name)
    await api.call(api.alerts.AcknowledgeAlert, note)
    again += await until(watch, lambda message: message.alert.acknowledged)
    watch.cancel()
    assert [m.alert.asset for m in again if m.alert.asset] == ["assets/rack-3", "assets/rack-1"]


@pytest.mark.parametrize("service", ["history.WatchEvents", "telemetry.WatchSamples", "alerts.WatchAlerts"])
async def test_a_revision_that_this_history_has_not_reached_is_refused(api, refusal, service) -> None:
    area, _, verb = service.partition(".")
    messages = {"history": history_pb2, "telemetry": telemetry_pb2, "alerts": alerts_pb2}[area]
    request = getattr(messages, f"{verb}Request")(resume_after_revision=10**6)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await api.watch(getattr(getattr(api, area), verb), request).read()
    assert refusal(raised.value).said == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["resume_after_revision"])


async def test_watchers_are_limited_and_one_that_leaves_makes_room(api, refusal) -> None:
    held = [watch_events(api) for _ in range(MAX_WATCHERS)]
    for watch in held:
        await watch.read()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await watch_events(api).read()
    assert refusal(raised.value).said == ("RESOURCE_EXHAUSTED", "TOO_MANY_WATCHERS", [])
    held.pop().cancel()
    async with asyncio.timeout(10):
        while not await _admitted(api):
            pass
    for watch in held:
        watch.cancel()


async def _admitted(api) -> bool:
    watch = watch_events(api)
    try:
        await watch.read()
    except grpc.aio.AioRpcError:
        return False
    watch.cancel()
    return True


def test_a_place_is_given_back_however_its_block_ends() -> None:
    watchers = Watchers(limit=1)
    with pytest.raises(KeyError), watchers.admitted():
        raise KeyError
    with watchers.admitted(), pytest.raises(TooManyWatchers), watchers.admitted():
        pass
    assert watchers.count == 0


def resident_bytes(process_id: int) -> int:
    pages = Path(f"/proc/{process_id}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def test_a_stalled_watcher_costs_bounded_memory_and_slows_nobody(
    data, process, client, agent_of
) -> None:
    async with process(data) as server, client(server.address, data) as api:
        agent = agent_of(api)
        await agent.hello()
        stalled = watch_events(api)
        await stalled.read()
        other = watch_events(api, filter=history_pb2.EventFilter(types=["DeviceLost"]))
        await other.read()
        note = {"note": "x" * 900_000}
        before = 0
        for n in range(72):
            await agent.report(*(AssetObserved(f"rack-{k}", "rack", note) for k in range(3)))
            if n == 8:  # what a server takes for itself while it works
                before = resident_bytes(server.process.pid)
        async with asyncio.timeout(5):
            await api.call(api.assets.ListAssets, assets_pb2.ListAssetsRequest())
        other.cancel()
        assert resident_bytes(server.process.pid) - before < MAX_STALLED_BYTES
        stalled.cancel()
        agent.cut()
