"""A trap that an agent receives has it poll the device that sent it, also after both collectors changed."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from coldaisle.agent.collecting import Collecting
from coldaisle.agent.collectors import collectors_of
from coldaisle.agent.config import AgentConfig, load_config
from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.events.types import SamplesRecorded, TrapReceived
from coldaisle.integrations.snmp import Responder, Table, encode_trap_v2, tags

UPTIME = {"1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 4711)}
LINK_DOWN = "1.3.6.1.6.3.1.1.5.3"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write(folder: Path, device: Responder, traps_port: int, poll_seconds: float = 3_000) -> AgentConfig:
    (folder / "inventory.toml").write_text(
        f'[[devices]]\nasset = "a"\naddress = "127.0.0.1:{device.port}"\nprofile = "generic"\n'
    )
    path = folder / "agent.toml"
    path.write_text(
        '[agent]\nname = "edge"\nserver = "127.0.0.1:9"\ninventory = ["inventory.toml"]\ndata_dir = "."\n'
        f"[host]\nenabled = false\n[snmp]\npoll_seconds = {poll_seconds}\n"
        f'[traps]\nudp = "127.0.0.1:{traps_port}"\n'
    )
    return load_config(path)


class Emitted:
    """Keeps what all collectors emit."""

    def __init__(self) -> None:
        self.bodies: list[object] = []
        self._changed = asyncio.Condition()

    def emit_as(self, collector: str) -> Emit:
        async def emit(observation: Observation) -> None:
            async with self._changed:
                self.bodies.append(observation.body)
                self._changed.notify_all()

        return emit

    def count(self, kind: type) -> int:
        return sum(isinstance(body, kind) for body in self.bodies)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(holds)


async def trap(device: Responder, port: int, emitted: Emitted, number: int) -> None:
    """Send another one until it was received."""
    received = emitted.count(TrapReceived)
    datagram = encode_trap_v2("public", number, LINK_DOWN, [("1.3.6.1.2.1.2.2.1.1.1", tags.INTEGER, number)])
    while emitted.count(TrapReceived) == received:
        device.send(datagram, ("127.0.0.1", port))
        await asyncio.sleep(0.01)


async def test_a_trap_has_its_device_polled_at_once_and_after_a_reload_too(tmp_path: Path) -> None:
    emitted, port, other_port = Emitted(), free_port(), free_port()
    async with Responder(Table(UPTIME)) as device, asyncio.TaskGroup() as group:
        collecting = Collecting(group, emitted.emit_as)
        collecting.start(collectors_of(write(tmp_path, device, port)))
        await trap(device, port, emitted, 1)
        await emitted.until(lambda: emitted.count(SamplesRecorded) == 1)
        await trap(device, port, emitted, 2)
        changed = write(tmp_path, device, other_port, poll_seconds=3_600)
        assert emitted.count(SamplesRecorded) == 1
        assert await collecting.change(collectors_of(changed), changed) == ["snmp updated", "traps stopped",
                                                                            "traps started"]  # fmt: skip
        await trap(device, other_port, emitted, 3)
        await emitted.until(lambda: emitted.count(SamplesRecorded) == 2)
        await collecting.stop()
