"""The runner: what it records, what it does to devices, and that crashes change neither."""

import asyncio

import pytest

from coldaisle.core.events import types as t
from coldaisle.core.events.codec import decode
from coldaisle.core.twin import ENDED_RUN_STATES
from coldaisle.playbooks import approve, cancel, read_playbook
from coldaisle.playbooks.moves import MAX_ATTEMPTS

START = 1_700_000_000 * 1_000_000_000

COOLERS = ["crac-1", "crac-2", "crac-10"]

HAPPY = ["RunProposed", "RunApproved", *["StepStarted", "StepSucceeded"] * 3, "VerificationStarted"]

LEVER = """
playbook: lever
title: Set one and wait
parameters: {asset: {type: asset}}
steps:
  - {id: set, action: snmp.set, asset: crac-1, with: {value: 14}, timeout_seconds: 0.2}
  - id: seen
    action: wait_until
    asset: "${asset}"
    with: {metric: inlet_temperature_celsius, below: 26, within_seconds: 60}
"""


async def test_an_approved_run_acts_in_order_and_succeeds_by_telemetry(hall, cool):
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("verifying")
        await hall.show(25.0, 1, 6, 11)
        run = await hall.until_state("succeeded")
    assert hall.device.performed() == COOLERS
    assert hall.device.setpoints == dict.fromkeys(COOLERS, 14.0)
    assert await hall.events() == [*HAPPY, "RunSucceeded"]
    assert "below 26.5 for 10 s" in run.outcome


async def test_nothing_happens_before_approval(hall, cool):
    async with hall.running():
        await hall.propose(cool)
        await hall.approve(cool, "r-2")
        await hall.until_state("verifying", run="r-2")
    assert await hall.events() == ["RunProposed"]


async def test_events_of_a_run_are_tied_together(hall, cool):
    """Each is caused by the one before it, and all carry the correlation of the proposal."""
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("verifying")
    events = await hall.store.read_stream("run-r-1")
    by_runner = [event for event in events if event.actor == "runner"]
    assert {event.correlation_id for event in by_runner} == {events[0].id}
    assert [event.causation_id for event in events[2:]] == [event.id for event in events[1:-1]]


async def test_too_warm_samples_break_the_time_that_must_hold(hall, cool):
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("verifying")
        await hall.show(25.0, 1, 9)
        await hall.show(27.0, 10)
        await hall.show(25.0, 11, 15)
        await hall.overdue()
        run = await hall.until_state("failed")
    assert "held for 4 s together, 10 s are needed" in run.outcome


async def test_samples_from_before_the_verification_prove_nothing(hall, cool):
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("verifying")
        await hall.show(25.0, -20, -9, 0)
        await hall.overdue()
        run = await hall.until_state("failed")
    assert "no reading of inlet_temperature_celsius from rack-a01" in run.outcome


async def test_a_failed_verification_undoes_the_steps_last_first(hall, cool):
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("verifying")
        await hall.show(28.0, 1, 11)
        await hall.overdue()
        run = await hall.until_state("failed")
    undone = [request.asset for request in hall.device.requests if request.verb == "undo"]
    assert undone == COOLERS[::-1]
    assert set(hall.device.setpoints.values()) == {18.0}
    assert "not reached by rack-a01 (28)" in run.outcome
    last = decode((await hall.store.read_stream("run-r-1"))[-1])
    assert isinstance(last.body, t.RunFailed)
    assert last.body.verification_failed


async def test_a_refused_step_undoes_those_before_it(hall, cool):
    hall.device.modes["perform crac-10"] = "refuse"
    async with hall.running():
        await hall.approve(cool)
        run = await hall.until_state("failed")
    assert hall.device.setpoints == {"crac-1": 18.0, "crac-2": 18.0}
    assert "step lower.crac-10 failed: noAccess" in run.outcome
    assert "undone: lower.crac-1, lower.crac-2" in run.outcome


async def test_an_inverse_that_is_refused_is_said_and_the_others_are_tried(hall, cool):
    hall.device.modes |= {"perform crac-10": "refuse", "undo crac-2": "refuse"}
    async with hall.running():
        await hall.approve(cool)
        run = await hall.until_state("failed")
    assert hall.device.setpoints == {"crac-1": 18.0, "crac-2": 14.0}
    assert "lower.crac-2 failed: it was done, and could not be undone: noAccess" in run.outcome


async def test_what_somebody_else_set_since_is_not_undone(hall, cool):
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("verifying")
        hall.device.setpoints["crac-2"] = 12.0  # by hand
        await hall.show(28.0, 1, 11)
        await hall.overdue()
        run = await hall.until_state("failed")
    assert hall.device.setpoints == {"crac-1": 18.0, "crac-2": 12.0, "crac-10": 18.0}
    assert "lower.crac-2 failed: it was done, and changed since by somebody else" in run.outcome
    assert "the device shows 12" in run.outcome
    assert [step.state for step in run.steps] == ["undone", "failed", "undone"]


async def test_an_undo_whose_probe_gets_no_answer_is_tried_all_the_same(hall, cool):
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("verifying")
        hall.device.blind = True
        await hall.show(28.0, 1, 11)
        await hall.overdue()
        await hall.until_state("failed")
    assert set(hall.device.setpoints.values()) == {18.0}


@pytest.mark.parametrize("mode", ["hang", "break"])
async def test_an_unknown_outcome_that_a_probe_clears_up_goes_on(hall, cool, mode):
    """A hang did nothing, so it is tried again; a break had done it, so it is not."""
    hall.device.modes["perform crac-1"] = mode
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("verifying")
    assert hall.device.performed().count("crac-1") == (2 if mode == "hang" else 1)


async def test_a_run_that_waited_for_its_turn_starts_when_one_is_free(hall, monkeypatch):
    """Also when nothing happens any more that would have the runner look again."""
    monkeypatch.setattr("coldaisle.playbooks.runner.MAX_ACTIVE_RUNS", 1)
    lever = read_playbook(LEVER.partition("  - id: seen")[0], "lever.yaml")
    for run in ("r-1", "r-2", "r-3"):
        await hall.approve(lever, run)
    async with hall.running(), asyncio.timeout(20):
        for run in ("r-1", "r-2", "r-3"):
            await hall.until_state("succeeded", run=run)


@pytest.mark.parametrize("actors", [["runner"], ["runner-a", "runner-b"]])
async def test_of_runs_on_one_device_the_first_approved_acts_first_and_the_others_wait_for_its_end(
    hall, cool, actors
):
    """Else the second finds what the first has set, and goes back to that."""
    for run in ("r-1", "r-2", "r-3"):
        await hall.propose(cool, run)
    for run in ("r-3", "r-1", "r-2"):
        await hall.say(approve(hall.live.current.runs[run], hall.live.current.runs[run].plan.hash, START))
    async with hall.running(*actors), asyncio.timeout(20):
        for run in ("r-3", "r-1", "r-2"):
            verifying = await hall.until_state("verifying", run=run)
            states = {each.id: each.state for each in hall.live.current.runs.values()}
            assert list(states.values()).count("verifying") == 1
            assert all(request.id.startswith(run) for request in hall.device.requests[-3:])
            await hall.say(cancel(verifying, "next") if run == "r-1" else t.RunFailed(run, "by hand"))
    assert len(hall.device.performed()) == 3 * len(COOLERS)


async def test_runs_on_other_devices_do_not_wait(hall, cool):
    tell = read_playbook(
        "playbook: tell\ntitle: Tell\nparameters: {asset: {type: asset}}\n"
        "steps: [{id: tell, action: snmp.set, asset: pdu-a, with: {value: 1}}]",
        "tell.yaml",
    )
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("verifying")
        await hall.approve(tell, "r-2")
        await hall.until_state("succeeded", run="r-2")
    assert hall.live.current.runs["r-1"].state == "verifying"


async def test_a_run_that_waited_beyond_its_expiry_does_not_start(hall, cool):
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("verifying")
        await hall.approve(cool, "r-2")
        await hall.overdue()
        run = await hall.until_state("failed", run="r-2")
    assert run.outcome.startswith("the plan expired")
    assert not [request for request in hall.device.requests if request.id.startswith("r-2")]


async def test_a_run_whose_events_were_removed_is_looked_for_when_something_happens_and_not_all_the_time(
    hall, cool, monkeypatch
):
    """Retention may admit runs, and an operator may delete a stream."""
    await hall.approve(cool)
    await hall.store.delete_stream("run-r-1")
    looks: list[str] = []
    read = hall.store.read_stream

    def counted(stream, **given):
        looks.append(stream)
        return read(stream, **given)

    monkeypatch.setattr(hall.store, "read_stream", counted)
    before = await hall.store.head()
    async with hall.running(), asyncio.timeout(20):
        await hall.approve(cool, "r-2")
        await hall.until_state("verifying", run="r-2")
        for _ in range(500):  # turns of the event loop in which nothing happens
            await asyncio.sleep(0)
    assert looks.count("run-r-1") <= 1 + await hall.store.head() - before


async def test_an_outcome_that_nobody_knows_ends_the_run_and_is_not_repeated(hall, cool):
    hall.device.modes["perform crac-2"] = "break"
    hall.device.blind = True
    async with hall.running():
        await hall.approve(cool)
        run = await hall.until_state(*ENDED_RUN_STATES)
    assert run.state == "unknown"
    assert "a person must look" in run.outcome
    assert hall.device.performed() == ["crac-1", "crac-2"]
    assert not [request for request in hall.device.requests if request.verb == "undo"]


async def test_a_step_that_never_takes_effect_is_tried_a_bounded_number_of_times(hall, cool):
    def hang_again(request):
        hall.device.modes["perform crac-1"] = "hang"

    hall.device.before = hang_again
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("failed")
    assert hall.device.performed() == ["crac-1"] * MAX_ATTEMPTS


async def test_a_broken_action_does_not_stop_other_runs(hall, cool):
    hall.device.modes["perform crac-1"] = "break"
    hall.device.blind = True
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("unknown")
        await hall.approve(cool, "r-2")
        await hall.until_state("verifying", run="r-2")


async def test_a_cancelled_run_starts_no_further_step_and_keeps_the_outcome_of_the_one_under_way(hall, cool):
    performing, told = asyncio.Event(), asyncio.Event()
    carry_out = hall.device.carry_out

    async def slow(request):
        performing.set()
        await told.wait()
        return await carry_out(request)

    hall.device.carry_out = slow
    async with hall.running():
        await hall.approve(cool)
        await performing.wait()
        await hall.say(cancel(hall.live.current.runs["r-1"], "wrong rack"))
        told.set()
        run = await hall.until(lambda run: run.steps[0].state == "succeeded")
    assert run.state == "cancelled"
    assert hall.device.performed() == ["crac-1"]


async def test_a_run_can_be_cancelled_while_it_verifies(hall, cool):
    async with hall.running():
        await hall.approve(cool)
        run = await hall.until_state("verifying")
        await hall.say(cancel(run, "enough"))
        await hall.show(25.0, 1, 11)
        await hall.approve(cool, "r-2")
        await hall.until_state("verifying", run="r-2")
    assert (await hall.events())[-1] == "RunCancelled"


async def test_an_approval_that_expired_before_the_start_acts_on_nothing(hall, cool):
    await hall.approve(cool)
    hall.clock.now += 3_600 * 1_000_000_000
    async with hall.running():
        run = await hall.until_state("failed")
    assert "expired" in run.outcome
    assert not hall.device.requests


async def test_an_approval_of_another_plan_acts_on_nothing(hall, cool):
    await hall.propose(cool)
    await hall.say(t.RunApproved("r-1", "0" * 64))
    async with hall.running():
        run = await hall.until_state("failed")
    assert run.outcome.startswith("the approval is not of this plan")
    assert not hall.device.requests


async def test_wait_until_is_answered_by_telemetry(hall):
    async with hall.running():
        await hall.approve(read_playbook(LEVER))
        await hall.until(lambda run: run.steps[1].state == "started")
        await hall.say(t.SamplesRecorded("rack-a01", ("inlet_temperature_celsius",), (25.0,)))
        run = await hall.until_state("succeeded")
    assert run.step("seen").observed == {"rack-a01 inlet_temperature_celsius": 25.0}


async def test_wait_until_in_vain_fails_and_undoes(hall):
    async with hall.running():
        await hall.approve(read_playbook(LEVER))
        await hall.until(lambda run: run.steps[1].state == "started")
        await hall.overdue()
        run = await hall.until_state("failed")
    assert hall.device.setpoints == {"crac-1": 18.0}
    assert "step seen failed: no reading" in run.outcome
