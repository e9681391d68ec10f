"""The readings of a device's usual replies, from their numbers alone: names and scales are known. Pure.

What a reading is made of was told once, by :mod:`.decode`, and holds while the same rows answer with the same
names. Most readings are a number times a scale; those that need more go through decode's own function.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter, le, mul, truediv
from typing import TypeVar, cast

from msgspec import Struct

from coldaisle.integrations.snmp.ber import Wire
from coldaisle.integrations.snmp.decode import Decoded, Source, reading
from coldaisle.integrations.snmp.layout import NUMBERS
from coldaisle.integrations.snmp.profile import Metric, Profile
from coldaisle.integrations.snmp.rates import CounterRow, counter_row

_Picked = TypeVar("_Picked")


class Sheet(Struct, frozen=True):
    """All readings and counters. ``picks`` tell where the number of each reading is among those read.

    ``special`` are the readings that are more than a number times ``factors`` over ``divisors``; ``bounded``
    the places of those that have a sanity range, between ``lows`` and ``highs``.
    """

    profile: Profile
    names: tuple[str, ...]
    picks: tuple[int, ...]
    factors: tuple[float, ...]
    divisors: tuple[float, ...]
    bounded: tuple[int, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    special: tuple[tuple[int, Source], ...]
    counter_picks: tuple[int, ...]
    counters: CounterRow

    @property
    def all_names(self) -> tuple[str, ...]:
        """The names of the readings, then of the rates."""
        return self.names + self.counters.rate_names

    def readings(self, numbers: Sequence[Wire]) -> tuple[list[float | None], dict[str, float]]:
        """The readings, and by name those that are outside their sanity range and so count as None."""
        plain = self._scaled(pick(numbers, self.picks))
        judged = pick(plain, self.bounded)
        are_sane = all(map(le, self.lows, judged)) and all(map(le, judged, self.highs))
        found: list[float | None] = [*plain]
        return self._looked_at(found, numbers) if self.special or not are_sane else (found, {})

    def counts(self, numbers: Sequence[Wire]) -> Sequence[int]:
        """The values of the counters, which always are numbers."""
        return cast(tuple[int, ...], pick(numbers, self.counter_picks))  # no script has others: see routine

    def _scaled(self, numbers: Sequence[Wire]) -> list[float]:
        """Each number times its factor over its divisor; 0 for what is none, which only special ones are."""
        if self.special:
            numbers = [number if isinstance(number, int) else 0 for number in numbers]
        return list(map(truediv, map(mul, numbers, self.factors), self.divisors))

    def _looked_at(
        self, found: list[float | None], numbers: Sequence[Wire]
    ) -> tuple[list[float | None], dict[str, float]]:
        """The special ones put in, and every one held against its range."""
        for place, source in self.special:
            oid, tag, _ = source.varbind
            varbind = (oid, tag, numbers[self.picks[place]])
            found[place] = reading(self.profile, source.metric, varbind, source.beside.get)
        strange: dict[str, float] = {}
        for place, low, high in zip(self.bounded, self.lows, self.highs, strict=True):
            value = found[place]
            if value is not None and not low <= value <= high:
                strange[self.names[place]], found[place] = value, None
        return found, strange


def sheet_of(profile: Profile, decoded: Decoded, places: Mapping[int, int]) -> Sheet:
    """How to read what was decoded; ``places`` tell where the value of a varbind (by its id) is read."""
    sources = list(decoded.sources.values())
    special = [_is_special(profile, source) for source in sources]
    scales = [(1.0, 1.0) if more else _scale(s.metric) for s, more in zip(sources, special, strict=True)]
    bounds = {at: source.metric.bounds for at, source in enumerate(sources) if source.metric.bounds}
    factors, divisors = _columns(scales)
    counters = (decoded.sources[name] for name in decoded.counts)
    names = tuple(decoded.sources)
    return Sheet(
        profile,
        names,
        tuple(places[id(source.varbind)] for source in sources),
        factors,
        divisors,
        tuple(bounds),
        *_columns(bounds.values()),
        tuple((at, source) for at, source in enumerate(sources) if special[at]),
        tuple(places[id(source.varbind)] for source in counters),
        counter_row(decoded.counts, names),
    )


def pick(numbers: Sequence[_Picked], places: tuple[int, ...]) -> tuple[_Picked, ...]:
    """What lies at these places."""
    if len(places) > 1:
        found: tuple[_Picked, ...] = itemgetter(*places)(numbers)
        return found
    return tuple(numbers[place] for place in places)


def _is_special(profile: Profile, source: Source) -> bool:
    metric = source.metric
    more = metric.states or metric.scaling or metric.unit or profile.sentinels_of(metric)
    return bool(more) or source.varbind[1] not in NUMBERS


def _scale(metric: Metric) -> tuple[float, float]:
    """Factor and divisor, as :func:`.decode.scaled` takes them."""
    scale = metric.scale
    return (1.0, float(round(1 / scale))) if 0 < scale < 1 and (1 / scale) % 1 < 1e-9 else (scale, 1.0)


def _columns(rows: Iterable[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    pairs = list(rows)
    return tuple(first for first, _ in pairs), tuple(second for _, second in pairs)
