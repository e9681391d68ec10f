"""Whether an agent's server and devices answer. Reads only: nothing is recorded anywhere."""

import asyncio
from collections.abc import Iterable

from coldaisle.agent.channel import bearer, endpoint_of
from coldaisle.agent.config import AgentConfig
from coldaisle.agent.errors import StreamEnded
from coldaisle.agent.findings import Finding
from coldaisle.agent.stream import Stream
from coldaisle.core.errors import ColdaisleError
from coldaisle.integrations.snmp.config import DeviceConfig, read_target

_MAX_AT_ONCE = 100
_CONNECT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
_SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
_UNGREETED = "INVALID_ARGUMENT"
"""What a server says to a stream without a greeting, after it has accepted the token."""


async def contacts(config: AgentConfig) -> list[Finding]:
    """The server, then every device, in the order of the configuration."""
    return [await server_finding(config), *await _devices(config.devices)]


async def server_finding(config: AgentConfig) -> Finding:
    """Whether the server takes this agent's token; a greeting would end the stream of an agent that runs."""
    what = f"server {config.agent.server}"
    try:
        reason = await _ungreeted(config)
    except (StreamEnded, OSError) as error:
        reason = str(error)
    if reason.startswith(_UNGREETED):
        return Finding(f"{what} answers and knows this agent's token")
    return Finding(
        f"{what}: {reason}", "start it, or correct agent.server, agent.token_file or agent.ca_file"
    )


async def _ungreeted(config: AgentConfig) -> str:
    token = config.path(config.agent.token_file) if config.agent.token_file else None
    opening = Stream(endpoint_of(config), bearer(token), _CONNECT_SECONDS, _CLOSE_SECONDS)
    async with opening as stream:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                return await stream.end_ungreeted()
        except TimeoutError:
            return f"no answer within {_CLOSE_SECONDS:g} s"


async def _devices(devices: Iterable[DeviceConfig]) -> list[Finding]:
    known = tuple(devices)
    if not known:
        return []
    from coldaisle.integrations.snmp import SnmpClient

    room = asyncio.Semaphore(_MAX_AT_ONCE)
    async with SnmpClient() as client, asyncio.TaskGroup() as group:

        async def ask(device: DeviceConfig) -> Finding:
            async with room:
                try:
                    await client.get(read_target(device), [_SYS_UPTIME])
                except ColdaisleError as error:
                    return Finding(
                        f"device {device.asset}: {error}", "check its address, community and access list"
                    )
            return Finding(f"device {device.asset} at {device.address} answers")

        asking = [group.create_task(ask(device)) for device in known]
    return [task.result() for task in asking]
