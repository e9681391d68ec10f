"""A history without sockets: the plant stepped from poll to poll, and what an agent would have seen of it.

Devices are read through the very profiles and decoders of the collectors, from the rows that they would have
answered with; servers from the text that their kernels would have shown. What is left out is the wire: all
devices of a round are read at one moment, none answers late, and one that is down is asked each round. Equal
seeds and faults give equal observations. A recorder can be forked, to let one day end in many ways.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import (
    AssetObserved,
    DeviceLost,
    DeviceReached,
    LogLine,
    LogLinesRecorded,
    SamplesRecorded,
    TrapReceived,
)
from coldaisle.integrations.host import decode as host
from coldaisle.integrations.snmp.decode import samples
from coldaisle.integrations.syslog.decode import parse_message
from coldaisle.lab.devices import changing_rows, fixed_rows, is_answering
from coldaisle.lab.devices.reading import SnmpReader
from coldaisle.lab.devices.rows import uptime
from coldaisle.lab.devices.server import TICKS_A_SECOND, identity_files, kernel_files
from coldaisle.lab.faults import Fault, checked, under
from coldaisle.lab.hall import Hall, build_hall
from coldaisle.lab.inputs import Inputs, healthy
from coldaisle.lab.inventory import inventory_toml
from coldaisle.lab.logs import Said, lines_between
from coldaisle.lab.notices import Notice, notice_of, syslog_line
from coldaisle.lab.plant import Plant, first_plant, step
from coldaisle.lab.servers import IN_SERVICE_SECONDS

AGENT = "recorder"
FIRST_PORT = 16_100
START = 1_780_306_200_000_000_000
"""UTC ns at plant second 0: half past nine on 1 June 2026, as the plant's own clock has it."""
NANOSECONDS = 1_000_000_000
AIR_STEP_SECONDS = 2.0
"""Twice that of the running lab: days pass in half the time."""


class Recorder:
    """A hall, and what is seen of it every `poll_seconds` of plant time."""

    def __init__(self, seed: int = 1, poll_seconds: float = 60.0) -> None:
        self.hall: Hall = build_hall(seed)
        self.poll_seconds = poll_seconds
        self.plant: Plant = first_plant(self.hall)
        self._inputs: Inputs = healthy(self.hall)
        self._faults: tuple[Fault, ...] = ()
        self._ticks: dict[str, Mapping[str, int]] = {}
        self._reached: dict[str, bool] = {}
        self._said: list[Notice] = []
        self._devices = _devices(self.hall, self.plant)

    def fork(self) -> "Recorder":
        """Return another recorder of the same hall at this moment; the two go on apart."""
        other = copy(self)
        other._ticks, other._reached, other._said = dict(self._ticks), dict(self._reached), list(self._said)
        other._devices = {name: device.fork() for name, device in self._devices.items()}
        return other

    @property
    def time(self) -> int:
        """The moment of the plant, UTC ns."""
        return moment(self.plant.seconds)

    def inject(self, fault: Fault) -> None:
        """Let it break now. Raises FaultRefused."""
        self._faults = (*self._faults, checked(self.hall, fault))
        self._inputs = under(self.hall, self._inputs, [fault])
        self._note(notice_of(fault, cleared=False))

    def clear(self, fault: Fault) -> None:
        """Repair it now."""
        self._faults = tuple(each for each in self._faults if each != fault)
        self._inputs = under(self.hall, healthy(self.hall), self._faults)
        self._note(notice_of(fault, cleared=True))

    def first(self) -> list[Observation]:
        """What agents say when they start: what the servers are."""
        return [
            Observation(self.time, AssetObserved(name, "host", _attributes(self.hall, index), "host"))
            for index, name in enumerate(self.hall.servers)
        ]

    def poll(self) -> list[Observation]:
        """Move on to the next poll, and return all that was seen since the last one."""
        since = self.plant.seconds
        self.plant = step(self.hall, self._inputs, self.plant, self.poll_seconds, AIR_STEP_SECONDS)
        return [*self._lines(since), *self._snmp(), *self._servers()]

    def _note(self, notice: Notice | None) -> None:
        if notice is not None:
            self._said.append(notice)

    def _lines(self, since: float) -> Iterator[Observation]:
        """Log lines by machine, and the traps among them."""
        said = [Said(since, notice) for notice in self._said]
        self._said = []
        for logger in self.hall.loggers:
            said += lines_between(self.hall, self._inputs, logger, since, self.plant.seconds)
        by_asset: dict[str, list[Said]] = {}
        for each in said:
            by_asset.setdefault(each.notice.device, []).append(each)
        for asset, lines in by_asset.items():
            if asset not in self._inputs.silent:
                yield from _logged(asset, lines)

    def _snmp(self) -> Iterator[Observation]:
        for name, device in self._devices.items():
            if not is_answering(self.hall, self._inputs, self.plant, name):
                yield from self._lose(name, device)
                continue
            if not self._reached.get(name):
                self._reached[name] = True
                yield Observation(self.time, DeviceReached(name, device.address, AGENT))
            changing = changing_rows(self.hall, self._inputs, self.plant, name)
            changing.update(uptime(IN_SERVICE_SECONDS + self.plant.seconds))
            for event in samples(name, device.measures, device.reader.read(changing, self.time), "good"):
                yield Observation(self.time, event)

    def _lose(self, name: str, device: "_Device") -> Iterator[Observation]:
        if self._reached.get(name, True):
            self._reached[name] = False
            reason = f"no answer from {device.address}"
            yield Observation(self.time, DeviceLost(name, device.address, AGENT, reason))

    def _servers(self) -> Iterator[Observation]:
        for index, name in enumerate(self.hall.servers):
            files = kernel_files(self.hall, self.plant, index)
            ticks = host.cpu_ticks(files["proc/stat"])
            found = host.cpu_samples(ticks, self._ticks.get(name, {}), TICKS_A_SECOND)
            self._ticks[name] = ticks
            found += host.load_samples(files["proc/loadavg"]) + host.memory_samples(files["proc/meminfo"])
            found += host.disk_samples(files["proc/diskstats"])
            found += host.network_samples(files["proc/net/dev"]) + host.uptime_samples(files["proc/uptime"])
            yield Observation(self.time, SamplesRecorded(name, *host.columns(found)))


def moment(plant_seconds: float) -> int:
    """Return the UTC ns of a plant second."""
    return START + round(plant_seconds * 1_000.0) * 1_000_000


@dataclass(frozen=True, slots=True)
class _Device:
    """How an agent sees one device."""

    reader: SnmpReader
    address: str
    measures: Mapping[str, str]

    def fork(self) -> "_Device":
        """Return the same device, read from here on by another reader."""
        return replace(self, reader=self.reader.fork())


def _devices(hall: Hall, rested: Plant) -> dict[str, _Device]:
    ports = {name: FIRST_PORT + index for index, name in enumerate(hall.devices)}
    inventory = tomllib.loads(inventory_toml(hall, ports))
    found = {}
    for device in inventory["devices"]:
        name = device["asset"]
        fixed = fixed_rows(hall, name)
        reader = SnmpReader({**fixed, **changing_rows(hall, healthy(hall), rested, name), **uptime(0.0)})
        found[name] = _Device(reader, device["address"], device.get("measures", {}))
    return found


def _attributes(hall: Hall, index: int) -> dict[str, str]:
    files = identity_files(hall, index)
    model, cores = host.cpu_model(files["proc/cpuinfo"])
    return {
        "hostname": hall.servers[index],
        "cpu_model": model,
        "cpu_cores": str(cores),
        "os": host.os_name(files["etc/os-release"]),
    }


def _logged(asset: str, said: Iterable[Said]) -> Iterator[Observation]:
    """One asset's lines as syslog brings them, then its traps."""
    ordered = sorted(said, key=lambda each: each.seconds)
    lines = tuple(_line(each) for each in ordered)
    yield Observation(lines[-1].time, LogLinesRecorded(asset, lines, "syslog"))
    for each in ordered:
        if each.notice.trap:
            rows = tuple((oid, _text(cell[1])) for oid, cell in each.notice.rows)
            yield Observation(moment(each.seconds), TrapReceived(asset, each.notice.trap, rows, "127.0.0.1"))


def _line(said: Said) -> LogLine:
    stamp = moment(said.seconds)
    frame = syslog_line(said.notice, datetime.fromtimestamp(stamp / NANOSECONDS, UTC))
    return parse_message(frame, stamp).line


def _text(value: int | str | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
