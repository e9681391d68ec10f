"""One device that is polled: its schedule, its plan, whether it answers, and what was learned of it."""

import asyncio
import time
from collections.abc import Collection, Mapping

import msgspec
from msgspec import structs

from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.events.types import (
    AnyEvent,
    DeviceLost,
    DeviceReached,
    InputRejected,
    Quality,
)
from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.config import DeviceConfig, read_target
from coldaisle.integrations.snmp.decode import samples_of
from coldaisle.integrations.snmp.errors import SnmpError
from coldaisle.integrations.snmp.learned import Learned, Memory, renumbered
from coldaisle.integrations.snmp.pause import Pause
from coldaisle.integrations.snmp.poll import (
    Plan,
    Round,
    identify,
    malformed,
    objects_beside,
    plan_for,
    poll,
)
from coldaisle.integrations.snmp.profile import Profile
from coldaisle.integrations.snmp.rates import Life, Rates, ran_on
from coldaisle.integrations.snmp.routine import Routine
from coldaisle.integrations.snmp.schedule import next_due, start_offset, start_slot
from coldaisle.integrations.snmp.shared import Shared
from coldaisle.integrations.snmp.topology import TopologyEvent, read_surroundings, topology_events

MAX_BACKOFF_SECONDS = 300.0
MAX_REMEMBERED_REASONS = 16
MAX_REJECTED_BYTES = 128
"""How much of a malformed reply an InputRejected keeps, as twice as many hex digits."""

RELEARN_SECONDS = 3_600.0
"""How long columns that brought nothing are not asked for."""

MAX_DOUBTS = 3
"""So many rounds in a row in which objects beside a table came out wrong, and they are asked for apart."""

TOPOLOGY_SECONDS = 3_600.0
"""Between two looks at a device's neighbours and parts, where they are asked for."""

MAX_TOLD_EVENTS = 100_000
"""Of the surroundings of one device: some times as many as one look can bring."""


class DeviceWatch:
    """Polls one device, in step with its start offset, ever more rarely while it is down."""

    __slots__ = (
        "_agent", "_client", "_device", "_doubts_count", "_emit", "_failures_count", "_known_assets",
        "_life", "_memory", "_pause", "_plan", "_poll_seconds", "_profiles", "_rates", "_reached",
        "_rejected_reasons", "_routine", "_shared", "_target", "_told", "_topology_due", "_without",
    )  # fmt: skip

    def __init__(
        self,
        client: SnmpClient,
        device: DeviceConfig,
        poll_seconds: float,
        agent: str,
        profiles: Mapping[str, Profile],
        emit: Emit,
        memory: Memory | None = None,
        known_assets: Collection[str] = (),
        shared: Shared | None = None,
    ) -> None:
        self._client = client
        self._device = device
        self._target = read_target(device)
        self._poll_seconds = poll_seconds
        self._pause = Pause(poll_seconds)
        self._agent = agent
        self._profiles = profiles
        self._emit = emit
        self._memory = memory or Memory()
        self._known_assets = known_assets
        self._told: dict[bytes, None] = {}
        self._topology_due = 0.0
        self._plan: Plan | None = None
        self._without: frozenset[str] = frozenset()
        self._reached: bool | None = None
        self._failures_count = 0
        self._doubts_count = 0
        self._rejected_reasons: set[str] = set()
        self._rates = Rates()
        self._life: Life | None = None
        self._shared = shared or Shared()
        self._routine = Routine(self._shared)

    async def run(self) -> None:
        """Poll in step with the start offset; a late round skips slots, it never piles them up."""
        loop = asyncio.get_running_loop()
        due = start_slot(loop.time()) + start_offset(self._device.asset, self._poll_seconds)
        while True:
            await self._pause.until(due)
            await self.poll_once()
            if loop.time() >= due:
                due = next_due(due, loop.time(), self.pause_seconds)

    def poll_soon(self) -> None:
        """Poll now, beside the schedule, unless that was done within the last poll interval."""
        self._pause.end()

    @property
    def pause_seconds(self) -> float:
        """Until the next poll: doubled for each failure in a row, up to a bound."""
        longest = max(MAX_BACKOFF_SECONDS, self._poll_seconds)
        return min(self._poll_seconds * 2.0 ** min(self._failures_count, 30), longest)

    async def poll_once(self) -> None:
        """One round; its outcome is emitted, an operating fault never raised."""
        try:
            if self._plan is None:
                self._make_plan(await self._profile())
            if not await self._poll_as_usual():
                await self._poll_whole()
        except SnmpError as error:
            await self._lose(error)

    async def _poll_as_usual(self) -> bool:
        """Whether the device answered as it does; else it is to be asked as a whole. Raises SnmpError."""
        self._ask_all_from_time_to_time()
        usual = await self._routine.ask(self._client, self._target, self._poll_seconds)
        if usual is None:
            return False
        sheet, life = usual.script.sheet, usual.life
        counts = sheet.counts(usual.numbers)
        rates = self._rates.take_row(life, sheet.counters, counts, usual.readings)
        if rates is None:
            return False
        await self._greet(usual.time, usual.strange)
        if self._restarted(life):
            self._plan_without(sheet.profile, frozenset())
        await self._tell(usual.time, usual.script.names, (*usual.readings, *rates), "good")
        return True

    async def _poll_whole(self) -> None:
        assert self._plan is not None
        plan = self._plan
        self._doubts_count += bool(plan.beside)  # until it answers as it should
        found = await poll(self._client, self._target, plan, self._poll_seconds)
        if not found.is_apart:
            self._doubts_count = 0
        elif plan.beside:
            plan = self._plan = structs.replace(plan, beside=())
        await self._record(found)
        if found.quality == "good":
            self._expect(plan, found)

    def _expect(self, plan: Plan, found: Round) -> None:
        """Take the round for the usual one, if it was asked for with the right plan."""
        if self._plan is plan and found.row_counts == plan.row_counts:
            self._routine.learn(plan.profile, found, self._target)
        else:
            self._plan = self._plan_like(self._plan or plan, found)

    def _plan_like(self, plan: Plan, found: Round) -> Plan:
        """The questions of a plan, put as what the device has suggests."""
        counts = self._shared.one_of(found.row_counts, found.row_counts)
        is_doubtful = self._doubts_count >= MAX_DOUBTS
        beside = () if is_doubtful else objects_beside(plan, found, self._target)
        return structs.replace(plan, row_counts=counts, beside=self._shared.one_of(beside, beside))

    def _ask_all_from_time_to_time(self) -> None:
        """Columns and objects that brought nothing may do so by now."""
        plan = self._plan
        is_less = bool(self._without) or (plan is not None and bool(plan.beside))
        if plan is not None and is_less and self._is_old(self._memory.of(self._device.asset), time.time_ns()):
            self._plan_without(plan.profile, frozenset())

    async def _profile(self) -> Profile:
        if self._device.profile:
            return self._profiles[self._device.profile]
        return await identify(self._client, self._target, self._profiles)

    def _make_plan(self, profile: Profile) -> None:
        """The questions to ask, without those that were lately found to bring nothing."""
        known = self._memory.of(self._device.asset)
        is_fresh = not self._is_old(known, time.time_ns()) and known.profile == profile.name
        self._plan_without(profile, known.needless if is_fresh else frozenset())

    def _plan_without(self, profile: Profile, needless: frozenset[str]) -> None:
        plans, key = self._shared.plans, (id(profile), needless)
        plan = plans.get(key)
        if plan is None:
            plan = plans[key] = plan_for(profile, needless)
        self._without, self._plan = needless, plan
        self._routine.forget()

    async def _record(self, found: Round) -> None:
        await self._greet(found.time, found.decoded.strange)
        for error in malformed(found.problems):
            await self._reject(error.reason, error.raw[:MAX_REJECTED_BYTES].hex())
        await self._learn(found)
        readings = found.readings | self._rates.take(found.life, found.decoded.counts, found.readings)
        self._rates.pack(self._shared)
        await self._tell(found.time, tuple(readings), tuple(readings.values()), found.quality)

    async def _greet(self, moment: int, strange: Mapping[str, float]) -> None:
        """The device answers: tell it, and what is odd about it."""
        self._failures_count = 0
        if not self._reached:
            self._reached = True
            await self._say(moment, DeviceReached(self._device.asset, self._device.address, self._agent))
        for twin in self._client.take_duplicates(self._target):
            reason = f"the engine id is also that of {twin.first[0]}: a clone, or one device at two addresses"
            await self._reject(reason, twin.engine_id)
        for metric, value in strange.items():
            await self._reject(f"{metric} is outside its sanity range", f"{value:g}")

    async def _tell(
        self, moment: int, names: tuple[str, ...], values: tuple[float | None, ...], quality: Quality
    ) -> None:
        for event in samples_of(self._device.asset, self._device.measures, names, values, quality):
            await self._say(moment, event)
        if self._device.topology and time.monotonic() >= self._topology_due:
            await self._look_around(moment)

    async def _look_around(self, moment: int) -> None:
        """Tell the links and parts that were not told before; what is gone may be a table that was cut."""
        self._topology_due = time.monotonic() + TOPOLOGY_SECONDS
        around = await read_surroundings(self._client, self._target)
        for event in topology_events(self._device.asset, around, self._known_assets):
            if self._is_news(event):
                await self._say(moment, event)

    def _is_news(self, event: TopologyEvent) -> bool:
        """Whether it was not told yet; the oldest are forgotten, and told again where they still hold."""
        key = msgspec.json.encode(event)
        if key in self._told:
            return False
        if len(self._told) >= MAX_TOLD_EVENTS:
            del self._told[next(iter(self._told))]
        self._told[key] = None
        return True

    async def _learn(self, found: Round) -> None:
        """Keep where rows lie, and replace the plan when other columns are to be asked for."""
        assert self._plan is not None
        known = self._memory.of(self._device.asset)
        for event in renumbered(self._device.asset, known.indexes, found.decoded.indexes):
            await self._say(found.time, event)
        needless = self._needless(known, self._plan.profile.name, found)
        if needless is not None:
            needless = self._shared.one_of(needless, needless)
        indexes = {**known.indexes, **found.decoded.indexes}
        learned = structs.replace(known, indexes=self._shared.one_of(msgspec.json.encode(indexes), indexes))
        if needless is not None:
            learned = Learned(self._plan.profile.name, needless, found.time, learned.indexes)
        self._memory.learn(self._device.asset, learned)
        if needless is not None and needless != self._without:
            self._plan_without(self._plan.profile, needless)

    def _needless(self, known: Learned, profile: str, found: Round) -> frozenset[str] | None:
        """The columns not to ask for from now on, None to leave it at those known.

        After a restart, and from time to time, all are asked for again.
        """
        is_old = self._is_old(known, found.time) or known.profile != profile
        if self._restarted(found.life) or (is_old and self._without):
            return frozenset()
        is_whole = not self._without and found.quality == "good"
        return found.needless if is_whole and (is_old or found.needless != known.needless) else None

    def _is_old(self, known: Learned, moment: int) -> bool:
        """Also when it was learned in the future: the clock was wrong then."""
        return not 0 <= moment - known.learned_at <= RELEARN_SECONDS * 1e9

    def _restarted(self, life: Life) -> bool:
        before, self._life = self._life, life
        return before is not None and ran_on(before, life) is False

    async def _lose(self, error: SnmpError) -> None:
        self._failures_count += 1
        self._plan = None
        self._routine.forget()
        for wrong in malformed([error]):
            await self._reject(wrong.reason, wrong.raw[:MAX_REJECTED_BYTES].hex())
        if self._reached is not False:
            self._reached = False
            lost = DeviceLost(self._device.asset, self._device.address, self._agent, str(error))
            await self._say(time.time_ns(), lost)

    async def _reject(self, reason: str, raw: str) -> None:
        """Tell what could not be understood, once for each reason."""
        if reason in self._rejected_reasons or len(self._rejected_reasons) >= MAX_REMEMBERED_REASONS:
            return
        self._rejected_reasons.add(reason)
        await self._say(time.time_ns(), InputRejected(f"snmp:{self._device.asset}", reason, raw))

    async def _say(self, moment: int, event: AnyEvent) -> None:
        await self._emit(Observation(moment, event))
