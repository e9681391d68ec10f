"""What ``agent check`` and ``agent doctor`` say, against a real server and real devices."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from coldaisle.agent import doctor
from coldaisle.agent.batches import Bounds
from coldaisle.agent.check import contacts
from coldaisle.agent.commands import agent
from coldaisle.agent.config import AgentConfig, load_config
from coldaisle.agent.findings import Finding, failures
from coldaisle.agent.main import run_until
from coldaisle.agent.spool import Spool
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.integrations.snmp import Responder, Table, tags
from coldaisle.server.main import running
from coldaisle.server.settings import ServeSettings, Settings


def configure(folder: Path, server: str = "127.0.0.1:9", more: str = "", devices: str = "") -> Path:
    (folder / "inventory.toml").write_text(devices)
    path = folder / "agent.toml"
    path.write_text(
        f'[agent]\nname = "edge"\nserver = "{server}"\ninventory = ["inventory.toml"]\n'
        f'data_dir = "data"\n{more}'
    )
    return path


def config_in(folder: Path, **settings: str) -> AgentConfig:
    return load_config(configure(folder, **settings))


@asynccontextmanager
async def server_in(folder: Path) -> AsyncIterator[str]:
    serve = ServeSettings(listen="127.0.0.1:0", data_dir=str(folder / "server"))
    async with running(replace(Settings(), serve=serve)) as address:
        yield address


async def test_a_server_that_knows_the_token_is_fine(tmp_path: Path) -> None:
    async with server_in(tmp_path) as address:
        config = config_in(tmp_path, server=address, more='token_file = "server/token"\n')
        [finding] = await contacts(config)
    assert finding.line == f"ok      server {address} answers and knows this agent's token"


async def test_a_wrong_token_is_told_from_a_server_that_is_away(tmp_path: Path) -> None:
    async with server_in(tmp_path) as address:
        (tmp_path / "token").write_text("wrong")
        [refused] = await contacts(config_in(tmp_path, server=address, more='token_file = "token"\n'))
    [away] = await contacts(config_in(tmp_path, server=address))
    assert "UNAUTHENTICATED" in refused.what
    assert "cannot connect" in away.what
    assert failures([refused, away]) == 2


async def test_each_device_has_its_line(tmp_path: Path) -> None:
    async with Responder(Table({"1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 1)})) as device:
        entries = [
            f'[[devices]]\nasset = "{asset}"\naddress = "127.0.0.1:{port}"\ntimeout_seconds = 0.05\n'
            for asset, port in (("here", device.port), ("gone", 9))
        ]
        _, here, gone = await contacts(config_in(tmp_path, devices="".join(entries)))
    assert (here.line, here.remedy) == (f"ok      device here at 127.0.0.1:{device.port} answers", "")
    assert "device gone" in gone.line
    assert "community" in gone.remedy


def test_the_commands_exit_with_1_when_something_is_wrong(tmp_path: Path) -> None:
    path = str(configure(tmp_path))
    for command in ("check", "doctor"):
        result = CliRunner().invoke(agent, [command, "--config", path])
        assert result.exit_code == 1, result.output
        assert "failed  server 127.0.0.1:9" in result.output
    assert CliRunner().invoke(agent, ["check", "--no-contact", "--config", path]).exit_code == 0


def test_a_token_that_everybody_can_read_is_named(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    config = config_in(tmp_path, more='token_file = "token"\n')
    [finding] = doctor.secrets(config)
    assert finding.remedy == f"chmod 600 {token}"
    token.chmod(0o600)
    assert failures(doctor.secrets(config)) == 0


def test_too_little_room_for_the_spool_is_named(tmp_path: Path) -> None:
    assert doctor.disk_space(config_in(tmp_path)).remedy == ""
    found = doctor.disk_space(config_in(tmp_path, more=f"[spool]\nmax_bytes = {1 << 60}\n"))
    assert "spool.max_bytes" in found.remedy


def test_a_damaged_spool_is_found_and_a_whole_one_counted(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    assert doctor.spool(path).remedy == ""
    with Spool(path, "edge", 10**6, Bounds()):
        assert "0 batches" in doctor.spool(path).what  # beside one that is in use
    path.write_bytes(b"SQLite format 3\0" + os.urandom(4096))
    assert doctor.spool(path).remedy
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(path).execute("SELECT * FROM batches")


def test_a_small_receive_buffer_matters_where_datagrams_are_received(tmp_path: Path) -> None:
    small = tmp_path / "rmem_max"
    small.write_text("212992\n")
    assert list(doctor.receive_buffer(config_in(tmp_path), small)) == []
    [found] = doctor.receive_buffer(config_in(tmp_path, more='[traps]\nudp = "127.0.0.1:1162"\n'), small)
    assert found == Finding("a UDP socket may buffer 212992 bytes", "sysctl -w net.core.rmem_max=4194304")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    assert doctor.data_folder(tmp_path / "new" / "data").remedy == ""
    assert doctor.data_folder(Path("/proc/coldaisle")).remedy


def test_everything_about_the_machine_is_told(tmp_path: Path) -> None:
    said = [finding.what for finding in doctor.machine(config_in(tmp_path))]
    for part in ("Python", "data_dir", "free for a spool", "no spool", "files may be open", "clock"):
        assert any(part in line for line in said), part


async def connections(folder: Path) -> list[str]:
    """The streams of agents that came and went, by the history."""
    async with SqliteStore(folder / "server" / "events.db", read_only=True) as store:
        return [event.type for event in await store.read_stream("agent-edge") if "onnected" in event.type]


async def test_a_check_does_not_end_the_stream_of_an_agent_that_runs(tmp_path: Path) -> None:
    async with server_in(tmp_path) as address:
        config = config_in(tmp_path, server=address, more='token_file = "server/token"\n')
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(run_until(stop, config))
            async with asyncio.timeout(20):
                while not await connections(tmp_path):  # noqa: ASYNC110 - another reader of the file
                    await asyncio.sleep(0.05)
            assert failures(await contacts(config)) == 0
            assert await connections(tmp_path) == ["AgentConnected"]
            stop.set()
