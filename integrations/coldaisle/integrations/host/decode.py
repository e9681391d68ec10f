"""Kernel text to values. Pure: every function takes the text of one file.

Malformed lines are passed over: a kernel that words one line differently must not cost the others.
"""

from collections.abc import Iterable, Iterator, Mapping

Sample = tuple[str, float | None]

CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_IDLE_MODES = frozenset({"idle", "iowait"})
_SECTOR_BYTES = 512  # /proc/diskstats counts in these, whatever the device's own sector size
_KIB = 1024


def cpu_ticks(stat: str) -> dict[str, int]:
    """Clock ticks spent in each mode by all CPUs together, from ``/proc/stat``."""
    for line in stat.splitlines():
        fields = line.split()
        if fields and fields[0] == "cpu":
            return dict(zip(CPU_MODES, map(int, fields[1:]), strict=False))
    return {}


def cpu_samples(ticks: Mapping[str, int], before: Mapping[str, int], ticks_per_second: int) -> list[Sample]:
    """The counters, and how busy the machine was since ``before`` (None at the first reading)."""
    busy: list[Sample] = [("cpu_utilization_ratio", utilization(ticks, before))]
    return busy + [
        (f'cpu_seconds_total{{mode="{mode}"}}', count / ticks_per_second) for mode, count in ticks.items()
    ]


def utilization(ticks: Mapping[str, int], before: Mapping[str, int]) -> float | None:
    """The share of time, 0 to 1, that was not idle between two readings."""
    if not before:
        return None
    # The kernel documents that idle and iowait may go backwards; such a step counts as none.
    spent = {mode: max(0, count - before.get(mode, 0)) for mode, count in ticks.items()}
    total = sum(spent.values())
    idle = sum(count for mode, count in spent.items() if mode in _IDLE_MODES)
    return (total - idle) / total if total else None


def load_samples(loadavg: str) -> list[Sample]:
    """Runnable and uninterruptible tasks, averaged over 1, 5 and 15 minutes."""
    return [
        (f"load_{span}", float(value))
        for span, value in zip(("1m", "5m", "15m"), loadavg.split()[:3], strict=False)
    ]


def memory_bytes(meminfo: str) -> dict[str, int]:
    """``/proc/meminfo`` by its own names, in bytes."""
    found = {}
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        fields = rest.split()
        if fields and fields[0].isdigit():
            found[name] = int(fields[0]) * (_KIB if fields[1:] == ["kB"] else 1)
    return found


def memory_samples(meminfo: str) -> list[Sample]:
    """Total, available and used share; what the page cache can give back counts as available."""
    found = memory_bytes(meminfo)
    total, available = found.get("MemTotal"), found.get("MemAvailable")
    if not total or available is None:
        return []
    swap_used = found.get("SwapTotal", 0) - found.get("SwapFree", 0)
    return [
        ("memory_total_bytes", total),
        ("memory_available_bytes", available),
        ("memory_used_ratio", (total - available) / total),
        ("swap_used_bytes", swap_used),
    ]


def disk_samples(diskstats: str) -> list[Sample]:
    """Bytes and busy time of each block device that was ever used; loop and RAM devices are left out."""
    samples: list[Sample] = []
    for line in diskstats.splitlines():
        fields = line.split()
        if len(fields) < 14 or fields[2].startswith(("loop", "ram", "zram")):
            continue
        counts = [int(field) for field in fields[3:14]]
        if any(counts):
            samples += _disk(label(fields[2]), counts)
    return samples


def _disk(device: str, counts: list[int]) -> Iterator[Sample]:
    yield f'disk_read_bytes_total{{device="{device}"}}', counts[2] * _SECTOR_BYTES
    yield f'disk_written_bytes_total{{device="{device}"}}', counts[6] * _SECTOR_BYTES
    yield f'disk_reads_total{{device="{device}"}}', counts[0]
    yield f'disk_writes_total{{device="{device}"}}', counts[4]
    yield f'disk_busy_seconds_total{{device="{device}"}}', counts[9] / 1000


# Column of /proc/net/dev to metric.
_NETWORK_COLUMNS = (
    (0, "network_receive_bytes_total"),
    (1, "network_receive_packets_total"),
    (2, "network_receive_errors_total"),
    (3, "network_receive_drops_total"),
    (8, "network_transmit_bytes_total"),
    (9, "network_transmit_packets_total"),
    (10, "network_transmit_errors_total"),
    (11, "network_transmit_drops_total"),
)


def network_samples(net_dev: str) -> list[Sample]:
    """Counters of each interface; the loopback interface says nothing about the network."""
    samples: list[Sample] = []
    for line in net_dev.splitlines():
        name, colon, rest = line.rpartition(":")
        fields = rest.split()
        if not colon or len(fields) < 12 or name.strip() == "lo":
            continue
        interface = label(name.strip())
        samples += [
            (f'{metric}{{interface="{interface}"}}', int(fields[at])) for at, metric in _NETWORK_COLUMNS
        ]
    return samples


def mount_points(mounts: str) -> list[str]:
    """Where block devices are mounted, each device once: network and memory file systems are left out."""
    found: dict[str, str] = {}
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) >= 3 and fields[0].startswith("/dev/") and fields[2] not in {"squashfs", "iso9660"}:
            found.setdefault(fields[0], _unescape(fields[1]))
    return list(found.values())


def filesystem_samples(mount: str, size: int, free: int, available: int) -> list[Sample]:
    """Sizes in bytes; ``available`` is what an ordinary user can still write."""
    name = label(mount)
    return [
        (f'filesystem_size_bytes{{mount="{name}"}}', size),
        (f'filesystem_used_bytes{{mount="{name}"}}', size - free),
        (f'filesystem_available_bytes{{mount="{name}"}}', available),
    ]


def temperature_sample(sensor: str, millidegrees: str) -> Sample | None:
    """One sensor, in degrees Celsius; None when the driver gave no number."""
    try:
        return f'temperature_celsius{{sensor="{label(sensor)}"}}', int(millidegrees) / 1000
    except ValueError:
        return None


def uptime_samples(uptime: str) -> list[Sample]:
    """Seconds since the machine started."""
    fields = uptime.split()
    return [("uptime_seconds", float(fields[0]))] if fields else []


def cpu_model(cpuinfo: str) -> tuple[str, int]:
    """The processor's name and the number of logical cores, from ``/proc/cpuinfo``."""
    model, cores = "", 0
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        cores += name.strip() == "processor"
        if name.strip() == "model name":
            model = model or value.strip()
    return model, cores


def os_name(os_release: str) -> str:
    """The distribution's pretty name, from ``/etc/os-release``."""
    for line in os_release.splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip().strip('"')
    return ""


def columns(samples: Iterable[Sample]) -> tuple[tuple[str, ...], tuple[float | None, ...]]:
    """Samples as the two columns of an event."""
    pairs = list(samples)
    return tuple(name for name, _ in pairs), tuple(value for _, value in pairs)


def label(value: str) -> str:
    """A label value as Prometheus writes it between quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescape(path: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path
