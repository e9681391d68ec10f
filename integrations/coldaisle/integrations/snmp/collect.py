"""Polls devices, each in its own task: a slow or dead one never delays another.

A device that is down is an event, once, not a log line per poll; it is asked ever more rarely. Its
sysObjectID is read at the first contact and after each loss. See :mod:`.device_watch`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from coldaisle.core.events.envelope import Emit
from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.config import DeviceConfig
from coldaisle.integrations.snmp.device_watch import DeviceWatch
from coldaisle.integrations.snmp.errors import ProfileError
from coldaisle.integrations.snmp.learned import Memory
from coldaisle.integrations.snmp.profile import Profile
from coldaisle.integrations.snmp.profile_files import built_in_profiles, profiles_in

SAVE_SECONDS = 60.0
"""How much of what was learned a crash may lose."""


class SnmpCollector:
    """Polls ``devices`` every ``poll_seconds``, or as their own settings say, on behalf of ``agent``.

    ``profiles_folder`` adds a site's own profiles to the built-in ones; ``learned_file`` keeps what was
    learned of the devices over restarts.
    """

    def __init__(
        self,
        devices: Sequence[DeviceConfig],
        poll_seconds: float,
        agent: str,
        profiles_folder: Path | None = None,
        learned_file: Path | None = None,
    ) -> None:
        self._devices = tuple(devices)
        self._poll_seconds = poll_seconds
        self._agent = agent
        self._profiles = built_in_profiles() if profiles_folder is None else profiles_in(profiles_folder)
        self._learned_file = learned_file
        for device in self._devices:
            _check(device, self._profiles)

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled. Raises ConfigError when a community cannot be read."""
        async with SnmpClient() as client:
            memory = Memory(self._learned_file)
            memory.keep_only({device.asset for device in self._devices})
            watches = [self._watch(client, device, emit, memory) for device in self._devices]
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_keep(memory))
                    for watch in watches:
                        group.create_task(watch.run())
            finally:
                memory.save()

    def _watch(self, client: SnmpClient, device: DeviceConfig, emit: Emit, memory: Memory) -> DeviceWatch:
        poll_seconds = device.poll_seconds or self._poll_seconds
        known = [device.asset for device in self._devices]
        return DeviceWatch(client, device, poll_seconds, self._agent, self._profiles, emit, memory, known)


async def _keep(memory: Memory) -> None:
    while True:
        await asyncio.sleep(SAVE_SECONDS)
        await asyncio.to_thread(memory.save)


def _check(device: DeviceConfig, profiles: Mapping[str, Profile]) -> None:
    if device.profile and device.profile not in profiles:
        raise ProfileError(
            f"{device.asset} asks for the profile {device.profile!r}, known: {sorted(profiles)}"
        )
