"""Reads and checks the agent's configuration: one TOML file and the inventory files that it names.

Everything wrong is found here, before anything starts, as a ConfigError with file, place and remedy.
"""

from pathlib import Path
from typing import TypeVar

from msgspec import Struct, structs

from coldaisle.agent.inventory import links_of
from coldaisle.agent.settings import (
    AgentSettings,
    AssetSettings,
    FileSettings,
    SnmpSettings,
    SpoolSettings,
    TrapsSettings,
)
from coldaisle.agent.toml import read_toml
from coldaisle.core.errors import ConfigError
from coldaisle.integrations.host.collect import host_asset
from coldaisle.integrations.host.config import HostConfig
from coldaisle.integrations.promql.config import PromqlConfig
from coldaisle.integrations.snmp.config import DeviceConfig, host_and_port
from coldaisle.integrations.syslog.config import SyslogConfig

_Stated = TypeVar("_Stated", bound=Struct)


class InventoryFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One inventory file: what there is, and which of it is asked over SNMP."""

    assets: tuple[AssetSettings, ...] = ()
    devices: tuple[DeviceConfig, ...] = ()


class AgentConfig(Struct, frozen=True):
    """Everything that an agent needs to run, checked."""

    file: Path
    agent: AgentSettings
    spool: SpoolSettings
    host: HostConfig
    syslog: SyslogConfig
    traps: TrapsSettings
    snmp: SnmpSettings
    prometheus: tuple[PromqlConfig, ...]
    assets: tuple[AssetSettings, ...]
    devices: tuple[DeviceConfig, ...]

    def path(self, name: str) -> Path:
        """A path of the configuration file, which is relative to that file."""
        return self.file.parent / name

    @property
    def known_assets(self) -> frozenset[str]:
        """Every asset that this configuration names."""
        named = {*(a.name for a in self.assets), *(d.asset for d in self.devices)}
        return frozenset(named | ({host_asset()} if self.host.enabled else set()))


def load_config(path: Path) -> AgentConfig:
    """The configuration at ``path``; raises ConfigError on the first fault."""
    stated = read_toml(path, FileSettings)
    _check_addresses(path, stated)
    _check_files(path, stated.agent)
    inventories = [
        (path.parent / name, _read_inventory(path.parent / name)) for name in stated.agent.inventory
    ]
    config = AgentConfig(
        path, stated.agent, stated.spool, stated.host, stated.syslog, _anchored_traps(path, stated.traps),
        stated.snmp, stated.prometheus,
        assets=tuple(asset for _, inventory in inventories for asset in inventory.assets),
        devices=tuple(device for _, inventory in inventories for device in inventory.devices),
    )  # fmt: skip
    _check_names(inventories)
    for file, inventory in inventories:
        _check_links(file, inventory, config.known_assets)
    return config


def split_address(address: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port``; raises ValueError that says what is wrong."""
    host, colon, port = address.rpartition(":")
    if not colon or not host:
        raise ValueError("expected host:port")
    if not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{port!r} is not a port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("write an IPv6 address in brackets")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine whatever its network looks like."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _check_addresses(path: Path, stated: FileSettings) -> None:
    server, _ = _address(path, "agent.server", stated.agent.server)
    if not is_loopback(server) and not stated.agent.ca_file:
        raise ConfigError(
            f"{path}: agent.server = {stated.agent.server!r}: not loopback: it needs TLS; set agent.ca_file"
        )
    listened = {
        "syslog.udp": stated.syslog.udp,
        "syslog.tcp": stated.syslog.tcp,
        "traps.udp": stated.traps.udp,
    }
    for place, address in listened.items():
        if address:
            _address(path, place, address)


def _address(path: Path, place: str, address: str) -> tuple[str, int]:
    try:
        return split_address(address)
    except ValueError as error:
        raise ConfigError(f"{path}: {place} = {address!r}: {error}; correct the address") from error


def _check_files(path: Path, agent: AgentSettings) -> None:
    for key in ("token_file", "ca_file", "certificate_file", "key_file"):
        name: str = getattr(agent, key)
        if name and not (path.parent / name).is_file():
            raise ConfigError(f"{path}: agent.{key} = {name!r}: no such file; create it or correct the path")


def _read_inventory(path: Path) -> InventoryFile:
    inventory = read_toml(path, InventoryFile)
    for index, device in enumerate(inventory.devices):
        _check_device(path, f"devices[{index}].address", device.address)
    return structs.replace(inventory, devices=tuple(_anchored(path, device) for device in inventory.devices))


def _check_device(path: Path, place: str, address: str) -> None:
    try:
        host, _ = host_and_port(address)
    except ConfigError as error:
        raise ConfigError(f"{path}: {place}: {error}; correct the address") from error
    if any(c.isspace() or c == "/" for c in host):
        raise ConfigError(f"{path}: {place} = {address!r}: {host!r} is no host name; correct the address")


def _anchored(path: Path, device: DeviceConfig) -> DeviceConfig:
    """The device with its files relative to the inventory that names them."""
    users = {
        key: user and _with_files_beside(path, user)
        for key, user in (("user", device.user), ("write_user", device.write_user))
    }
    return structs.replace(_with_files_beside(path, device), **users)


def _anchored_traps(path: Path, traps: TrapsSettings) -> TrapsSettings:
    users = tuple(_with_files_beside(path, user) for user in traps.users)
    return structs.replace(_with_files_beside(path, traps), users=users)


def _with_files_beside(path: Path, stated: _Stated) -> _Stated:
    """Settings whose files are relative to the file that states them."""
    files = {key: getattr(stated, key) for key in stated.__struct_fields__ if key.endswith("_file")}
    return structs.replace(stated, **{key: str(path.parent / name) for key, name in files.items() if name})


def _check_names(inventories: list[tuple[Path, InventoryFile]]) -> None:
    assets = ((f, "assets", [a.name for a in i.assets], "name") for f, i in inventories)
    devices = ((f, "devices", [d.asset for d in i.devices], "asset") for f, i in inventories)
    _check_unique(list(assets))
    _check_unique(list(devices))


def _check_unique(tables: list[tuple[Path, str, list[str], str]]) -> None:
    first: dict[str, str] = {}
    for file, table, names, key in tables:
        for index, name in enumerate(names):
            place = f"{file}: {table}[{index}].{key}"
            if name in first:
                raise ConfigError(f"{place} = {name!r}: already named at {first[name]}; remove one of them")
            first[name] = place


def _check_links(file: Path, inventory: InventoryFile, known: frozenset[str]) -> None:
    for index, asset in enumerate(inventory.assets):
        for edge, link in links_of(asset):
            if link.asset not in known:
                raise ConfigError(
                    f"{file}: assets[{index}].{edge} = {link.asset!r} of {asset.name!r}: no such asset; "
                    "add it under [[assets]] or correct the name"
                )
