"""The settings of one device. Secrets are file paths or names in the environment, never values."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from coldaisle.core.errors import ConfigError
from coldaisle.integrations.snmp.target import Target

DEFAULT_PORT = 161
DEFAULT_READ_COMMUNITY = "public"
MAX_SECRET_BYTES = 1_024


class DeviceConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A device to poll and to act on.

    ``address`` is ``host``, ``host:port`` or ``[v6]:port``. An empty ``profile`` is chosen by the device's
    sysObjectID. ``poll_seconds`` 0 means the collector's. Samples of a metric in ``measures`` are recorded
    for the asset named there, as when a PDU's probe measures the inlet of its rack.
    """

    asset: str
    address: str
    profile: str = ""
    poll_seconds: float = 0.0
    timeout_seconds: float = 1.0
    retries: int = 2
    max_repetitions: int = 25
    read_community_file: str = ""
    read_community_env: str = ""
    write_community_file: str = ""
    write_community_env: str = ""
    measures: dict[str, str] = {}


def read_target(device: DeviceConfig, environment: Mapping[str, str] = os.environ) -> Target:
    """Where to read; community ``public`` when none is set. Raises ConfigError."""
    community = _secret(device.read_community_file, device.read_community_env, environment)
    return _target(device, community or DEFAULT_READ_COMMUNITY)


def write_target(device: DeviceConfig, environment: Mapping[str, str] = os.environ) -> Target | None:
    """Where to write, None when the device has no write community. Raises ConfigError."""
    community = _secret(device.write_community_file, device.write_community_env, environment)
    return _target(device, community) if community else None


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of ``host``, ``host:port``, ``[v6]`` or ``[v6]:port``. Raises ConfigError."""
    host, bracket, rest = address.partition("]")
    if not bracket:
        host, _, rest = address.partition(":")
        rest = f":{rest}" if rest else ""
    port = rest.removeprefix(":") or str(DEFAULT_PORT)
    if not host.removeprefix("[") or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ConfigError(f"{address!r} is not host:port")
    return host.removeprefix("["), int(port)


def _target(device: DeviceConfig, community: str) -> Target:
    host, port = host_and_port(device.address)
    return Target(host, port, community, device.timeout_seconds, device.retries, device.max_repetitions)


def _secret(file: str, name: str, environment: Mapping[str, str]) -> str:
    if file:
        return _read(Path(file))
    if name and name not in environment:
        raise ConfigError(f"the environment has no {name}")
    return environment[name] if name else ""


def _read(path: Path) -> str:
    try:
        octets = path.read_bytes()[:MAX_SECRET_BYTES]
        return octets.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the community in {path}: {error}") from error
