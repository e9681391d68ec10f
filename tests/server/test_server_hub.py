"""Commands find the agent of an asset, and a lost answer is asked for again, not acted on again."""

import asyncio
import json
import uuid

import pytest

from coldaisle.core.actions import ActionRequest, ActionResult
from coldaisle.server.hub import AgentHub, AgentLink
from coldaisle.v1 import agent_pb2, playbooks_pb2

DONE = agent_pb2.CommandResult.OUTCOME_DONE
NOT_DONE = agent_pb2.CommandResult.OUTCOME_NOT_DONE


def hub_of(is_wanted=lambda _: True, **settings) -> AgentHub:
    return AgentHub(is_wanted, **settings)


def link_to(*assets: str, agent: str = "hall-1") -> AgentLink:
    return AgentLink(agent_pb2.Hello(agent=agent, assets=assets), "peer", 0)


def request(verb="perform", timeout_seconds=30.0) -> ActionRequest:
    return ActionRequest("r-1/s", verb, "snmp.set", "crac-1", {"value": 14}, timeout_seconds)


async def command_to(link: AgentLink) -> agent_pb2.Command:
    async with asyncio.timeout(10):
        return (await link.next_message()).command


async def carrying(hub: AgentHub, asked: ActionRequest, script) -> ActionResult:
    """What becomes of a request while the script plays the agents."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        result = group.create_task(hub.carry_out(asked))
        group.create_task(script())
    return result.result()


def answer(command: agent_pb2.Command, outcome=DONE, **more) -> agent_pb2.CommandResult:
    return agent_pb2.CommandResult(command_id=command.command_id, verb=command.verb, outcome=outcome, **more)


async def test_a_command_goes_to_the_agent_that_reaches_the_asset() -> None:
    hub, right, other = hub_of(), link_to("crac-1"), link_to("crac-2", agent="hall-2")
    hub.join(other)
    hub.join(right)

    async def agents() -> None:
        command = await command_to(right)
        assert (command.verb, command.action, json.loads(command.arguments)) == (
            "perform", "snmp.set", {"value": 14},
        )  # fmt: skip
        right.answered(answer(command, observed=b'{"value":14}', undo=b'{"value":18}'))

    result = await carrying(hub, request(), agents)
    assert result == ActionResult("done", "", {"value": 14}, {"value": 18})
    assert other.outbox.empty()


async def test_a_cut_before_the_answer_leads_to_a_probe_and_no_second_action() -> None:
    hub, before, after = hub_of(), link_to("crac-1"), link_to("crac-1")
    hub.join(before)

    async def agents() -> None:
        await command_to(before)
        hub.leave(before)
        hub.join(after)
        command = await command_to(after)
        assert command.verb == "probe"
        after.answered(answer(command))

    assert (await carrying(hub, request(), agents)).outcome == "done"
    assert after.outbox.empty()


async def test_what_the_probe_did_not_find_done_is_performed_again() -> None:
    hub, before, after = hub_of(), link_to("crac-1"), link_to("crac-1")
    hub.join(before)

    async def agents() -> None:
        await command_to(before)
        hub.join(after)  # the newer stream ends the older
        after.answered(answer(await command_to(after), NOT_DONE))
        again = await command_to(after)
        assert again.verb == "perform"
        after.answered(answer(again))

    assert (await carrying(hub, request(), agents)).outcome == "done"


async def test_without_an_agent_nothing_was_done_and_a_probe_knows_nothing() -> None:
    hub = hub_of(agent_wait_seconds=0.01)
    result = await hub.carry_out(request())
    assert result.outcome == "not_done"
    assert "no connected agent reaches crac-1" in result.reason
    assert (await hub.carry_out(request("probe"))).outcome == "unknown"


async def test_the_wait_for_an_agent_ends_before_the_actions_own_time_does() -> None:
    async with asyncio.timeout(0.5):
        result = await hub_of().carry_out(request(timeout_seconds=0.5))
    assert result.outcome == "not_done"


async def test_an_agent_that_does_not_come_back_leaves_the_outcome_unknown() -> None:
    hub, link = hub_of(agent_wait_seconds=0.01), link_to("crac-1")
    hub.join(link)

    async def agents() -> None:
        await command_to(link)
        hub.leave(link)

    assert (await carrying(hub, request(), agents)).outcome == "unknown"


async def test_an_agent_that_connects_in_time_gets_the_command() -> None:
    hub, link = hub_of(), link_to("crac-1")

    async def agents() -> None:
        hub.join(link_to("crac-2", agent="hall-2"))
        hub.join(link)
        link.answered(answer(await command_to(link), NOT_DONE, reason="read-only"))

    assert await carrying(hub, request(), agents) == ActionResult("not_done", "read-only")


@pytest.mark.parametrize(
    "sent",
    [
        {"outcome": DONE, "observed": b"{"},
        {"outcome": DONE, "undo": b"[1]"},
        {"outcome": DONE, "observed": b"\xff"},
        {"outcome": agent_pb2.CommandResult.OUTCOME_UNSPECIFIED},
        {"outcome": 77},
    ],
)
async def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(sent) -> None:
    hub, link = hub_of(), link_to("crac-1")
    hub.join(link)

    async def agents() -> None:
        link.answered(answer(await command_to(link), **sent))

    assert (await carrying(hub, request(), agents)).outcome == "unknown"


async def test_a_late_answer_is_passed_over() -> None:
    link_to("crac-1").answered(agent_pb2.CommandResult(command_id="r-9/s", outcome=DONE))


async def test_a_performs_late_answer_is_not_that_of_the_probe_after_it() -> None:
    """Else the probe's would then be that of the second perform, and fail what is done a moment later."""
    hub, link = hub_of(), link_to("crac-1")
    hub.join(link)
    first = asyncio.create_task(hub.carry_out(request()))
    late = await command_to(link)
    first.cancel()  # the runner waited for long enough

    async def agents() -> None:
        probe = await command_to(link)
        link.answered(answer(late, NOT_DONE, reason="no answer in time"))
        link.answered(answer(probe, reason="it holds"))

    assert (await carrying(hub, request("probe"), agents)).reason == "it holds"


async def test_a_command_that_was_given_up_before_it_was_sent_is_not_sent_any_more() -> None:
    """The agent took nothing for a while: it must not act once nobody waits for it."""
    hub, link = hub_of(), link_to("crac-1")
    hub.join(link)
    asking = asyncio.create_task(hub.carry_out(request()))
    waiting = await link.outbox.get()
    asking.cancel()
    await asyncio.wait([asking])
    await link.outbox.put(waiting)
    await link.outbox.put(agent_pb2.ConnectResponse(ack=agent_pb2.BatchAck(batch_id=7)))
    async with asyncio.timeout(10):
        assert (await link.next_message()).ack.batch_id == 7


async def test_an_agent_is_given_less_time_than_is_left_so_that_its_answer_is_heard() -> None:
    hub, before, after = hub_of(), link_to("crac-1"), link_to("crac-1")
    hub.join(before)
    given: list[float] = []

    async def agents() -> None:
        given.append((await command_to(before)).timeout_seconds)
        hub.join(after)
        command = await command_to(after)
        given.append(command.timeout_seconds)
        after.answered(answer(command))

    assert (await carrying(hub, request(timeout_seconds=10.0), agents)).outcome == "done"
    assert 9 > given[0] > given[1] > 0


async def test_what_is_not_wanted_any_more_when_its_agent_is_back_is_not_performed_again() -> None:
    wanted = [True]
    hub, before, after = hub_of(lambda _: wanted[0]), link_to("crac-1"), link_to("crac-1")
    hub.join(before)

    async def agents() -> None:
        await command_to(before)
        wanted[0] = False
        hub.join(after)
        after.answered(answer(await command_to(after), NOT_DONE))

    assert (await carrying(hub, request(), agents)).outcome == "not_done"
    assert after.outbox.empty()


async def test_a_run_that_is_cancelled_while_it_waits_for_its_agent_does_nothing(
    api, agent_of, plant
) -> None:
    reporting = agent_of(api, "hall-2")
    await reporting.hello()
    await reporting.report(*plant)
    asked = playbooks_pb2.RunPlaybookRequest(
        playbook="playbooks/boost-cooling", parameters_json='{"asset":"rack-1"}', reason="warm"
    )
    run = await api.call(api.playbooks.RunPlaybook, asked)
    approval = playbooks_pb2.ApproveRunRequest(name=run.name, plan_hash=run.plan.hash)
    await api.call(api.playbooks.ApproveRun, approval)
    await api.event("StepStarted")
    await api.call(api.playbooks.CancelRun, playbooks_pb2.CancelRunRequest(name=run.name, reason="not now"))
    late = agent_of(api, assets=["crac-1"])
    await late.hello()
    (event,) = await api.event("StepFailed")
    assert "ended before this was sent" in json.loads(event.data_json)["reason"]
    for one in (reporting, late):
        one.cut()


@pytest.mark.parametrize(
    "odd",
    [
        {"observed": b'{"value": 18446744073709551616}'},
        {"undo": b'{"value": 1' + b"0" * 4_000 + b"}"},
        {"observed": b'{"value": "' + b"x" * (1 << 20) + b'"}'},
        {"outcome": NOT_DONE, "reason": "x" * (1 << 20)},
    ],
)
async def test_an_answer_that_cannot_be_kept_ends_its_run_and_nothing_else(api, agent, plant, odd) -> None:
    await agent.report(*plant)
    asked = playbooks_pb2.RunPlaybookRequest(
        playbook="playbooks/boost-cooling", parameters_json='{"asset":"rack-1"}', reason="warm"
    )
    run = await api.call(api.playbooks.RunPlaybook, asked)
    approval = playbooks_pb2.ApproveRunRequest(name=run.name, plan_hash=run.plan.hash)
    await api.call(api.playbooks.ApproveRun, approval)
    for _ in range(1 if "reason" in odd else 2):  # what cannot be read is probed
        await agent.write(result=answer((await agent.read()).command, **odd))
    await api.event("RunFailed")


async def test_an_approved_run_acts_through_the_agents_stream_over_a_cut(api, agent, agent_of, plant) -> None:
    await agent.report(*plant)
    asked = playbooks_pb2.RunPlaybookRequest(
        playbook="playbooks/boost-cooling", parameters_json='{"asset":"rack-1"}', reason="warm",
        request_id=str(uuid.uuid4()),
    )  # fmt: skip
    run = await api.call(api.playbooks.RunPlaybook, asked)
    approval = playbooks_pb2.ApproveRunRequest(name=run.name, plan_hash=run.plan.hash)
    await api.call(api.playbooks.ApproveRun, approval)
    assert (await agent.read()).command.verb == "perform"
    agent.cut()
    await api.event("AgentDisconnected")
    again = agent_of(api, assets=["crac-1"])
    await again.hello()
    command = (await again.read()).command
    assert command.verb == "probe"
    await again.write(result=answer(command, observed=b'{"value":14}', undo=b'{"value":18}'))
    (event, *_) = await api.event("StepSucceeded")
    assert json.loads(event.data_json)["undo"] == {"value": 18}
    again.cut()
