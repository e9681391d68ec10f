"""Finds devices: asks every address of a range who it is, no faster than allowed.

A sweep is loud, so nobody gets one without asking. Each address is asked once, and the silent ones once
more; both passes keep to the rate.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

from msgspec import Struct, structs

from coldaisle.core.errors import ConfigError
from coldaisle.integrations.snmp.ber import Varbind
from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.errors import SnmpError
from coldaisle.integrations.snmp.naming import MAX_LABEL_CHARACTERS
from coldaisle.integrations.snmp.oid import oid_text
from coldaisle.integrations.snmp.profile import Profile, profile_for
from coldaisle.integrations.snmp.tags import OBJECT_IDENTIFIER
from coldaisle.integrations.snmp.target import Target

MAX_SWEEP_HOSTS = 65_536
MAX_IN_FLIGHT_REQUESTS = 512
PASSES = 2

IDENTITY = ("1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.1.1.0")
"""sysObjectID, sysName, sysDescr (RFC 3418)."""


class Discovered(Struct, frozen=True):
    """A device that answered: what it says of itself, and the profile that its sysObjectID chooses."""

    target: Target
    object_id: str
    name: str
    description: str
    profile: Profile


def hosts_in(cidr: str) -> list[str]:
    """The addresses of a range. Raises ConfigError."""
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError as error:
        raise ConfigError(
            f"{cidr!r} is no range of addresses: {error}; write for example 10.1.0.0/24"
        ) from error
    if network.num_addresses > MAX_SWEEP_HOSTS:
        raise ConfigError(f"{cidr} has more than {MAX_SWEEP_HOSTS} addresses; sweep smaller ranges")
    return [str(host) for host in network.hosts()]


async def sweep(
    client: SnmpClient,
    targets: Iterable[Target],
    profiles: Mapping[str, Profile],
    packets_per_second: float,
) -> list[Discovered]:
    """The devices that answered, in the order of ``targets``."""
    waiting = {target: None for target in targets}
    found: dict[Target, Discovered] = {}
    for _ in range(PASSES):
        silent = [target for target in waiting if target not in found]
        async with asyncio.TaskGroup() as group:
            slots = asyncio.Semaphore(MAX_IN_FLIGHT_REQUESTS)
            async for target in _paced(silent, packets_per_second):
                await slots.acquire()
                group.create_task(_ask(client, target, profiles, found, slots))
    return [found[target] for target in waiting if target in found]


async def _paced(targets: Iterable[Target], packets_per_second: float) -> AsyncIterator[Target]:
    """The targets, one after the other in time; what was late is not made up for in a burst."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for target in targets:
        await asyncio.sleep(max(0.0, due - loop.time()))
        due = max(due, loop.time()) + 1.0 / packets_per_second
        yield target


async def _ask(
    client: SnmpClient,
    target: Target,
    profiles: Mapping[str, Profile],
    found: dict[Target, Discovered],
    slots: asyncio.Semaphore,
) -> None:
    try:
        answer = await client.get(structs.replace(target, retries=0), IDENTITY)
        found[target] = _discovered(target, answer, profiles)
    except SnmpError:
        return  # nobody there, or nobody who speaks to us: that is what a sweep is for
    finally:
        slots.release()


def _discovered(target: Target, answer: list[Varbind], profiles: Mapping[str, Profile]) -> Discovered:
    """A device by the objects of IDENTITY. Raises MalformedMessage."""
    object_id, name, description = map(_octets, answer)
    if answer[0][1] != OBJECT_IDENTIFIER:
        object_id = b""
    profile = profile_for(object_id, profiles)
    return Discovered(target, oid_text(object_id), _line(name), _line(description), profile)


def _octets(varbind: Varbind) -> bytes:
    return varbind[2] if isinstance(varbind[2], bytes) else b""


def _line(octets: bytes) -> str:
    """What can stand in a line of a terminal and of a TOML file, which take no control characters."""
    text = octets.decode("utf-8", "replace")
    shown = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(shown.split())[:MAX_LABEL_CHARACTERS]


def asset_names(devices: Iterable[Discovered]) -> Iterator[str]:
    """An id for each, from what it calls itself, else its address; no two are equal."""
    taken: set[str] = set()
    for device in devices:
        wanted = as_asset(device.name) or as_asset(device.target.host)
        name = wanted if wanted not in taken else f"{wanted}-{device.target.host}-{device.target.port}"
        taken.add(name)
        yield name


def as_asset(name: str) -> str:
    """A device's name as an asset's id: its host part, lower case."""
    is_address = name.replace(".", "").isdigit() or ":" in name
    host = name if is_address else name.partition(".")[0]
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in host.lower()).strip("-._")[:64]
