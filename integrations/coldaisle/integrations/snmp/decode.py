"""What a device answered, in the words of its profile. Pure."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import isfinite

from coldaisle.core.events.types import Quality, SamplesRecorded
from coldaisle.integrations.snmp.ber import Varbind, value_number
from coldaisle.integrations.snmp.oid import decode_arcs, encode_oid, oid_text
from coldaisle.integrations.snmp.profile import Metric, Profile, TableProfile
from coldaisle.integrations.snmp.tags import ABSENT, OBJECT_IDENTIFIER

Readings = dict[str, float | None]
Columns = Mapping[str, Mapping[bytes, Varbind]]
"""Rows of a walked table: column OID, then row index (content octets)."""

MAX_LABEL_CHARACTERS = 128
MAX_CACHED_NAMES = 16_384


def decode_objects(profile: Profile, varbinds: Iterable[Varbind]) -> Readings:
    """The single objects of a profile; those that the device does not have are left out."""
    found = {varbind[0]: varbind for varbind in varbinds if varbind[1] not in ABSENT}
    present = ((metric, found.get(encode_oid(metric.oid))) for metric in profile.objects)
    return {metric.metric: reading(profile, metric, row) for metric, row in present if row is not None}


def decode_table(profile: Profile, table: TableProfile, rows: Columns) -> Readings:
    """The rows of one table; a row whose name is not (yet) known is left out."""
    names = row_names(table, rows)
    readings: Readings = {}
    for metric in table.metrics:
        for index, varbind in rows.get(metric.oid, {}).items():
            name = names.get(index, "") if table.label_column or table.key_column else index_text(index)
            full = metric_name(table, metric, name)
            if full:
                readings[full] = reading(profile, metric, varbind)
    return readings


def columns_of(roots: Iterable[str], walked: Iterable[Iterable[Varbind]]) -> Columns:
    """Walked columns, by their OID and the index of each row."""
    columns: dict[str, dict[bytes, Varbind]] = {}
    for root, varbinds in zip(roots, walked, strict=True):
        size = len(encode_oid(root))
        columns[root] = {varbind[0][size:]: varbind for varbind in varbinds}
    return columns


def row_names(table: TableProfile, rows: Columns) -> dict[bytes, str]:
    """What the naming column says for each row: a label's text, or the OID of a key."""
    naming = rows.get(table.label_column or table.key_column, {})
    return {index: _name(varbind) for index, varbind in naming.items()}


def metric_name(table: TableProfile, metric: Metric, row: str) -> str:
    """The full name of a metric in a row: with its label, or bare when the row is its key; else empty."""
    if metric.key:
        return metric.metric if row == metric.key else ""
    return labelled(metric.metric, table.label, row) if row else ""


@lru_cache(maxsize=MAX_CACHED_NAMES)
def labelled(metric: str, label: str, row: str) -> str:
    """A metric's name with one label; devices of a kind share most of theirs."""
    return f'{metric}{{{label}="{_escaped(row)}"}}'


def index_text(index: bytes) -> str:
    """The index of a row as numbers with dots."""
    return ".".join(map(str, decode_arcs(index)))


def reading(profile: Profile, metric: Metric, varbind: Varbind) -> float | None:
    """One value, scaled or translated; None for a sentinel, an unknown state or no finite number."""
    _, tag, value = varbind
    number = value_number(tag, value)
    if number is None or not isfinite(number) or number in profile.sentinels_of(metric):
        return None
    if metric.states:
        return next((state.value for state in metric.states if state.wire == number), None)
    return scaled(number, metric.scale)


def scaled(number: float, scale: float) -> float:
    """``number * scale``; for 0.1 and the like by division, so that 65 becomes 6.5 and 282 28.2 exactly."""
    return number / round(1 / scale) if scale < 1 and (1 / scale) % 1 < 1e-9 else number * scale


def samples(
    asset: str, measures: Mapping[str, str], readings: Readings, quality: Quality
) -> list[SamplesRecorded]:
    """One event per asset: the device itself, and those that it measures.

    ``measures`` names a metric with or without its labels.
    """
    if not measures:
        return (
            [SamplesRecorded(asset, tuple(readings), tuple(readings.values()), quality)] if readings else []
        )
    by_asset: dict[str, Readings] = {}
    for metric, value in readings.items():
        owner = measures.get(metric) or measures.get(metric.partition("{")[0]) or asset
        by_asset.setdefault(owner, {})[metric] = value
    return [
        SamplesRecorded(owner, tuple(own), tuple(own.values()), quality) for owner, own in by_asset.items()
    ]


def _name(varbind: Varbind) -> str:
    _, tag, value = varbind
    if isinstance(value, bytes) and tag == OBJECT_IDENTIFIER:
        return oid_text(value)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text[:MAX_LABEL_CHARACTERS]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
