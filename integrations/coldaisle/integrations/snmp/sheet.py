"""The readings of a device's usual replies, from their numbers alone: names and scales are known. Pure.

What a reading is made of was told once, by :mod:`.decode`, and holds while the same rows answer with the same
names. Most readings are a number times a scale; those that need more go through decode's own function.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from operator import itemgetter, le

from msgspec import Struct

from coldaisle.integrations.snmp.ber import Wire
from coldaisle.integrations.snmp.decode import Decoded, Source, reading
from coldaisle.integrations.snmp.layout import NUMBERS
from coldaisle.integrations.snmp.profile import Metric, Profile
from coldaisle.integrations.snmp.rates import CounterRow, counter_row

_NO_BOUNDS = (-inf, inf)


class Sheet(Struct, frozen=True):
    """All readings and counters. ``picks`` tell where the number of each reading is among those read.

    ``special`` are the readings that are more than a number times ``factors`` over ``divisors``.
    """

    profile: Profile
    names: tuple[str, ...]
    picks: tuple[int, ...]
    factors: tuple[float, ...]
    divisors: tuple[float, ...]
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
        whole = [number if isinstance(number, int) else 0 for number in pick(numbers, self.picks)]
        found: list[float] = [
            number * factor / divisor
            for number, factor, divisor in zip(whole, self.factors, self.divisors, strict=True)
        ]
        are_sane = all(map(le, self.lows, found)) and all(map(le, found, self.highs))
        return self._looked_at(found, numbers) if self.special or not are_sane else (list(found), {})

    def counts(self, numbers: Sequence[Wire]) -> list[int]:
        """The values of the counters."""
        return [number for number in pick(numbers, self.counter_picks) if isinstance(number, int)]

    def _looked_at(
        self, plain: list[float], numbers: Sequence[Wire]
    ) -> tuple[list[float | None], dict[str, float]]:
        """The special ones put in, and every one held against its range."""
        found: list[float | None] = list(plain)
        for place, source in self.special:
            oid, tag, _ = source.varbind
            varbind = (oid, tag, numbers[self.picks[place]])
            found[place] = reading(self.profile, source.metric, varbind, source.beside.get)
        strange = {
            name: value
            for name, value, low, high in zip(self.names, found, self.lows, self.highs, strict=True)
            if value is not None and not low <= value <= high
        }
        kept = (None if name in strange else value for name, value in zip(self.names, found, strict=True))
        return list(kept), strange


def sheet_of(profile: Profile, decoded: Decoded, places: Mapping[int, int]) -> Sheet:
    """How to read what was decoded; ``places`` tell where the value of a varbind (by its id) is read."""
    sources = list(decoded.sources.values())
    special = [_is_special(profile, source) for source in sources]
    scales = [(1.0, 1.0) if more else _scale(s.metric) for s, more in zip(sources, special, strict=True)]
    bounds = [source.metric.bounds or _NO_BOUNDS for source in sources]
    counters = (decoded.sources[name] for name in decoded.counts)
    names = tuple(decoded.sources)
    return Sheet(
        profile,
        names,
        tuple(places[id(source.varbind)] for source in sources),
        *_columns(scales),
        *_columns(bounds),
        tuple((at, source) for at, source in enumerate(sources) if special[at]),
        tuple(places[id(source.varbind)] for source in counters),
        counter_row(decoded.counts, names),
    )


def pick(numbers: Sequence[Wire], places: tuple[int, ...]) -> tuple[Wire, ...]:
    """What lies at these places."""
    if len(places) > 1:
        found: tuple[Wire, ...] = itemgetter(*places)(numbers)
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
