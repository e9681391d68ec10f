"""What a device answered, in the words of its profile. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite

from msgspec import Struct

from coldaisle.core.events.types import Quality, SamplesRecorded
from coldaisle.integrations.snmp.ber import Varbind, value_number
from coldaisle.integrations.snmp.naming import index_text, labelled, metric_name, row_names
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.profile import Metric, Profile, TableProfile
from coldaisle.integrations.snmp.tags import ABSENT
from coldaisle.integrations.snmp.units import CONVERSIONS

Readings = dict[str, float | None]
Columns = Mapping[str, Mapping[bytes, Varbind]]
"""Rows of a walked table: column OID, then row index (content octets)."""

MAX_DIGITS = 12
SI_UNITS = 9
"""The SensorDataScale that means 1; each step up or down is a factor of 1000 (RFC 3433)."""

_Aside = Callable[[str], Varbind | None]


class Count(Struct, frozen=True, gc=False):
    """A counter as it was read, for its rate: the wire type, the row's index and when it began anew."""

    metric: Metric
    tag: int
    value: int
    index: bytes = b""
    discontinuity: int | None = None


class Source(Struct, frozen=True, gc=False):
    """What a reading is made of: its entry, its varbind, and the columns beside it that scale it."""

    metric: Metric
    varbind: Varbind
    beside: dict[str, Varbind | None]


@dataclass(slots=True)
class Decoded:
    """What the replies of a round say.

    ``strange`` are values outside their sanity range, by metric; ``counts`` the counters that have rates;
    ``indexes`` where the rows of tracked tables lie, by label and name; ``sources`` what each reading is
    made of.
    """

    readings: Readings = field(default_factory=dict)
    strange: dict[str, float] = field(default_factory=dict)
    counts: dict[str, Count] = field(default_factory=dict)
    indexes: dict[str, dict[str, str]] = field(default_factory=dict)
    objects: dict[bytes, Varbind] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)

    def take(self, varbinds: Iterable[Varbind]) -> None:
        """Keep the single objects of a reply; those that the device does not have are left out."""
        self.objects.update({varbind[0]: varbind for varbind in varbinds if varbind[1] not in ABSENT})

    def object(self, oid: str) -> Varbind | None:
        """One of the objects."""
        return self.objects.get(encode_oid(oid))


def decode_objects(profile: Profile, decoded: Decoded) -> None:
    """The single objects of a profile, from those that were taken."""
    for metric in profile.objects:
        row = decoded.object(metric.oid)
        if row is None and metric.fallback_oid:
            row = decoded.object(metric.fallback_oid)
        if row is not None and applies(metric, decoded.object):
            _add(decoded, profile, metric, row, decoded.object, metric.metric)
            if metric.rate and isinstance(row[2], int):
                decoded.counts[metric.metric] = Count(metric, row[1], row[2])


def decode_table(profile: Profile, table: TableProfile, rows: Columns, decoded: Decoded) -> None:
    """The rows of one table; a row whose name is not (yet) known is left out."""
    names = row_names(table, rows)
    suffixes = _suffixes(table, names)
    began = _whole_column(rows.get(table.discontinuity_column, {}))
    for metric in table.metrics:
        for index, varbind in _cells(metric, rows):
            aside = _row(rows, index, decoded) if metric.aside else _nothing
            if metric.where_column and not applies(metric, aside):
                continue
            suffix = suffixes.get(index)
            full = metric.metric + suffix if suffix else _full_name(table, metric, names, index)
            if full:
                _add(decoded, profile, metric, varbind, aside, full)
                if metric.rate and isinstance(varbind[2], int):
                    decoded.counts[full] = Count(metric, varbind[1], varbind[2], index, began.get(index))
    if table.tracked and names is not None:
        decoded.indexes[table.label] = {name: index_text(index) for index, name in names.items()}


def columns_of(roots: Iterable[str], walked: Iterable[Iterable[Varbind]]) -> Columns:
    """Walked columns, by their OID and the index of each row."""
    columns: dict[str, dict[bytes, Varbind]] = {}
    one: dict[bytes, bytes] = {}  # what is kept of a row's columns shares its index
    for root, varbinds in zip(roots, walked, strict=True):
        size = len(encode_oid(root))
        rows = ((varbind[0][size:], varbind) for varbind in varbinds)
        columns[root] = {one.setdefault(index, index): varbind for index, varbind in rows}
    return columns


def applies(metric: Metric, aside: _Aside) -> bool:
    """Whether the entry is meant for the row, by what stands in its ``where_column``."""
    if not metric.where_column:
        return True
    found = aside(metric.where_column)
    value = found[2] if found is not None else None
    return (value.decode("latin-1") if isinstance(value, bytes) else value) in metric.where


def _nothing(oid: str) -> Varbind | None:
    """What stands beside a value that is read alone."""
    return None


def reading(profile: Profile, metric: Metric, varbind: Varbind, aside: _Aside = _nothing) -> float | None:
    """One value, scaled or translated; None for a sentinel, an unknown state or no finite number."""
    _, tag, value = varbind
    number = value_number(tag, value)
    if number is None or not isfinite(number) or number in profile.sentinels_of(metric):
        return None
    if metric.states:
        return next((state.value for state in metric.states if state.wire == number), None)
    number = scaled(number, metric.scale)
    if metric.scaling:
        number = _scaled_by_columns(number, metric, aside)
    number = CONVERSIONS[metric.unit](number) if metric.unit else number
    return number if isfinite(number) else None


def scaled(number: float, scale: float) -> float:
    """``number * scale``; for 0.1 and the like by division, so that 65 becomes 6.5 and 282 28.2 exactly."""
    return number / round(1 / scale) if 0 < scale < 1 and (1 / scale) % 1 < 1e-9 else number * scale


def samples(
    asset: str, measures: Mapping[str, str], readings: Readings, quality: Quality
) -> list[SamplesRecorded]:
    """As :func:`samples_of`, from names and values together."""
    return samples_of(asset, measures, tuple(readings), tuple(readings.values()), quality)


def samples_of(
    asset: str,
    measures: Mapping[str, str],
    metrics: tuple[str, ...],
    values: tuple[float | None, ...],
    quality: Quality,
) -> list[SamplesRecorded]:
    """One event per asset: the device itself, and those that it measures.

    ``measures`` names a metric with or without its labels.
    """
    if not measures:
        return [SamplesRecorded(asset, metrics, values, quality)] if metrics else []
    by_asset: dict[str, Readings] = {}
    for metric, value in zip(metrics, values, strict=True):
        owner = measures.get(metric) or measures.get(metric.partition("{")[0]) or asset
        by_asset.setdefault(owner, {})[metric] = value
    return [
        SamplesRecorded(owner, tuple(own), tuple(own.values()), quality) for owner, own in by_asset.items()
    ]


def _cells(metric: Metric, rows: Columns) -> Iterable[tuple[bytes, Varbind]]:
    """The metric's column, filled up from its fallback, where the index ends as it must."""
    cells = rows.get(metric.oid, {})
    if metric.fallback_oid:
        cells = {**rows.get(metric.fallback_oid, {}), **cells}
    if not metric.index_ends:
        return cells.items()
    return (
        (index, cell) for index, cell in cells.items() if index_text(index).endswith(f".{metric.index_ends}")
    )


def _suffixes(table: TableProfile, names: Mapping[bytes, str] | None) -> Mapping[bytes, str]:
    """The label of each row with a name, written once for all its metrics."""
    if names is None or table.key_column:
        return {}
    return {index: labelled("", table.label, name) for index, name in names.items() if name}


def _full_name(table: TableProfile, metric: Metric, names: Mapping[bytes, str] | None, index: bytes) -> str:
    """The name of a metric in a row that is told apart by its key or index; empty where it is left out."""
    name = (names or {}).get(index, "")
    if names is None or (table.unnamed and not name):
        name = index_text(index)
        name = name.removesuffix(f".{metric.index_ends}") if metric.index_ends else name
    return metric_name(table, metric, name)


def _row(rows: Columns, index: bytes, decoded: Decoded) -> _Aside:
    def aside(oid: str) -> Varbind | None:
        return decoded.object(oid) if oid.endswith(".0") else rows.get(oid, {}).get(index)

    return aside


def _add(
    decoded: Decoded, profile: Profile, metric: Metric, varbind: Varbind, aside: _Aside, name: str
) -> None:
    decoded.sources[name] = Source(metric, varbind, {oid: aside(oid) for oid in metric.scaling})
    value = reading(profile, metric, varbind, aside)
    bounds = metric.bounds
    if value is not None and bounds is not None and not bounds[0] <= value <= bounds[1]:
        decoded.strange[name] = value
        value = None
    decoded.readings[name] = value


def _whole_column(cells: Mapping[bytes, Varbind]) -> Mapping[bytes, int]:
    return {index: cell[2] for index, cell in cells.items() if isinstance(cell[2], int)}


def _scaled_by_columns(number: float, metric: Metric, aside: _Aside) -> float:
    exponent = -_whole(aside, metric.precision_column)
    if metric.si_column:
        exponent += 3 * (_whole(aside, metric.si_column, SI_UNITS) - SI_UNITS)
    factor = _whole(aside, metric.factor_column)
    number = number / -factor if factor < 0 else number * (factor or 1)
    number /= _whole(aside, metric.divisor_column) or 1
    exponent = max(-2 * MAX_DIGITS, min(exponent, 2 * MAX_DIGITS))
    power = float(10 ** abs(exponent))
    return number * power if exponent >= 0 else number / power


def _whole(aside: _Aside, column: str, missing: int = 0) -> int:
    found = aside(column) if column else None
    number = value_number(found[1], found[2]) if found is not None else None
    return int(number) if number is not None and isfinite(number) else missing
