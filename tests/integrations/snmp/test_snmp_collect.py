"""The collector: one event per asset and poll, faults as events once, no device waits for another."""

import asyncio
import contextlib
import time

import pytest

from coldaisle.core.errors import ConfigError
from coldaisle.core.events.types import DeviceLost, DeviceReached, InputRejected, SamplesRecorded
from coldaisle.integrations.snmp import (
    DeviceConfig,
    LocalEngine,
    ProfileError,
    Responder,
    SnmpClient,
    SnmpCollector,
    Table,
    Target,
    User,
    built_in_profiles,
    tags,
)
from coldaisle.integrations.snmp.config import UserConfig, host_and_port, read_target, write_target
from coldaisle.integrations.snmp.device_watch import DeviceWatch
from coldaisle.integrations.snmp.keeping import read_peers
from coldaisle.integrations.snmp.message import decode, encode
from coldaisle.integrations.snmp.pause import Pause
from coldaisle.integrations.snmp.schedule import SLOT_SECONDS, next_due, start_offset, start_slot

RPDU = "1.3.6.1.4.1.318.1.1.26"
PDU_ROWS = {
    "1.3.6.1.2.1.1.2.0": (tags.OBJECT_IDENTIFIER, "1.3.6.1.4.1.318.1.3.4.6"),
    f"{RPDU}.4.3.1.5.1": (tags.INTEGER, 121),
    f"{RPDU}.10.2.2.1.8.1": (tags.INTEGER, 245),
    f"{RPDU}.9.2.3.1.5.1": (tags.INTEGER, 2),
}


@contextlib.asynccontextmanager
async def collecting(collector, seen):
    async with asyncio.TaskGroup() as group:
        running = group.create_task(collector.run(seen))
        yield
        running.cancel()


def watch(client, port, seen, timeout_seconds=0.2, **settings):
    device = DeviceConfig(
        "pdu-a01", f"127.0.0.1:{port}", timeout_seconds=timeout_seconds, retries=0, **settings
    )
    return DeviceWatch(client, device, 10.0, "agent-1", built_in_profiles(), seen)


async def test_a_device_that_answers_with_no_objects_is_lost_and_ends_nothing(seen, scripted):
    def empty(data):
        shell, _ = decode(data)
        return [encode(shell.community, tags.RESPONSE, shell.request_id, 0, 0, b"")]

    faulty = await scripted(empty)
    async with Responder(Table(PDU_ROWS)) as device:
        ports = {"faulty": faulty.port, "pdu-a01": device.port}
        configs = [DeviceConfig(asset, f"127.0.0.1:{port}") for asset, port in ports.items()]
        async with collecting(SnmpCollector(configs, 0.05, "agent-1"), seen):
            lost = await seen.wait_for(DeviceLost)
            await seen.wait_for(SamplesRecorded, 2)
    assert [(event.asset, event.reason) for event in lost] == [
        ("faulty", "a reply has 0 objects where 1 were asked for")
    ]


async def test_a_device_is_recognised_polled_and_recorded_per_asset(seen):
    async with Responder(Table(PDU_ROWS)) as device:
        config = DeviceConfig(
            "pdu-a01", f"127.0.0.1:{device.port}", measures={"inlet_temperature_celsius": "rack-a01"}
        )
        async with collecting(SnmpCollector([config], 0.05, "agent-1"), seen):
            recorded = await seen.wait_for(SamplesRecorded, 4)
    assert seen.of(DeviceReached) == [DeviceReached("pdu-a01", config.address, "agent-1")]
    assert recorded[:2] == [
        SamplesRecorded("pdu-a01", ("power_watts", 'outlet_state{outlet="1"}'), (1210.0, 1.0)),
        SamplesRecorded("rack-a01", ("inlet_temperature_celsius",), (24.5,)),
    ]


async def test_the_time_of_a_sample_lies_before_its_arrival(client, seen):
    async with Responder(Table(PDU_ROWS)) as device:
        before = time.time_ns()
        await watch(client, device.port, seen).poll_once()
        assert before <= seen.observations[-1].time <= time.time_ns()


async def test_loss_and_return_are_told_once_each_and_the_profile_is_chosen_anew(client, seen):
    table = Table(PDU_ROWS)
    async with Responder(table) as device:
        watching = watch(client, device.port, seen)
        await watching.poll_once()
    for _ in range(2):
        await watching.poll_once()
    assert watching.pause_seconds == 40.0
    table.update({"1.3.6.1.2.1.1.2.0": (tags.OBJECT_IDENTIFIER, "1.3.6.1.4.1.9.9.9"),
                  "1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 500)})  # fmt: skip
    async with Responder(table, port=device.port):
        await watching.poll_once()
    kinds = [type(observation.body).__name__ for observation in seen.observations]
    assert kinds == ["DeviceReached", "SamplesRecorded", "DeviceLost", "DeviceReached", "SamplesRecorded"]
    assert seen.of(SamplesRecorded)[-1].metrics == ("uptime_seconds",)
    assert "did not answer" in seen.of(DeviceLost)[0].reason
    assert watching.pause_seconds == 10.0


async def test_a_dead_device_delays_no_other(seen, scripted):
    dead = await scripted(lambda data: [])
    async with Responder(Table(PDU_ROWS)) as living:
        devices = [
            *(DeviceConfig(f"dead-{n}", f"127.0.0.1:{dead.port}", timeout_seconds=60) for n in range(20)),
            DeviceConfig("pdu-a01", f"127.0.0.1:{living.port}"),
        ]
        async with collecting(SnmpCollector(devices, 0.02, "agent-1"), seen):
            await seen.wait_for(SamplesRecorded, 5)


async def test_malformed_replies_are_rejected_once_and_stop_nothing(client, seen, scripted):
    device = await scripted(lambda data: [b"\x30\x80garbage"])
    watching = watch(client, device.port, seen)
    for _ in range(3):
        await watching.poll_once()
    [rejected] = seen.of(InputRejected)
    assert rejected.source == "snmp:pdu-a01"
    assert rejected.raw == b"\x30\x80garbage".hex()
    assert len(seen.of(DeviceLost)) == 1


async def test_a_table_that_fails_makes_the_samples_partial(client, seen, scripted):
    responder = Responder(Table(PDU_ROWS))

    def no_bulk(data):
        shell, _ = decode(data)
        if shell.pdu == tags.GET:
            return [responder.answer(data)]
        return [encode(shell.community, tags.RESPONSE, shell.request_id, 5, 0, b"")]

    device = await scripted(no_bulk)
    await watch(client, device.port, seen).poll_once()
    [recorded] = seen.of(SamplesRecorded)
    assert (recorded.quality, recorded.metrics) == ("partial", ("power_watts", "inlet_temperature_celsius"))


def test_start_offsets_are_spread_and_stay():
    offsets = [start_offset(f"pdu-{n}", 10.0) for n in range(200)]
    assert offsets == [start_offset(f"pdu-{n}", 10.0) for n in range(200)]
    assert all(0 <= offset < 10 for offset in offsets)
    assert {int(offset) for offset in offsets} == set(range(10))


def test_devices_share_the_slots_in_which_polls_begin():
    offsets = {start_offset(f"pdu-{n}", 10.0) for n in range(2000)}
    assert all(offset % SLOT_SECONDS == 0 for offset in offsets)
    assert len(offsets) == 10 / SLOT_SECONDS


def test_devices_that_start_together_begin_their_polls_at_the_same_moment():
    assert {start_slot(now) for now in (1_000.0, 1_000.01, 1_000.2)} == {1_000.0}
    assert 0 <= 123.4 - start_slot(123.4) < SLOT_SECONDS


@pytest.mark.parametrize(("now", "due"), [(100.0, 110.0), (105.0, 110.0), (127.0, 130.0), (130.0, 140.0)])
def test_a_late_round_skips_slots(now, due):
    assert next_due(100.0, now, 10.0) == due


async def test_an_unknown_profile_is_refused_at_the_start():
    with pytest.raises(ProfileError, match="liebert_crac"):
        SnmpCollector([DeviceConfig("a", "b", profile="nope")], 10, "agent-1")


async def test_an_unreadable_community_ends_the_run_with_its_reason(seen):
    device = DeviceConfig("a", "b", read_community_file="/nonexistent")
    with pytest.raises(ConfigError, match="nonexistent"):
        await SnmpCollector([device], 10, "agent-1").run(seen)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("pdu", ("pdu", 161)),
        ("10.0.0.1:1161", ("10.0.0.1", 1161)),
        ("[::1]:99", ("::1", 99)),
        ("[::1]", ("::1", 161)),
    ],
)
def test_addresses_have_a_host_and_a_port(address, expected):
    assert host_and_port(address) == expected


@pytest.mark.parametrize("address", ["", ":161", "pdu:x", "pdu:0", "pdu:70000", "[::1"])
def test_wrong_addresses_are_refused(address):
    with pytest.raises(ConfigError):
        host_and_port(address)


def test_communities_come_from_files_and_the_environment_and_never_show(tmp_path):
    (tmp_path / "read").write_text("s3cret\n")
    device = DeviceConfig(
        "pdu", "h:1", read_community_file=str(tmp_path / "read"), write_community_env="WRITE"
    )
    reading, writing = read_target(device), write_target(device, {"WRITE": "wr1te"})
    assert reading.community == "s3cret"
    assert writing is not None
    assert writing.community == "wr1te"
    assert "s3cret" not in repr((device, reading, writing))
    assert write_target(DeviceConfig("pdu", "h:1")) is None


def test_a_missing_secret_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="NOPE"):
        read_target(DeviceConfig("pdu", "h:1", read_community_env="NOPE"), {})
    with pytest.raises(ConfigError, match="absent"):
        read_target(DeviceConfig("pdu", "h:1", read_community_file=str(tmp_path / "absent")))


async def test_a_client_serves_many_watches_at_once(seen):
    async with Responder(Table(PDU_ROWS)) as device, SnmpClient() as client, asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(watch(client, device.port, seen, timeout_seconds=5.0).poll_once())
    assert len(seen.of(SamplesRecorded)) == 50


async def test_engines_are_known_after_a_restart(seen, tmp_path, monkeypatch):
    """Two thousand devices are not discovered anew because the agent was updated."""
    monkeypatch.setenv("PHRASE", "authentic1")
    learned = tmp_path / "snmp-learned.json"
    engine, user = LocalEngine(b"\x80\x00\x00\x00\x05kept"), User("signs", "SHA-256", "authentic1")
    async with Responder(Table(PDU_ROWS), users=[user], engine=engine) as device:
        config = DeviceConfig(
            "pdu-a01", f"127.0.0.1:{device.port}", version="3",
            user=UserConfig("signs", auth="SHA-256", auth_phrase_env="PHRASE"),
        )  # fmt: skip
        for round_number in (1, 2):
            collector = SnmpCollector([config], 0.05, "agent-1", learned_file=learned)
            async with collecting(collector, seen):
                await seen.wait_for(SamplesRecorded, 2 * round_number)
        assert device.authority.refused_counts == {"unknownEngineIDs": 1}
    assert [peer.engine_id for peer in read_peers(tmp_path / "snmp-peers.json")] == [engine.id.hex()]


def test_a_damaged_file_of_peers_is_begun_anew(tmp_path):
    path = tmp_path / "snmp-peers.json"
    for text in (b"\xff", b"{}", b'[{"host":"a","port":1,"engine_id":"zz"}]'):
        path.write_bytes(text)
        assert read_peers(path) == []


async def test_a_device_is_polled_soon_when_it_is_asked_for_but_only_once_in_its_interval(seen):
    async with Responder(Table(PDU_ROWS)) as device:
        config = DeviceConfig("pdu-a01", f"127.0.0.1:{device.port}")
        collector = SnmpCollector([config], 3_600.0, "agent-1")
        async with collecting(collector, seen):
            while not seen.of(SamplesRecorded):  # until the task runs there is nothing to end
                collector.poll_soon("pdu-a01")
                collector.poll_soon("nobody")
                await asyncio.sleep(0)
            requests_count = device.requests_count
            collector.poll_soon("pdu-a01")
            async with SnmpClient() as client:
                for _ in range(3):
                    await client.get(Target("127.0.0.1", device.port), ["1.3.6.1.2.1.1.2.0"])
    assert device.requests_count == requests_count + 3
    assert len(seen.of(SamplesRecorded)) == 1


async def test_a_pause_ends_at_its_moment_and_earlier_at_most_once_in_its_seconds():
    loop, pause = asyncio.get_running_loop(), Pause(3_600.0)
    began = loop.time()
    await pause.until(began + 0.02)
    assert loop.time() >= began + 0.02
    pause.end()  # while nothing waits: the next pause is none
    async with asyncio.timeout(5):
        await pause.until(loop.time() + 3_600)
    pause.end()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await pause.until(loop.time() + 3_600)
