"""A runner that dies at any append, and two runners at once: the devices and the history do not notice."""

import asyncio

import pytest

from coldaisle.core.events import types as t
from coldaisle.playbooks import cancel
from coldaisle.playbooks.moves import TAKEOVER_SECONDS

COOLERS = ["crac-1", "crac-2", "crac-10"]
APPENDS_OF_A_RUN = 8  # three steps started and settled, the verification begun, the run succeeded
SECOND = 1_000_000_000


async def _keep_cool(hall):
    await hall.until_state("verifying")
    await hall.show(25.0, 1, 6, 11)


async def _run_until_crash(hall):
    """The runner's process dies with the error that its store raised."""
    with pytest.raises(ExceptionGroup) as caught:
        await hall.runner().run()
    hall.store.crash_at = None
    assert type(caught.value.exceptions[0]).__name__ == "CrashError"


@pytest.mark.parametrize("after_disk", [False, True])
@pytest.mark.parametrize("crash_at", range(1, APPENDS_OF_A_RUN + 1))
async def test_a_run_survives_a_crash_at_any_append(hall, cool, crash_at, after_disk):
    hall.store.crash_at, hall.store.after_disk = crash_at, after_disk
    await hall.approve(cool)
    async with asyncio.TaskGroup() as group:
        group.create_task(_keep_cool(hall))
        await _run_until_crash(hall)
        async with hall.running():
            run = await hall.until_state("succeeded")
    assert sorted(hall.device.performed()) == sorted(COOLERS)
    assert hall.device.setpoints == dict.fromkeys(COOLERS, 14.0)
    assert [step.state for step in run.steps] == ["succeeded"] * 3
    events = await hall.events()
    assert events.count("StepSucceeded") == 3
    assert events.count("VerificationStarted") == events.count("RunSucceeded") == 1


@pytest.mark.parametrize("after_disk", [False, True])
@pytest.mark.parametrize("crash_at", range(8, 12))
async def test_undoing_survives_a_crash_at_any_append(hall, cool, crash_at, after_disk):
    hall.store.crash_at, hall.store.after_disk = crash_at, after_disk
    await hall.approve(cool)
    async with asyncio.TaskGroup() as group:
        group.create_task(_stay_warm(hall))
        await _run_until_crash(hall)
        async with hall.running():
            run = await hall.until_state("failed")
    assert set(hall.device.setpoints.values()) == {18.0}
    assert [step.state for step in run.steps] == ["undone"] * 3
    assert (await hall.events()).count("RunFailed") == 1


async def _stay_warm(hall):
    await hall.until_state("verifying")
    await hall.show(29.0, 1, 11)
    await hall.overdue()


async def test_a_crash_during_an_action_that_nobody_can_probe_ends_unknown(hall, cool):
    hall.store.crash_at = 2
    hall.device.blind = True
    await hall.approve(cool)
    await _run_until_crash(hall)
    async with hall.running():
        run = await hall.until_state("unknown")
    assert hall.device.performed() == ["crac-1"]
    assert "a person must look" in run.outcome


async def test_a_verification_resumed_after_its_time_judges_by_what_was_recorded(hall, cool):
    """Nobody watched while the rack cooled down; the samples are there all the same."""
    async with hall.running():
        await hall.approve(cool)
        await hall.until_state("verifying")
    await hall.show(25.0, 1, 11)
    await hall.show(40.0, 700)
    await hall.overdue()
    async with hall.running():
        await hall.until_state("succeeded")


@pytest.mark.parametrize(("held", "state"), [(14.0, "succeeded"), (18.0, "failed")])
async def test_a_cancelled_runs_step_under_way_is_looked_into_after_a_crash(hall, cool, held, state):
    """And not taken again, whatever the probe says."""
    begun = asyncio.Event()
    hall.device.modes["perform crac-1"] = "hang"
    hall.device.before = lambda request: begun.set()
    async with hall.running():
        run = await hall.approve(cool)
        await begun.wait()
    await hall.say(cancel(hall.live.current.runs[run.id], "wrong rack"), actor="anna")
    hall.device.setpoints["crac-1"] = held
    async with hall.running(), asyncio.timeout(20):
        run = await hall.until(lambda run: run.steps[0].state == state)
    assert run.state == "cancelled"
    assert [request.verb for request in hall.device.requests] == ["perform", "probe"]


async def test_a_step_left_open_is_left_to_who_started_it_while_that_may_be_alive(hall, cool):
    begun = asyncio.Event()
    hall.device.modes["perform crac-1"] = "hang"
    hall.device.before = lambda request: begun.set()
    async with hall.running("runner-1"):
        run = await hall.approve(cool)
        await begun.wait()
    await hall.say(cancel(hall.live.current.runs[run.id], "wrong rack"), actor="anna")
    async with hall.running("runner-2"), asyncio.timeout(20):
        await hall.say(t.SamplesRecorded("pdu-a", ("power_watts",), (1.0,)))
        assert len(hall.device.requests) == 1
        hall.clock.now += round((TAKEOVER_SECONDS + 1) * SECOND)
        await hall.say(t.SamplesRecorded("pdu-a", ("power_watts",), (1.0,)))
        await hall.until(lambda run: run.steps[0].state == "failed")


async def test_two_runners_at_once_act_once(hall, cool):
    async with hall.running("runner-1", "runner-2"):
        await hall.approve(cool)
        await _keep_cool(hall)
        await hall.until_state("succeeded")
    assert hall.device.performed() == COOLERS
    actors = {event.actor for event in (await hall.store.read_stream("run-r-1"))[2:]}
    assert len(actors) == 1


async def test_two_runners_of_one_name_start_each_step_once(hall, cool):
    """Even then the expected version lets one start through; the other probes and finds out."""
    async with hall.running("runner", "runner"):
        await hall.approve(cool)
        await hall.until_state("verifying")
    events = await hall.events()
    assert events.count("StepSucceeded") == 3


async def test_a_silent_runner_is_left_alone_until_it_is_overdue(hall, cool):
    hall.store.crash_at, hall.store.after_disk = 1, True
    await hall.approve(cool)
    await _run_until_crash(hall)
    async with hall.running("runner-2"):
        await hall.say(t.SamplesRecorded("pdu-a", ("power_watts",), (1.0,)))
        assert not hall.device.requests
        hall.clock.now += round((TAKEOVER_SECONDS + 1) * SECOND)
        await hall.say(t.SamplesRecorded("pdu-a", ("power_watts",), (1.0,)))
        await hall.until_state("verifying")
    assert hall.device.requests[0].verb == "probe"


async def test_a_run_ends_the_same_way_on_disk(cool, on_disk):
    async with on_disk.running():
        await on_disk.approve(cool)
        await _keep_cool(on_disk)
        await on_disk.until_state("succeeded")
    assert on_disk.device.performed() == COOLERS
    assert (await on_disk.events())[-1] == "RunSucceeded"
