"""Reads this machine's kernel files through descriptors that stay open.

Opening ``/proc`` files costs more than reading them; ``pread`` on an open one starts a fresh reading.
"""

import asyncio
import logging
import os
import platform
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.events.types import AssetObserved, SamplesRecorded
from coldaisle.integrations.host import decode
from coldaisle.integrations.host.decode import Sample

logger = logging.getLogger(__name__)

_READ_BYTES = 65_536
_MAX_FILE_BYTES = 4_194_304
_SOURCES = {
    "proc/loadavg": decode.load_samples,
    "proc/meminfo": decode.memory_samples,
    "proc/diskstats": decode.disk_samples,
    "proc/net/dev": decode.network_samples,
    "proc/uptime": decode.uptime_samples,
}


def host_asset(hostname: str | None = None) -> str:
    """The asset id of a machine: ``host-`` and its short name."""
    name = (hostname or socket.gethostname()).split(".")[0].lower()
    return "host-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in name)


class KernelFiles:
    """Files under ``root``, opened at first use and kept open; a missing one is reported once.

    One that cannot be read is tried again each time: a sensor that sleeps says so by an error.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._descriptors: dict[str, int] = {}
        self._missing: set[str] = set()

    def read(self, name: str) -> str:
        """The file's text, empty when there is no such file here now."""
        try:
            if name not in self._descriptors:
                self._descriptors[name] = os.open(self.root / name, os.O_RDONLY | os.O_CLOEXEC)
            text = _read_all(self._descriptors[name])
        except OSError as error:
            self._miss(name, str(error))
            return ""
        self._missing.discard(name)
        return text

    def close(self) -> None:
        """Close every descriptor."""
        for name in list(self._descriptors):
            self._forget(name)

    def _miss(self, name: str, reason: str) -> None:
        if name not in self._missing:
            logger.warning("host source missing", extra={"path": name, "reason": reason})
            self._missing.add(name)
        self._forget(name)

    def _forget(self, name: str) -> None:
        descriptor = self._descriptors.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)


def _read_all(descriptor: int) -> str:
    # The kernel answers in pages, however much is asked for: read until it says there is no more.
    text = b""
    while len(text) < _MAX_FILE_BYTES:
        block = os.pread(descriptor, _READ_BYTES, len(text))
        if not block:
            break
        text += block
    return text.decode("utf-8", "replace")


class HostCollector:
    """Observes one machine every ``poll_seconds``."""

    def __init__(self, poll_seconds: float, asset: str | None = None, root: Path = Path("/")) -> None:
        self.poll_seconds = poll_seconds
        self.asset = asset or host_asset()
        self._files = KernelFiles(root)
        self._root = root
        self._ticks: Mapping[str, int] = {}
        self._sensors: list[tuple[str, str]] = []

    async def run(self, emit: Emit) -> None:
        """Say what the machine is, then poll it until cancelled."""
        try:
            await emit(Observation(time.time_ns(), await asyncio.to_thread(self.describe)))
            await self._poll(emit)
        finally:
            self._files.close()

    async def _poll(self, emit: Emit) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            metrics, values = decode.columns(await asyncio.to_thread(self.sample))
            if metrics:
                await emit(Observation(time.time_ns(), SamplesRecorded(self.asset, metrics, values)))
            due = max(due + self.poll_seconds, loop.time())
            await asyncio.sleep(due - loop.time())

    def describe(self) -> AssetObserved:
        """What the machine is; also finds its sensors."""
        self._sensors = list(_find_sensors(self._root))
        model, cores = decode.cpu_model(self._text("proc/cpuinfo"))
        memory = decode.memory_bytes(self._text("proc/meminfo")).get("MemTotal", 0)
        attributes = {
            "hostname": socket.gethostname(),
            "cpu_model": model or platform.processor(),
            "cpu_cores": str(cores or os.cpu_count() or 0),
            "memory_bytes": str(memory),
            "os": decode.os_name(self._text("etc/os-release")) or platform.system(),
            "kernel": platform.release(),
        }
        return AssetObserved(self.asset, "host", attributes, "host")

    def sample(self) -> list[Sample]:
        """One reading of everything; blocks for well under a millisecond."""
        samples = self._cpu()
        for name, parse in _SOURCES.items():
            samples += parse(self._files.read(name))
        return samples + list(self._filesystems()) + list(self._temperatures())

    def _cpu(self) -> list[Sample]:
        ticks = decode.cpu_ticks(self._files.read("proc/stat"))
        samples = decode.cpu_samples(ticks, self._ticks, os.sysconf("SC_CLK_TCK")) if ticks else []
        self._ticks = ticks
        return samples

    def _filesystems(self) -> Iterator[Sample]:
        for mount in decode.mount_points(self._files.read("proc/self/mounts")):
            try:
                found = os.statvfs(mount)
            except OSError:  # unmounted since, or not ours to look at
                continue
            unit = found.f_frsize
            yield from decode.filesystem_samples(
                mount, found.f_blocks * unit, found.f_bfree * unit, found.f_bavail * unit
            )

    def _temperatures(self) -> Iterator[Sample]:
        for sensor, path in self._sensors:
            sample = decode.temperature_sample(sensor, self._files.read(path))
            if sample is not None:
                yield sample

    def _text(self, name: str) -> str:
        try:
            return (self._root / name).read_text("utf-8", "replace")
        except OSError:
            return ""


def _find_sensors(root: Path) -> Iterator[tuple[str, str]]:
    """(name, path below root) of each temperature input; thermal zones only where hwmon has none."""
    found = list(_hwmon(root)) or list(_thermal_zones(root))
    yield from found


def _hwmon(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.glob("sys/class/hwmon/hwmon*/temp*_input")):
        chip = _first_line(path.parent / "name") or path.parent.name
        name = _first_line(path.with_name(path.name.replace("_input", "_label")))
        yield f"{chip} {name or path.name.removesuffix('_input')}", str(path.relative_to(root))


def _thermal_zones(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.glob("sys/class/thermal/thermal_zone*/temp")):
        zone = path.parent.name
        yield f"{_first_line(path.parent / 'type')} {zone}".strip(), str(path.relative_to(root))


def _first_line(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").split("\n", 1)[0].strip()
    except OSError:
        return ""
