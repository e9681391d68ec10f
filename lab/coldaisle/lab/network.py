"""The switches' ports: counters that run with the work of the racks, errors and links that go down."""

from dataclasses import dataclass

from coldaisle.lab.hall import PEER_PORT, PORTS, UPLINK_PORT, Hall
from coldaisle.lab.inputs import Inputs
from coldaisle.lab.noise import jitter, uniform, wander
from coldaisle.lab.power import Power

BYTES_A_PACKET = 850.0
BYTES_A_WATT_SECOND = 4_000.0
"""Traffic follows the work: 6 kW of servers move some 24 MB/s on each switch."""
OUT_SHARE = 0.45
SLOW_SHARE, SLOW_SECONDS, QUICK_SHARE = 0.25, 300.0, 0.35
"""Traffic comes in waves of minutes and in bursts of seconds."""
SECONDS_A_BURST = 10.0
STRAY_ERROR_CHANCE = 1e-5
"""In each burst, that a packet arrives broken on a healthy port: one a day on every eleventh port or so."""
SLOW_CHANNEL, QUICK_CHANNEL, STRAY_CHANNEL = 4_000, 4_100, 4_200


@dataclass(frozen=True, slots=True)
class Network:
    """Counters of all ports, switch after switch; whole numbers only on the wire."""

    in_octets: tuple[float, ...]
    out_octets: tuple[float, ...]
    in_errors: tuple[float, ...]


def first_network(hall: Hall) -> Network:
    """Return the ports as they were when the run began: counters of a switch long in service."""
    ports = PORTS * len(hall.switches)
    started = tuple(1.0e12 + 7.0e9 * port for port in range(ports))
    return Network(in_octets=started, out_octets=started, in_errors=(0.0,) * ports)


def link_up(inputs: Inputs, port: int) -> bool:
    """Whether the port carries traffic: enabled, and nothing wrong with cable or peer."""
    return inputs.port_enabled[port] and inputs.port_intact[port]


def advance_network(
    hall: Hall, inputs: Inputs, network: Network, power: Power, seconds: float, dt: float
) -> Network:
    """Return the counters `dt` seconds later."""
    rates = [_bytes_a_second(hall, inputs, power, seconds, port) for port in range(len(network.in_octets))]
    moved = list(zip(rates, inputs.port_error_ratio, strict=True))
    stray = [_stray_errors(hall.seed, port, seconds) for port in range(len(rates))]
    return Network(
        in_octets=_grown(network.in_octets, [rate * dt for rate, _ in moved]),
        out_octets=_grown(network.out_octets, [rate * OUT_SHARE * dt for rate, _ in moved]),
        in_errors=_grown(
            network.in_errors,
            [
                rate / BYTES_A_PACKET * ratio * dt + more
                for (rate, ratio), more in zip(moved, stray, strict=True)
            ],
        ),
    )


def _grown(values: tuple[float, ...], growth: list[float]) -> tuple[float, ...]:
    return tuple(value + more for value, more in zip(values, growth, strict=True))


def _bytes_a_second(hall: Hall, inputs: Inputs, power: Power, seconds: float, port: int) -> float:
    if not link_up(inputs, port):
        return 0.0
    slow = SLOW_SHARE * wander(hall.seed, SLOW_CHANNEL + port, seconds, SLOW_SECONDS)
    quick = QUICK_SHARE * jitter(hall.seed, QUICK_CHANNEL + port, int(seconds // SECONDS_A_BURST))
    return _usual_bytes_a_second(power, port % PORTS + 1) * (1.0 + slow + quick)


def _usual_bytes_a_second(power: Power, number: int) -> float:
    if number == PEER_PORT:
        return 2.0e7
    if number == UPLINK_PORT:
        return BYTES_A_WATT_SECOND * sum(power.rack_watts) * 0.6
    return BYTES_A_WATT_SECOND * power.rack_watts[number - 1]


def _stray_errors(seed: int, port: int, seconds: float) -> float:
    moment = int(seconds // SECONDS_A_BURST)
    return 1.0 if uniform(seed, STRAY_CHANNEL + port, moment) < STRAY_ERROR_CHANCE else 0.0
