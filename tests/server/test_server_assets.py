"""Assets, samples and moments: the twin as it is, and as it was."""

import asyncio
import uuid
from collections.abc import Coroutine
from typing import Any

import pytest

from coldaisle.core.events import encode, new_id
from coldaisle.core.events.types import AssetLinked, AssetObserved, AssetRemoved, SamplesRecorded
from coldaisle.core.store import LiveTwin
from coldaisle.core.store.memory import MemoryStore
from coldaisle.core.store.port import Step
from coldaisle.server.moments import Moments
from coldaisle.server.services.assets import AssetService
from coldaisle.v1 import assets_pb2, common_pb2, history_pb2, telemetry_pb2


def at(revision: int) -> common_pb2.Moment:
    return common_pb2.Moment(as_of_revision=revision)


async def names(api, **request) -> list[str]:
    answer = await api.call(api.assets.ListAssets, assets_pb2.ListAssetsRequest(**request))
    return [asset.name.removeprefix("assets/") for asset in answer.assets]


async def test_an_asset_is_told_with_links_readings_and_alerts(api, agent, plant, losing) -> None:
    await agent.report(*plant, losing("crac-1"))
    await api.event("AlertOpened")
    crac = await api.call(api.assets.GetAsset, assets_pb2.GetAssetRequest(name="assets/crac-1"))
    assert (crac.kind, crac.attributes["model"]) == ("crac", "CX")
    assert [(link.edge, link.asset) for link in crac.reverse_links] == [
        ("cooled_by", "assets/rack-1"), ("cooled_by", "assets/rack-2"),
    ]  # fmt: skip
    assert [(r.metric, r.value) for r in crac.readings] == [
        ("cooling_percent", 70.0), ("supply_setpoint_celsius", 18.0),
    ]  # fmt: skip
    assert crac.reachability == assets_pb2.Asset.REACHABILITY_LOST
    assert crac.reachability_reason == "no answer"
    assert [name.partition("/")[0] for name in crac.open_alerts] == ["alerts"]
    assert list(crac.dependents) == ["assets/rack-1", "assets/rack-2"]


class SlowStore(MemoryStore):
    """Counts replays, and how many went on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.going = self.most = self.replays = 0

    async def replay(self, step: Step, *, after: int = 0, end: int) -> int:
        self.replays += 1
        self.going += 1
        self.most = max(self.most, self.going)
        await asyncio.sleep(0)
        try:
            return await super().replay(step, after=after, end=end)
        finally:
            self.going -= 1


async def test_a_moment_that_many_ask_for_is_folded_once_and_others_one_after_the_other() -> None:
    """Each is a whole twin: two hundred at once would take the memory of two hundred plants."""
    store = SlowStore()
    bodies = [AssetObserved(f"rack-{n}", "rack") for n in range(9)]
    await store.append("plant", [encode(body, id=new_id(1), time=1, actor="agent/x") for body in bodies])
    moments = Moments(store, LiveTwin(store))
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(moments.twin(at(1 + n % 2))) for n in range(20)]
    assert [len(each.result().assets) for each in asked] == [1, 2] * 10
    assert (store.replays, store.most) == (2, 1)


async def test_an_asset_costs_its_own_size_not_that_of_the_plant(count_steps) -> None:
    """Each question held up the whole server for half a second where there were 30,000 assets."""
    racks, store = 2_000, MemoryStore()
    bodies = [AssetLinked(f"rack-{n}", "cooled_by", f"crac-{n // 20}") for n in range(racks)]
    await store.append("plant", [encode(body, id=new_id(1), time=1, actor="agent/x") for body in bodies])
    live = LiveTwin(store)
    following = asyncio.ensure_future(live.run())
    await live.at_least(racks)
    service = AssetService(Moments(store, live))
    request = assets_pb2.GetAssetRequest(name="assets/rack-7")
    assert [link.asset for link in (await service.GetAsset(request, None)).links] == ["assets/crac-0"]
    assert count_steps(lambda: finish(service.GetAsset(request, None))) < racks
    following.cancel()


def finish(call: Coroutine[Any, Any, Any]) -> None:
    """Run a call that has nothing to wait for."""
    with pytest.raises(StopIteration):
        call.send(None)


@pytest.mark.parametrize("name", ["", "rack-1", "assets/", "alerts/rack-1", "assets/a/b"])
async def test_a_wrong_resource_name_is_refused(api, name) -> None:
    refused = await api.refused(api.assets.GetAsset, assets_pb2.GetAssetRequest(name=name))
    assert refused.said == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["name"])


async def test_an_asset_that_is_not_there_is_not_found(api) -> None:
    refused = await api.refused(api.assets.GetAsset, assets_pb2.GetAssetRequest(name="assets/ghost"))
    assert refused.said == ("NOT_FOUND", "NOT_FOUND", [])
    assert "coldaisle get assets" in refused.text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("kind=rack", ["rack-1", "rack-2"]),
        ("kind=rack name~2", ["rack-2"]),
        ("located_in=row-a", ["rack-1"]),
        ("cooled_by~crac", ["rack-1", "rack-2"]),
        ("powered_by=x", []),
    ],
)
async def test_filters_choose(api, agent, plant, text, found) -> None:
    await agent.report(*plant)
    assert await names(api, filter=text) == found


@pytest.mark.parametrize("text", ["rack", "colour=red", "kind=", "=rack", "~"])
async def test_a_wrong_filter_is_refused_and_lists_the_fields(api, text) -> None:
    refused = await api.refused(api.assets.ListAssets, assets_pb2.ListAssetsRequest(filter=text))
    assert refused.said == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["filter"])
    assert "fields: kind, name, located_in, powered_by, cooled_by" in refused.text


async def test_pages_give_each_asset_once_also_when_others_come_and_go(api, agent) -> None:
    await agent.report(*(AssetObserved(f"rack-{n:02}", "rack") for n in range(10, 20)))
    seen: list[str] = []
    token = ""
    while True:
        request = assets_pb2.ListAssetsRequest(page_size=3, page_token=token)
        page = await api.call(api.assets.ListAssets, request)
        seen += [asset.name for asset in page.assets]
        token = page.next_page_token
        if not token:
            break
        await agent.report(AssetObserved(f"a-{len(seen)}", "rack"), AssetRemoved(seen[-1][7:]))
    assert seen == [f"assets/rack-{n}" for n in range(10, 20)]


@pytest.mark.parametrize("token", ["x", "10", "²", "WzFd", "MQ==", "!"])
async def test_a_foreign_page_token_is_refused(api, agent, plant, token) -> None:
    await agent.report(*plant)
    refused = await api.refused(api.assets.ListAssets, assets_pb2.ListAssetsRequest(page_token=token))
    assert refused.said == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["page_token"])


async def test_a_negative_page_size_is_refused(api) -> None:
    refused = await api.refused(api.assets.ListAssets, assets_pb2.ListAssetsRequest(page_size=-1))
    assert refused.said == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["page_size"])


async def test_a_page_of_large_assets_stays_within_what_a_client_admits(api, agent) -> None:
    big = {f"note-{n}": "x" * 1_000 for n in range(300)}
    for n in range(10, 30):
        await agent.report(AssetObserved(f"rack-{n}", "rack", big))
    seen: list[str] = []
    token, pages = "", 0
    while token or not pages:
        request = assets_pb2.ListAssetsRequest(page_size=1_000, page_token=token)
        page = await api.call(api.assets.ListAssets, request)
        seen += [asset.name for asset in page.assets]
        token, pages = page.next_page_token, pages + 1
    assert seen == [f"assets/rack-{n}" for n in range(10, 30)]
    assert pages > 2


async def test_a_read_answers_for_the_revision_that_it_names(api, agent) -> None:
    early = await agent.report(AssetObserved("rack-1", "rack"))
    later = await agent.report(AssetObserved("rack-2", "rack"), AssetRemoved("rack-1"))
    await api.call(api.history.GetState, history_pb2.GetStateRequest(moment=at(later.position)))
    assert await names(api, moment=at(early.position)) == ["rack-1"]
    assert await names(api, moment=at(later.position)) == ["rack-2"]
    assert await names(api, moment=at(0)) == []
    get = assets_pb2.GetAssetRequest(name="assets/rack-1", moment=at(early.position))
    assert (await api.call(api.assets.GetAsset, get)).revision == early.position


async def test_a_read_answers_for_the_time_that_it_names(api, agent) -> None:
    await agent.report(AssetObserved("rack-1", "rack"))
    (event,) = await api.events("AssetObserved")
    await agent.report(AssetObserved("rack-2", "rack"))
    moment = common_pb2.Moment(as_of_time=event.recorded)
    assert await names(api, moment=moment) == ["rack-1"]
    moment.as_of_time.seconds -= 3_600
    assert await names(api, moment=moment) == []
    moment.as_of_time.seconds += 7_200
    assert await names(api, moment=moment) == ["rack-1", "rack-2"]


async def test_a_moment_that_cannot_be_is_refused(api) -> None:
    for moment in (at(10**6), at(2**64 - 1)):
        refused = await api.refused(api.assets.ListAssets, assets_pb2.ListAssetsRequest(moment=moment))
        assert refused.said == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["moment.as_of_revision"])
    moment = common_pb2.Moment()
    moment.as_of_time.seconds = 10**12
    refused = await api.refused(api.assets.ListAssets, assets_pb2.ListAssetsRequest(moment=moment))
    assert refused.said == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["moment.as_of_time"])


async def test_samples_are_listed_by_time_and_metric_each_once(api, agent, on_wire) -> None:
    for n in range(7):
        body = SamplesRecorded("rack-1", ("a", "b"), (float(n), None))
        await agent.send(on_wire(body, time_unix_nano=(1_000 + n) * 10**9))
    await agent.report(SamplesRecorded("rack-10", ("a",), (99.0,)))
    seen: list[tuple[int, float]] = []
    token = ""
    while True:
        request = telemetry_pb2.ListSamplesRequest(
            asset="assets/rack-1", metrics=["a"], page_size=2, page_token=token
        )
        request.start_time.seconds, request.end_time.seconds = 1_001, 1_005
        page = await api.call(api.telemetry.ListSamples, request)
        seen += [(sample.time.seconds, sample.value) for sample in page.samples]
        if not (token := page.next_page_token):
            break
    assert seen == [(1_000 + n, float(n)) for n in range(1, 6)]
    everything = await api.call(
        api.telemetry.ListSamples, telemetry_pb2.ListSamplesRequest(asset="assets/rack-1")
    )
    assert [sample.HasField("value") for sample in everything.samples] == [True, False] * 7


async def test_wide_polls_are_cut_into_answers_that_a_client_admits(api, agent) -> None:
    metrics = tuple(f"metric_{'x' * 200}_{n}" for n in range(2_000))
    for _ in range(10):
        await agent.report(SamplesRecorded("rack-1", metrics, (1.0,) * 2_000))
    seen, token, pages = 0, "", 0
    while token or not pages:
        request = telemetry_pb2.ListSamplesRequest(asset="assets/rack-1", page_token=token)
        page = await api.call(api.telemetry.ListSamples, request)
        seen, token, pages = seen + len(page.samples), page.next_page_token, pages + 1
    assert seen == 20_000
    assert pages > 1


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"asset": "rack-1"}, "asset"),
        ({"asset": "assets/rack-1", "page_token": "x"}, "page_token"),
        ({"asset": "assets/rack-1", "page_token": "9" * 19}, "page_token"),
        ({"asset": "assets/rack-1", "page_token": "²"}, "page_token"),
        ({"asset": "assets/rack-1", "page_size": -3}, "page_size"),
        ({"asset": "assets/rack-1", "start_time": {"seconds": 10**12}}, "start_time"),
    ],
)
async def test_wrong_fields_of_a_list_of_samples_are_named(api, request_, field) -> None:
    refused = await api.refused(api.telemetry.ListSamples, telemetry_pb2.ListSamplesRequest(**request_))
    assert refused.said == ("INVALID_ARGUMENT", "INVALID_REQUEST", [field])


async def test_events_are_listed_both_ways_each_once(api, agent) -> None:
    await agent.report(*(AssetObserved(f"rack-{n}", "rack") for n in range(25)))
    for backwards in (False, True):
        seen: list[int] = []
        token = ""
        while True:
            request = history_pb2.ListEventsRequest(
                filter=history_pb2.EventFilter(stream_prefixes=["asset-"]),
                page_size=4, page_token=token, backwards=backwards,
            )  # fmt: skip
            page = await api.call(api.history.ListEvents, request)
            seen += [event.position for event in page.events]
            if not (token := page.next_page_token):
                break
        assert len(seen) == 25
        assert seen == sorted(seen, reverse=backwards)


async def test_events_end_at_the_moment_and_begin_after_the_revision(api, agent) -> None:
    last = (await agent.report(*(AssetObserved(f"rack-{n}", "rack") for n in range(9)))).position
    for backwards in (False, True):
        request = history_pb2.ListEventsRequest(
            moment=at(last - 2), after_revision=last - 6, backwards=backwards, page_size=50
        )
        page = await api.call(api.history.ListEvents, request)
        assert sorted(event.position for event in page.events) == [last - 5, last - 4, last - 3, last - 2]
        assert (page.next_page_token, page.revision) == ("", last - 2)
    beyond = history_pb2.ListEventsRequest(after_revision=2**64 - 1)
    assert not (await api.call(api.history.ListEvents, beyond)).events


async def test_an_event_tells_its_envelope(api, agent) -> None:
    await agent.report(AssetObserved("rack-1", "rack"))
    (event,) = await api.events("AssetObserved")
    assert (event.stream, event.version, event.actor) == ("asset-rack-1", 0, "agent/hall-1")
    assert uuid.UUID(event.id).version == 7
    assert event.data_json == '{"asset":"rack-1","kind":"rack","attributes":{},"source":""}'


async def test_a_filter_of_events_is_bounded(api) -> None:
    only = history_pb2.EventFilter(types=["x"] * 201)
    for method, request in (
        (api.history.ListEvents, history_pb2.ListEventsRequest(filter=only)),
        (api.history.ListEvents, history_pb2.ListEventsRequest(page_token="-1")),
    ):
        assert (await api.refused(method, request)).said[:2] == ("INVALID_ARGUMENT", "INVALID_REQUEST")


async def test_the_state_of_a_revision_has_one_hash_before_and_after_a_restart(
    data, serving, agent_of, plant
) -> None:
    async with serving(data) as api:
        agent = agent_of(api)
        await agent.hello()
        moment = at((await agent.report(*plant)).position)
        before = await api.call(api.history.GetState, history_pb2.GetStateRequest(moment=moment))
        agent.cut()
    assert (before.asset_count, before.link_count, before.series_count) == (4, 3, 3)
    async with serving(data) as api:
        after = await api.call(api.history.GetState, history_pb2.GetStateRequest(moment=moment))
    assert after == before
