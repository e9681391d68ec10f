"""The lab at work: devices on loopback, the plant moved by the clock, faults taken in and written down."""

import asyncio
import os
import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from coldaisle.integrations.snmp.ber import Wire
from coldaisle.integrations.snmp.responder import Responder
from coldaisle.integrations.snmp.table import Table
from coldaisle.integrations.snmp.traps import encode_trap_v2
from coldaisle.lab.control import (
    Answer,
    AskFaults,
    AskState,
    Clear,
    ControlServer,
    Inject,
    InjectedFault,
    Request,
)
from coldaisle.lab.devices import changing_rows, fixed_rows, is_answering
from coldaisle.lab.devices.controls import change
from coldaisle.lab.devices.rows import uptime
from coldaisle.lab.errors import FaultRefused, LabError
from coldaisle.lab.faults import Fault, checked, under
from coldaisle.lab.hall import Hall, build_hall
from coldaisle.lab.inputs import healthy
from coldaisle.lab.inventory import WRITE_COMMUNITY_FILE, inventory_toml
from coldaisle.lab.notices import Notice, notice_of, syslog_line
from coldaisle.lab.plant import Plant, first_plant, step
from coldaisle.lab.report import state_answer
from coldaisle.lab.telling import lines_of, write_identities, write_kernel_files

HOST = "127.0.0.1"
READ_COMMUNITY = "public"
TICK_SECONDS = 0.5
"""Wall time between two steps of the plant."""
MAX_TICK_SECONDS = 5.0
"""A process that was suspended goes on from here instead of catching up for ever."""
MAX_SPEED = 600.0
KERNEL_FILES_SECONDS = 2.0
"""Wall time between two writings of the servers' kernel files."""
TRUTH_FILE, INVENTORY_FILE = "truth.jsonl", "inventory.toml"

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class LabSettings:
    """Where a lab lives and how it runs; port 0 takes free ports."""

    directory: Path
    port: int = 0
    speed: float = 1.0
    seed: int = 1
    syslog: Address | None = None
    traps: Address | None = None


class Device(Responder):
    """A responder that can fall silent without giving up its port."""

    is_silent = False

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Answer, unless the device is to be unreachable."""
        if not self.is_silent:
            super().datagram_received(data, addr)


class Lab:
    """A running hall. An async context manager: inside, every device answers."""

    def __init__(self, settings: LabSettings) -> None:
        if not 0.0 < settings.speed <= MAX_SPEED:
            raise LabError(
                f"speed {settings.speed:g} is out of range; give more than 0 and at most {MAX_SPEED:g}"
            )
        self.settings = settings
        self.hall: Hall = build_hall(settings.seed)
        self.devices: dict[str, Device] = {}
        self.write_community = secrets.token_hex(16)
        self._commanded = self._inputs = healthy(self.hall)
        self._faults: dict[Fault, float] = {}
        self._plant: Plant = first_plant(self.hall)
        self._shown: dict[str, frozenset[str]] = {}
        self._started = time.monotonic()
        self._stack = AsyncExitStack()
        self._ticker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.settings.directory.mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(ControlServer(self.settings.directory, self.answer))
            for index, name in enumerate(self.hall.devices):
                await self._open(stack, name, self.settings.port + index if self.settings.port else 0)
            self._write_files()
            self._started = time.monotonic()
            group = await stack.enter_async_context(asyncio.TaskGroup())
            self._ticker = group.create_task(self._tick())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        await self._stack.__aexit__(kind, error, trace)

    @property
    def plant(self) -> Plant:
        """The true state now."""
        return self._plant

    @property
    def ports(self) -> dict[str, int]:
        """The UDP port of each device."""
        return {name: device.port for name, device in self.devices.items()}

    def advance(self, plant_seconds: float) -> None:
        """Move the plant on and show it; the clock does this every tick."""
        since = self._plant.seconds
        self._plant = step(self.hall, self._inputs, self._plant, plant_seconds)
        self._show_all()
        if self.settings.syslog:
            for notice in lines_of(self.hall, self._inputs, since, self._plant.seconds):
                self._say(notice)

    def answer(self, request: Request) -> Answer:
        """Do what a line on the control socket asks; raises FaultRefused."""
        match request:
            case Inject(kind, asset, size):
                self.inject(Fault(kind, asset, size))
            case Clear(kind, asset):
                self.clear(kind, asset)
            case AskFaults():
                pass
            case AskState():
                return state_answer(self.hall, self._inputs, self._plant, self.settings.speed, self.faults)
        return Answer(seconds=self._plant.seconds, speed=self.settings.speed, faults=self.faults)

    @property
    def faults(self) -> list[InjectedFault]:
        """The faults that are in."""
        return [InjectedFault(f.kind, f.asset, f.size, since) for f, since in self._faults.items()]

    def inject(self, fault: Fault) -> None:
        """Let it break now; a fault that is in already takes the new size. Raises FaultRefused."""
        checked(self.hall, fault)
        known = self._find(fault.kind, fault.asset)
        since = self._faults.pop(known) if known else self._plant.seconds
        self._faults[fault] = since
        self._note("fault_injected", fault)
        self._say(notice_of(fault, cleared=False))
        self._lay()

    def clear(self, kind: str, asset: str) -> None:
        """Repair it now; raises FaultRefused when it is not broken."""
        fault = self._find(kind, asset)
        if fault is None:
            raise FaultRefused(f"{kind} is not in on {asset!r}; see: coldaisle lab state")
        del self._faults[fault]
        self._note("fault_cleared", fault)
        self._lay()
        self._say(notice_of(fault, cleared=True))

    def _find(self, kind: str, asset: str) -> Fault | None:
        return next((fault for fault in self._faults if (fault.kind, fault.asset) == (kind, asset)), None)

    def _lay(self) -> None:
        self._inputs = under(self.hall, self._commanded, self._faults)
        self._show_all()

    async def _tick(self) -> None:
        before = written = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self.advance(min(now - before, MAX_TICK_SECONDS) * self.settings.speed)
            before = now
            if now - written >= KERNEL_FILES_SECONDS:
                write_kernel_files(self.settings.directory, self.hall, self._plant)
                written = now

    async def _open(self, stack: AsyncExitStack, name: str, port: int) -> None:
        device = Device(
            Table(fixed_rows(self.hall, name)),
            HOST,
            port,
            read_community=READ_COMMUNITY,
            write_community=self.write_community,
            on_set=lambda oid, tag, value: self._set(name, oid, tag, value),
        )
        try:
            self.devices[name] = await stack.enter_async_context(device)
        except OSError as error:
            raise LabError(
                f"UDP port {port} for {name} cannot be had ({error.strerror}); try --port 0"
            ) from error
        self._show(name)

    def _set(self, name: str, oid: str, tag: int, value: Wire) -> int:
        changed = change(self.hall, self._commanded, name, oid, tag, value, self._plant.seconds)
        if isinstance(changed, int):
            return changed
        self._commanded = changed
        self._lay()
        return 0

    def _show_all(self) -> None:
        for name in self.devices:
            self._show(name)

    def _show(self, name: str) -> None:
        """Bring the device's table up to the plant; rows that are gone, such as an alarm's, are taken out."""
        device = self.devices[name]
        device.is_silent = not is_answering(self.hall, self._inputs, self._plant, name)
        rows = changing_rows(self.hall, self._inputs, self._plant, name)
        rows.update(uptime(time.monotonic() - self._started))
        gone = self._shown.get(name, frozenset()) - rows.keys()
        if gone:
            device.table.remove(gone)
        device.table.update(rows)
        self._shown[name] = frozenset(rows)

    def _say(self, notice: Notice | None) -> None:
        """Send the trap and the line from the device's own port; a silent device says nothing.

        Servers have no port: their lines leave by another one, and name them.
        """
        if notice is None:
            return
        device = self.devices.get(notice.device) or self.devices[self.hall.switches[0]]
        if device.is_silent:
            return
        if self.settings.syslog:
            device.send(syslog_line(notice, datetime.now(UTC)), self.settings.syslog)
        if self.settings.traps and notice.trap:
            ticks = int((time.monotonic() - self._started) * 100.0)
            rows = [(oid, tag, value) for oid, (tag, value) in notice.rows]
            device.send(encode_trap_v2(READ_COMMUNITY, ticks, notice.trap, rows), self.settings.traps)

    def _write_files(self) -> None:
        directory = self.settings.directory
        _write_secret(directory / WRITE_COMMUNITY_FILE, self.write_community)
        (directory / INVENTORY_FILE).write_text(inventory_toml(self.hall, self.ports), "utf-8")
        write_identities(directory, self.hall)
        write_kernel_files(directory, self.hall, self._plant)
        self._note("lab_started", None)

    def _note(self, what: str, fault: Fault | None) -> None:
        """Write the truth down, for whoever scores what was made of it."""
        line: dict[str, object] = {
            "what": what,
            "time": datetime.now(UTC).isoformat(),
            "plant_seconds": round(self._plant.seconds, 1),
        }
        if fault is None:
            line |= {"seed": self.settings.seed, "speed": self.settings.speed}
        else:
            line |= {"kind": fault.kind, "asset": fault.asset, "size": fault.size}
        with (self.settings.directory / TRUTH_FILE).open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")


def _write_secret(path: Path, secret: str) -> None:
    """Write a file that only its owner reads, from its first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
