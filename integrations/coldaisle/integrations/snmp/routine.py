"""A round of questions that a device answers as usual: asked again as it was, and read by its layout.

After a round that went well, its requests are known, and so are the OIDs of their replies, the names of the
rows and how each reading is made. While a device answers with the same OIDs and names, only numbers are
read. Whatever differs, a new row, another name or type, an error, is asked for and decoded anew as a whole.
Devices of one kind share what is equal; a device of its own keeps its layouts.
"""

import time
from collections.abc import Iterable
from operator import attrgetter

from msgspec import Struct

from coldaisle.integrations.snmp.ber import Varbind, Wire, read_varbinds
from coldaisle.integrations.snmp.channel import Moment, Reply
from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.errors import SnmpError, SnmpTimeout
from coldaisle.integrations.snmp.layout import Layout, layout_of
from coldaisle.integrations.snmp.message import V1, Request
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.poll import LIFE_OIDS, Round
from coldaisle.integrations.snmp.profile import Profile
from coldaisle.integrations.snmp.rates import Life
from coldaisle.integrations.snmp.shared import Shared
from coldaisle.integrations.snmp.sheet import Sheet, sheet_of
from coldaisle.integrations.snmp.tags import UNSIGNED_MASKS
from coldaisle.integrations.snmp.target import Target

MAX_VARBINDS = 20_000
"""A round of more is always decoded as a whole."""

MAX_MISSES = 5
"""So many surprises in a row, and a device is not taken to answer as usual for a while."""

PAUSE_SECONDS = 3_600.0
MAX_LAYOUTS = 4
"""Kept for each request: the lengths of some numbers change to and fro."""


class Step(Struct, frozen=True):
    """A request and its usual reply: OIDs and tags in ``heads``, values that never change in ``fixed``.

    ``wanted`` are the places of the values to read.
    """

    request: Request
    heads: bytes
    fixed: tuple[tuple[int, Wire], ...]
    wanted: tuple[int, ...]


class Script(Struct, frozen=True, weakref=True):
    """All requests of a round, and what their numbers mean; ``life`` are places of those, -1 for none."""

    steps: tuple[Step, ...]
    sheet: Sheet
    life: tuple[int, ...]
    names: tuple[str, ...]


class Usual(Struct, frozen=True):
    """What a usual round brought; ``seen_at`` as in a Round."""

    seen_at: Moment
    script: Script
    numbers: list[Wire]
    readings: list[float | None]
    strange: dict[str, float]

    @property
    def time(self) -> int:
        """When the first reply left (UTC ns)."""
        return self.seen_at.utc

    @property
    def life(self) -> Life:
        """What the device says of how long it runs."""
        numbers = self.numbers
        found = [numbers[place] if place >= 0 else None for place in self.script.life]
        return Life(self.seen_at.steady, *[value if isinstance(value, int) else None for value in found])


class Routine:
    """The usual round of one device; nothing until a round was learned."""

    __slots__ = ("_layouts", "_misses_count", "_rest_until", "_shared", "script")

    def __init__(self, shared: Shared) -> None:
        self.script: Script | None = None
        self._shared = shared
        self._layouts: dict[tuple[int, int], Layout] = {}
        self._misses_count = 0
        self._rest_until = 0.0

    def learn(self, profile: Profile, found: Round, target: Target) -> None:
        """Take a round that went well for the usual one."""
        size = sum(len(varbinds) for _, varbinds in found.trace)
        if target.version == V1 or size > MAX_VARBINDS or time.monotonic() < self._rest_until:
            return
        self.script = _script(profile, found, self._shared)

    def forget(self) -> None:
        """Begin anew."""
        self.script = None
        self._layouts = {}

    async def ask(self, client: SnmpClient, target: Target, deadline_seconds: float) -> Usual | None:
        """A usual round; None when something is not as usual. Raises SnmpTimeout when nothing came."""
        script = self.script
        if script is None:
            return None
        replay = Replay(script, self)
        try:
            await client.run(target, replay, deadline_seconds=deadline_seconds)
        except SnmpError as error:
            if not replay.seen_at and isinstance(error, SnmpTimeout):
                raise
            self._miss()
            return None
        if not replay.is_usual or replay.seen_at is None:
            self._miss()
            return None
        self._misses_count = 0
        readings, strange = script.sheet.readings(replay.numbers)
        return Usual(replay.seen_at, script, replay.numbers, readings, strange)

    def read(self, at: int, octets: bytes) -> list[Wire] | list[int] | None:
        """The values wanted of a reply; None when it is not the usual one. Raises MalformedMessage."""
        layout = self._layouts.get((at, len(octets)))
        found = layout.numbers(octets) if layout is not None else None
        return self._read_whole(at, octets) if found is None else found

    def _read_whole(self, at: int, octets: bytes) -> list[Wire] | None:
        assert self.script is not None
        step = self.script.steps[at]
        varbinds = read_varbinds(octets, 0, len(octets))
        if _heads(varbinds) != step.heads or any(varbinds[place][2] != value for place, value in step.fixed):
            return None
        layout = layout_of(octets, varbinds, step.wanted, {place for place, _ in step.fixed})
        if layout is not None:
            self._keep((at, len(octets)), layout)
        return [varbinds[place][2] for place in step.wanted]

    def _keep(self, key: tuple[int, int], layout: Layout) -> None:
        assert self.script is not None
        if len(self._layouts) >= MAX_LAYOUTS * len(self.script.steps):
            self._layouts.clear()
        equal = (layout.size, layout.mask, layout.expected, layout.own)
        self._layouts[key] = self._shared.layouts.setdefault(equal, layout)

    def _miss(self) -> None:
        self.forget()
        self._misses_count += 1
        if self._misses_count >= MAX_MISSES:
            self._misses_count, self._rest_until = 0, time.monotonic() + PAUSE_SECONDS


class Replay:
    """The requests of a script, one after the other while the replies are as usual."""

    __slots__ = ("_at", "_routine", "_script", "is_usual", "numbers", "seen_at")

    def __init__(self, script: Script, routine: Routine) -> None:
        self._script = script
        self._routine = routine
        self._at = 0
        self.seen_at: Moment | None = None
        self.is_usual = True
        self.numbers: list[Wire] = []

    @property
    def request(self) -> Request:
        """The one to ask now."""
        return self._script.steps[self._at].request

    def read(self, octets: bytes, start: int, stop: int) -> list[Varbind]:
        """Keep the numbers of a reply; hands on no varbinds."""
        found = self._routine.read(self._at, octets[start:stop])
        self.is_usual = found is not None
        self.numbers += found or []
        return []

    def take(self, reply: Reply) -> bool:
        """Whether another request follows."""
        self.seen_at = self.seen_at or reply.left_at
        self._at += 1
        return self.is_usual and self._at < len(self._script.steps)


def _script(profile: Profile, found: Round, shared: Shared) -> Script | None:
    """What is to be asked and read from now on; None for a round with counters of no counter's type."""
    if any(count.tag not in UNSIGNED_MASKS for count in found.decoded.counts.values()):
        return None
    needed = {id(source.varbind) for source in found.decoded.sources.values()}
    needed |= {id(varbind) for oid in LIFE_OIDS if (varbind := found.decoded.object(oid))}
    deciding = _deciding(profile)
    steps = tuple(_step(request, varbinds, needed, deciding) for request, varbinds in found.trace)
    key = (id(profile), *((step.request, step.heads, step.fixed) for step in steps))
    known = shared.scripts.get(key)
    if known is None:
        known = shared.scripts[key] = _compiled(profile, found, steps)
    return known


def _compiled(profile: Profile, found: Round, steps: tuple[Step, ...]) -> Script:
    read = [
        id(varbinds[place])
        for (_, varbinds), step in zip(found.trace, steps, strict=True)
        for place in step.wanted
    ]
    places = {varbind: place for place, varbind in enumerate(read)}
    sheet = sheet_of(profile, found.decoded, places)
    life = tuple(places.get(id(found.decoded.object(oid)), -1) for oid in LIFE_OIDS)
    return Script(steps, sheet, life, sheet.all_names)


def _step(request: Request, varbinds: list[Varbind], needed: set[int], deciding: tuple[bytes, ...]) -> Step:
    fixed = tuple(
        (place, value) for place, (oid, _, value) in enumerate(varbinds) if oid.startswith(deciding)
    )
    wanted = tuple(place for place, varbind in enumerate(varbinds) if id(varbind) in needed)
    return Step(request, _heads(varbinds), fixed, wanted)


def _heads(varbinds: Iterable[Varbind]) -> bytes:
    """The OIDs and tags of varbinds, in one piece."""
    return b"".join([b"%c%c%b" % (tag, len(oid) & 0xFF, oid) for oid, tag, _ in varbinds])


def _deciding(profile: Profile) -> tuple[bytes, ...]:
    """Columns and objects that decide how others are named, scaled, or whether they count."""
    tables = profile.tables
    naming = [(*table.naming, table.key_column, table.discontinuity_column) for table in tables]
    aside = map(attrgetter("aside"), profile.metrics)
    return tuple({encode_oid(oid) for oids in (*naming, *aside) for oid in oids if oid})
