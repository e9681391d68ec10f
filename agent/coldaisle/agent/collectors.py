"""Which collectors a configuration asks for, each with the name that it goes by."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from coldaisle.agent.config import AgentConfig
from coldaisle.core.events.envelope import Emit

if TYPE_CHECKING:
    from coldaisle.agent.act import CarryOut


class Collector(Struct, frozen=True):
    """A source: ``run`` emits until it is cancelled."""

    name: str
    run: Callable[[Emit], Awaitable[None]]


def describe(config: AgentConfig) -> list[str]:
    """One line for each thing that would be collected."""
    lines = [f"host every {config.host.poll_seconds:g} s"] if config.host.enabled else []
    lines += [f"syslog over {kind} on {at}" for kind, at in _syslog_ports(config)]
    if config.devices:
        lines.append(f"snmp from {len(config.devices)} devices, by default every {config.snmp.poll_seconds:g} s")
    if config.traps.udp:
        lines.append(f"traps on {config.traps.udp}")
    for server in config.prometheus:
        lines.append(f"prometheus {server.name}: {len(server.queries)} queries every {server.poll_seconds:g} s")
    return lines


def _syslog_ports(config: AgentConfig) -> list[tuple[str, str]]:
    ports = [("udp", config.syslog.udp), ("tcp", config.syslog.tcp)]
    return [(kind, address) for kind, address in ports if address]
