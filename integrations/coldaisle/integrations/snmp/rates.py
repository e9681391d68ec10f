"""Counters into rates: a wrap is counted through, everything doubtful is a gap, never a spike. Pure.

Two readings give a rate only when the device ran on between them, the counter did not begin anew, the row
still lies at the same index, and the rate is one that the link can carry.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from operator import mul, sub

from msgspec import Struct, structs

from coldaisle.integrations.snmp.decode import Count, Readings
from coldaisle.integrations.snmp.shared import Shared
from coldaisle.integrations.snmp.tags import COUNTER32, UNSIGNED_MASKS

MAX_COUNTERS = 200_000
MAX_MISSING_SECONDS = 3_600.0
"""How long a counter is remembered that a device no longer has: its table may only have been cut."""

COUNTER32_RANGE = 2**32
TICKS_RANGE = 2**32
TICKS_PER_SECOND = 100.0
RESTART_TOLERANCE_SECONDS = 30.0
RESTART_TOLERANCE_SHARE = 0.05
LIMIT_TOLERANCE_SHARE = 0.1
"""By how much a rate may exceed the limit: agents update their counters in bursts."""


class Life(Struct, frozen=True):
    """What a device says of how long it runs, and when: sysUpTime in ticks, snmpEngineBoots and
    snmpEngineTime in seconds; None for what it does not have.

    ``time`` is in ns of the monotonic clock: a clock that is set between two polls must not bend a rate.
    """

    time: int
    uptime_ticks: int | None = None
    engine_boots: int | None = None
    engine_seconds: int | None = None


def ran_on(before: Life, after: Life) -> bool | None:
    """Whether the device ran without a restart between two readings; None when it does not tell.

    sysUpTime wraps after 497 days, so it is held against the time that passed, not against its last value.
    Boots that rose are a restart; boots that did not rise prove nothing, since some devices never count
    them. One clock that ran on is enough: engine times are known to freeze.
    """
    if _rose(before.engine_boots, after.engine_boots):
        return False
    elapsed = (after.time - before.time) / 1e9
    clocks = [
        _kept_pace(before.engine_seconds, after.engine_seconds, elapsed, 1.0),
        _kept_pace(before.uptime_ticks, after.uptime_ticks, elapsed, TICKS_PER_SECOND),
    ]
    known = [kept for kept in clocks if kept is not None]
    return any(known) if known else None


class CounterRow(Struct, frozen=True, weakref=True):
    """The counters of a device that are read together, each poll: all but their values.

    ``limits`` tell where among the readings the limit of a rate is, and its scale; None for no limit.
    ``limited`` are the places of those that have one, with both.
    """

    counts: Mapping[str, Count]
    scales: tuple[float, ...]
    are_32_bits: tuple[bool, ...]
    limits: tuple[tuple[int, float] | None, ...]
    limited: tuple[tuple[int, int, float], ...]
    rate_names: tuple[str, ...]


def counter_row(counts: Mapping[str, Count], names: Sequence[str]) -> CounterRow:
    """The row of these counters; ``names`` are those of the readings."""
    places = {name: place for place, name in enumerate(names)}
    limits = tuple(_limit_at(count, name, places) for name, count in counts.items())
    return CounterRow(
        counts,
        tuple(count.metric.scale for count in counts.values()),
        tuple(count.tag == COUNTER32 for count in counts.values()),
        limits,
        tuple((place, *limit) for place, limit in enumerate(limits) if limit is not None),
        tuple(_rate_name(count, name) for name, count in counts.items()),
    )


class Rates:
    """The last readings of a device's counters; at most MAX_COUNTERS, more have no rates.

    While a device is read by rows, the values of its counters lie in an array, not in a Count each.
    """

    __slots__ = ("_counts", "_life", "_older", "_row", "_values")

    def __init__(self) -> None:
        self._life: Life | None = None
        self._row: CounterRow | None = None
        self._values = array("Q")
        self._counts: dict[str, Count] = {}
        self._older: dict[str, int] = {}
        """When those were read that the last round did not bring: most are of one time."""

    def take(self, life: Life, counts: Mapping[str, Count], readings: Readings) -> Readings:
        """The rates since the last readings; None where there is a gap. What is seen first has no rate.

        ``readings`` are those of the same round: the limits are among them.
        """
        self._leave_row()
        alive = ran_on(self._life, life) if self._life else None
        last = self._life.time if self._life else 0
        found: Readings = {}
        for name, count in counts.items():
            before = self._counts.get(name)
            if before is not None:
                elapsed = (life.time - self._older.get(name, last)) / 1e9
                rate = rate_between(before, count, elapsed, alive, _limit(count, name, readings))
                found[_rate_name(count, name)] = rate
        self._remember(life, counts)
        return found

    def take_row(
        self, life: Life, row: CounterRow, values: Sequence[int], readings: Sequence[float | None]
    ) -> list[float | None] | None:
        """As take, for the counters of a row; None, and nothing taken, when others were read before."""
        if self._life is None or not self._enter_row(row):
            return None
        elapsed, alive = (life.time - self._life.time) / 1e9, ran_on(self._life, life)
        before, self._life, self._values = self._values, life, array("Q", values)
        if elapsed <= 0 or alive is False:
            return [None] * len(before)
        deltas = list(map(sub, values, before))
        rates: list[float | None] = [delta / elapsed for delta in map(mul, deltas, row.scales)]
        for place in _doubtful(row, deltas, rates, readings):
            limit = _limit_of(row.limits[place], readings)
            is_32, scale = row.are_32_bits[place], row.scales[place]
            rates[place] = rate_of(deltas[place], is_32, scale, elapsed, alive, limit)
        return rates

    def pack(self, shared: Shared) -> None:
        """Keep the values only, and all else once for all devices that have the same counters."""
        if any(count.tag not in UNSIGNED_MASKS for count in self._counts.values()):
            return
        counts = {name: count for name, count in self._counts.items() if name not in self._older}
        key = tuple((name, id(c.metric), c.tag, c.index, c.discontinuity) for name, c in counts.items())
        row = shared.rows.get(key)
        if row is None:
            row = shared.rows[key] = counter_row(counts, ())
        self._enter_row(row)

    def _enter_row(self, row: CounterRow) -> bool:
        """From single counters to a row of them, if they are the same as read last."""
        if self._row is row:
            return True
        self._leave_row()
        known, older = self._counts, self._older
        if any(name in older or not _same_as(known.get(name), count) for name, count in row.counts.items()):
            return False
        last = self._life.time if self._life else 0
        self._row = row
        self._values = array("Q", [known[name].value for name in row.counts])
        self._counts = {name: count for name, count in known.items() if name not in row.counts}
        self._older = {name: older.get(name, last) for name in self._counts}
        return True

    def _leave_row(self) -> None:
        if self._row is None:
            return
        pairs = zip(self._row.counts.items(), self._values, strict=True)
        self._counts |= {name: structs.replace(count, value=value) for (name, count), value in pairs}
        self._row, self._values = None, array("Q")

    def _remember(self, life: Life, counts: Mapping[str, Count]) -> None:
        last, self._life = self._life.time if self._life else 0, life
        missing = {name: self._older.get(name, last) for name in self._counts.keys() - counts.keys()}
        since = life.time - MAX_MISSING_SECONDS * 1e9
        self._older = {name: read_at for name, read_at in missing.items() if read_at >= since}
        kept = dict(counts) | {name: self._counts[name] for name in self._older}
        self._counts = dict(islice(kept.items(), MAX_COUNTERS))
        self._older = {name: read_at for name, read_at in self._older.items() if name in self._counts}


def _doubtful(
    row: CounterRow, deltas: Sequence[int], rates: Sequence[float | None], readings: Sequence[float | None]
) -> Iterable[int]:
    """The places of the rates that are not simply a difference over a time."""
    if min(deltas, default=0) < 0:
        return range(len(deltas))
    return [
        place
        for place, at, scale in row.limited
        if row.are_32_bits[place] or (rates[place] or 0.0) > (readings[at] or 0.0) * scale
    ]


def rate_between(
    before: Count, after: Count, elapsed_seconds: float, alive: bool | None, limit: float | None
) -> float | None:
    """The rate per second between two readings of a counter, None for a gap.

    ``alive`` as :func:`ran_on` tells; ``limit`` per second, in the units of the rate.
    """
    if alive is False or elapsed_seconds <= 0 or not _same_row(before, after):
        return None
    delta, is_32 = after.value - before.value, after.tag == COUNTER32
    return rate_of(delta, is_32, after.metric.scale, elapsed_seconds, alive, limit)


def rate_of(
    delta: int, is_32: bool, scale: float, elapsed_seconds: float, alive: bool | None, limit: float | None
) -> float | None:
    """The same for a difference of readings that can be compared, over a time that is not none."""
    if is_32 and limit is not None and limit * elapsed_seconds >= COUNTER32_RANGE * scale:
        return None  # it may have wrapped more than once
    if delta < 0:
        if not is_32 or alive is None:
            return None
        delta += COUNTER32_RANGE
        if limit is None and delta >= COUNTER32_RANGE // 2:
            return None
    rate = delta * scale / elapsed_seconds
    return None if limit is not None and rate > limit * (1 + LIMIT_TOLERANCE_SHARE) else rate


def _same_row(before: Count, after: Count) -> bool:
    began = before.discontinuity == after.discontinuity
    return began and before.tag == after.tag and before.index == after.index


def _same_as(before: Count | None, after: Count) -> bool:
    return before is not None and _same_row(before, after)


def _rose(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before


def _kept_pace(before: int | None, after: int | None, elapsed: float, per_second: float) -> bool | None:
    if before is None or after is None:
        return None
    advanced = (after - before) % TICKS_RANGE / per_second
    tolerance = max(RESTART_TOLERANCE_SECONDS, RESTART_TOLERANCE_SHARE * elapsed)
    return abs(advanced - elapsed) <= tolerance


def _limit(count: Count, name: str, readings: Readings) -> float | None:
    """What the row can carry, where it says so; a speed of 0 means that it does not."""
    limit = readings.get(_limit_name(count, name))
    return limit * count.metric.rate_limit_scale if limit else None


def _limit_at(count: Count, name: str, places: Mapping[str, int]) -> tuple[int, float] | None:
    place = places.get(_limit_name(count, name))
    return None if place is None else (place, count.metric.rate_limit_scale)


def _limit_of(at: tuple[int, float] | None, readings: Sequence[float | None]) -> float | None:
    limit = readings[at[0]] if at is not None else None
    return limit * at[1] if limit and at is not None else None


def _limit_name(count: Count, name: str) -> str:
    """The metric that says what the row can carry; empty where none does."""
    return count.metric.rate_limit and count.metric.rate_limit + name[len(count.metric.metric) :]


def _rate_name(count: Count, name: str) -> str:
    return count.metric.rate + name[len(count.metric.metric) :]
