"""How an alert explains itself: one line for a person, and the evidence in full."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct, UnsetType
from msgspec.structs import replace

from coldaisle.core.detect.exhaustion import FASTER_THAN_EVER, HALF_SECONDS, Leak
from coldaisle.core.detect.limits import threshold
from coldaisle.core.detect.machine import AlertMachine
from coldaisle.core.detect.records import STATISTICS
from coldaisle.core.detect.stuck import Run
from coldaisle.core.detect.surprise import WEIGHTS
from coldaisle.core.events.envelope import Fact
from coldaisle.core.events.types import Evidence, EvidenceDetail, LimitRule

MAX_SHARES = 3
RANGE_MARGIN = 0.1
"""A novelty alert clears inside the old range widened by this share of it."""

_UNITS = {
    "celsius": " °C", "watts": " W", "percent": " %", "volts": " V", "amperes": " A", "seconds": " s",
    "bytes": " B", "ratio": "",
}  # fmt: skip
FloatVector = np.ndarray[tuple[int], np.dtype[np.float64]]


class Context(Struct, frozen=True):
    """What is known when a poll of an asset is judged; ``upstream`` is asked only when something changed.

    ``moved`` are the metrics of this poll that surprised, most surprising first.
    """

    fact: Fact
    asset: str
    upstream: Callable[[], tuple[str, ...]]
    entity: tuple[float, float] | None
    shares: tuple[tuple[str, float], ...]
    moved: tuple[str, ...]
    versions: dict[str, str]


class Past(Struct, frozen=True):
    """A series before this sample: what stage 1 found, the range it had, since when (UTC s), what is usual
    at this hour. ``quiet`` is how far outside it may lie, in ranges, before the value alone is an alert."""

    score: float
    value_score: float
    shares: tuple[tuple[str, float], ...]
    low: float
    high: float
    since: int
    usual: float | None
    quiet: float


def largest(metrics: Sequence[str], deviations: FloatVector) -> tuple[tuple[str, float], ...]:
    """The metrics that lie furthest from their own mean, in standard deviations; ties by name."""
    ranked = sorted(zip(metrics, deviations.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    return tuple((metric, round(deviation, 3)) for metric, deviation in ranked[:MAX_SHARES])


def limit_evidence(
    context: Context, rule: LimitRule, value: float, machine: AlertMachine, past: Past
) -> Evidence:
    """Against which limit, since when, and what the statistics say beside it."""
    evidence = Evidence(
        statistic="limit" if rule.kind == "limit" else "state",
        value=value,
        threshold=threshold(rule, value),
        reference=rule.source or rule.name,
        since=machine.since,
    )
    return _with_past(_with_context(evidence, context, machine), past)


def limit_summary(context: Context, metric: str, value: float, rule: LimitRule, machine: AlertMachine) -> str:
    """The line a person reads first."""
    if rule.kind == "state":
        line = f"{context.asset}: {rule.source or rule.name} ({_name(metric)} is {value:g})"
    elif not isinstance(rule.per_seconds, UnsetType):
        line = (
            f"{context.asset} {_name(metric)} changed by {_amount(metric, value)} in {rule.per_seconds:g} s: "
            f"{_amount(metric, threshold(rule, value))} allowed ({rule.source or rule.name})"
        )
    else:
        limit = threshold(rule, value)
        side = "above" if value > limit else "below" if value < limit else "at"
        line = (
            f"{context.asset} {_name(metric)} {_amount(metric, value)}: {side} {_amount(metric, limit)} "
            f"since {_clock(machine.since)} UTC ({rule.source or rule.name})"
        )
    return line + _because(context)


def novelty_evidence(
    context: Context, value: float, machine: AlertMachine, past: Past, similar: tuple[str, ...]
) -> Evidence:
    """Outside which range, which statistics made the score, and all it takes to check it by hand."""
    low, high = past.low, past.high
    days = (context.fact.time / 1e9 - past.since) / 86_400
    evidence = Evidence(
        statistic="record novelty",
        value=value,
        threshold=high if value > high else low,
        reference=f"range {low:g} to {high:g} in {days:.1f} days",
        since=machine.since,
    )
    allowed = past.quiet * (high - low)
    detail = EvidenceDetail(
        low, high, past.since * 1_000_000_000,
        exceedance=_beyond(value, past),
        quiet_at=low - allowed if value < low else high + allowed,
        usual=past.usual,
        weights=tuple(zip(STATISTICS, WEIGHTS, strict=True)),
        similar=similar,
        moved=context.moved,
        versions=context.versions,
    )  # fmt: skip
    return replace(_with_past(_with_context(evidence, context, machine), past), detail=detail)


def novelty_summary(context: Context, metric: str, value: float, past: Past) -> str:
    """The line a person reads first."""
    days = (context.fact.time / 1e9 - past.since) / 86_400
    head = f"{context.asset} {_name(metric)} {_amount(metric, value)}"
    span = f"in {days:.1f} days ({past.low:.4g} to {past.high:.4g})"
    return f"{head}: {_why(context, metric, value, past)} {span}{_because(context)}"


def _why(context: Context, metric: str, value: float, past: Past) -> str:
    """What is unusual, in words: the record if there is one, else the statistic that gave most."""
    if past.high > past.low and (beyond := _beyond(value, past)):
        return f"{beyond:.0%} of its range {'above the highest' if value > past.high else 'below the lowest'}"
    most = past.shares[0][0] if past.shares else "value"
    if most.startswith("seasonal") and past.usual is not None:
        side = "above" if value > past.usual else "below"
        distance = _amount(metric, abs(value - past.usual))
        return f"{distance} {side} what is usual at {_clock(context.fact.time)[:2]}:00, further than ever"
    if most.startswith("logstd") or most == "spread":
        return "varies as it never did"
    if most.startswith("ew"):
        return f"stays {'high' if value > (past.low + past.high) / 2 else 'low'} as it never did"
    return "as it never was"


def _beyond(value: float, past: Past) -> float:
    """How far outside the range, in ranges."""
    outside = max(value - past.high, past.low - value, 0.0)
    return outside / (past.high - past.low) if past.high > past.low else 0.0


def in_range(value: float, low: float, high: float) -> bool:
    """Whether the value is back in the range that it had before the alert."""
    margin = RANGE_MARGIN * (high - low)
    return low - margin <= value <= high + margin


def peer_evidence(
    context: Context, value: float, deviations: float, expected: float, limit: float, machine: AlertMachine
) -> Evidence:
    """How far from where it stands among its like."""
    evidence = Evidence(
        statistic="robust deviation from peers",
        value=value,
        threshold=round(expected, 6),
        reference=f"{deviations:.1f} deviations from the median of its peers, {limit:g} allowed",
        since=machine.since,
    )
    return _with_context(evidence, context, machine)


def peer_summary(context: Context, metric: str, value: float, expected: float) -> str:
    """The line a person reads first."""
    head = f"{context.asset} {_name(metric)} {_amount(metric, value)}"
    like = f"{_amount(metric, expected)} expected from the others of its kind in the same place"
    return f"{head}: {like}{_because(context)}"


def stuck_evidence(context: Context, run: Run, machine: AlertMachine) -> Evidence:
    """For how many samples it stood still, and how many are allowed."""
    evidence = Evidence(
        statistic="equal samples in a row",
        value=float(run.length),
        threshold=float(run.allowed),
        reference=f"at most {run.longest} in {run.samples} samples before",
        since=run.since,
    )
    return _with_context(evidence, context, machine)


def stuck_summary(context: Context, metric: str, run: Run) -> str:
    """The line a person reads first."""
    minutes = (context.fact.time - run.since) / 60e9
    head = f"{context.asset} {_name(metric)} stands at {_amount(metric, run.value)} for {minutes:.0f} min"
    return f"{head}: {run.length} equal samples, never more than {run.longest} before"


def leak_evidence(context: Context, value: float, leak: Leak, machine: AlertMachine) -> Evidence:
    """How fast it falls, against the fastest that it ever fell."""
    evidence = Evidence(
        statistic=f"fall of its mean in {HALF_SECONDS / 3_600:g} h",
        value=leak.fall,
        threshold=FASTER_THAN_EVER * leak.largest,
        reference=f"never more than {leak.largest:.4g} before; {value:.4g} are left",
        since=machine.since,
    )
    return _with_context(evidence, context, machine)


def leak_summary(context: Context, metric: str, value: float, leak: Leak) -> str:
    """The line a person reads first."""
    head = f"{context.asset} {_name(metric)} {_amount(metric, value)}"
    span = f"{_amount(metric, leak.fall)} less in {HALF_SECONDS / 3_600:g} h"
    return f"{head}: {span}, gone in {leak.left_seconds / 3_600:.0f} h at this rate{_because(context)}"


def entity_evidence(context: Context, score: float, limit: float, machine: AlertMachine) -> Evidence:
    """The model's score, and the metrics that lie furthest from their mean."""
    evidence = Evidence(
        statistic="LODA, mean negative log likelihood",
        value=round(score, 6),
        threshold=round(limit, 6),
        reference="the score that 99 of 100 earlier polls stayed under, times the configured factor",
        since=machine.since,
    )
    return _with_context(evidence, context, machine)


def entity_summary(context: Context) -> str:
    """The line a person reads first."""
    culprits = ", ".join(f"{_name(metric)} ({deviation:.1f} std)" for metric, deviation in context.shares)
    return f"{context.asset}: its values do not go together as they used to; furthest out: {culprits}"


def _with_context(evidence: Evidence, context: Context, machine: AlertMachine) -> Evidence:
    """What every alert carries: the last samples, the model's view, what is wrong upstream, the cause."""
    return replace(
        evidence,
        samples=tuple(machine.samples),
        entity_score=round(context.entity[0], 6) if context.entity else None,
        entity_shares=context.shares,
        upstream=context.upstream(),
        cause_position=context.fact.position,
    )


def _with_past(evidence: Evidence, past: Past) -> Evidence:
    return replace(
        evidence,
        novelty_score=round(max(past.score, past.value_score), 6),
        novelty_shares=past.shares,
    )


def largest_shares(shares: Sequence[float]) -> tuple[tuple[str, float], ...]:
    """The statistics that gave most to a score; ties in their order."""
    order = sorted(range(len(shares)), key=lambda k: (-shares[k], k))[:MAX_SHARES]
    return tuple((STATISTICS[k], round(shares[k], 6)) for k in order if shares[k] > 0)


def _because(context: Context) -> str:
    upstream = context.upstream()
    return f"; upstream: {upstream[0]}" if upstream else ""


def _name(metric: str) -> str:
    name, _, labels = metric.partition("{")
    words = name.rsplit("_", 1)[0] if name.rsplit("_", 1)[-1] in _UNITS else name
    return words.replace("_", " ") + (f" {{{labels}" if labels else "")


def _amount(metric: str, value: float) -> str:
    unit = _UNITS.get(metric.partition("{")[0].rsplit("_", 1)[-1], "")
    return f"{value:.4g}{unit}"


def _clock(time: int) -> str:
    return datetime.fromtimestamp(time / 1e9, UTC).strftime("%H:%M:%S")
