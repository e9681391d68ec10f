"""A server that tells of itself as Linux does: files of `/proc`, from the numbers of the plant."""

from collections.abc import Mapping

from coldaisle.lab.hall import Hall
from coldaisle.lab.load import utilisation
from coldaisle.lab.plant import Plant
from coldaisle.lab.servers import CORES, IN_SERVICE_SECONDS, MEMORY_BYTES, server_work, used_bytes

TICKS_A_SECOND = 100
SECTOR_BYTES, KIB = 512, 1_024
BYTES_A_REQUEST, BYTES_A_PACKET = 65_536.0, 900.0
DISK_BYTES_A_SECOND = 5.0e8
SYSTEM_SHARE, WAIT_SHARE = 0.2, 0.01
CPU_MODEL = "Intel(R) Xeon(R) Silver 4314 CPU @ 2.40GHz"


def identity_files(hall: Hall, index: int) -> Mapping[str, str]:
    """What never changes, by path below the root."""
    processors = "".join(f"processor\t: {n}\nmodel name\t: {CPU_MODEL}\n\n" for n in range(CORES))
    return {
        "proc/cpuinfo": processors,
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "etc/hostname": f"{hall.servers[index]}\n",
        "proc/self/mounts": "",
    }


def kernel_files(hall: Hall, plant: Plant, index: int) -> Mapping[str, str]:
    """What moves with the plant, by path below the root."""
    return {
        "proc/stat": _stat(plant, index),
        "proc/loadavg": _loadavg(hall, plant.seconds, index),
        "proc/meminfo": _meminfo(used_bytes(hall, plant.servers, index, plant.seconds)),
        "proc/diskstats": _diskstats(plant, index),
        "proc/net/dev": _net_dev(plant, index),
        "proc/uptime": f"{IN_SERVICE_SECONDS + plant.seconds:.2f} 0.00\n",
    }


def _stat(plant: Plant, index: int) -> str:
    busy = plant.servers.busy_seconds[index]
    idle = CORES * (IN_SERVICE_SECONDS + plant.seconds) - busy
    seconds = (
        busy * (1.0 - SYSTEM_SHARE), 0.0, busy * SYSTEM_SHARE, idle * (1.0 - WAIT_SHARE), idle * WAIT_SHARE,
        0.0, 0.0, 0.0,
    )  # fmt: skip
    return "cpu  " + " ".join(str(int(each * TICKS_A_SECOND)) for each in seconds) + " 0 0\n"


def _loadavg(hall: Hall, seconds: float, index: int) -> str:
    now = CORES * server_work(hall, index, seconds)
    lately, before = (CORES * utilisation(hall, index, seconds - ago) for ago in (150.0, 450.0))
    return f"{now:.2f} {(now + lately) / 2.0:.2f} {(now + lately + before) / 3.0:.2f} 3/812 4711\n"


def _meminfo(used: float) -> str:
    total, available = MEMORY_BYTES // KIB, int((MEMORY_BYTES - used) / KIB)
    return (
        f"MemTotal:       {total} kB\nMemFree:        {available // 2} kB\nMemAvailable:   {available} kB\n"
        "SwapTotal:             0 kB\nSwapFree:              0 kB\n"
    )


def _diskstats(plant: Plant, index: int) -> str:
    read, written = plant.servers.read_bytes[index], plant.servers.written_bytes[index]
    busy = (read + written) / DISK_BYTES_A_SECOND * 1_000.0
    counts = (
        read / BYTES_A_REQUEST, 0, read / SECTOR_BYTES, busy / 3.0,
        written / BYTES_A_REQUEST, 0, written / SECTOR_BYTES, busy, 0, busy, busy,
    )  # fmt: skip
    return "   8       0 sda " + " ".join(str(int(each)) for each in counts) + "\n"


def _net_dev(plant: Plant, index: int) -> str:
    received, sent = plant.servers.received_bytes[index], plant.servers.sent_bytes[index]
    inward = f"{int(received)} {int(received / BYTES_A_PACKET)} 0 0 0 0 0 0"
    outward = f"{int(sent)} {int(sent / BYTES_A_PACKET)} 0 0 0 0 0 0"
    return (
        "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast"
        f"|bytes packets errs drop fifo colls carrier compressed\n  eth0: {inward} {outward}\n"
    )
