"""Polls devices, each in its own task: a slow or dead one never delays another.

A device that is down is an event, once, not a log line per poll; it is asked ever more rarely. Its
sysObjectID is read at the first contact and after each loss.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.events.types import AnyEvent, DeviceLost, DeviceReached, InputRejected
from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.config import DeviceConfig, read_target
from coldaisle.integrations.snmp.decode import samples
from coldaisle.integrations.snmp.errors import MalformedMessage, ProfileError, SnmpError
from coldaisle.integrations.snmp.poll import Plan, Round, identify, malformed, plan_for, poll
from coldaisle.integrations.snmp.profile import Profile, built_in_profiles, profiles_in

MAX_BACKOFF_SECONDS = 300.0
MAX_REMEMBERED_REASONS = 16
MAX_REJECTED_BYTES = 128
"""How much of a malformed reply an InputRejected keeps, as twice as many hex digits."""

_log = logging.getLogger(__name__)


class SnmpCollector:
    """Polls ``devices`` every ``poll_seconds``, or as their own settings say, on behalf of ``agent``.

    ``profiles_folder`` adds a site's own profiles to the built-in ones.
    """

    def __init__(
        self,
        devices: Sequence[DeviceConfig],
        poll_seconds: float,
        agent: str,
        profiles_folder: Path | None = None,
    ) -> None:
        self._devices = tuple(devices)
        self._poll_seconds = poll_seconds
        self._agent = agent
        self._profiles = built_in_profiles() if profiles_folder is None else profiles_in(profiles_folder)
        for device in self._devices:
            _check(device, self._profiles)

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled. Raises ConfigError when a community cannot be read."""
        async with SnmpClient() as client:
            watches = [self._watch(client, device, emit) for device in self._devices]
            async with asyncio.TaskGroup() as group:
                for watch in watches:
                    group.create_task(watch.run())

    def _watch(self, client: SnmpClient, device: DeviceConfig, emit: Emit) -> "DeviceWatch":
        poll_seconds = device.poll_seconds or self._poll_seconds
        return DeviceWatch(client, device, poll_seconds, self._agent, self._profiles, emit)


class DeviceWatch:
    """One device: its plan, whether it answers, and what it was rejected for."""

    def __init__(
        self,
        client: SnmpClient,
        device: DeviceConfig,
        poll_seconds: float,
        agent: str,
        profiles: Mapping[str, Profile],
        emit: Emit,
    ) -> None:
        self._client = client
        self._device = device
        self._target = read_target(device)
        self._poll_seconds = poll_seconds
        self._agent = agent
        self._profiles = profiles
        self._emit = emit
        self._plan: Plan | None = None
        self._reached: bool | None = None
        self._failures_count = 0
        self._rejected_reasons: set[str] = set()

    async def run(self) -> None:
        """Poll in step with the start offset; a late round skips slots, it never piles them up."""
        loop = asyncio.get_running_loop()
        due = loop.time() + start_offset(self._device.asset) * self._poll_seconds
        while True:
            await asyncio.sleep(due - loop.time())
            await self.poll_once()
            due = next_due(due, loop.time(), self.pause_seconds)

    @property
    def pause_seconds(self) -> float:
        """Until the next poll: doubled for each failure in a row, up to a bound."""
        longest = max(MAX_BACKOFF_SECONDS, self._poll_seconds)
        return min(self._poll_seconds * 2.0 ** min(self._failures_count, 30), longest)

    async def poll_once(self) -> None:
        """One round; its outcome is emitted, an operating fault never raised."""
        try:
            if self._plan is None:
                self._plan = plan_for(await self._profile())
            found = await poll(self._client, self._target, self._plan, self._poll_seconds)
        except SnmpError as error:
            await self._lose(error)
        else:
            await self._record(found)

    async def _profile(self) -> Profile:
        if self._device.profile:
            return self._profiles[self._device.profile]
        return await identify(self._client, self._target, self._profiles)

    async def _record(self, found: Round) -> None:
        self._failures_count = 0
        if not self._reached:
            self._reached = True
            await self._say(found.time, DeviceReached(self._device.asset, self._device.address, self._agent))
        await self._reject(malformed(found.problems))
        for twin in self._client.take_duplicates(self._target):
            reason = f"the engine id is also that of {twin.first[0]}: a clone, or one device at two addresses"
            await self._say(found.time, InputRejected(f"snmp:{self._device.asset}", reason, twin.engine_id))
        for event in samples(self._device.asset, self._device.measures, found.readings, found.quality):
            await self._say(found.time, event)

    async def _lose(self, error: SnmpError) -> None:
        self._failures_count += 1
        self._plan = None
        await self._reject(malformed([error]))
        if self._reached is not False:
            self._reached = False
            lost = DeviceLost(self._device.asset, self._device.address, self._agent, str(error))
            await self._say(time.time_ns(), lost)

    async def _reject(self, errors: list[MalformedMessage]) -> None:
        for error in errors:
            known = error.reason in self._rejected_reasons
            if known or len(self._rejected_reasons) >= MAX_REMEMBERED_REASONS:
                continue
            self._rejected_reasons.add(error.reason)
            raw = error.raw[:MAX_REJECTED_BYTES].hex()
            await self._say(time.time_ns(), InputRejected(f"snmp:{self._device.asset}", error.reason, raw))

    async def _say(self, moment: int, event: AnyEvent) -> None:
        await self._emit(Observation(moment, event))


def start_offset(asset: str) -> float:
    """Where in its interval a device is polled, 0 to 1: spread over devices, the same at every start."""
    return int.from_bytes(hashlib.sha256(asset.encode()).digest()[:4]) / 2**32


def next_due(due: float, now: float, pause_seconds: float) -> float:
    """The next slot after ``now``, in step with ``due``."""
    missed = max(0, int((now - due) // pause_seconds))
    return due + (missed + 1) * pause_seconds


def _check(device: DeviceConfig, profiles: Mapping[str, Profile]) -> None:
    if device.profile and device.profile not in profiles:
        raise ProfileError(
            f"{device.asset} asks for the profile {device.profile!r}, known: {sorted(profiles)}"
        )
