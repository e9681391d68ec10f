"""Feedback, silences, maintenance and the detector's own account, over the API."""

import json
import uuid

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from coldaisle.core.detect.overlays import MAX_OVERLAYS
from coldaisle.core.events.types import AssetLinked, AssetObserved
from coldaisle.v1 import (
    alerts_pb2,
    common_pb2,
    detectors_pb2,
    maintenances_pb2,
    silences_pb2,
)

HOUR = Duration(seconds=3_600)


@pytest.fixture
async def hall(api, agent, plant):
    """A server that knows the hall."""
    await agent.report(*plant)
    return api


@pytest.fixture
def lose(hall, agent, losing):
    """Loses devices, each of which opens an alert, and gives all the alerts there are."""

    async def losing_of(*assets: str, count: int) -> list[alerts_pb2.Alert]:
        await agent.report(*(losing(asset) for asset in assets))
        await hall.event("AlertOpened", count=count)
        return list((await hall.call(hall.alerts.ListAlerts, alerts_pb2.ListAlertsRequest())).alerts)

    return losing_of


def silencing(**changes) -> silences_pb2.CreateSilenceRequest:
    given = {
        "matcher": silences_pb2.Matcher(asset="assets/rack-1", kind="unreachable"),
        "duration": HOUR, "reason": "rewiring", "request_id": str(uuid.uuid4()),
    }  # fmt: skip
    return silences_pb2.CreateSilenceRequest(**(given | changes))


def working(**changes) -> maintenances_pb2.ScheduleMaintenanceRequest:
    given = {
        "assets": ["assets/crac-1"], "duration": HOUR, "reason": "new filter",
        "request_id": str(uuid.uuid4()),
    }  # fmt: skip
    return maintenances_pb2.ScheduleMaintenanceRequest(**(given | changes))


async def silences(api, **request) -> list[silences_pb2.Silence]:
    answer = await api.call(api.silences.ListSilences, silences_pb2.ListSilencesRequest(**request))
    assert answer.total_size >= len(answer.silences)
    return list(answer.silences)


async def maintenances(api, **request) -> list[maintenances_pb2.Maintenance]:
    request = maintenances_pb2.ListMaintenancesRequest(**request)
    return list((await api.call(api.maintenances.ListMaintenances, request)).maintenances)


# --- feedback


async def test_a_verdict_is_recorded_once_by_its_user_and_may_be_changed(hall, lose) -> None:
    (alert,) = await lose("rack-1", count=1)
    judge = hall.alerts.JudgeAlert
    request = alerts_pb2.JudgeAlertRequest(
        name=alert.name, verdict=alerts_pb2.VERDICT_FALSE, note="a test", request_id=str(uuid.uuid4())
    )
    for _ in range(3):
        assert (await hall.call(judge, request)).verdict == alerts_pb2.VERDICT_FALSE
    changed = alerts_pb2.JudgeAlertRequest(name=alert.name, verdict=alerts_pb2.VERDICT_CONFIRMED)
    assert (await hall.call(judge, changed)).verdict == alerts_pb2.VERDICT_CONFIRMED
    first, second = await hall.events("FeedbackGiven")
    assert (first.actor, json.loads(first.data_json)["note"]) == ("user/ada", "a test")
    assert json.loads(second.data_json)["verdict"] == "confirmed"
    found = await hall.call(hall.alerts.ListAlerts, alerts_pb2.ListAlertsRequest(filter="verdict=confirmed"))
    assert found.total_size == 1


async def test_a_verdict_to_validate_records_nothing_and_a_wrong_one_says_why(hall, lose) -> None:
    (alert,) = await lose("rack-1", count=1)
    judge, request = hall.alerts.JudgeAlert, alerts_pb2.JudgeAlertRequest
    tried = request(name=alert.name, verdict=alerts_pb2.VERDICT_EXPECTED, validate_only=True)
    assert (await hall.call(judge, tried)).verdict == alerts_pb2.VERDICT_UNSPECIFIED
    for wrong, said in (
        (request(name=alert.name), ("INVALID_ARGUMENT", ["verdict"])),
        (request(name=alert.name, verdict=2, note="n" * 2_001), ("INVALID_ARGUMENT", ["note"])),
        (request(name=alert.name, verdict=2, request_id="once"), ("INVALID_ARGUMENT", ["request_id"])),
        (request(name="a-1", verdict=2), ("INVALID_ARGUMENT", ["name"])),
        (request(name="alerts/a-1", verdict=2), ("NOT_FOUND", [])),
    ):
        refused = await hall.refused(judge, wrong)
        assert (refused.code.name, refused.fields) == said
    assert await hall.events("FeedbackGiven") == []


# --- silences


async def test_a_silenced_alert_opens_and_names_its_silence(hall, lose) -> None:
    silence = await hall.call(hall.silences.CreateSilence, silencing())
    alerts = await lose("rack-1", "rack-2", count=2)
    suppressed = {alert.asset: f"silences/{alert.suppressed_by}" for alert in alerts if alert.suppressed_by}
    assert suppressed == {"assets/rack-1": silence.name}
    heard = await hall.call(hall.alerts.ListAlerts, alerts_pb2.ListAlertsRequest(filter="suppressed=no"))
    assert [alert.asset for alert in heard.alerts] == ["assets/rack-2"]


async def test_a_silence_is_recorded_once_by_its_user(hall) -> None:
    request = silencing()
    answers = [await hall.call(hall.silences.CreateSilence, request) for _ in range(3)]
    assert len({answer.name for answer in answers}) == 1
    (event,) = await hall.events("SilenceCreated")
    assert event.actor == "user/ada"
    (listed,) = await silences(hall)
    assert (listed.name, listed.matcher, listed.reason) == (answers[0].name, request.matcher, "rewiring")
    assert listed.end_time.ToNanoseconds() - listed.start_time.ToNanoseconds() == 3_600 * 10**9


async def test_an_expired_silence_suppresses_nothing_and_is_listed_no_more(hall, lose) -> None:
    silence = await hall.call(hall.silences.CreateSilence, silencing())
    request = silences_pb2.ExpireSilenceRequest(
        name=silence.name, reason="done", request_id=str(uuid.uuid4())
    )
    ended = [await hall.call(hall.silences.ExpireSilence, request) for _ in range(2)]
    assert {each.end_time.ToNanoseconds() for each in ended} == {ended[0].end_time.ToNanoseconds()}
    assert ended[0].end_time.ToNanoseconds() < silence.end_time.ToNanoseconds()
    assert len(await hall.events("SilenceExpired")) == 1
    assert await silences(hall) == []
    (alert,) = await lose("rack-1", count=1)
    assert alert.suppressed_by == ""
    again = silences_pb2.ExpireSilenceRequest(name=silence.name)
    assert (await hall.refused(hall.silences.ExpireSilence, again)).said == ("NOT_FOUND", "NOT_FOUND", [])
    (before,) = await silences(hall, moment=common_pb2.Moment(as_of_revision=silence.revision))
    assert before.end_time == silence.end_time


async def test_silences_to_validate_are_told_without_a_name_and_recorded_nowhere(hall) -> None:
    told = await hall.call(hall.silences.CreateSilence, silencing(validate_only=True))
    assert (told.name, told.matcher.asset) == ("", "assets/rack-1")
    silence = await hall.call(hall.silences.CreateSilence, silencing())
    request = silences_pb2.ExpireSilenceRequest(name=silence.name, validate_only=True)
    await hall.call(hall.silences.ExpireSilence, request)
    assert [each.name for each in await silences(hall)] == [silence.name]
    assert len(await hall.events("SilenceCreated", "SilenceExpired")) == 1


@pytest.mark.parametrize("validate_only", [False, True])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"matcher": silences_pb2.Matcher()}, ("INVALID_ARGUMENT", ["matcher"])),
        ({"matcher": silences_pb2.Matcher(asset="rack-1")}, ("INVALID_ARGUMENT", ["matcher.asset"])),
        ({"matcher": silences_pb2.Matcher(asset="assets/ghost")}, ("NOT_FOUND", [])),
        ({"matcher": silences_pb2.Matcher(metric='a{b="c"}')}, ("INVALID_ARGUMENT", ["matcher.metric"])),
        ({"matcher": silences_pb2.Matcher(kind="loud")}, ("INVALID_ARGUMENT", ["matcher.kind"])),
        ({"duration": None}, ("INVALID_ARGUMENT", ["duration"])),
        ({"duration": Duration(seconds=-5)}, ("INVALID_ARGUMENT", ["duration"])),
        ({"duration": Duration(seconds=367 * 86_400)}, ("INVALID_ARGUMENT", ["duration"])),
        ({"start_time": Timestamp(seconds=1)}, ("INVALID_ARGUMENT", ["start_time"])),
        ({"start_time": Timestamp(seconds=9_000_000_000)}, ("INVALID_ARGUMENT", ["start_time"])),
        ({"reason": " "}, ("INVALID_ARGUMENT", ["reason"])),
        ({"reason": "r" * 2_001}, ("INVALID_ARGUMENT", ["reason"])),
        ({"request_id": "x"}, ("INVALID_ARGUMENT", ["request_id"])),
    ],
)
async def test_a_wrong_silence_is_refused_also_when_only_validated(hall, change, said, validate_only) -> None:
    request = silencing(**change, validate_only=validate_only)
    refused = await hall.refused(hall.silences.CreateSilence, request)
    assert (refused.code.name, refused.fields) == said
    assert await hall.events("SilenceCreated") == []


async def test_silences_are_paged_first_to_end_first(hall) -> None:
    for hours in (3, 1, 2):
        lasting = silencing(duration=Duration(seconds=hours * 3_600), reason=str(hours))
        await hall.call(hall.silences.CreateSilence, lasting)
    request = silences_pb2.ListSilencesRequest(page_size=2)
    page = await hall.call(hall.silences.ListSilences, request)
    rest = await silences(hall, page_size=2, page_token=page.next_page_token)
    assert [each.reason for each in (*page.silences, *rest)] == ["1", "2", "3"]
    assert (await hall.refused(hall.silences.ListSilences, silences_pb2.ListSilencesRequest(
        page_size=-1))).fields == ["page_size"]  # fmt: skip


async def test_no_more_silences_than_detection_remembers(hall) -> None:
    for _ in range(MAX_OVERLAYS):
        await hall.call(hall.silences.CreateSilence, silencing())
    refused = await hall.refused(hall.silences.CreateSilence, silencing())
    assert refused.said == ("FAILED_PRECONDITION", "TOO_MANY_IN_FORCE", [])


# --- maintenance


async def test_work_covers_what_depends_on_it_each_asset_once(hall, agent) -> None:
    await agent.report(AssetObserved("vm-1", "vm"), AssetLinked("vm-1", "runs_on", "rack-1"))
    request = working(assets=["assets/crac-1", "assets/rack-1"], with_dependents=True)
    work = await hall.call(hall.maintenances.ScheduleMaintenance, request)
    assert list(work.assets) == ["assets/crac-1", "assets/rack-1", "assets/rack-2", "assets/vm-1"]
    alone = await hall.call(hall.maintenances.ScheduleMaintenance, working())
    assert list(alone.assets) == ["assets/crac-1"]


async def test_alerts_during_work_bother_nobody_until_it_is_ended(hall, lose) -> None:
    request = working(with_dependents=True)
    work = [await hall.call(hall.maintenances.ScheduleMaintenance, request) for _ in range(2)]
    assert work[0].name == work[1].name
    (alert,) = await lose("rack-1", count=1)
    assert f"maintenances/{alert.suppressed_by}" == work[0].name
    assert [each.name for each in await maintenances(hall)] == [work[0].name]
    end = maintenances_pb2.EndMaintenanceRequest(name=work[0].name, reason="done")
    await hall.call(hall.maintenances.EndMaintenance, end)
    assert await maintenances(hall) == []
    assert [alert.suppressed_by for alert in await lose("rack-2", count=2) if alert.asset.endswith("2")] == [
        ""
    ]
    (event,) = await hall.events("MaintenanceEnded")
    assert (event.actor, json.loads(event.data_json)["reason"]) == ("user/ada", "done")
    refused = await hall.refused(hall.maintenances.EndMaintenance, end)
    assert refused.code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"assets": []}, ("INVALID_ARGUMENT", ["assets"])),
        ({"assets": ["crac-1"]}, ("INVALID_ARGUMENT", ["assets"])),
        ({"assets": ["assets/ghost"]}, ("NOT_FOUND", [])),
        ({"duration": None}, ("INVALID_ARGUMENT", ["duration"])),
        ({"reason": ""}, ("INVALID_ARGUMENT", ["reason"])),
    ],
)
async def test_wrong_work_is_refused(hall, change, said) -> None:
    refused = await hall.refused(hall.maintenances.ScheduleMaintenance, working(**change))
    assert (refused.code.name, refused.fields) == said
    assert await hall.events("MaintenanceScheduled") == []


async def test_work_to_validate_tells_what_it_would_cover(hall) -> None:
    told = await hall.call(
        hall.maintenances.ScheduleMaintenance, working(with_dependents=True, validate_only=True)
    )
    assert (told.name, len(told.assets)) == ("", 3)
    assert await hall.events("MaintenanceScheduled") == []


# --- the detector


async def test_the_detector_tells_its_configuration_and_what_it_holds(hall, lose) -> None:
    silence = await hall.call(hall.silences.CreateSilence, silencing())
    work = await hall.call(hall.maintenances.ScheduleMaintenance, working(assets=["assets/row-a"]))
    alerts = await lose("rack-1", "rack-2", count=2)
    told = await hall.call(hall.detectors.GetDetector, detectors_pb2.GetDetectorRequest())
    config = json.loads(told.configuration_json)
    assert (config["novelty_warn_score"], config["raise_count"]) == (0.08, 3)
    assert told.versions == config["versions"]
    (event,) = await hall.events("DetectorConfigured")
    assert told.configured_position == event.position
    assert {each.alert for each in told.held} == {alert.name for alert in alerts}
    assert list(told.suppressed_alerts) == [a.name for a in alerts if a.suppressed_by]
    assert [each.name for each in told.silences] == [silence.name]
    assert [each.name for each in told.maintenances] == [work.name]
    assert told.series_count == 3


async def test_the_detector_is_told_as_it_was_and_not_before_it_was_configured(hall, lose) -> None:
    (event,) = await hall.events("DetectorConfigured")
    await lose("rack-1", count=1)
    request = detectors_pb2.GetDetectorRequest
    then = request(moment=common_pb2.Moment(as_of_revision=event.position))
    told = await hall.call(hall.detectors.GetDetector, then)
    assert (list(told.held), told.series_count) == ([], 0)
    before = request(moment=common_pb2.Moment(as_of_time=Timestamp(seconds=1)))
    assert (await hall.refused(hall.detectors.GetDetector, before)).code is grpc.StatusCode.NOT_FOUND
