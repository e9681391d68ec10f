"""One round of questions to one device: its objects in a few GETs, its tables in walks."""

import time
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from coldaisle.core.events.types import Quality
from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.decode import Readings, columns_of, decode_objects, decode_table
from coldaisle.integrations.snmp.errors import MalformedMessage, SnmpError, SnmpTimeout
from coldaisle.integrations.snmp.message import Request, prepare_read
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.profile import Profile, TableProfile, profile_for
from coldaisle.integrations.snmp.tags import GET, OBJECT_IDENTIFIER
from coldaisle.integrations.snmp.target import Target

SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"
MAX_OBJECTS_PER_GET = 20
MAX_TABLE_ROWS_COUNT = 20_000


class Round(Struct, frozen=True):
    """What a round brought; ``time`` (UTC ns) is when the first reply left, ``problems`` are what failed."""

    time: int
    readings: Readings
    quality: Quality = "good"
    problems: tuple[SnmpError, ...] = ()


class Plan(Struct, frozen=True):
    """The questions of a profile; the GETs are encoded once."""

    profile: Profile
    gets: tuple[Request, ...]


async def identify(client: SnmpClient, target: Target, profiles: Mapping[str, Profile]) -> Profile:
    """The profile that the device's sysObjectID asks for; ``generic`` without one. Raises SnmpError."""
    _, tag, value = (await client.get(target, [SYS_OBJECT_ID]))[0]
    object_id = value if tag == OBJECT_IDENTIFIER and isinstance(value, bytes) else b""
    return profile_for(object_id, profiles)


def plan_for(profile: Profile) -> Plan:
    """The questions to ask, in GETs of bounded size."""
    oids = [encode_oid(metric.oid) for metric in profile.objects]
    parts = [oids[at : at + MAX_OBJECTS_PER_GET] for at in range(0, len(oids), MAX_OBJECTS_PER_GET)]
    return Plan(profile, tuple(prepare_read(GET, part) for part in parts))


async def poll(client: SnmpClient, target: Target, plan: Plan, deadline_seconds: float) -> Round:
    """Ask everything. Raises SnmpError when nothing came; what came before a failure is kept as partial."""
    asking = _Asking(client, target, plan.profile, time.monotonic() + deadline_seconds)
    for request in plan.gets:
        await asking.keep(asking.get(request))
    for table in plan.profile.tables:
        await asking.keep(asking.walk(table))
    if not asking.seen_at:
        raise asking.problems[0]
    problems = tuple(asking.problems)
    return Round(asking.seen_at, asking.readings, "partial" if problems else "good", problems)


@dataclass(slots=True)
class _Asking:
    """A round under way."""

    client: SnmpClient
    target: Target
    profile: Profile
    ends_at: float
    seen_at: int = 0
    readings: Readings = field(default_factory=dict)
    problems: list[SnmpError] = field(default_factory=list)

    async def keep(self, question: Awaitable[Readings]) -> None:
        """Add what a question brings; a device that has not answered at all is asked no more."""
        try:
            self.readings |= await question
        except SnmpError as error:
            if not self.seen_at and isinstance(error, SnmpTimeout):
                raise
            self.problems.append(error)

    async def get(self, request: Request) -> Readings:
        """The objects of one GET."""
        reply = await self.client.ask(self.target, request, deadline_seconds=self.left_seconds)
        self.seen_at = self.seen_at or reply.received_at - int(reply.round_trip_seconds * 5e8)
        return decode_objects(self.profile, reply.varbinds)

    async def walk(self, table: TableProfile) -> Readings:
        """The rows of one table."""
        started_at = time.time_ns()
        walked = await self.client.walk_table(
            self.target,
            table.columns,
            max_rows_count=MAX_TABLE_ROWS_COUNT,
            deadline_seconds=self.left_seconds,
        )
        self.seen_at = self.seen_at or started_at
        return decode_table(self.profile, table, columns_of(table.columns, walked))

    @property
    def left_seconds(self) -> float:
        """Until the deadline of the round."""
        return self.ends_at - time.monotonic()


def malformed(problems: Iterable[SnmpError]) -> list[MalformedMessage]:
    """Those of the problems that bytes on the wire caused."""
    return [problem for problem in problems if isinstance(problem, MalformedMessage)]
