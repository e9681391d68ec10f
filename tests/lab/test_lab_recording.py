"""The recorder says what an agent would say of the same hall, again and again the same."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from coldaisle.core.events import types as t
from coldaisle.core.events.codec import decode
from coldaisle.core.events.envelope import Fact, Observation
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.integrations.snmp import SnmpClient, Target
from coldaisle.integrations.snmp.decode import samples
from coldaisle.integrations.snmp.poll import identify, plan_for, poll
from coldaisle.integrations.snmp.profile_files import built_in_profiles
from coldaisle.lab.faults import Fault
from coldaisle.lab.history import Numbering, append
from coldaisle.lab.recording import Recorder
from coldaisle.lab.simulator import Lab, LabSettings

MINUTE = 60.0


def seen(recorder: Recorder, polls: int = 1) -> list[Observation]:
    return [each for _ in range(polls) for each in recorder.poll()]


def columns(observations: Sequence[Observation]) -> dict[str, tuple[str, ...]]:
    """By asset, the metrics of its last poll."""
    return {
        each.body.asset: each.body.metrics
        for each in observations
        if isinstance(each.body, t.SamplesRecorded)
    }


def test_equal_seeds_give_equal_recordings_and_others_do_not() -> None:
    first, again, other = Recorder(3, MINUTE), Recorder(3, MINUTE), Recorder(4, MINUTE)
    recorded = seen(first, 5)
    assert seen(again, 5) == recorded
    assert seen(other, 5) != recorded


def test_a_fork_goes_on_as_the_original_until_something_breaks_in_it() -> None:
    recorder = Recorder(1, MINUTE)
    seen(recorder, 2)
    same, broken = recorder.fork(), recorder.fork()
    broken.inject(Fault("fan_failure", "crac-1"))
    expected = seen(recorder, 3)
    assert seen(same, 3) == expected
    assert seen(broken, 3) != expected


def test_a_recorded_hall_has_many_series_of_every_kind() -> None:
    by_asset = columns(seen(Recorder(1, MINUTE)))
    assert sum(map(len, by_asset.values())) >= 1_500
    assert {name.split("-")[0] for name in by_asset} == {"crac", "pdu", "rack", "ups", "switch", "server"}
    assert {"memory_available_bytes", "cpu_utilization_ratio"} < set(by_asset["server-a01"])


async def test_a_recording_has_the_series_that_a_poll_of_the_running_lab_brings(tmp_path: Path) -> None:
    """The same metrics of the same assets, in the same order, as over the network."""
    recorded = columns(seen(Recorder(1, 10.0)))
    async with Lab(LabSettings(tmp_path)) as lab, SnmpClient() as client:
        for name in ("crac-2", "pdu-a03-b", "ups-a", "switch-1"):
            target = Target("127.0.0.1", lab.ports[name])
            profile = await identify(client, target, built_in_profiles())
            found = await poll(client, target, plan_for(profile), 5.0)
            (event,) = samples(name, {}, found.readings, found.quality)
            assert event.metrics == recorded[name]


def test_a_silent_device_is_lost_once_and_reached_again() -> None:
    recorder = Recorder(1, MINUTE)
    seen(recorder)
    fault = Fault("unreachable", "ups-b")
    recorder.inject(fault)
    lost = [each.body for each in seen(recorder, 3) if isinstance(each.body, t.DeviceLost)]
    assert [body.asset for body in lost] == ["ups-b"]
    assert "ups-b" not in columns(seen(recorder))
    recorder.clear(fault)
    after = [each.body for each in seen(recorder)]
    assert any(isinstance(body, t.DeviceReached) and body.asset == "ups-b" for body in after)


def test_what_a_device_says_of_its_fault_is_recorded() -> None:
    recorder = Recorder(1, MINUTE)
    recorder.inject(Fault("compressor_failure", "crac-4"))
    bodies = [each.body for each in seen(recorder)]
    lines = [body for body in bodies if isinstance(body, t.LogLinesRecorded) and body.asset == "crac-4"]
    assert [(line.severity, line.app) for body in lines for line in body.lines] == [(2, "alarm")]
    assert [body.asset for body in bodies if isinstance(body, t.TrapReceived)] == ["crac-4"]


def test_a_storm_is_recorded_line_by_line() -> None:
    recorder = Recorder(1, MINUTE)
    recorder.inject(Fault("log_storm", "server-b02", 0.5))
    lines = [
        line
        for each in seen(recorder)
        if isinstance(each.body, t.LogLinesRecorded) and each.body.asset == "server-b02"
        for line in each.body.lines
    ]
    assert sum("QID 7 timeout" in line.message for line in lines) == 600
    assert [line.time for line in lines] == sorted(line.time for line in lines)


@pytest.mark.parametrize("fault", [Fault("memory_leak", "server-a02"), Fault("stuck_sensor", "rack-b03")])
def test_a_cleared_fault_leaves_no_trace_in_the_inputs(fault: Fault) -> None:
    recorder = Recorder(1, MINUTE)
    recorder.inject(fault)
    seen(recorder, 3)
    recorder.clear(fault)
    assert recorder._inputs == Recorder(1, MINUTE)._inputs


async def test_a_recording_in_a_store_reads_back_as_the_facts(tmp_path: Path) -> None:
    recorder = Recorder(1, MINUTE)
    observations = [*recorder.first(), *seen(recorder, 2)]
    async with SqliteStore(tmp_path / "history.db") as store:
        assert await append(store, observations, 1) == len(observations) + 1
        stored = (await store.read_all(limit=1_000)).events
    facts = [decode(event) for event in stored]
    assert len(facts) == len(observations)
    expected = Numbering().facts(observations)
    assert {_place(fact): fact.body for fact in facts if fact} == {
        _place(fact): fact.body for fact in expected
    }


def _place(fact: Fact) -> tuple[str, int, int]:
    return fact.stream, fact.version, fact.time
