"""The settings of one device. Secrets are file paths or names in the environment, never values."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from coldaisle.core.errors import ConfigError
from coldaisle.integrations.snmp.errors import InvalidValue
from coldaisle.integrations.snmp.target import VERSIONS, Target
from coldaisle.integrations.snmp.usm.keys import KeyExpansion
from coldaisle.integrations.snmp.usm.senders import TrapUser
from coldaisle.integrations.snmp.usm.user import User, check_user

DEFAULT_PORT = 161
DEFAULT_READ_COMMUNITY = "public"
MAX_SECRET_BYTES = 1_024

AuthProtocol = Literal["", "MD5", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512"]
PrivacyProtocol = Literal["", "DES", "AES-128", "AES-192", "AES-256"]


class UserConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A user of version 3; without protocols it neither signs nor hides."""

    name: str
    auth: AuthProtocol = ""
    auth_phrase_file: str = ""
    auth_phrase_env: str = ""
    privacy: PrivacyProtocol = ""
    privacy_phrase_file: str = ""
    privacy_phrase_env: str = ""
    key_expansion: KeyExpansion = "blumenthal"


class TrapUserConfig(UserConfig, frozen=True, forbid_unknown_fields=True):
    """A user whose notifications are taken: from any engine or those named, in time or, if exempt, not."""

    engine_ids: tuple[str, ...] = ()
    check_time: bool = True


class DeviceConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A device to poll and to act on.

    ``address`` is ``host``, ``host:port`` or ``[v6]:port``. An empty ``profile`` is chosen by the device's
    sysObjectID. ``poll_seconds`` 0 means the collector's. Version 3 needs a ``user``, and a ``write_user``
    to set. Samples of a metric in ``measures`` are recorded for the asset named there, as when a PDU's
    probe measures the inlet of its rack. With ``topology`` its neighbours and parts are asked for each hour.
    """

    asset: str
    address: str
    profile: str = ""
    poll_seconds: float = 0.0
    timeout_seconds: float = 1.0
    retries: int = 2
    max_repetitions: int = 25
    version: Literal["1", "2c", "3"] = "2c"
    read_community_file: str = ""
    read_community_env: str = ""
    write_community_file: str = ""
    write_community_env: str = ""
    user: UserConfig | None = None
    write_user: UserConfig | None = None
    context: str = ""
    own_socket: bool = False
    answers_from_elsewhere: bool = False
    get_next_only: bool = False
    allow_nonincreasing: bool = False
    measures: dict[str, str] = {}
    topology: bool = False


def read_target(device: DeviceConfig, environment: Mapping[str, str] = os.environ) -> Target:
    """Where to read; community ``public`` when none is set. Raises ConfigError."""
    if device.version == "3":
        if device.user is None:
            raise ConfigError(f"{device.asset} has version 3 and no user; set user")
        return _target(device, "", user_of(device.user, environment))
    community = _secret(device.read_community_file, device.read_community_env, environment)
    return _target(device, community or DEFAULT_READ_COMMUNITY)


def write_target(device: DeviceConfig, environment: Mapping[str, str] = os.environ) -> Target | None:
    """Where to write, None when the device has no write community or user. Raises ConfigError."""
    if device.version == "3":
        writer = device.write_user
        return None if writer is None else _target(device, "", user_of(writer, environment))
    community = _secret(device.write_community_file, device.write_community_env, environment)
    return _target(device, community) if community else None


def user_of(config: UserConfig, environment: Mapping[str, str] = os.environ) -> User:
    """A user with the phrases read. Raises ConfigError, which never tells a phrase."""
    auth_phrase = _secret(config.auth_phrase_file, config.auth_phrase_env, environment)
    privacy_phrase = _secret(config.privacy_phrase_file, config.privacy_phrase_env, environment)
    user = User(config.name, config.auth, auth_phrase, config.privacy, privacy_phrase, config.key_expansion)
    try:
        return check_user(user)
    except InvalidValue as error:
        raise ConfigError(f"{error}; set auth_phrase_file, privacy_phrase_file or their _env") from error


def trap_user_of(config: TrapUserConfig, environment: Mapping[str, str] = os.environ) -> TrapUser:
    """Whose notifications are taken. Raises ConfigError."""
    for engine_id in config.engine_ids:
        try:
            bytes.fromhex(engine_id)
        except ValueError as error:
            raise ConfigError(f"engine id {engine_id!r} of user {config.name!r} is not hex") from error
    engine_ids = frozenset(engine_id.lower() for engine_id in config.engine_ids)
    return TrapUser(user_of(config, environment), engine_ids, config.check_time)


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


def _target(device: DeviceConfig, community: str, user: User | None = None) -> Target:
    host, port = host_and_port(device.address)
    return Target(
        host,
        port,
        community,
        device.timeout_seconds,
        device.retries,
        device.max_repetitions,
        VERSIONS[device.version],
        user,
        device.context,
        device.own_socket,
        device.answers_from_elsewhere,
        device.get_next_only,
        device.allow_nonincreasing,
    )


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
        raise ConfigError(f"cannot read the secret in {path}: {error.__class__.__name__}") from error
