"""Counters into rates: a wrap is counted through, everything doubtful is a gap, never a spike. Pure.

Two readings give a rate only when the device ran on between them, the counter did not begin anew, the row
still lies at the same index, and the rate is one that the link can carry.
"""

from collections.abc import Mapping
from itertools import islice

from msgspec import Struct

from coldaisle.integrations.snmp.decode import Count, Readings
from coldaisle.integrations.snmp.tags import COUNTER32

MAX_COUNTERS = 200_000
COUNTER32_RANGE = 2**32
TICKS_RANGE = 2**32
TICKS_PER_SECOND = 100.0
RESTART_TOLERANCE_SECONDS = 30.0
RESTART_TOLERANCE_SHARE = 0.05
LIMIT_TOLERANCE_SHARE = 0.1
"""By how much a rate may exceed the limit: agents update their counters in bursts."""


class Life(Struct, frozen=True):
    """What a device says of how long it runs, and when (UTC ns): sysUpTime in ticks, snmpEngineBoots and
    snmpEngineTime in seconds; None for what it does not have."""

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


class Rates:
    """The last readings of a device's counters; at most MAX_COUNTERS, more have no rates."""

    def __init__(self) -> None:
        self._life: Life | None = None
        self._counts: dict[str, Count] = {}
        self._older: dict[str, int] = {}
        """When those were read that the last round did not bring: most are of one time."""

    def take(self, life: Life, counts: Mapping[str, Count], readings: Readings) -> Readings:
        """The rates since the last readings; None where there is a gap. What is seen first has no rate.

        ``readings`` are those of the same round: the limits are among them.
        """
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

    def _remember(self, life: Life, counts: Mapping[str, Count]) -> None:
        last, self._life = self._life.time if self._life else 0, life
        missing = self._counts.keys() - counts.keys()
        self._older = {name: self._older.get(name, last) for name in missing}
        kept = {name: self._counts[name] for name in missing} | dict(counts)
        self._counts = dict(islice(kept.items(), MAX_COUNTERS))


def rate_between(
    before: Count, after: Count, elapsed_seconds: float, alive: bool | None, limit: float | None
) -> float | None:
    """The rate per second between two readings of a counter, None for a gap.

    ``alive`` as :func:`ran_on` tells; ``limit`` per second, in the units of the rate.
    """
    if alive is False or elapsed_seconds <= 0 or not _same_row(before, after):
        return None
    delta = after.value - before.value
    scale = after.metric.scale
    if after.tag == COUNTER32 and limit is not None and limit * elapsed_seconds >= COUNTER32_RANGE * scale:
        return None  # it may have wrapped more than once
    if delta < 0:
        if after.tag != COUNTER32 or alive is None:
            return None
        delta += COUNTER32_RANGE
        if limit is None and delta >= COUNTER32_RANGE // 2:
            return None
    rate = delta * scale / elapsed_seconds
    return None if limit is not None and rate > limit * (1 + LIMIT_TOLERANCE_SHARE) else rate


def _same_row(before: Count, after: Count) -> bool:
    began = before.discontinuity == after.discontinuity
    return began and before.tag == after.tag and before.index == after.index


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
    if not count.metric.rate_limit:
        return None
    limit = readings.get(count.metric.rate_limit + name[len(count.metric.metric) :])
    return limit * count.metric.rate_limit_scale if limit else None


def _rate_name(count: Count, name: str) -> str:
    return count.metric.rate + name[len(count.metric.metric) :]
