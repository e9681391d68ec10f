"""Polls devices, each in its own task: a slow or dead one never delays another.

A device that is down is an event, once, not a log line per poll; it is asked ever more rarely. Its
sysObjectID is read at the first contact and after each loss. See :mod:`.device_watch`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from coldaisle.core.events.envelope import Emit
from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.config import DeviceConfig, read_target
from coldaisle.integrations.snmp.device_watch import DeviceWatch
from coldaisle.integrations.snmp.errors import ProfileError
from coldaisle.integrations.snmp.keeping import read_peers, write_kept
from coldaisle.integrations.snmp.learned import Memory
from coldaisle.integrations.snmp.peers import KnownPeer
from coldaisle.integrations.snmp.profile import Profile
from coldaisle.integrations.snmp.profile_files import built_in_profiles, profiles_in
from coldaisle.integrations.snmp.shared import Shared

PEERS_FILE = "snmp-peers.json"
SAVE_SECONDS = 60.0
"""How much of what was learned a crash may lose."""


class SnmpCollector:
    """Polls ``devices`` every ``poll_seconds``, or as their own settings say, on behalf of ``agent``.

    ``profiles_folder`` adds a site's own profiles to the built-in ones; ``learned_file`` keeps what was
    learned of the devices over restarts, and PEERS_FILE beside it their engines and clocks.
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
        self._changed = asyncio.Event()
        self._watches: dict[str, DeviceWatch] = {}
        self._known: dict[str, None] = {}
        """The assets of all devices, as every watch sees them: also those that came after it."""
        self._profiles = built_in_profiles() if profiles_folder is None else profiles_in(profiles_folder)
        self._learned_file = learned_file
        self._peers_file = None if learned_file is None else learned_file.with_name(PEERS_FILE)
        for device in self._devices:
            _check(device, self._profiles)

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled. Raises ConfigError when a community cannot be read."""
        for device in self._devices:
            read_target(device)  # what is wrong with it is raised from here, not from a group of tasks
        memory, shared = Memory(self._learned_file), Shared()
        known = read_peers(self._peers_file)
        async with SnmpClient(known=known) as client, self._keeping(client, memory) as group:
            polled: dict[str, tuple[object, asyncio.Task[None]]] = {}
            while True:
                self._changed.clear()
                memory.keep_only({device.asset for device in self._devices})
                self._follow(polled, group, partial(self._watch, client, emit, memory, shared))
                await self._changed.wait()

    @asynccontextmanager
    async def _keeping(self, client: SnmpClient, memory: Memory) -> AsyncIterator[asyncio.TaskGroup]:
        """A group of tasks; what is learned in it is written down from time to time, and at its end."""

        def save(peers: list[KnownPeer]) -> None:
            memory.save()
            if self._peers_file is not None:
                write_kept(self._peers_file, peers)

        async def keep() -> None:
            while True:
                await asyncio.sleep(SAVE_SECONDS)
                await asyncio.to_thread(save, client.export())

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(keep())
                yield group
        finally:
            save(client.export())

    def update(self, devices: Sequence[DeviceConfig], poll_seconds: float) -> None:
        """Poll these from now on; a device that stays as it was keeps its schedule and its state.

        Raises ConfigError, and changes nothing then.
        """
        for device in devices:
            _check(device, self._profiles)
            read_target(device)
        self._devices, self._poll_seconds = tuple(devices), poll_seconds
        self._changed.set()

    def poll_soon(self, asset: str) -> None:
        """Poll a device now, beside its schedule, at most once in its poll interval."""
        watch = self._watches.get(asset)
        if watch is not None:
            watch.poll_soon()

    def _follow(
        self,
        polled: dict[str, tuple[object, asyncio.Task[None]]],
        group: asyncio.TaskGroup,
        watch: Callable[[DeviceConfig], DeviceWatch],
    ) -> None:
        """Stop and start tasks until those run that are wanted, each with its present settings."""
        wanted = {device.asset: (device, self._poll_seconds) for device in self._devices}
        self._known.clear()
        self._known.update(dict.fromkeys(wanted))
        for asset in [asset for asset, (settings, _) in polled.items() if wanted.get(asset) != settings]:
            polled.pop(asset)[1].cancel()
            del self._watches[asset]
        for asset, settings in wanted.items():
            if asset not in polled:
                self._watches[asset] = watch(settings[0])
                polled[asset] = (settings, group.create_task(self._watches[asset].run()))

    def _watch(
        self, client: SnmpClient, emit: Emit, memory: Memory, shared: Shared, device: DeviceConfig
    ) -> DeviceWatch:
        poll_seconds = device.poll_seconds or self._poll_seconds
        profiles, agent, known = self._profiles, self._agent, self._known
        return DeviceWatch(client, device, poll_seconds, agent, profiles, emit, memory, known, shared)


def _check(device: DeviceConfig, profiles: Mapping[str, Profile]) -> None:
    if device.profile and device.profile not in profiles:
        raise ProfileError(
            f"{device.asset} asks for the profile {device.profile!r}, known: {sorted(profiles)}"
        )
