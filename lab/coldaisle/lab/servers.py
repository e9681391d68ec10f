"""The servers that tell of themselves: counters that run with the work of their racks, and a leak.

What is shown of them (`devices/server.py`) is text as a kernel writes it; here are the numbers behind it.
"""

from dataclasses import dataclass

from coldaisle.lab.hall import Hall
from coldaisle.lab.inputs import Inputs
from coldaisle.lab.load import utilisation
from coldaisle.lab.noise import jitter, uniform, wander

CORES = 32
MEMORY_BYTES = 64 * 2**30
RESERVE_BYTES = 2**30
"""When no more than this is left, the kernel ends the greediest process: the leak starts over."""
IN_SERVICE_SECONDS = 40 * 86_400.0
WORK_NOISE, WORK_NOISE_SECONDS = 0.08, 60.0
READ_BYTES_A_SECOND, WRITTEN_BYTES_A_SECOND = 6.0e6, 9.0e6
RECEIVED_BYTES_A_SECOND, SENT_BYTES_A_SECOND = 3.0e6, 1.4e6
"""At full work."""
BURST_SHARE = 0.5
MEMORY_BASE_SHARES = (0.35, 0.5)
MEMORY_WORK_SHARE = 0.12
MEMORY_WANDER_SHARE, MEMORY_WANDER_SECONDS = 0.02, 1_200.0
WORK_CHANNEL, IO_CHANNEL, MEMORY_CHANNEL, BASE_CHANNEL = 6_000, 6_100, 6_300, 6_400


@dataclass(frozen=True, slots=True)
class Servers:
    """Running totals of all servers, in the order of the racks."""

    busy_seconds: tuple[float, ...]
    """Of all cores together."""
    read_bytes: tuple[float, ...]
    written_bytes: tuple[float, ...]
    received_bytes: tuple[float, ...]
    sent_bytes: tuple[float, ...]
    leaked_bytes: tuple[float, ...]


def first_servers(hall: Hall) -> Servers:
    """Return the servers as they were when the run began: up for weeks."""
    many = len(hall.servers)
    return Servers(
        busy_seconds=(0.5 * CORES * IN_SERVICE_SECONDS,) * many,
        read_bytes=(1.0e13,) * many,
        written_bytes=(1.6e13,) * many,
        received_bytes=(5.0e12,) * many,
        sent_bytes=(2.4e12,) * many,
        leaked_bytes=(0.0,) * many,
    )


def advance_servers(hall: Hall, inputs: Inputs, servers: Servers, seconds: float, dt: float) -> Servers:
    """Return the totals `dt` seconds later, at the work of this moment."""
    works = [server_work(hall, index, seconds) for index in range(len(hall.servers))]
    moment = int(seconds // 10.0)
    bursts = [
        1.0 + BURST_SHARE * jitter(hall.seed, IO_CHANNEL + index, moment) for index in range(len(works))
    ]
    io = [work * burst * dt for work, burst in zip(works, bursts, strict=True)]
    return Servers(
        busy_seconds=_grown(servers.busy_seconds, [CORES * work * dt for work in works]),
        read_bytes=_grown(servers.read_bytes, [READ_BYTES_A_SECOND * each for each in io]),
        written_bytes=_grown(servers.written_bytes, [WRITTEN_BYTES_A_SECOND * each for each in io]),
        received_bytes=_grown(servers.received_bytes, [RECEIVED_BYTES_A_SECOND * each for each in io]),
        sent_bytes=_grown(servers.sent_bytes, [SENT_BYTES_A_SECOND * each for each in io]),
        leaked_bytes=tuple(
            _leaked(hall, servers, inputs.leak_bytes_a_second[index], index, seconds, dt)
            for index in range(len(works))
        ),
    )


def server_work(hall: Hall, index: int, seconds: float) -> float:
    """Return how busy a server's processors are, 0 to 1."""
    noise = WORK_NOISE * wander(hall.seed, WORK_CHANNEL + index, seconds, WORK_NOISE_SECONDS)
    return min(1.0, max(0.02, utilisation(hall, index, seconds) + noise))


def used_bytes(hall: Hall, servers: Servers, index: int, seconds: float) -> float:
    """Return the memory in use: a base of its own, more with the work, and what leaked."""
    low, high = MEMORY_BASE_SHARES
    base = low + (high - low) * uniform(hall.seed, BASE_CHANNEL + index, 0)
    slow = MEMORY_WANDER_SHARE * wander(hall.seed, MEMORY_CHANNEL + index, seconds, MEMORY_WANDER_SECONDS)
    work = MEMORY_WORK_SHARE * utilisation(hall, index, seconds)
    return MEMORY_BYTES * (base + work + slow) + servers.leaked_bytes[index]


def _leaked(hall: Hall, servers: Servers, rate: float, index: int, seconds: float, dt: float) -> float:
    """Return what has leaked; a cured process was started anew and holds nothing."""
    if rate <= 0.0:
        return 0.0
    is_full = used_bytes(hall, servers, index, seconds) > MEMORY_BYTES - RESERVE_BYTES
    return 0.0 if is_full else servers.leaked_bytes[index] + rate * dt


def _grown(values: tuple[float, ...], growth: list[float]) -> tuple[float, ...]:
    return tuple(value + more for value, more in zip(values, growth, strict=True))
