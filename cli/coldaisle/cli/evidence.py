"""The evidence of an alert, told: which statistic, how far, since when, against what."""

from collections.abc import Sequence
from datetime import UTC, datetime

from coldaisle.cli.words import number, span

_BARS = "▁▂▃▄▅▆▇█"
MAX_SAMPLES = 60
NANOS = 1e9
_OF_THE_METRIC = ("limit", "state")
"""Statistics whose value is the metric's own."""

Json = dict[str, object]


def evidence_lines(metric: str, evidence: Json, now: datetime) -> list[str]:
    """What the alert rests on, a sentence a line; nothing where the server sent no evidence."""
    if not evidence:
        return []
    return [
        *_measure(metric, evidence),
        *_since(evidence, now),
        *_samples(evidence),
        *_score("novelty", "against its own past", evidence),
        *_score("entity", "against its own pattern", evidence),
        *_upstream(evidence),
        *_cause(evidence),
    ]


def _measure(metric: str, evidence: Json) -> list[str]:
    value, threshold = _float(evidence.get("value")), _float(evidence.get("threshold"))
    statistic = str(evidence.get("statistic") or metric)
    if statistic in _OF_THE_METRIC:
        statistic = metric
    if value is None:
        return []
    if threshold is None:
        return [f"{statistic} is {number(value)}"]
    side = "above" if value > threshold else "below" if value < threshold else "at"
    by = f" by {number(abs(value - threshold))}" if value != threshold else ""
    reference = evidence.get("reference")
    against = f" ({reference})" if reference else ""
    return [f"{statistic} is {number(value)}: {side} {number(threshold)}{against}{by}"]


def _since(evidence: Json, now: datetime) -> list[str]:
    nanos = _float(evidence.get("since"))
    if not nanos:
        return []
    since = datetime.fromtimestamp(nanos / NANOS, UTC)
    ago = span((now - since).total_seconds())
    return [f"it has held since {since:%Y-%m-%d %H:%M:%SZ} ({ago} ago)"]


def _samples(evidence: Json) -> list[str]:
    found = [pair[1] for pair in _list(evidence.get("samples")) if isinstance(pair, list) and len(pair) == 2]
    values = [value for each in found if (value := _float(each)) is not None][-MAX_SAMPLES:]
    if not values:
        return []
    return [f"samples: {number(values[0])} {sparkline(values)} {number(values[-1])}"]


def sparkline(values: Sequence[float]) -> str:
    """The course of the values, lowest to highest."""
    low, high = min(values), max(values)
    steps = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * steps)] for value in values)


def _score(name: str, meaning: str, evidence: Json) -> list[str]:
    score = _float(evidence.get(f"{name}_score"))
    if score is None:
        return []
    shares = [
        f"{pair[0]} {share:.0%}"
        for pair in _list(evidence.get(f"{name}_shares"))
        if isinstance(pair, list) and len(pair) == 2 and (share := _float(pair[1])) is not None
    ]
    by = f", by {', '.join(shares)}" if shares else ""
    return [f"{meaning}: {name} score {score:.3g}{by}"]


def _upstream(evidence: Json) -> list[str]:
    names = [str(each) for each in _list(evidence.get("upstream"))]
    return [f"it hangs on {', '.join(names)}"] if names else []


def _cause(evidence: Json) -> list[str]:
    position = _float(evidence.get("cause_position"))
    if not position:
        return []
    return [f"decided by the event at @{position:.0f} (coldaisle get events @{position:.0f})"]


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
