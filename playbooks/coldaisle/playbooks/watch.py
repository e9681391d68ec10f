"""Waiting until telemetry shows a condition.

What counts is the history: every sample after the start and up to the deadline, by the samples' own time,
read from the store in order. So a watch that was interrupted and begins anew comes to the same verdict, and
a bad value between two good ones is never missed. The wall clock only says when to stop waiting.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from coldaisle.core.events.types import Condition, SamplesRecorded
from coldaisle.core.store.live import LiveTwin, decode_known
from coldaisle.core.store.port import EventFilter, EventStore
from coldaisle.core.twin import Twin
from coldaisle.playbooks.select import is_series_of

_SECOND = 1_000_000_000


class Verdict(Struct, frozen=True):
    """Whether the condition held; ``observed`` has the last values, ``missing`` says what was lacking."""

    holds: bool
    observed: dict[str, float]
    missing: str = ""


class _Series(Struct, frozen=True):
    """The last sample of a series and since when, unbroken, it is within the bound.

    A value that was not available (None) is no proof either way: whatever held must be seen anew.
    """

    value: float | None
    time: int
    holding_since: int | None


class Watch:
    """The condition, folded over samples."""

    def __init__(self, condition: Condition, since: int) -> None:
        self.condition = condition
        self.since = since
        self.deadline = since + round(condition.within_seconds * _SECOND)
        self._assets = frozenset(condition.assets)
        self._series: dict[tuple[str, str], _Series] = {}
        self._seen: set[str] = set()
        self._beyond: set[tuple[str, str]] = set()  # the series whose last value is not within the bound

    def take(self, time: int, body: SamplesRecorded) -> None:
        """Take in one event; samples outside the watch's time and other assets' are passed over."""
        if body.asset not in self._assets or not self.since < time <= self.deadline:
            return
        for name, value in zip(body.metrics, body.values, strict=False):
            if is_series_of(name, self.condition.metric):
                self._take_value((body.asset, name), time, value)

    def _take_value(self, key: tuple[str, str], time: int, value: float | None) -> None:
        before = self._series.get(key)
        if before is not None and time <= before.time:
            return
        since = before.holding_since if before is not None else None
        self._seen.add(key[0])
        if self._within(value):
            self._series[key] = _Series(value, time, since or time)
            self._beyond.discard(key)
        else:
            self._series[key] = _Series(value, time, None)
            self._beyond.add(key)

    def _within(self, value: float | None) -> bool:
        above, below = self.condition.above, self.condition.below
        return value is not None and (above is None or value > above) and (below is None or value < below)

    def holds(self) -> bool:
        """As the verdict says, and cheaply: it is asked at each sample, of up to hundreds of assets."""
        return not self._beyond and len(self._seen) == len(self._assets) and not self._too_short()

    def verdict(self) -> Verdict:
        """Where the condition stands after what was taken in."""
        observed = {f"{asset} {name}": value for asset, name, value in self._values()}
        missing = self._missing()
        return Verdict(not missing, observed, missing)

    def _values(self) -> list[tuple[str, str, float]]:
        return [
            (asset, name, series.value)
            for (asset, name), series in sorted(self._series.items())
            if series.value is not None
        ]

    def _missing(self) -> str:
        unseen = sorted(set(self.condition.assets) - {asset for asset, _, _ in self._values()})
        if unseen:
            return f"no reading of {self.condition.metric} from {_listed(unseen)} since the start"
        beyond = [
            f"{asset} ({'none' if series.value is None else format(series.value, 'g')})"
            for (asset, _), series in sorted(self._series.items())
            if series.holding_since is None
        ]
        if beyond:
            return f"{self.condition.metric} {bound_text(self.condition)} not reached by {_listed(beyond)}"
        return self._too_short()

    def _too_short(self) -> str:
        """All hold now; the time in which all of them held together must be long enough."""
        series = self._series.values()
        together = min(one.time for one in series) - max(one.holding_since or 0 for one in series)
        if together >= self.condition.for_seconds * _SECOND:
            return ""
        held_seconds = max(0.0, together / _SECOND)
        return f"held for {held_seconds:g} s together, {self.condition.for_seconds:g} s are needed"


def bound_text(condition: Condition) -> str:
    """The bound as people say it: ``below 26.5``."""
    parts = [("below", condition.below), ("above", condition.above)]
    return " and ".join(f"{word} {value:g}" for word, value in parts if value is not None)


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


async def watch_condition(
    store: EventStore,
    live_twin: LiveTwin,
    watch: Watch,
    *,
    after: int,
    clock: Callable[[], int],
    stopped: Callable[[Twin], bool],
) -> Verdict | None:
    """The verdict as soon as the condition holds or its deadline has passed; None when ``stopped``.

    ``after`` is the position of the event that began the watch.
    """
    overdue = False
    while not stopped(live_twin.current):
        overdue = overdue or clock() >= watch.deadline
        after, verdict = await judge(store, watch, after)
        if verdict.holds or overdue:
            return verdict
        overdue = not await wait_beyond(live_twin, after, watch.deadline - clock())
    return None


async def wait_beyond(live_twin: LiveTwin, position: int, nanoseconds: int) -> bool:
    """Whether the twin got beyond ``position`` within this time."""
    try:
        async with asyncio.timeout(max(0, nanoseconds) / _SECOND):
            await live_twin.beyond(position)
    except TimeoutError:
        return False
    return True


async def judge(store: EventStore, watch: Watch, after: int) -> tuple[int, Verdict]:
    """Take in what is recorded after ``after`` until the condition holds or no more is there."""
    only = EventFilter(
        stream_prefixes=tuple(f"telemetry-{asset}" for asset in watch.condition.assets),
        types=(SamplesRecorded.__name__,),
    )
    while True:
        page = await store.read_all(after=after, only=only)
        for fact in decode_known(page.events):
            if isinstance(fact.body, SamplesRecorded):
                watch.take(fact.time, fact.body)
                if watch.holds():
                    return fact.position, watch.verdict()
        after = page.position
        if page.caught_up:
            return after, watch.verdict()
