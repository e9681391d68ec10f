"""The faults that can be injected: each a name, the assets that it fits, and what it does to the inputs.

A fault is laid over what operators commanded and taken off again by leaving it out, so clearing restores
exactly what was there.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from coldaisle.lab.errors import FaultRefused
from coldaisle.lab.hall import OUTLETS, PORTS, Hall
from coldaisle.lab.inputs import Inputs, replaced

CLOGGED_FLOW_LOSS = 0.7
"""Share of the air flow that a wholly clogged filter takes."""
WORST_ERROR_RATIO = 0.05
"""Share of packets lost at full size of `link_errors`."""
WORST_LEAK_BYTES_A_SECOND = 8 * 2**30 / 3600.0
"""Eight GiB an hour: a server is full within five hours."""
WORST_STORM_LINES_A_SECOND = 20.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One injected fault; `size` goes from just above 0 to 1."""

    kind: str
    asset: str
    size: float = 1.0


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What a fault is, and what it does."""

    name: str
    fits: str
    """The assets that it fits, for people."""
    description: str
    assets: Callable[[Hall], Iterable[str]]
    lay: Callable[[Inputs, int, float], Inputs]
    """Given the inputs, the index of the asset among `assets`, and the size."""


def ports(hall: Hall) -> list[str]:
    """Return the names of all switch ports, such as `switch-1:4`."""
    return [f"{switch}:{number}" for switch in hall.switches for number in range(1, PORTS + 1)]


def supplies(hall: Hall) -> list[str]:
    """Return the names of all power supplies of servers, by the outlet that feeds them: `pdu-a01-a:3`."""
    return [f"{pdu}:{number}" for pdu in hall.pdus for number in range(1, OUTLETS + 1)]


def _compressor(inputs: Inputs, index: int, size: float) -> Inputs:
    return replace(inputs, compressor=replaced(inputs.compressor, index, 1.0 - size))


def _fan(inputs: Inputs, index: int, size: float) -> Inputs:
    slower = replace(inputs, fan_speed=replaced(inputs.fan_speed, index, 1.0 - size))
    return _less_air(slower, index, 1.0 - size)


def _filter(inputs: Inputs, index: int, size: float) -> Inputs:
    return _less_air(inputs, index, 1.0 - CLOGGED_FLOW_LOSS * size)


def _less_air(inputs: Inputs, index: int, share: float) -> Inputs:
    return replace(inputs, airflow=replaced(inputs.airflow, index, inputs.airflow[index] * share))


def _supply(inputs: Inputs, index: int, size: float) -> Inputs:
    pdu, outlet = divmod(index, OUTLETS)
    outlets = replaced(inputs.psu_lost[pdu], outlet, size)
    return replace(inputs, psu_lost=replaced(inputs.psu_lost, pdu, outlets))


def _leak(inputs: Inputs, index: int, size: float) -> Inputs:
    rate = WORST_LEAK_BYTES_A_SECOND * size
    return replace(inputs, leak_bytes_a_second=replaced(inputs.leak_bytes_a_second, index, rate))


def _storm(inputs: Inputs, index: int, size: float) -> Inputs:
    rate = WORST_STORM_LINES_A_SECOND * size
    return replace(inputs, storm_lines_a_second=replaced(inputs.storm_lines_a_second, index, rate))


def _overload(inputs: Inputs, index: int, size: float) -> Inputs:
    return replace(inputs, overload=replaced(inputs.overload, index, size))


def _feed(inputs: Inputs, index: int, size: float) -> Inputs:
    return replace(inputs, feed_live=replaced(inputs.feed_live, index, False))


def _link(inputs: Inputs, index: int, size: float) -> Inputs:
    return replace(inputs, port_intact=replaced(inputs.port_intact, index, False))


def _errors(inputs: Inputs, index: int, size: float) -> Inputs:
    ratio = WORST_ERROR_RATIO * size
    return replace(inputs, port_error_ratio=replaced(inputs.port_error_ratio, index, ratio))


def _stuck(inputs: Inputs, index: int, size: float) -> Inputs:
    return replace(inputs, stuck_probes=inputs.stuck_probes | {index})


FAULT_KINDS = {
    kind.name: kind
    for kind in (
        FaultKind(
            "compressor_failure",
            "crac-1 … crac-4",
            "The compressor gives out; the fan blows on. Size is the share of cooling lost.",
            lambda hall: hall.cracs,
            _compressor,
        ),
        FaultKind(
            "fan_failure",
            "crac-1 … crac-4",
            "The fan stops or slows. Size is the share of air flow lost.",
            lambda hall: hall.cracs,
            _fan,
        ),
        FaultKind(
            "clogged_filter",
            "crac-1 … crac-4",
            "Dust in the filter takes up to 70 % of the air flow, by size.",
            lambda hall: hall.cracs,
            _filter,
        ),
        FaultKind(
            "phase_overload",
            "pdu-a01-a … pdu-b08-b",
            "Everything lands on phase L1 and something was plugged in: over 16 A at size 1.",
            lambda hall: hall.pdus,
            _overload,
        ),
        FaultKind(
            "psu_failure",
            "pdu-a01-a:1 … pdu-b08-b:8",
            "The server's power supply at that outlet fails, by size; its twin carries the rest.",
            supplies,
            _supply,
        ),
        FaultKind(
            "feed_loss",
            "feed-a, feed-b",
            "The feed is dead: its UPS runs on battery for minutes, then its side goes dark.",
            lambda hall: hall.feeds,
            _feed,
        ),
        FaultKind(
            "link_down",
            "switch-1:1 … switch-2:18",
            "The cable of a switch port is out.",
            ports,
            _link,
        ),
        FaultKind(
            "link_errors",
            "switch-1:1 … switch-2:18",
            "A bad cable: up to 5 % of the packets arrive broken, by size.",
            ports,
            _errors,
        ),
        FaultKind(
            "stuck_sensor",
            "rack-a01 … rack-b08",
            "The inlet probe of the rack repeats its last value.",
            lambda hall: [rack.name for rack in hall.racks],
            _stuck,
        ),
        FaultKind(
            "memory_leak",
            "server-a01 … server-b08",
            "A process takes memory and never gives it back: up to 8 GiB an hour, by size.",
            lambda hall: hall.servers,
            _leak,
        ),
        FaultKind(
            "log_storm",
            "server-a01 … server-b08, switch-1, switch-2",
            "One complaint, logged over and over: up to 20 lines a second, by size.",
            lambda hall: hall.loggers,
            _storm,
        ),
        FaultKind(
            "unreachable",
            "every device",
            "The device does not answer; what it does goes on.",
            lambda hall: hall.devices,
            lambda inputs, index, size: inputs,
        ),
    )
}
"""All kinds by name; `unreachable` is laid by `under`, which knows the device's name."""


def checked(hall: Hall, fault: Fault) -> Fault:
    """Return the fault when it can happen in this hall; raises FaultRefused with the choices."""
    kind = FAULT_KINDS.get(fault.kind)
    if kind is None:
        known = ", ".join(FAULT_KINDS)
        raise FaultRefused(f"there is no fault {fault.kind!r}; choose one of: {known}")
    if fault.asset not in kind.assets(hall):
        raise FaultRefused(f"{fault.kind} does not fit {fault.asset!r}; it fits {kind.fits}")
    if not 0.0 < fault.size <= 1.0:
        raise FaultRefused(f"size {fault.size:g} is out of range; give more than 0 and at most 1")
    return fault


def under(hall: Hall, commanded: Inputs, faults: Iterable[Fault]) -> Inputs:
    """Return the inputs that the plant gets: what was commanded, with the faults laid over it."""
    inputs = commanded
    for fault in faults:
        kind = FAULT_KINDS[fault.kind]
        inputs = kind.lay(inputs, list(kind.assets(hall)).index(fault.asset), fault.size)
        if fault.kind == "unreachable":
            inputs = replace(inputs, silent=inputs.silent | {fault.asset})
    return inputs
