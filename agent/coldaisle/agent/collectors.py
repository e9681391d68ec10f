"""Which collectors and actions a configuration asks for.

A protocol is imported when something is configured for it: an agent pays for what it collects.
"""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from coldaisle.agent.act import CarryOut
from coldaisle.agent.config import AgentConfig, split_address
from coldaisle.core.actions import ActionRequest, ActionResult
from coldaisle.core.errors import ConfigError
from coldaisle.core.events.envelope import Emit
from coldaisle.integrations.host.collect import host_asset
from coldaisle.integrations.snmp.config import DeviceConfig, host_and_port, trap_user_of

_MAX_GENERATIONS = 2
TRAPS = "traps"


class Collector(Struct, frozen=True):
    """A source: ``run`` emits until it is cancelled.

    With other ``settings`` it is another one and starts anew. What it can take while it runs is in ``live``,
    and ``update`` then gives it the new configuration; None where there is nothing to take.
    ``poll_soon`` takes assets of which another collector has just received something.
    """

    name: str
    run: Callable[[Emit], Awaitable[None]]
    settings: object = None
    live: object = None
    update: Callable[[AgentConfig], None] | None = None
    poll_soon: Callable[[str], None] | None = None


def collectors_of(config: AgentConfig) -> list[Collector]:
    """Every collector, cheap and not yet started; raises ConfigError when a needed package is missing."""
    wanted = [
        (config.host.enabled, _host),
        (bool(config.syslog.udp or config.syslog.tcp), _syslog),
        (bool(config.devices), _snmp),
        (bool(config.traps.udp), _traps),
    ]
    built = [build(config) for is_wanted, build in wanted if is_wanted]
    return built + _prometheus(config)


class Carriers:
    """Who carries out which actions, by the action's name before the dot; an async context manager.

    After a change of the devices, commands under way end with the devices that they began with.
    """

    def __init__(self, config: AgentConfig) -> None:
        self.current: dict[str, CarryOut] = {"notify": _notify}
        self._devices, self._profiles = config.devices, _profiles_folder(config)
        self._generations: deque[AsyncExitStack] = deque()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._generations:
            await self._generations.popleft().aclose()

    async def change(self, config: AgentConfig) -> None:
        """Act on these devices from now on; those of the change before the last are let go."""
        wanted = config.devices, _profiles_folder(config)
        if wanted == (self._devices, self._profiles):
            return
        self._devices, self._profiles = wanted
        await self._open()
        while len(self._generations) > _MAX_GENERATIONS:
            await self._generations.popleft().aclose()

    async def _open(self) -> None:
        stack = AsyncExitStack()
        self._generations.append(stack)
        self.current.pop("snmp", None)
        if self._devices:
            from coldaisle.integrations.snmp import SnmpActions
            from coldaisle.integrations.snmp.profile_files import profiles_in

            known = profiles_in(self._profiles) if self._profiles else None
            actions = SnmpActions(self._devices, known)
            self.current["snmp"] = (await stack.enter_async_context(actions)).carry_out


async def _notify(request: ActionRequest) -> ActionResult:
    # An HTTP client costs more memory than the rest of the actions: only agents that notify pay for it.
    from coldaisle.integrations.notify import NotifyActions

    return await NotifyActions().carry_out(request)


def describe(config: AgentConfig) -> list[str]:
    """One line for each thing that would be collected."""
    lines = [f"host: this machine every {config.host.poll_seconds:g} s"] if config.host.enabled else []
    ports = {"udp": config.syslog.udp, "tcp": config.syslog.tcp}
    lines += [f"syslog: {kind} on {address}" for kind, address in ports.items() if address]
    if config.devices:
        lines.append(f"snmp: {len(config.devices)} devices, by default every {config.snmp.poll_seconds:g} s")
    if config.traps.udp:
        lines.append(f"traps: udp on {config.traps.udp}")
    for server in config.prometheus:
        lines.append(
            f"prometheus: {server.name}, {len(server.queries)} queries every {server.poll_seconds:g} s"
        )
    if config.assets:
        lines.append(f"inventory: {len(config.assets)} assets")
    return lines


def _host(config: AgentConfig) -> Collector:
    from coldaisle.integrations.host import HostCollector

    return Collector("host", HostCollector(config.host.poll_seconds).run, config.host)


def _syslog(config: AgentConfig) -> Collector:
    from coldaisle.integrations.syslog import SyslogCollector

    collector = SyslogCollector(config.syslog, config.known_assets, config.agent.name)

    def update(changed: AgentConfig) -> None:
        collector.know(changed.known_assets)

    return Collector("syslog", collector.run, config.syslog, config.known_assets, update)


def _snmp(config: AgentConfig) -> Collector:
    from coldaisle.integrations.snmp import SnmpCollector

    learned_file = config.path(config.agent.data_dir) / "snmp-learned.json"
    collector = SnmpCollector(
        config.devices,
        config.snmp.poll_seconds,
        config.agent.name,
        profiles_folder=_profiles_folder(config),
        learned_file=learned_file,
    )

    def update(changed: AgentConfig) -> None:
        collector.update(changed.devices, changed.snmp.poll_seconds)

    live = (config.devices, config.snmp)
    return Collector("snmp", collector.run, config.snmp.profiles, live, update, collector.poll_soon)


def _profiles_folder(config: AgentConfig) -> Path | None:
    return config.path(config.snmp.profiles) if config.snmp.profiles else None


def _traps(config: AgentConfig) -> Collector:
    from coldaisle.integrations.snmp import LocalEngine, TrapListener
    from coldaisle.integrations.snmp.usm import load_engine

    host, port = split_address(config.traps.udp)
    users = [trap_user_of(user) for user in config.traps.users]
    kept = config.traps.engine_file
    listener = TrapListener(
        host,
        port,
        assets=trap_senders(config.devices),
        users=users,
        engine=load_engine(Path(kept)) if kept else LocalEngine(),
        measured_as=host_asset() if config.host.enabled else "",
    )

    async def run(emit: Emit) -> None:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(listener)
            except OSError as error:
                raise ConfigError(f"traps.udp: cannot listen on {config.traps.udp!r}: {error}") from error
            await listener.run(emit)

    def update(changed: AgentConfig) -> None:
        listener.know(trap_senders(changed.devices))

    return Collector(TRAPS, run, config.traps, trap_senders(config.devices), update)


def trap_senders(devices: Iterable[DeviceConfig]) -> dict[str, str]:
    """Address to asset: by host and port, and by host alone where only one device has it."""
    places = [(*host_and_port(device.address), device.asset) for device in devices]
    hosts = Counter(host for host, _, _ in places)
    alone = {host: asset for host, _, asset in places if hosts[host] == 1}
    return alone | {f"{host}:{port}": asset for host, port, asset in places}


def _prometheus(config: AgentConfig) -> list[Collector]:
    if not config.prometheus:
        return []
    from coldaisle.integrations.promql import PromqlCollector
    from coldaisle.integrations.promql.collect import require_client

    require_client()
    return [
        Collector(f"prometheus {server.name}", PromqlCollector(server, config.agent.name).run, server)
        for server in config.prometheus
    ]
