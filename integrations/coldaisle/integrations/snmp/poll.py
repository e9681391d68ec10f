"""One round of questions to one device: its objects in a few GETs, its tables in walks.

Once it is known which of the objects a device has, they are asked for beside the first rows of its tables,
which saves a request. What comes so is held against what came before: in doubt all is asked anew, apart.
"""

import time
from collections.abc import Awaitable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from operator import ge

from msgspec import Struct

from coldaisle.core.events.types import Quality
from coldaisle.integrations.snmp.beside import Beside, can_be_beside
from coldaisle.integrations.snmp.channel import Moment
from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.decode import (
    Columns,
    Decoded,
    Readings,
    columns_of,
    decode_objects,
    decode_table,
)
from coldaisle.integrations.snmp.errors import MalformedMessage, SnmpError, SnmpTimeout
from coldaisle.integrations.snmp.message import Request, prepare_read
from coldaisle.integrations.snmp.naming import row_names
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.profile import Profile, TableProfile, profile_for
from coldaisle.integrations.snmp.rates import Life
from coldaisle.integrations.snmp.tags import GET, OBJECT_IDENTIFIER
from coldaisle.integrations.snmp.target import Target
from coldaisle.integrations.snmp.walk import Trace

SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"
SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
ENGINE_BOOTS = "1.3.6.1.6.3.10.2.1.2.0"
ENGINE_TIME = "1.3.6.1.6.3.10.2.1.3.0"
LIFE_OIDS = (SYS_UPTIME, ENGINE_BOOTS, ENGINE_TIME)
"""What tells a restart (RFC 3418, RFC 3411)."""

MAX_OBJECTS_PER_GET = 20
MAX_TABLE_ROWS_COUNT = 20_000


class Round(Struct, frozen=True):
    """What a round brought; ``seen_at`` is when the first reply left, ``problems`` are what failed.

    ``needless`` are columns that brought nothing, in tables that were read to their end; ``row_counts`` how
    many rows each table has; ``trace`` what was asked and answered; ``is_apart`` whether objects had GETs.
    """

    seen_at: Moment
    decoded: Decoded
    quality: Quality = "good"
    problems: tuple[SnmpError, ...] = ()
    needless: frozenset[str] = frozenset()
    row_counts: tuple[int, ...] = ()
    trace: Trace = []
    is_apart: bool = True

    @property
    def time(self) -> int:
        """When the first reply left (UTC ns)."""
        return self.seen_at.utc

    @property
    def readings(self) -> Readings:
        """The values by metric."""
        return self.decoded.readings

    @property
    def life(self) -> Life:
        """What the device says of how long it runs."""
        uptime, boots, seconds = (_number(self.decoded, oid) for oid in LIFE_OIDS)
        return Life(self.seen_at.steady, uptime, boots, seconds)


class Plan(Struct, frozen=True, weakref=True):
    """The questions of a profile, the GETs encoded once; ``columns`` to walk, table by table.

    ``row_counts`` are how many rows each table is expected to have; empty while nobody knows. ``beside`` are
    the objects that the device has, asked for with the first table; empty while the GETs ask for them.
    """

    profile: Profile
    gets: tuple[Request, ...]
    columns: tuple[tuple[str, ...], ...]
    row_counts: tuple[int, ...] = ()
    beside: tuple[bytes, ...] = ()


async def identify(client: SnmpClient, target: Target, profiles: Mapping[str, Profile]) -> Profile:
    """The profile that the device's sysObjectID asks for; ``generic`` without one. Raises SnmpError."""
    _, tag, value = (await client.get(target, [SYS_OBJECT_ID]))[0]
    object_id = value if tag == OBJECT_IDENTIFIER and isinstance(value, bytes) else b""
    return profile_for(object_id, profiles)


def plan_for(profile: Profile, needless: Collection[str] = ()) -> Plan:
    """The questions to ask, in GETs of bounded size, without the columns known to be needless."""
    oids = [encode_oid(oid) for oid in dict.fromkeys([*LIFE_OIDS, *profile.object_oids])]
    parts = [oids[at : at + MAX_OBJECTS_PER_GET] for at in range(0, len(oids), MAX_OBJECTS_PER_GET)]
    columns = tuple(_wanted(table, needless) for table in profile.tables)
    return Plan(profile, tuple(prepare_read(GET, part) for part in parts), columns)


def objects_beside(plan: Plan, found: Round, target: Target) -> tuple[bytes, ...]:
    """The objects that can be asked for with the first table from now on; none where they had better not."""
    oids = tuple(found.decoded.objects)
    is_small = 0 < len(oids) <= MAX_OBJECTS_PER_GET
    return oids if target.can_bulk and any(plan.columns) and is_small and can_be_beside(oids) else ()


async def poll(client: SnmpClient, target: Target, plan: Plan, deadline_seconds: float) -> Round:
    """Ask everything. Raises SnmpError when nothing came; what came before a failure is kept as partial."""
    ends_at = time.monotonic() + deadline_seconds
    if plan.beside:
        together = await _Asking(client, target, plan, ends_at - deadline_seconds / 2).together()
        if together is not None:
            return together
    return await _Asking(client, target, plan, ends_at).apart()


def malformed(problems: Iterable[SnmpError]) -> list[MalformedMessage]:
    """Those of the problems that bytes on the wire caused."""
    return [problem for problem in problems if isinstance(problem, MalformedMessage)]


@dataclass(slots=True)
class _Asking:
    """A round under way."""

    client: SnmpClient
    target: Target
    plan: Plan
    ends_at: float
    seen_at: Moment | None = None
    decoded: Decoded = field(default_factory=Decoded)
    problems: list[SnmpError] = field(default_factory=list)
    needless: set[str] = field(default_factory=set)
    row_counts: list[int] = field(default_factory=list)
    trace: Trace = field(default_factory=list)

    async def together(self) -> Round | None:
        """Objects beside the first table; None unless all came as it was expected."""
        beside = Beside(self.plan.beside)
        try:
            for place, columns in enumerate(self.plan.columns):
                self.row_counts.append(0)
                if columns:
                    await self.walk(place, None if self.trace else beside)
        except SnmpError:
            return None
        is_whole = all(map(ge, self.row_counts, self.plan.row_counts))
        return self.found(is_apart=False) if is_whole and beside.is_answered else None

    async def apart(self) -> Round:
        """First the objects, then the tables. Raises SnmpError when nothing came."""
        for request in self.plan.gets:
            await self.keep(self.get(request))
        decode_objects(self.plan.profile, self.decoded)
        for place, columns in enumerate(self.plan.columns):
            self.row_counts.append(0)
            if columns:
                await self.keep(self.walk(place))
        if not self.seen_at:
            raise self.problems[0]
        return self.found(is_apart=True)

    def found(self, *, is_apart: bool) -> Round:
        """What the round brought."""
        assert self.seen_at is not None, "something came"
        quality: Quality = "partial" if self.problems else "good"
        return Round(
            self.seen_at, self.decoded, quality, tuple(self.problems), frozenset(self.needless),
            tuple(self.row_counts), self.trace, is_apart,
        )  # fmt: skip

    async def keep(self, question: Awaitable[None]) -> None:
        """Ask; a device that has not answered at all is asked no more."""
        try:
            await question
        except SnmpError as error:
            if not self.seen_at and isinstance(error, SnmpTimeout):
                raise
            self.problems.append(error)

    async def get(self, request: Request) -> None:
        """The objects of one GET."""
        reply = await self.client.ask(self.target, request, deadline_seconds=self.left_seconds)
        self.seen_at = self.seen_at or reply.left_at
        self.decoded.take(reply.varbinds)
        self.trace.append((request, reply.varbinds))

    async def walk(self, place: int, beside: Beside | None = None) -> None:
        """The rows of one table, after the objects that came beside them."""
        table, columns = self.plan.profile.tables[place], self.plan.columns[place]
        expected = self.plan.row_counts[place] if self.plan.row_counts else 0
        started_at = Moment.now()
        walked = await self.client.walk_table(
            self.target, columns, max_rows_count=MAX_TABLE_ROWS_COUNT, deadline_seconds=self.left_seconds,
            expected_rows_count=expected, trace=self.trace, beside=beside,
        )  # fmt: skip
        self.row_counts[-1] = max(map(len, walked))
        self.seen_at = self.seen_at or (started_at if beside is None else beside.seen_at)
        if beside is not None:
            self.decoded.take(beside.found)
            decode_objects(self.plan.profile, self.decoded)
        rows = columns_of(columns, walked)
        decode_table(self.plan.profile, table, rows, self.decoded)
        self.needless |= needless_columns(table, rows)

    @property
    def left_seconds(self) -> float:
        """Until the deadline of the round."""
        return self.ends_at - time.monotonic()


def needless_columns(table: TableProfile, rows: Columns) -> set[str]:
    """Columns without rows, fallbacks of columns that are complete, and names that no row had to take."""
    needless = {column for column, cells in rows.items() if not cells}
    for metric in table.metrics:
        own, spare = rows.get(metric.oid, {}), rows.get(metric.fallback_oid, {})
        if spare and spare.keys() <= own.keys():
            needless.add(metric.fallback_oid)
    first = TableProfile((), table.label, table.label_column)
    if table.naming and row_names(first, rows) == row_names(table, rows):
        needless.update(table.naming[1:])
    return needless


def _wanted(table: TableProfile, needless: Collection[str]) -> tuple[str, ...]:
    """The columns to walk; none when all values of the table are needless."""
    values = {oid for metric in table.metrics for oid in (metric.oid, metric.fallback_oid) if oid}
    wanted = tuple(oid for oid in table.columns if oid not in needless)
    return wanted if values.intersection(wanted) else ()


def _number(decoded: Decoded, oid: str) -> int | None:
    found = decoded.object(oid)
    return found[2] if found is not None and isinstance(found[2], int) else None
