"""An agent's stream: what it says is on disk before it is acknowledged, once, and nothing is thrown away."""

import json
import sqlite3
import time

import grpc
import pytest

from coldaisle.core.events import encode, new_id
from coldaisle.core.events.types import (
    AgentStarted,
    AssetLinked,
    AssetObserved,
    DeviceLost,
    LogLine,
    LogLinesRecorded,
    RunApproved,
    SamplesRecorded,
)
from coldaisle.core.store import Append
from coldaisle.core.store.port import MAX_EVENT_BYTES
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.server.ingest import MAX_AHEAD_SECONDS, MAX_BATCH_BYTES, MAX_BATCH_EVENTS
from coldaisle.v1 import agent_pb2, assets_pb2, system_pb2


def stored(data, type_name):
    """The rows of a type, read from the file beside the server."""
    with sqlite3.connect(f"file:{data}/events.db?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT position, actor FROM event WHERE type = ?", (type_name,)).fetchall()
    connection.close()
    return rows


async def test_welcome_states_the_bounds(api, agent_of) -> None:
    welcome = await agent_of(api).hello()
    assert (welcome.max_batch_events, welcome.max_batch_bytes) == (MAX_BATCH_EVENTS, MAX_BATCH_BYTES)


async def test_an_acknowledged_batch_is_on_disk(agent, data) -> None:
    ack = await agent.report(AssetObserved("rack-1", "rack"))
    assert stored(data, "AssetObserved") == [(ack.position, "agent/hall-1")]


async def test_a_repeated_batch_counts_once_and_answers_the_same(api, agent, on_wire) -> None:
    events = [on_wire(AssetObserved(f"rack-{n}", "rack")) for n in range(3)]
    assert (await agent.send(*events)).position == (await agent.send(*events)).position
    assert len(await api.events("AssetObserved")) == 3


async def test_a_recomposed_batch_counts_each_event_once(api, agent, on_wire) -> None:
    events = [on_wire(SamplesRecorded(f"rack-{n % 2}", ("m",), (float(n),))) for n in range(9)]
    await agent.send(*events[:5])
    ack = await agent.send(*events[3:])
    recorded = await api.events("SamplesRecorded")
    assert len(recorded) == 9
    assert ack.position == recorded[-1].position
    assert ack.rejected_count == 0


async def test_a_number_that_no_snapshot_holds_is_rejected(agent, on_wire) -> None:
    """Once it was in the history, the server could not stop in order any more."""
    for need in (1 << 64, -1):
        ack = await agent.send(on_wire(AssetLinked("rack-1", "powered_by", "pdu-1", need=need)))
        assert ack.rejected_count == 1


async def test_an_empty_batch_is_acknowledged(agent) -> None:
    assert (await agent.send()).rejected_count == 0


async def test_a_clock_that_leapt_ahead_silences_nobody(api, agent, on_wire, losing) -> None:
    """Neither its own asset, whose next polls would be late for a year, nor all others by their absence."""
    now = time.time_ns()
    metric, year = ("inlet_temperature_celsius",), 365 * 86_400 * 1_000_000_000
    for asset in ("rack-1", "rack-2"):
        poll = SamplesRecorded(asset, metric, (20.0,))
        await agent.send(on_wire(poll, time_unix_nano=now - 60_000_000_000))
    leapt = on_wire(SamplesRecorded("rack-1", metric, (21.0,)), time_unix_nano=now + year)
    garbage = on_wire(AssetObserved("rack-1", "rack"), data=b"{", time_unix_nano=now + year)
    first, again = await agent.send(leapt, garbage), await agent.send(leapt, garbage)
    assert (first.position, first.rejected_count) == (again.position, again.rejected_count)
    await agent.report(SamplesRecorded("rack-1", metric, (45.0,)), losing("rack-3"))
    (opened,) = await api.event("AlertOpened")
    assert json.loads(opened.data_json)["kind"] == "unreachable"
    rack = await api.call(api.assets.GetAsset, assets_pb2.GetAssetRequest(name="assets/rack-1"))
    assert rack.readings[0].value == 45.0
    assert rack.readings[0].time.ToNanoseconds() < now + MAX_AHEAD_SECONDS * 1_000_000_000


async def test_what_is_too_long_to_be_quoted_ends_no_server(api, agent, on_wire, losing) -> None:
    """An answer of a reactor is an event too: one that did not fit ended the server, at every start."""
    long = "x" * (MAX_EVENT_BYTES - 200)
    ack = await agent.send(
        on_wire(DeviceLost("rack-1", "192.0.2.1", "hall-1", long)),
        on_wire(SamplesRecorded("rack-1", (long,), (1.0,))),
        on_wire(LogLinesRecorded("rack-1", (LogLine(1, 6, long, "started"),))),
        on_wire(losing("rack-2")),
    )
    assert ack.rejected_count == 3
    (opened,) = await api.event("AlertOpened")
    assert json.loads(opened.data_json)["asset"] == "rack-2"


async def test_what_two_agents_bring_and_is_not_understood_is_kept_once(api, agent_of, on_wire) -> None:
    """As an agent does that was renamed before it had sent everything, or whose machine was cloned."""
    garbage = on_wire(AssetObserved("rack-1", "rack"), data=b'{"asset": ')
    for name in ("hall-1", "hall-2"):
        agent = agent_of(api, name)
        await agent.hello()
        assert (await agent.send(garbage)).rejected_count == 1
    (kept,) = await api.events("InputRejected")
    assert json.loads(kept.data_json)["source"] == "hall-1"


async def test_what_is_not_understood_is_kept_and_the_rest_of_the_batch_stored(api, agent, on_wire) -> None:
    good, approval = AssetObserved("rack-1", "rack"), RunApproved("r-1", "0" * 64)
    ack = await agent.send(
        on_wire(good),
        on_wire(good, data=b'{"asset": '),
        on_wire(good, data=b"\xff\xfe"),
        on_wire(good, type="Gossip", data=b'"psst"'),
        on_wire(good, id=b"short"),
        on_wire(good, schema=99),
        on_wire(good, schema=0),
        on_wire(SamplesRecorded("rack-1", ("a", "b"), (1.0,))),
        on_wire(approval),
        on_wire(AgentStarted("another", "host", "1")),
        on_wire(AssetObserved("x" * 300, "rack")),
        on_wire(good, data=b'{"asset":"' + b"y" * (1 << 20) + b'","kind":""}'),
        on_wire(AssetObserved("rack-2", "rack")),
    )
    assert ack.rejected_count == 11
    assert len(await api.events("AssetObserved")) == 2
    assert await api.events("RunApproved", "AgentStarted") == []
    kept = [json.loads(event.data_json) for event in await api.events("InputRejected")]
    assert {entry["source"] for entry in kept} == {"hall-1"}
    assert kept[0]["raw"] == '{"asset": '
    assert kept[1]["raw"] == r"\xff\xfe"
    assert "unknown event type 'Gossip'" in kept[2]["reason"]
    assert "id of 5 bytes" in kept[3]["reason"]
    assert "schema 99" in kept[4]["reason"]
    assert "2 metrics, but 1 values" in kept[6]["reason"]
    assert "not for this agent to say" in kept[7]["reason"]
    assert json.loads(kept[7]["raw"])["plan_hash"] == "0" * 64
    assert len(kept[-1]["raw"]) == 4_096


async def test_rejected_events_of_one_bad_id_are_all_kept_and_a_repetition_adds_none(
    api, agent, on_wire
) -> None:
    good = AssetObserved("rack-1", "rack")
    bad = [on_wire(good, id=b"x", data=text) for text in (b"1", b"2")]
    for _ in range(2):
        assert (await agent.send(*bad)).rejected_count == 2
    assert [json.loads(e.data_json)["raw"] for e in await api.events("InputRejected")] == ["1", "2"]


async def test_an_id_that_is_another_events_is_rejected_and_holds_up_nothing(api, agent, on_wire) -> None:
    first = on_wire(AssetObserved("rack-1", "rack"))
    await agent.send(first)
    second = on_wire(AssetObserved("rack-2", "rack"), id=first.id)
    ack = await agent.send(second, on_wire(AssetObserved("rack-3", "rack")))
    assert ack.rejected_count == 1
    assert [json.loads(e.data_json)["asset"] for e in await api.events("AssetObserved")] == [
        "rack-1", "rack-3",
    ]  # fmt: skip
    assert "already that of another" in (await api.events("InputRejected"))[0].data_json


@pytest.mark.parametrize(("count", "size"), [(MAX_BATCH_EVENTS + 1, 1), (5, 1 << 20)])
async def test_a_batch_over_its_bounds_is_refused(api, agent, on_wire, count, size) -> None:
    events = [on_wire(AssetObserved("r", "r"), data=b" " * size)] * count
    await agent.write(batch=agent_pb2.EventBatch(batch_id=1, events=events))
    assert (await agent.refusal()).said == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["batch"])
    (event,) = await api.event("AgentDisconnected")
    assert "the bounds are" in json.loads(event.data_json)["reason"]


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 65, "ä"])
async def test_an_agents_name_is_checked(api, agent_of, name) -> None:
    agent = agent_of(api, name)
    await agent.write(hello=agent_pb2.Hello(agent=name))
    assert (await agent.refusal()).said == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["hello.agent"])
    assert await api.events("AgentConnected") == []


async def test_the_first_message_must_be_hello(api, agent_of) -> None:
    agent = agent_of(api)
    await agent.write(heartbeat=agent_pb2.Heartbeat())
    assert (await agent.refusal()).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_second_hello_is_refused(agent) -> None:
    await agent.write(hello=agent_pb2.Hello(agent="hall-1"))
    assert (await agent.refusal()).said == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["message"])


async def test_a_newer_stream_of_an_agent_replaces_the_older(api, agent, agent_of) -> None:
    newer = agent_of(api)
    await newer.hello()
    assert await agent.ended() is grpc.StatusCode.OK
    await newer.report(AssetObserved("rack-1", "rack"))
    told = await api.events("AgentConnected", "AgentDisconnected")
    assert [event.type for event in told] == ["AgentConnected", "AgentDisconnected", "AgentConnected"]
    assert "a newer stream took over" in told[1].data_json
    status = await api.call(api.system.GetStatus, system_pb2.GetStatusRequest())
    assert [(each.name, each.connected) for each in status.agents] == [("agents/hall-1", True)]
    newer.cut()


async def test_the_history_says_how_a_stream_ended(api, agent, agent_of) -> None:
    await agent.close()
    assert "closed by the agent" in (await api.event("AgentDisconnected"))[0].data_json
    other = agent_of(api, "hall-2")
    await other.hello()
    other.cut()
    assert "connection lost" in (await api.event("AgentDisconnected", count=2))[1].data_json


async def test_a_stop_of_the_server_is_told_of_every_agent(data, process, client, serving, agent_of) -> None:
    async with process(data) as server, client(server.address, data) as api:
        agent = agent_of(api)
        await agent.hello()
        server.process.terminate()
        await agent.ended()
        assert (await server.ended())[0] == 0
    async with serving(data) as api:
        (event,) = await api.events("AgentDisconnected")
        assert "the server stopped" in event.data_json


async def test_a_server_that_was_killed_marks_its_agents_when_it_starts_again(
    data, process, client, serving, agent_of
) -> None:
    async with process(data) as server, client(server.address, data) as api:
        agent = agent_of(api)
        await agent.hello()
        await api.event("AgentConnected")
        server.process.kill()
        await agent.ended()
    async with serving(data) as api:
        assert len(await api.events("AgentDisconnected")) == 1
        status = await api.call(api.system.GetStatus, system_pb2.GetStatusRequest())
        assert [each.connected for each in status.agents] == [False]
        assert "agents/hall-1 is not connected" in status.problems[0]


async def test_a_clock_that_was_set_back_is_a_problem_that_the_status_tells(data, serving) -> None:
    """The history says what it was: it was written while the clock was three hours ahead."""
    now = time.time_ns()
    ahead = now + 3 * 3_600 * 1_000_000_000
    data.mkdir()
    async with SqliteStore(data / "events.db") as store:
        event = encode(AssetObserved("rack-1", "rack"), id=new_id(now), time=now, actor="agent/hall-1")
        await store.append_many([Append("asset-rack-1", [event], recorded=ahead)])
    async with serving(data) as api:
        status = await api.call(api.system.GetStatus, system_pb2.GetStatusRequest())
        (problem,) = (problem for problem in status.problems if "clock" in problem)
    seconds = int(problem.removeprefix("the clock is ").partition(" ")[0])
    assert seconds == pytest.approx(3 * 3_600, abs=60)


async def test_the_status_tells_what_an_agent_said_of_itself(api, agent) -> None:
    await agent.write(heartbeat=agent_pb2.Heartbeat(spool_events=7))
    await agent.report(AssetObserved("rack-1", "rack"))
    status = await api.call(api.system.GetStatus, system_pb2.GetStatusRequest())
    assert (status.agents[0].spool_events, status.agents[0].received_events) == (7, 1)
    assert status.healthy, status.problems
