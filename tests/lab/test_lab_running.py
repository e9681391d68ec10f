"""The whole lab on loopback: control socket, files, notices, and net-snmp as the peer."""

import asyncio
import json
import os
import shutil
import socket
import stat
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from coldaisle.integrations.host import HostCollector
from coldaisle.integrations.snmp.message import decode
from coldaisle.integrations.snmp.oid import oid_text
from coldaisle.lab import control
from coldaisle.lab.commands import lab as lab_command
from coldaisle.lab.control import AskFaults, AskState, Clear, Inject
from coldaisle.lab.devices import crac
from coldaisle.lab.errors import FaultRefused, LabError, LabNotRunning, LabRunning
from coldaisle.lab.faults import Fault
from coldaisle.lab.notices import LIEBERT_ADDED
from coldaisle.lab.simulator import Lab, LabSettings
from coldaisle.lab.telling import SERVERS

ARRIVAL_SECONDS = 5.0


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab(LabSettings(tmp_path)) as lab:
        yield lab


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(ARRIVAL_SECONDS)
        yield udp


def datagram_from(listener: socket.socket, port: int) -> bytes:
    """The next datagram from that port; what others chatter is passed over."""
    while True:
        data, sender = listener.recvfrom(4096)
        if sender == ("127.0.0.1", port):
            return data


async def ask(lab: Lab, request: control.Request) -> control.Answer:
    return await asyncio.to_thread(control.ask, lab.settings.directory, request)


async def snmp(program: str, *arguments: str) -> tuple[int, str]:
    """Run a net-snmp client; without it, skip, or fail where peers are required."""
    if shutil.which(program) is None:
        if os.environ.get("COLDAISLE_REQUIRE_PEERS") == "1":
            pytest.fail(f"{program} is missing: install the package snmp")
        pytest.skip(f"{program} is missing: install the package snmp")
    client = await asyncio.create_subprocess_exec(
        program,
        *("-v2c", "-On", "-t2", "-r1", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await client.communicate()
    assert client.returncode is not None
    return client.returncode, output.decode()


async def test_a_fault_comes_and_goes_over_the_control_socket(running: Lab) -> None:
    injected = await ask(running, Inject("compressor_failure", "crac-1"))
    assert [(fault.kind, fault.asset) for fault in injected.faults] == [("compressor_failure", "crac-1")]
    running.advance(600.0)
    state = await ask(running, AskState())
    assert state.racks["rack-a01"].inlet_celsius > 27.0
    assert state.cracs["crac-1"].cooling_watts == 0.0
    await ask(running, Clear("compressor_failure", "crac-1"))
    assert (await ask(running, AskFaults())).faults == []
    running.advance(1800.0)
    assert running.plant.air.inlet[0] < 25.0


async def test_the_state_tells_of_a_dead_feed(running: Lab) -> None:
    await ask(running, Inject("feed_loss", "feed-b"))
    assert (await ask(running, AskState())).feeds == {"feed-a": True, "feed-b": False}


async def test_a_wrong_request_is_answered_with_the_reason(running: Lab) -> None:
    with pytest.raises(LabError, match="choose one of"):
        await ask(running, Inject("fire", "crac-1"))
    with pytest.raises(LabError, match="is not in"):
        await ask(running, Clear("fan_failure", "crac-1"))
    reader, writer = await asyncio.open_unix_connection(running.settings.directory / control.SOCKET)
    writer.write(b'{"op": "explode"}\n')
    assert "not a request" in json.loads(await reader.readline())["error"]
    writer.close()
    await writer.wait_closed()


async def test_what_was_broken_is_written_down(running: Lab) -> None:
    running.inject(Fault("stuck_sensor", "rack-a01"))
    running.clear("stuck_sensor", "rack-a01")
    with pytest.raises(FaultRefused):
        running.clear("stuck_sensor", "rack-a01")
    lines = (running.settings.directory / "truth.jsonl").read_text().splitlines()
    assert [json.loads(line)["what"] for line in lines] == ["lab_started", "fault_injected", "fault_cleared"]
    assert json.loads(lines[1])["asset"] == "rack-a01"


async def test_the_inventory_is_complete(running: Lab) -> None:
    inventory = tomllib.loads((running.settings.directory / "inventory.toml").read_text())
    assets = {asset["name"]: asset for asset in inventory["assets"]}
    kinds = [asset["kind"] for asset in assets.values()]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counts == {
        "site": 1, "hall": 1, "row": 2, "rack": 16, "crac": 4, "pdu": 32, "ups": 2, "feed": 2, "switch": 2,
        "server": 16,
    }  # fmt: skip
    rack = assets["rack-b03"]
    assert rack["attributes"]["ashrae_class"] == "A1"
    assert [link["asset"] for link in rack["powered_by"]] == ["pdu-b03-a", "pdu-b03-b"]
    assert [link["asset"] for link in rack["cooled_by"]] == ["crac-3", "crac-4", "crac-1", "crac-2"]
    assert {link["need"] for link in rack["cooled_by"]} == {3}
    for asset in assets.values():
        links = [
            link["asset"]
            for key in ("powered_by", "cooled_by", "connected_to")
            for link in asset.get(key, [])
        ]
        assert {*links, asset.get("located_in", "site-1")} <= assets.keys()


async def test_the_inventory_says_where_devices_answer(running: Lab) -> None:
    inventory = tomllib.loads((running.settings.directory / "inventory.toml").read_text())
    devices = {device["asset"]: device for device in inventory["devices"]}
    assert devices.keys() == set(running.hall.devices)
    assert all(devices[name]["address"] == f"127.0.0.1:{port}" for name, port in running.ports.items())
    assert set(devices["pdu-a02-a"]["measures"].values()) == {"rack-a02"}
    assert "measures" not in devices["pdu-a02-b"]
    secret = running.settings.directory / devices["crac-1"]["write_community_file"]
    assert secret.read_text().strip() == running.write_community
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


async def test_a_lab_starts_again_on_its_ports_over_the_socket_of_a_killed_one(tmp_path: Path) -> None:
    async with Lab(LabSettings(tmp_path)) as first:
        port = min(first.ports.values())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(tmp_path / control.SOCKET))
    async with Lab(LabSettings(tmp_path)) as again:
        assert (await ask(again, AskFaults())).error == ""
        assert again.write_community != first.write_community
        assert port > 0


async def test_a_second_lab_in_the_same_directory_is_refused(running: Lab) -> None:
    with pytest.raises(LabRunning, match="already runs"):
        async with Lab(running.settings):
            pass
    assert (await ask(running, AskFaults())).error == ""


async def test_a_taken_port_is_named(running: Lab, tmp_path: Path) -> None:
    taken = running.ports["crac-1"]
    with pytest.raises(LabError, match=str(taken)):
        async with Lab(LabSettings(tmp_path / "other", port=taken)):
            pass


async def test_a_fault_is_announced_by_trap_and_syslog(tmp_path: Path, listener: socket.socket) -> None:
    """Both leave from the device's own port; the line names the asset as its host."""
    address = listener.getsockname()
    async with Lab(LabSettings(tmp_path, syslog=address, traps=address)) as lab:
        port = lab.ports["crac-1"]
        lab.inject(Fault("compressor_failure", "crac-1"))
        line = await asyncio.to_thread(datagram_from, listener, port)
        trap = await asyncio.to_thread(datagram_from, listener, port)
        lab.clear("compressor_failure", "crac-1")
        cleared = await asyncio.to_thread(datagram_from, listener, port)
    assert line.startswith(b"<130>1 2")
    assert line.split()[2] == b"crac-1"
    assert b"Compressor high head pressure" in line
    assert b"cleared" in cleared
    _, varbinds = decode(trap)
    assert isinstance(varbinds[1][2], bytes)
    assert oid_text(varbinds[1][2]) == LIEBERT_ADDED


async def test_machines_log_by_themselves_beside_a_storm(tmp_path: Path, listener: socket.socket) -> None:
    async with Lab(LabSettings(tmp_path, syslog=listener.getsockname())) as lab:
        lab.inject(Fault("log_storm", "server-b07", 0.2))
        lab.advance(60.0)
        heard: dict[bytes, int] = {}
        while heard.get(b"server-b07", 0) < 100:
            line = await asyncio.to_thread(listener.recv, 4096)
            heard[line.split()[2]] = heard.get(line.split()[2], 0) + 1
    assert len(heard) > 5
    assert b"QID 7 timeout, aborting" in line


async def test_the_host_collector_reads_a_server_of_the_lab(running: Lab) -> None:
    """The real collector, on the files that the lab wrote."""
    root = running.settings.directory / SERVERS / "server-a03"
    collector = HostCollector(10.0, "server-a03", root)
    assert collector.describe().attributes["cpu_cores"] == "32"
    values = dict(collector.sample())
    assert 0.3 < (values["memory_used_ratio"] or 0.0) < 0.7
    assert 5.0 < (values["load_1m"] or 0.0) < 32.0
    assert 'disk_written_bytes_total{device="sda"}' in values
    assert 'network_receive_bytes_total{interface="eth0"}' in values


async def test_a_silent_device_answers_nothing_until_it_is_back(running: Lab) -> None:
    running.inject(Fault("unreachable", "ups-a"))
    device = running.devices["ups-a"]
    device.datagram_received(b"anything", ("127.0.0.1", 9))
    assert device.requests_count == 0
    running.clear("unreachable", "ups-a")
    device.datagram_received(b"anything", ("127.0.0.1", 9))
    assert device.requests_count == 1


@pytest.mark.peers
async def test_every_device_answers_a_walk(running: Lab) -> None:
    for name, port in running.ports.items():
        code, output = await snmp("snmpbulkwalk", "-c", "public", f"127.0.0.1:{port}", "1.3")
        assert code == 0, output
        assert f'"{name}"' in output
        assert output.count("\n") > 30


@pytest.mark.peers
async def test_a_set_point_is_set_over_snmp(running: Lab) -> None:
    address = f"127.0.0.1:{running.ports['crac-3']}"
    code, output = await snmp("snmpset", "-c", running.write_community, address, crac.SETPOINT, "i", "14")
    assert code == 0, output
    _, output = await snmp("snmpget", "-c", "public", address, crac.SETPOINT)
    assert output.strip().endswith("INTEGER: 14")
    running.advance(300.0)
    assert running.plant.air.discharge[2] == pytest.approx(14.0, abs=0.5)


@pytest.mark.peers
async def test_a_set_out_of_range_or_without_the_community_is_refused(running: Lab) -> None:
    address = f"127.0.0.1:{running.ports['crac-3']}"
    code, output = await snmp("snmpset", "-c", running.write_community, address, crac.SETPOINT, "i", "31")
    assert code != 0
    assert "wrongValue" in output
    code, output = await snmp("snmpset", "-c", "public", address, crac.SETPOINT, "i", "14")
    assert code != 0
    assert "noAccess" in output
    assert (await ask(running, AskState())).cracs["crac-3"].setpoint_celsius == 18.0


async def test_the_program_says_when_it_is_ready_and_stops_cleanly(tmp_path: Path) -> None:
    program = "from coldaisle.lab.commands import lab; lab()"
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", program, "run", "--port", "0", "--directory", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    ready = await child.stdout.readline()
    child.terminate()
    assert await child.wait() == 0
    assert ready.startswith(b"lab ready: 40 devices")


def test_commands_without_a_lab_say_so(tmp_path: Path) -> None:
    with pytest.raises(LabNotRunning):
        control.ask(tmp_path, AskFaults())
    result = CliRunner().invoke(lab_command, ["state", "--directory", str(tmp_path)])
    assert result.exit_code == 1
    assert "coldaisle lab run" in result.output


async def test_commands_break_show_and_repair(running: Lab) -> None:
    directory = ["--directory", str(running.settings.directory)]

    async def invoke(*arguments: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, lab_command, [*arguments, *directory])
        assert result.exit_code == 0, result.output
        return result.output

    assert "injected" in await invoke("fault", "fan_failure", "crac-4", "--size", "0.5")
    picture = await invoke("state")
    assert "row-b" in picture
    assert "fan_failure on crac-4, size 0.5" in picture
    assert json.loads(await invoke("state", "-o", "json"))["racks"]["rack-a01"]["inlet_celsius"] > 20.0
    assert "cleared" in await invoke("fault", "fan_failure", "crac-4", "--clear")


def test_the_table_of_faults_names_each_kind() -> None:
    output = CliRunner().invoke(lab_command, ["faults"]).output
    assert "compressor_failure" in output
    assert "unreachable" in output


@pytest.mark.parametrize("option", [["--syslog", "nowhere"], ["--traps", "host:0"], ["--port", "70000"]])
def test_a_wrong_option_is_named(option: list[str]) -> None:
    result = CliRunner().invoke(lab_command, ["run", *option])
    assert result.exit_code == 2
    assert option[0] in result.output


def test_a_speed_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="speed"):
        Lab(LabSettings(tmp_path, speed=0.0))
