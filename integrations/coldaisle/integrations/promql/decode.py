"""Answers of the query API to samples. Pure."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from coldaisle.core.errors import EventError
from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import SamplesRecorded
from coldaisle.integrations.promql.config import PromqlQuery

_NANOSECONDS = 1_000_000_000
_MAX_EVENT_CHARACTERS = 131_072
"""Of metrics' names with their labels: an event over 1 MiB would be rejected whole."""

_MAX_TIME = (1 << 63) - 1
"""An event's time (UTC ns) has 64 bits."""


class Series(Struct, frozen=True):
    """One element of an instant vector: labels, and (seconds, value text)."""

    metric: dict[str, str]
    value: tuple[float, str]


class Reading(Struct, frozen=True):
    """One value of one asset; ``time`` is the server's, UTC ns."""

    asset: str
    metric: str
    time: int
    value: float | None


def parse_answer(query: PromqlQuery, result: object) -> list[Reading]:
    """The readings of one query; raises EventError when the answer is no instant vector or scalar."""
    try:
        if isinstance(result, list) and len(result) == 2 and isinstance(result[1], str):
            return [_reading(query, Series({}, msgspec.convert(result, tuple[float, str])))]
        vector = msgspec.convert(result, list[Series])
        return [_reading(query, series) for series in vector if not _lacks_asset(query, series)]
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise EventError(f"query {query.query!r} did not answer with an instant vector: {error}") from error


def group(readings: Iterable[Reading]) -> Iterator[Observation]:
    """One event per asset, several where its names are long, at the newest time that the server gave."""
    by_asset: dict[str, list[Reading]] = {}
    for reading in readings:
        by_asset.setdefault(reading.asset, []).append(reading)
    for asset, found in by_asset.items():
        for part in _cut(found):
            metrics, values = tuple(r.metric for r in part), tuple(r.value for r in part)
            yield Observation(max(r.time for r in part), SamplesRecorded(asset, metrics, values))


def _cut(readings: list[Reading]) -> Iterator[list[Reading]]:
    part: list[Reading] = []
    characters = 0
    for reading in readings:
        if part and characters >= _MAX_EVENT_CHARACTERS:
            yield part
            part, characters = [], 0
        part.append(reading)
        characters += len(reading.metric)
    yield part


def public_address(url: str) -> str:
    """The URL without the credentials that it may hold."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _lacks_asset(query: PromqlQuery, series: Series) -> bool:
    return bool(query.asset_label) and not series.metric.get(query.asset_label)


def _reading(query: PromqlQuery, series: Series) -> Reading:
    asset = query.asset or series.metric[query.asset_label]
    labels = {k: v for k, v in sorted(series.metric.items()) if k not in {"__name__", query.asset_label}}
    seconds, text = series.value
    time = round(seconds * 1000) * (_NANOSECONDS // 1000)
    if not 0 <= time <= _MAX_TIME:
        raise ValueError(f"{seconds:g} is no time that an event can have")
    value = float(text)
    finite = value if value - value == 0 else None  # NaN and infinities are "no value"
    return Reading(asset, query.metric + _labels(labels), time, finite)


def _labels(labels: dict[str, str]) -> str:
    pairs = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
