"""Commands to actions to results."""

import asyncio
import json
import time

import pytest
from msgspec.structs import replace

from coldaisle.agent.act import Actions
from coldaisle.agent.clock import Clock
from coldaisle.core.actions import ActionRequest, ActionResult
from coldaisle.v1 import agent_pb2

DONE = agent_pb2.CommandResult.OUTCOME_DONE
NOT_DONE = agent_pb2.CommandResult.OUTCOME_NOT_DONE
UNKNOWN = agent_pb2.CommandResult.OUTCOME_UNKNOWN


class Bench:
    """An action that waits until it is let go, and the results that came out."""

    def __init__(self) -> None:
        self.results: asyncio.Queue[agent_pb2.CommandResult] = asyncio.Queue()
        self.begun: asyncio.Queue[ActionRequest] = asyncio.Queue()
        self.go = asyncio.Event()
        self.clock = Clock()
        carriers = {"snmp": self.carry_out, "odd": self.fail}
        self.actions = Actions(carriers, self.results.put, self.clock.age_seconds)

    async def carry_out(self, request: ActionRequest) -> ActionResult:
        await self.begun.put(request)
        await self.go.wait()
        return ActionResult("done", observed={"value": 21}, undo={"value": 24})

    async def fail(self, request: ActionRequest) -> ActionResult:
        raise ValueError("broken profile")


def command(id: str, asset: str = "crac-1", action: str = "snmp.set", **fields: object) -> agent_pb2.Command:
    made = agent_pb2.Command(
        command_id=id, verb="perform", action=action, asset=asset, arguments=b'{"value": 21}'
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


async def test_a_result_carries_what_was_read_back_and_its_inverse() -> None:
    bench = Bench()
    bench.go.set()
    async with bench.actions as actions:
        await actions.take(command("run-1/a"))
        result = await bench.results.get()
    assert (result.command_id, result.verb, result.outcome) == ("run-1/a", "perform", DONE)
    assert json.loads(result.observed) == {"value": 21}
    assert json.loads(result.undo) == {"value": 24}
    request = bench.begun.get_nowait()
    assert 0 < request.timeout_seconds <= 30
    assert replace(request, timeout_seconds=0.0) == ActionRequest(
        "run-1/a", "perform", "snmp.set", "crac-1", {"value": 21}, 0.0
    )


async def test_a_repetition_does_not_run_twice() -> None:
    bench = Bench()
    async with bench.actions as actions:
        await actions.take(command("run-1/a"))
        await bench.begun.get()
        await actions.take(command("run-1/a"))
        bench.go.set()
        await bench.results.get()
    assert bench.begun.empty()
    assert bench.results.empty()


async def test_one_asset_does_one_thing_at_a_time_and_others_do_not_wait() -> None:
    bench = Bench()
    async with bench.actions as actions:
        for id, asset in [("a", "crac-1"), ("b", "crac-1"), ("c", "crac-2")]:
            await actions.take(command(id, asset))
        begun = {(await bench.begun.get()).id, (await bench.begun.get()).id}
        assert begun == {"a", "c"}
        assert bench.begun.empty()
        bench.go.set()
        assert (await bench.begun.get()).id == "b"


@pytest.mark.parametrize(
    ("made", "outcome", "named"),
    [
        (command("a", action="redfish.reset"), NOT_DONE, "redfish.reset"),
        (command("a", verb="destroy"), NOT_DONE, "destroy"),
        (command("a", arguments=b"[1]"), NOT_DONE, "arguments"),
        (command("a", arguments=b"{"), NOT_DONE, "arguments"),
        (command("a", action="odd.thing"), UNKNOWN, "broken profile"),
    ],
)
async def test_what_cannot_be_done_is_answered(made: agent_pb2.Command, outcome: int, named: str) -> None:
    bench = Bench()
    async with bench.actions as actions:
        await actions.take(made)
        result = await bench.results.get()
    assert result.outcome == outcome
    assert named in result.reason


async def test_an_action_without_end_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldaisle.agent.act._GRACE_SECONDS", 0.0)
    bench = Bench()
    async with bench.actions as actions:
        await actions.take(command("a", timeout_seconds=0.05))
        assert (await bench.results.get()).outcome == UNKNOWN


async def test_a_command_whose_time_is_over_before_its_turn_is_not_carried_out() -> None:
    """The server has given it up by then; a device that acts after that acts behind everybody's back."""
    bench = Bench()
    async with bench.actions as actions:
        await actions.take(command("a"))
        await bench.begun.get()
        await actions.take(command("b", timeout_seconds=1e-6))
        await actions.take(command("b", verb="probe", timeout_seconds=1e-6))
        bench.go.set()
        results = [await bench.results.get() for _ in range(3)]
    assert [(result.command_id, result.outcome) for result in results] == [
        ("a", DONE), ("b", NOT_DONE), ("b", UNKNOWN),
    ]  # fmt: skip
    assert bench.begun.empty()


class Setpoint:
    """A unit that takes a set-point late: it still shows the former one when it is read back."""

    def __init__(self) -> None:
        self.value = 24

    async def carry_out(self, request: ActionRequest) -> ActionResult:
        before = self.value
        if request.verb == "probe":
            return ActionResult("done" if self.value == 21 else "not_done", observed={"value": before})
        self.value = 21
        outcome = "unknown" if before == 24 else "done"
        return ActionResult(outcome, observed={"value": before}, undo={"value": before})


async def test_the_way_back_outlives_a_lost_answer_and_a_second_attempt() -> None:
    """Without it, a verification that fails would leave the step in force."""
    results: asyncio.Queue[agent_pb2.CommandResult] = asyncio.Queue()
    async with Actions({"snmp": Setpoint().carry_out}, results.put, Clock().age_seconds) as actions:
        for verb in ("perform", "probe", "perform"):
            await actions.take(command("run-1/a", verb=verb))
            assert json.loads((await results.get()).undo) == {"value": 24}
        await actions.take(command("run-2/a", verb="probe"))
        assert (await results.get()).undo == b""


async def test_only_the_last_ways_back_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldaisle.agent.act._MAX_REMEMBERED_UNDOS", 2)
    bench = Bench()
    bench.go.set()
    async with bench.actions as actions:
        for number in range(3):
            await actions.take(command(f"run-{number}/a"))
            await bench.results.get()
    assert list(bench.actions._undos) == ["run-1/a", "run-2/a"]


async def test_a_command_that_lay_on_its_way_while_all_stood_still_is_not_carried_out() -> None:
    """The server's clock is an hour ahead; an answer that took long, as all stood still, tells nothing."""
    bench = Bench()
    bench.go.set()
    hour, second, now = 3_600 * 10**9, 10**9, time.time_ns()
    bench.clock.compare(now + hour, now, taken_seconds=0.1)
    bench.clock.compare(now, now, taken_seconds=100.0)
    async with bench.actions as actions:
        await actions.take(command("new", timeout_seconds=600, sent_unix_nano=now + hour))
        assert (await bench.results.get()).outcome == DONE
        await actions.take(command("old", timeout_seconds=5, sent_unix_nano=now + hour - 60 * second))
        result = await bench.results.get()
    assert (result.outcome, "given up since" in result.reason) == (NOT_DONE, True)
    assert [bench.begun.get_nowait().id, bench.begun.empty()] == ["new", True]


async def test_too_many_commands_are_refused_not_queued() -> None:
    bench = Bench()
    async with bench.actions as actions:
        for number in range(65):
            await actions.take(command(f"c{number}", asset=f"a{number}"))
        result = await bench.results.get()
        assert (result.command_id, result.outcome) == ("c64", NOT_DONE)
        bench.go.set()


async def test_a_probe_that_is_refused_says_nothing_about_the_device() -> None:
    """Were it "not done", the server would take the step again."""
    bench = Bench()
    async with bench.actions as actions:
        await actions.take(command("a", verb="probe", action="redfish.reset"))
        await actions.take(command("b", verb="probe", arguments=b"[1]"))
        assert [(await bench.results.get()).outcome for _ in range(2)] == [UNKNOWN] * 2
        for number in range(65):
            await actions.take(command(f"c{number}", asset=f"a{number}", verb="probe"))
        result = await bench.results.get()
        assert (result.command_id, result.outcome) == ("c64", UNKNOWN)
        bench.go.set()


async def test_the_end_cancels_what_runs() -> None:
    bench = Bench()
    async with bench.actions as actions:
        await actions.take(command("a"))
        await bench.begun.get()
    assert bench.results.empty()
