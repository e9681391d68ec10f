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
        *_weights(evidence),
        *_detail(metric, evidence, now),
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


def _weights(evidence: Json) -> list[str]:
    """What each share counts in the score; whoever checks it by hand needs it."""
    weights = [
        f"{pair[0]} {pair[1]:g}"
        for pair in _list(_object(evidence.get("detail")).get("weights"))
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], int | float)
    ]
    return [f"weights: {', '.join(weights)}"] if weights else []


def _detail(metric: str, evidence: Json, now: datetime) -> list[str]:
    """The range that it had, what would have been quiet, what else is known of it."""
    detail = _object(evidence.get("detail"))
    if not detail:
        return []
    return [*_range(detail, now), *_quiet(detail), *_company(metric, detail), *_versions(detail)]


def _range(detail: Json, now: datetime) -> list[str]:
    low, high, known = (_float(detail.get(key)) for key in ("low", "high", "known_since"))
    if low is None or high is None or known is None:
        return []
    since = datetime.fromtimestamp(known / NANOS, UTC)
    told = f"it was always between {low:.4g} and {high:.4g} since {since:%Y-%m-%d %H:%M:%SZ}"
    days = span((now - since).total_seconds())
    beyond = _float(detail.get("exceedance"))
    return [f"{told} ({days} ago)" + (f"; now {beyond:.0%} of that range outside" if beyond else "")]


def _quiet(detail: Json) -> list[str]:
    quiet, usual = _float(detail.get("quiet_at")), _float(detail.get("usual"))
    lines = [] if quiet is None else [f"at {quiet:.4g}, and closer to the range, the value alone is no alert"]
    return lines if usual is None else [*lines, f"usual at this hour: {usual:.4g}"]


def _company(metric: str, detail: Json) -> list[str]:
    moved = [str(each) for each in _list(detail.get("moved")) if each != metric]
    similar = [str(each) for each in _list(detail.get("similar"))]
    lines = [f"moved at the same time: {', '.join(moved)}"] if moved else []
    if similar:
        lines.append(f"similar before: {', '.join(similar)} (coldaisle alert describe {similar[0]})")
    return lines


def _versions(detail: Json) -> list[str]:
    versions = [f"{name} {version}" for name, version in _object(detail.get("versions")).items()]
    return [f"judged by {', '.join(versions)}"] if versions else []


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


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
