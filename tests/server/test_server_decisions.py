"""What people decide: alerts, runs, each request once, and refusals that say why."""

import json
import uuid

import grpc
import pytest

from coldaisle.v1 import alerts_pb2, common_pb2, playbooks_pb2

RunState = playbooks_pb2.Run


@pytest.fixture
async def hall(api, agent, plant):
    """A server that knows the hall."""
    await agent.report(*plant)
    return api


@pytest.fixture
async def alerts(hall, agent, losing):
    """A server with three open alerts, oldest first, by name."""
    await agent.report(*(losing(asset) for asset in ("crac-1", "rack-1", "rack-2")))
    opened = await hall.event("AlertOpened", count=3)
    return [f"alerts/{json.loads(event.data_json)['alert']}" for event in opened]


def asking(**changes) -> playbooks_pb2.RunPlaybookRequest:
    given = {
        "playbook": "playbooks/boost-cooling", "parameters_json": '{"asset":"rack-1"}', "reason": "warm",
        "request_id": str(uuid.uuid4()),
    }  # fmt: skip
    return playbooks_pb2.RunPlaybookRequest(**(given | changes))


async def propose(api, **changes) -> playbooks_pb2.Run:
    return await api.call(api.playbooks.RunPlaybook, asking(**changes))


async def test_a_reason_that_is_no_remark_is_refused(hall) -> None:
    """The twin keeps the reasons of a thousand runs: a megabyte each would be a gigabyte."""
    long = "x" * 2_001
    assert (await hall.refused(hall.playbooks.RunPlaybook, asking(reason=long))).fields == ["reason"]
    run = await propose(hall)
    for method, request, field in [
        (
            hall.playbooks.ApproveRun,
            playbooks_pb2.ApproveRunRequest(plan_hash=run.plan.hash, note=long),
            "note",
        ),
        (hall.playbooks.RejectRun, playbooks_pb2.RejectRunRequest(reason=long), "reason"),
        (hall.playbooks.CancelRun, playbooks_pb2.CancelRunRequest(reason=long), "reason"),
    ]:
        request.name = run.name
        assert (await hall.refused(method, request)).fields == [field]


async def test_a_cancel_under_the_approvals_request_id_is_refused(hall) -> None:
    """Answered as the approval was, it would pass for a cancel, and the run would go on."""
    run, used = await propose(hall), str(uuid.uuid4())
    approval = playbooks_pb2.ApproveRunRequest(name=run.name, plan_hash=run.plan.hash, request_id=used)
    await hall.call(hall.playbooks.ApproveRun, approval)
    cancel = playbooks_pb2.CancelRunRequest(name=run.name, reason="not now", request_id=used)
    assert (await hall.refused(hall.playbooks.CancelRun, cancel)).fields == ["request_id"]


async def list_alerts(api, **request) -> alerts_pb2.ListAlertsResponse:
    return await api.call(api.alerts.ListAlerts, alerts_pb2.ListAlertsRequest(**request))


async def list_runs(api, **request) -> playbooks_pb2.ListRunsResponse:
    return await api.call(api.playbooks.ListRuns, playbooks_pb2.ListRunsRequest(**request))


# --- alerts


async def test_an_alert_is_told_with_its_evidence(hall, alerts) -> None:
    alert = await hall.call(hall.alerts.GetAlert, alerts_pb2.GetAlertRequest(name=alerts[0]))
    assert (alert.asset, alert.kind, alert.state) == ("assets/crac-1", "unreachable", alert.STATE_OPEN)
    assert alert.severity == alert.SEVERITY_WARN
    assert json.loads(alert.evidence_json)["reference"] == "agent hall-1 polls 192.0.2.1"
    assert not alert.acknowledged


async def test_alerts_are_paged_newest_first_each_once_while_others_open(hall, agent, alerts, losing) -> None:
    page = await list_alerts(hall, page_size=2)
    assert (page.total_size, [each.name for each in page.alerts]) == (3, [alerts[2], alerts[1]])
    await agent.report(losing("row-a"))
    await hall.event("AlertOpened", count=4)
    rest = await list_alerts(hall, page_size=2, page_token=page.next_page_token)
    assert [each.name for each in rest.alerts] == [alerts[0]]
    assert rest.next_page_token == ""


@pytest.mark.parametrize(
    ("text", "count"),
    [("state=open", 3), ("state=cleared", 0), ("asset~rack", 2), ("kind=unreachable severity=page", 0)],
)
async def test_alerts_are_filtered(hall, alerts, text, count) -> None:
    assert (await list_alerts(hall, filter=text)).total_size == count


async def test_alerts_are_told_as_they_were(hall, alerts) -> None:
    opened = await hall.events("AlertOpened")
    moment = common_pb2.Moment(as_of_revision=opened[1].position)
    assert (await list_alerts(hall, moment=moment)).total_size == 2
    request = alerts_pb2.GetAlertRequest(name=alerts[2], moment=moment)
    assert (await hall.refused(hall.alerts.GetAlert, request)).code is grpc.StatusCode.NOT_FOUND


async def test_wrong_alert_requests_are_refused(hall) -> None:
    get, listing, note = hall.alerts.GetAlert, hall.alerts.ListAlerts, hall.alerts.AcknowledgeAlert
    for method, request, said in (
        (get, alerts_pb2.GetAlertRequest(name="a-1"), ("INVALID_ARGUMENT", ["name"])),
        (get, alerts_pb2.GetAlertRequest(name="alerts/a-1"), ("NOT_FOUND", [])),
        (note, alerts_pb2.AcknowledgeAlertRequest(name="alerts/a-1"), ("NOT_FOUND", [])),
        (listing, alerts_pb2.ListAlertsRequest(page_size=-1), ("INVALID_ARGUMENT", ["page_size"])),
        (listing, alerts_pb2.ListAlertsRequest(page_token="7"), ("INVALID_ARGUMENT", ["page_token"])),
        (listing, alerts_pb2.ListAlertsRequest(filter="open"), ("INVALID_ARGUMENT", ["filter"])),
    ):
        refused = await hall.refused(method, request)
        assert (refused.code.name, refused.fields) == said


async def test_an_acknowledgement_is_recorded_once_by_its_user(hall, alerts) -> None:
    request = alerts_pb2.AcknowledgeAlertRequest(
        name=alerts[0], note="on my way", request_id=str(uuid.uuid4())
    )
    for _ in range(3):
        assert (await hall.call(hall.alerts.AcknowledgeAlert, request)).acknowledged
    (event,) = await hall.events("AlertAcknowledged")
    assert (event.actor, json.loads(event.data_json)["note"]) == ("user/ada", "on my way")


async def test_an_acknowledgement_to_validate_records_nothing(hall, alerts) -> None:
    request = alerts_pb2.AcknowledgeAlertRequest(name=alerts[0], validate_only=True)
    assert not (await hall.call(hall.alerts.AcknowledgeAlert, request)).acknowledged
    assert await hall.events("AlertAcknowledged") == []


async def test_a_request_id_serves_one_request_and_is_a_uuid(hall, alerts) -> None:
    given = str(uuid.uuid4())
    note = hall.alerts.AcknowledgeAlert
    await hall.call(note, alerts_pb2.AcknowledgeAlertRequest(name=alerts[0], request_id=given))
    other = alerts_pb2.AcknowledgeAlertRequest(name=alerts[1], request_id=given)
    assert (await hall.refused(note, other)).said == ("ALREADY_EXISTS", "DUPLICATE_EVENT", [])
    wrong = alerts_pb2.AcknowledgeAlertRequest(name=alerts[0], request_id="once")
    assert (await hall.refused(note, wrong)).fields == ["request_id"]


# --- playbooks and proposals


async def test_playbooks_are_listed_in_pages_and_told(api) -> None:
    first = await api.call(api.playbooks.ListPlaybooks, playbooks_pb2.ListPlaybooksRequest(page_size=2))
    rest = await api.call(
        api.playbooks.ListPlaybooks,
        playbooks_pb2.ListPlaybooksRequest(page_size=2, page_token=first.next_page_token),
    )
    assert [each.name for each in (*first.playbooks, *rest.playbooks)] == [
        "playbooks/boost-cooling", "playbooks/notify-oncall", "playbooks/power-cycle-outlet",
    ]  # fmt: skip
    request = playbooks_pb2.GetPlaybookRequest(name="playbooks/boost-cooling")
    told = await api.call(api.playbooks.GetPlaybook, request)
    assert told == first.playbooks[0]
    assert [(each.name, each.required, each.default_json) for each in told.parameters] == [
        ("asset", True, ""), ("setpoint_celsius", False, "14"),
    ]  # fmt: skip


async def test_a_proposal_waits_with_its_plan(hall) -> None:
    run = await propose(hall)
    assert (run.state, run.reason) == (RunState.STATE_PROPOSED, "warm")
    assert [(step.action, step.asset) for step in run.plan.steps] == [
        ("snmp.set", "assets/crac-1"), ("notify", ""),
    ] or [(step.action, step.asset) for step in run.plan.steps] == [
        ("snmp.set", "crac-1"), ("notify", ""),
    ]  # fmt: skip
    assert "inlet_temperature_celsius of rack-1 below 26.5" in run.plan.verification
    assert [step.state for step in run.steps] == ["waiting", "waiting"]


async def test_a_repeated_proposal_is_one_run(hall) -> None:
    given = str(uuid.uuid4())
    runs = [await propose(hall, request_id=given) for _ in range(3)]
    assert len({run.name for run in runs}) == 1
    assert len({run.plan.hash for run in runs}) == 1
    assert len(await hall.events("RunProposed")) == 1


async def test_a_proposal_to_validate_answers_the_plan_and_records_nothing(hall) -> None:
    run = await propose(hall, validate_only=True)
    assert (run.name, len(run.plan.steps), run.reason) == ("", 2, "warm")
    assert await hall.events("RunProposed") == []


@pytest.mark.parametrize("validate_only", [False, True])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"playbook": "boost-cooling"}, ("INVALID_ARGUMENT", "INVALID_REQUEST", ["playbook"])),
        ({"playbook": "playbooks/none"}, ("NOT_FOUND", "NOT_FOUND", [])),
        ({"parameters_json": "{"}, ("INVALID_ARGUMENT", "INVALID_REQUEST", ["parameters_json"])),
        ({"parameters_json": "{}"}, ("INVALID_ARGUMENT", "INVALID_PARAMETER", [])),
        ({"parameters_json": '{"asset":"ghost"}'}, ("INVALID_ARGUMENT", "INVALID_PARAMETER", [])),
        ({"reason": " "}, ("INVALID_ARGUMENT", "INVALID_DECISION", [])),
        ({"request_id": "x"}, ("INVALID_ARGUMENT", "INVALID_REQUEST", ["request_id"])),
    ],
)
async def test_a_wrong_proposal_is_refused_also_when_only_validated(
    hall, change, said, validate_only
) -> None:
    request = asking(**change, validate_only=validate_only)
    assert (await hall.refused(hall.playbooks.RunPlaybook, request)).said == said
    assert await hall.events("RunProposed") == []


# --- decisions


def approval(run: playbooks_pb2.Run, **changes) -> playbooks_pb2.ApproveRunRequest:
    given = {"name": run.name, "plan_hash": run.plan.hash, "request_id": str(uuid.uuid4())}
    return playbooks_pb2.ApproveRunRequest(**(given | changes))


async def notice(api) -> playbooks_pb2.Run:
    """A proposed run that the server alone can carry out."""
    return await propose(
        api, playbook="playbooks/notify-oncall", parameters_json='{"asset":"rack-1","message":"look"}'
    )


async def test_an_approved_run_runs_to_its_end_and_a_watcher_sees_it(hall) -> None:
    run = await notice(hall)
    watch = hall.watch(hall.playbooks.WatchRun, playbooks_pb2.WatchRunRequest(name=run.name))
    answers = aiter(watch)
    assert (await anext(answers)).run.state == RunState.STATE_PROPOSED
    await hall.call(hall.playbooks.ApproveRun, approval(run))
    seen = [(answer.run.state, answer.revision) async for answer in answers]
    assert seen[-1][0] == RunState.STATE_SUCCEEDED
    revisions = [revision for _, revision in seen]
    assert revisions == sorted(set(revisions))
    told = await hall.call(hall.playbooks.GetRun, playbooks_pb2.GetRunRequest(name=run.name))
    assert (told.approver, [step.state for step in told.steps]) == ("user/ada", ["succeeded"])
    ended = hall.watch(hall.playbooks.WatchRun, playbooks_pb2.WatchRunRequest(name=run.name))
    assert [answer.run.state async for answer in ended] == [RunState.STATE_SUCCEEDED]


async def test_the_events_of_a_run_hang_together(hall) -> None:
    run = await notice(hall)
    await hall.call(hall.playbooks.ApproveRun, approval(run))
    await hall.event("RunSucceeded")
    chain = await hall.events("RunProposed", "RunApproved", "StepStarted", "StepSucceeded", "RunSucceeded")
    assert len(chain) == 5
    assert len({event.correlation_id for event in chain}) == 1


async def test_a_repeated_approval_answers_and_counts_once_another_one_is_too_late(hall) -> None:
    run = await notice(hall)
    request = approval(run)
    for _ in range(3):
        answered = await hall.call(hall.playbooks.ApproveRun, request)
        assert answered.approver == "user/ada"
    assert len(await hall.events("RunApproved")) == 1
    refused = await hall.refused(hall.playbooks.ApproveRun, approval(run))
    assert refused.said == ("FAILED_PRECONDITION", "WRONG_STATE", [])


async def test_a_run_says_which_one_on_the_same_device_it_waits_for(hall, agent) -> None:
    """No answer comes from the agent, so the first one stays under way."""
    first, second = await propose(hall), await propose(hall)
    await hall.call(hall.playbooks.ApproveRun, approval(first))
    approved = await hall.call(hall.playbooks.ApproveRun, approval(second))
    assert (approved.state, approved.waits_for) == (RunState.STATE_APPROVED, first.name)
    (waiting,) = (await list_runs(hall, filter="state=approved")).runs
    assert (waiting.name, waiting.waits_for) == (second.name, first.name)
    cancel = playbooks_pb2.CancelRunRequest(name=second.name, reason="the first may do")
    assert (await hall.call(hall.playbooks.CancelRun, cancel)).waits_for == ""


async def test_an_approval_of_another_plan_is_stale(hall) -> None:
    run = await notice(hall)
    refused = await hall.refused(hall.playbooks.ApproveRun, approval(run, plan_hash="0" * 64))
    assert refused.said == ("FAILED_PRECONDITION", "STALE_PLAN", [])
    refused = await hall.refused(hall.playbooks.ApproveRun, approval(run, plan_hash=""))
    assert refused.said == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["plan_hash"])


async def test_a_decision_to_validate_records_nothing(hall) -> None:
    run = await notice(hall)
    answered = await hall.call(hall.playbooks.ApproveRun, approval(run, validate_only=True))
    assert answered.state == RunState.STATE_PROPOSED
    reject = playbooks_pb2.RejectRunRequest(name=run.name, reason="no", validate_only=True)
    await hall.call(hall.playbooks.RejectRun, reject)
    cancel = playbooks_pb2.CancelRunRequest(name=run.name, reason="no", validate_only=True)
    await hall.call(hall.playbooks.CancelRun, cancel)
    assert await hall.events("RunApproved", "RunRejected", "RunCancelled") == []


@pytest.mark.parametrize("verb", ["Reject", "Cancel"])
async def test_a_refusal_needs_a_reason_and_ends_the_run(hall, verb) -> None:
    run = await notice(hall)
    method = getattr(hall.playbooks, f"{verb}Run")
    request = getattr(playbooks_pb2, f"{verb}RunRequest")
    refused = await hall.refused(method, request(name=run.name))
    assert refused.said == ("INVALID_ARGUMENT", "INVALID_DECISION", [])
    ended = await hall.call(method, request(name=run.name, reason="not now"))
    state = RunState.STATE_REJECTED if verb == "Reject" else RunState.STATE_CANCELLED
    assert (ended.state, ended.outcome) == (state, "not now")
    again = await hall.refused(method, request(name=run.name, reason="not now"))
    assert again.said == ("FAILED_PRECONDITION", "WRONG_STATE", [])


async def test_runs_are_listed_newest_first_filtered_and_as_they_were(hall) -> None:
    runs = [await notice(hall), await propose(hall), await notice(hall)]
    page = await list_runs(hall, page_size=2)
    rest = await list_runs(hall, page_size=2, page_token=page.next_page_token)
    assert [run.name for run in (*page.runs, *rest.runs)] == [run.name for run in reversed(runs)]
    assert (await list_runs(hall, filter="playbook=boost-cooling state=proposed")).total_size == 1
    moment = common_pb2.Moment(as_of_revision=runs[1].proposed_position)
    assert (await list_runs(hall, moment=moment)).total_size == 2
    early = playbooks_pb2.GetRunRequest(name=runs[2].name, moment=moment)
    assert (await hall.refused(hall.playbooks.GetRun, early)).reason == "NOT_FOUND"


@pytest.mark.parametrize("verb", ["GetRun", "ApproveRun", "RejectRun", "CancelRun"])
async def test_a_wrong_or_unknown_run_is_named(api, verb) -> None:
    method, request = getattr(api.playbooks, verb), getattr(playbooks_pb2, f"{verb}Request")
    more = {"plan_hash": "x"} if verb == "ApproveRun" else {}
    assert (await api.refused(method, request(name="r-1", **more))).fields == ["name"]
    assert (await api.refused(method, request(name="runs/r-1", **more))).reason == "NOT_FOUND"


async def test_wrong_lists_of_runs_and_playbooks_are_refused(api) -> None:
    for method, request, field in (
        (api.playbooks.ListRuns, playbooks_pb2.ListRunsRequest(filter="x"), "filter"),
        (api.playbooks.ListRuns, playbooks_pb2.ListRunsRequest(page_size=-1), "page_size"),
        (api.playbooks.ListRuns, playbooks_pb2.ListRunsRequest(page_token="x"), "page_token"),
        (api.playbooks.ListPlaybooks, playbooks_pb2.ListPlaybooksRequest(page_token="x"), "page_token"),
        (api.playbooks.GetPlaybook, playbooks_pb2.GetPlaybookRequest(name="boost-cooling"), "name"),
    ):
        assert (await api.refused(method, request)).fields == [field]
    watch = api.watch(api.playbooks.WatchRun, playbooks_pb2.WatchRunRequest(name="runs/r-1"))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await watch.read()
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
