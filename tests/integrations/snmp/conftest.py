"""Devices to talk to: our responder, a scripted one, and Debian's snmpd and tools."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

from coldaisle.core.events.envelope import Observation
from coldaisle.integrations.snmp import Responder, SnmpClient, Table, Target, User, tags

START_SECONDS = 20

Script = Callable[[bytes], list[bytes]]
Tool = Callable[..., Awaitable[str]]


def peer_binary(name: str) -> str:
    """Where a binary of net-snmp is; without it the test is skipped, or fails when peers are required."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None and os.environ.get("COLDAISLE_REQUIRE_PEERS") == "1":
        pytest.fail(f"{name} is not installed and COLDAISLE_REQUIRE_PEERS is 1")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def recordings() -> list[Path]:
    """The public recordings of snmpsim-data (BSD-2), in the order of their names."""
    spec = find_spec("snmpsim_data")
    assert spec is not None, "snmpsim-data is a test dependency"
    return sorted(Path(spec.submodule_search_locations[0]).rglob("*.snmprec*"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that take ``each_recording`` run once for each."""
    if "each_recording" in metafunc.fixturenames:
        paths = recordings()
        metafunc.parametrize("each_recording", paths, ids=[path.name.partition(".")[0] for path in paths])


@pytest.fixture
def recording() -> Callable[[str], Path]:
    """A recording by its name, without its endings."""
    known = {path.name.partition(".")[0]: path for path in recordings()}
    return lambda name: known[name]


class ScriptedDevice(asyncio.DatagramProtocol):
    """Answers each datagram with what the script says, and keeps what it heard."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[bytes] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.append(data)
        for reply in self.script(data):
            self.transport.sendto(reply, addr)


class Seen:
    """An emit that keeps what it is given, for good; a test can wait for a number of events of a type."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self._changed = asyncio.Condition()

    async def __call__(self, observation: Observation) -> None:
        async with self._changed:
            self.observations.append(observation)
            self._changed.notify_all()
        if observation.on_commit is not None:
            observation.on_commit()

    def of(self, kind: type) -> list:
        return [seen.body for seen in self.observations if isinstance(seen.body, kind)]

    async def wait_for(self, kind: type, count: int = 1) -> list:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: len(self.of(kind)) >= count)
        return self.of(kind)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def table() -> Table:
    """Three columns of forty rows, whose indexes cross the borders of one and two octets, and a leaf."""
    indexes = [*range(1, 21), *range(120, 135), *range(16_381, 16_386)]
    columns = {f"1.3.6.1.2.1.2.2.1.{column}.{index}": (tags.COUNTER32, column * index)
               for column in (10, 16, 20) for index in indexes}  # fmt: skip
    return Table({**columns, "1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 4711)})


@pytest.fixture
async def responder(table: Table) -> AsyncIterator[Responder]:
    """A device whose every SET is taken over into its table."""

    def on_set(oid: str, tag: int, value: int | bytes | None) -> int:
        table.update({oid: (tag, value)})
        return 0

    async with Responder(table, on_set=on_set) as device:
        yield device


@pytest.fixture
async def client() -> AsyncIterator[SnmpClient]:
    async with SnmpClient() as asking:
        yield asking


@pytest.fixture
def target(responder: Responder) -> Target:
    return Target("127.0.0.1", responder.port, timeout_seconds=5.0)


@pytest.fixture
async def scripted() -> AsyncIterator[Callable[[Script], Awaitable[ScriptedDevice]]]:
    """Starts scripted devices."""
    async with AsyncExitStack() as stack:

        async def start(script: Script) -> ScriptedDevice:
            loop = asyncio.get_running_loop()
            transport, device = await loop.create_datagram_endpoint(
                lambda: ScriptedDevice(script), local_addr=("127.0.0.1", 0)
            )
            stack.callback(transport.close)
            return device

        yield start
    await asyncio.sleep(0)


@pytest.fixture
def tool(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """Runs a tool of net-snmp without MIBs; returns its output, and its errors after that.

    What it keeps between two runs it keeps in a folder of ours: it tells of one that it has to make.
    """
    kept = tmp_path_factory.mktemp("kept")
    (kept / "cert_indexes").mkdir()

    async def run(name: str, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            peer_binary(name), *arguments,
            env={**os.environ, "MIBS": "", "HOME": "/nonexistent", "SNMP_PERSISTENT_DIR": str(kept)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, errors = await process.communicate()
        return output.decode("latin-1") + errors.decode("latin-1")

    return run


class Snmpd:
    """Debian's agent on a loopback port; it keeps its engine id and boots in its folder."""

    def __init__(self, folder: Path, users: Sequence[User] = (), community: str = "public") -> None:
        self.port = free_port()
        self._folder = folder
        lines = [f"agentAddress udp:127.0.0.1:{self.port}", "sysContact nobody"]
        lines += [f"rwcommunity {community} 127.0.0.1", *(created(user) for user in users)]
        lines += [f"rwuser {user.name} {LEVELS[user.level]}" for user in users]
        (folder / "kept").mkdir(parents=True)
        (folder / "kept" / "snmpd.conf").touch()
        (folder / "snmpd.conf").write_text("\n".join(lines) + "\n")

    @property
    def target(self) -> Target:
        return Target("127.0.0.1", self.port, timeout_seconds=5.0)

    async def start(self) -> None:
        """Return when it answers."""
        settings = f"{self._folder}/snmpd.conf,{self._folder}/kept/snmpd.conf"
        self._process = await asyncio.create_subprocess_exec(
            peer_binary("snmpd"), "-f", "-C", "-c", settings,
            "-Lf", str(self._folder / "log"), "-p", str(self._folder / "pid"),
            env={**os.environ, "MIBS": "", "SNMP_PERSISTENT_DIR": str(self._folder / "kept")},
        )  # fmt: skip
        patient = Target("127.0.0.1", self.port, timeout_seconds=0.2, retries=5 * START_SECONDS)
        async with SnmpClient() as client:
            await client.get(patient, ["1.3.6.1.2.1.1.3.0"])

    async def stop(self) -> None:
        self._process.terminate()
        await self._process.wait()


LEVELS = {0: "noauth", 1: "auth", 3: "priv"}


def created(user: User) -> str:
    """The line by which net-snmp learns of a user."""
    privacy = user.privacy.replace("AES-128", "AES")
    auth = f' {user.auth.replace("SHA-1", "SHA")} "{user.auth_phrase}"' if user.auth else ""
    return f"createUser {user.name}{auth}" + (f' {privacy} "{user.privacy_phrase}"' if privacy else "")


def v3_arguments(user: User) -> list[str]:
    """The options by which net-snmp's tools become a user."""
    level = {0: "noAuthNoPriv", 1: "authNoPriv", 3: "authPriv"}[user.level]
    auth = ["-a", user.auth.replace("SHA-1", "SHA"), "-A", user.auth_phrase] if user.auth else []
    privacy = ["-x", user.privacy.replace("AES-128", "AES"), "-X", user.privacy_phrase]
    return ["-v3", "-u", user.name, "-l", level, *auth, *(privacy if user.privacy else [])]


@pytest.fixture
async def snmpds(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Snmpd]]]:
    """Starts agents of Debian."""
    async with AsyncExitStack() as stack:
        started: list[Snmpd] = []

        async def start(*users: User) -> Snmpd:
            agent = Snmpd(tmp_path / f"snmpd-{len(started)}", users)
            started.append(agent)
            await agent.start()
            stack.push_async_callback(agent.stop)
            return agent

        yield start


@pytest.fixture
async def snmpd(snmpds: Callable[..., Awaitable[Snmpd]]) -> Target:
    """One agent of Debian, answering by the time the test begins."""
    return (await snmpds()).target


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
