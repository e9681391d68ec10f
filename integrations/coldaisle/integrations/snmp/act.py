"""Sets objects of devices, and proves it: read before, set, read back.

Knows the action ``snmp.set`` with the arguments ``{"metric": …, "value": …}``, where the profile of the
device gives object, type and scale, or ``{"oid": …, "type": …, "value": …}``.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from math import isclose, isfinite
from types import TracebackType
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from coldaisle.core.actions import ActionRequest, ActionResult
from coldaisle.core.errors import ColdaisleError
from coldaisle.core.events.types import Argument
from coldaisle.integrations.snmp.ber import Value, Varbind, encode_varbind, value_text
from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.config import DeviceConfig, read_target, write_target
from coldaisle.integrations.snmp.decode import reading
from coldaisle.integrations.snmp.errors import ErrorStatus, ProfileError, SnmpError
from coldaisle.integrations.snmp.locate import locate
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.poll import identify
from coldaisle.integrations.snmp.profile import Metric, Profile
from coldaisle.integrations.snmp.profile_files import built_in_profiles
from coldaisle.integrations.snmp.tags import ABSENT, TYPE_TAGS
from coldaisle.integrations.snmp.target import Target

ACTION = "snmp.set"
READ_BACK_SECONDS = 0.5
"""Between two looks at whether the device shows what was set."""

TOLERANCE = 1e-6
UNDO_FAILED = 15

_log = logging.getLogger(__name__)


class Aim(Struct, frozen=True):
    """What is to hold: an object, the value as recorded and as sent, and the profile that translates."""

    name: dict[str, Argument]
    read_oid: str
    write_oid: str
    tag: int
    wanted: Argument
    wire: Value
    profile: Profile | None = None
    metric: Metric | None = None

    @property
    def is_state(self) -> bool:
        """Whether to set it twice is to set it once, as with every metric of a profile.

        A bare object may be a command (switch off and on again): it is sent once, however long the device
        takes, and that it shows something else afterwards proves nothing.
        """
        return self.metric is not None

    def shown(self, varbind: Varbind) -> Argument:
        """A value that was read, in the terms of ``wanted``."""
        _, tag, value = varbind
        if self.profile is not None and self.metric is not None:
            return reading(self.profile, self.metric, varbind)
        return value if isinstance(value, int) else value_text(tag, value)

    def holds(self, shown: Argument) -> bool:
        """Whether the device shows what is wanted."""
        if isinstance(shown, int | float) and isinstance(self.wanted, int | float):
            return isclose(shown, self.wanted, abs_tol=TOLERANCE)
        return shown == self.wanted

    def named(self, value: Argument) -> dict[str, Argument]:
        """Arguments of this action for another value of the same object."""
        return {**self.name, "value": value}


class SnmpActions:
    """Carries out ``snmp.set`` on ``devices``; an async context manager."""

    def __init__(
        self,
        devices: Sequence[DeviceConfig],
        profiles: Mapping[str, Profile] | None = None,
        *,
        read_back_seconds: float = READ_BACK_SECONDS,
    ) -> None:
        self._devices = {device.asset: device for device in devices}
        self._profiles = profiles or built_in_profiles()
        self._read_back_seconds = read_back_seconds
        self._client = SnmpClient()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def carry_out(self, request: ActionRequest) -> ActionResult:
        """Perform, probe or undo; answers within ``request.timeout_seconds`` and raises nothing of ours.

        Until the SET is sent, every fault is ``not_done``; a probe that fails is ``unknown``.
        """
        device = self._devices.get(request.asset)
        probes = request.verb == "probe"
        if device is None or request.action != ACTION:
            reason = f"no {request.action} for {request.asset} here"
            return ActionResult("unknown" if probes else "not_done", reason)
        ends_at = asyncio.get_running_loop().time() + request.timeout_seconds
        try:
            async with asyncio.timeout_at(ends_at):
                target = read_target(device) if probes else _writable(device)
                aim = await self._aim(device, request.arguments)
                before = await self._read(device, aim)
        except (ColdaisleError, TimeoutError) as error:
            reason = str(error) or f"no answer within {request.timeout_seconds:.3g} s"
            return ActionResult("unknown" if probes else "not_done", reason)
        if probes:
            return _probed(aim, before)
        return await self._set(device, target, aim, before, ends_at)

    async def _set(
        self, device: DeviceConfig, target: Target, aim: Aim, before: Argument, ends_at: float
    ) -> ActionResult:
        """Set and read back. Half of the time belongs to the SET, so that a lost one can be looked into."""
        silence = ""
        left_seconds = ends_at - asyncio.get_running_loop().time()
        if not aim.is_state:
            target = replace(target, retries=0, timeout_seconds=left_seconds / 2)
        varbinds = [(aim.write_oid, aim.tag, aim.wire)]
        try:
            await self._client.set(target, varbinds, deadline_seconds=left_seconds / 2)
        except ErrorStatus as error:
            return ActionResult("unknown" if error.status == UNDO_FAILED else "not_done", str(error))
        except SnmpError as error:
            silence = str(error)
        shown = await self._read_back(device, aim, ends_at)
        return _performed(aim, before, shown, silence)

    async def _read_back(self, device: DeviceConfig, aim: Aim, ends_at: float) -> Argument:
        """What the device shows once it is what was wanted, or at the end; None when it shows nothing."""
        shown: Argument = None
        try:
            async with asyncio.timeout_at(ends_at):
                while not aim.holds(shown):
                    try:
                        shown = await self._read(device, aim)
                    except SnmpError as error:
                        _log.info("cannot read back", extra={"asset": device.asset, "reason": str(error)})
                    if not aim.holds(shown):
                        await asyncio.sleep(self._read_back_seconds)
        except TimeoutError:
            pass  # the last look is the answer
        return shown

    async def _read(self, device: DeviceConfig, aim: Aim) -> Argument:
        varbind = (await self._client.get(read_target(device), [aim.read_oid]))[0]
        if varbind[1] in ABSENT:
            raise ProfileError(f"{device.asset} has no object {aim.read_oid}")
        return aim.shown(varbind)

    async def _aim(self, device: DeviceConfig, arguments: dict[str, Argument]) -> Aim:
        """What the arguments ask for; a value that does not fit is refused before anything is sent."""
        if "metric" in arguments:
            aim = await self._metric_aim(device, str(arguments["metric"]), arguments.get("value"))
        else:
            aim = _object_aim(arguments)
        encode_varbind(encode_oid(aim.write_oid), aim.tag, aim.wire)
        return aim

    async def _metric_aim(self, device: DeviceConfig, name: str, value: Argument) -> Aim:
        if not isinstance(value, int | float) or not isfinite(value):
            raise ProfileError(f"{name} needs a number, not {value!r}")
        target = read_target(device)
        profile = self._profiles.get(device.profile)
        profile = profile or await identify(self._client, target, self._profiles)
        place = await locate(self._client, target, profile, name)
        if not place.metric.writable:
            raise ProfileError(f"{name} of profile {profile.name} is not writable")
        wire = place.wire(value)
        named: dict[str, Argument] = {"metric": name}
        return Aim(named, place.read_oid, place.write_oid, place.tag, value, wire, profile, place.metric)


def _object_aim(arguments: dict[str, Argument]) -> Aim:
    """The aim of a bare object, which is read where it is written."""
    oid, kind, value = arguments.get("oid"), arguments.get("type"), arguments.get("value")
    if not isinstance(oid, str) or not isinstance(kind, str) or kind not in TYPE_TAGS:
        raise ProfileError(f"{ACTION} needs a metric, or an oid and a type of {', '.join(TYPE_TAGS)}")
    if not isinstance(value, int | str):
        raise ProfileError(f"{oid} needs an integer or text, not {value!r}")
    return Aim({"oid": oid, "type": kind}, oid, oid, TYPE_TAGS[kind], value, value)


def _writable(device: DeviceConfig) -> Target:
    target = write_target(device)
    if target is None:
        community = "write community; set write_community_file or _env"
        missing = "write user; set write_user" if device.version == "3" else community
        raise ProfileError(f"{device.asset} has no {missing}")
    return target


def _probed(aim: Aim, shown: Argument) -> ActionResult:
    if aim.holds(shown):
        return ActionResult("done", observed=aim.named(shown))
    return ActionResult(
        "not_done" if aim.is_state else "unknown", f"the device shows {shown}", aim.named(shown)
    )


def _performed(aim: Aim, before: Argument, shown: Argument, silence: str) -> ActionResult:
    """The verdict; a lost SET whose device still shows the old value was not done."""
    undo = None if before is None else aim.named(before)
    if aim.holds(shown):
        return ActionResult("done", observed=aim.named(shown), undo=undo)
    if shown is None:
        return ActionResult("unknown", silence or "the device took the value and shows none", undo=undo)
    if silence and shown == before and aim.is_state:
        return ActionResult("not_done", f"{silence}; the device still shows {shown}", aim.named(shown))
    reason = silence or "the device took the value"
    return ActionResult("unknown", f"{reason}; it shows {shown}", aim.named(shown), undo)
