"""How an alert explains itself: one line for a person, and the evidence in full."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from coldaisle.core.detect.limits import threshold
from coldaisle.core.detect.machine import AlertMachine
from coldaisle.core.detect.novelty import STATISTICS, Novelty
from coldaisle.core.events.envelope import Fact
from coldaisle.core.events.types import Evidence, LimitRule

MAX_SHARES = 3
RANGE_MARGIN = 0.1
"""A novelty alert clears inside the old range widened by this share of it."""

_UNITS = {
    "celsius": " °C", "watts": " W", "percent": " %", "volts": " V", "amperes": " A", "seconds": " s",
    "bytes": " B", "ratio": "",
}  # fmt: skip
FloatVector = np.ndarray[tuple[int], np.dtype[np.float64]]


class Context(Struct, frozen=True):
    """What is known when a poll of an asset is judged; ``upstream`` is asked only when something changed."""

    fact: Fact
    asset: str
    upstream: Callable[[], tuple[str, ...]]
    entity: tuple[float, float] | None
    shares: tuple[tuple[str, float], ...]


def largest(metrics: Sequence[str], deviations: FloatVector) -> tuple[tuple[str, float], ...]:
    """The metrics that lie furthest from their own mean, in standard deviations; ties by name."""
    ranked = sorted(zip(metrics, deviations.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    return tuple((metric, round(deviation, 3)) for metric, deviation in ranked[:MAX_SHARES])


def limit_evidence(
    context: Context, rule: LimitRule, value: float, machine: AlertMachine, novelty: Novelty, column: int
) -> Evidence:
    """Against which limit, since when, and what the statistics say beside it."""
    evidence = Evidence(
        statistic="limit" if rule.kind == "limit" else "state",
        value=value,
        threshold=threshold(rule, value),
        reference=rule.source or rule.name,
        since=machine.since,
    )
    return _with_novelty(_with_context(evidence, context, machine), novelty, column)


def limit_summary(context: Context, metric: str, value: float, rule: LimitRule, machine: AlertMachine) -> str:
    """The line a person reads first."""
    if rule.kind == "state":
        line = f"{context.asset}: {rule.source or rule.name} ({_name(metric)} is {value:g})"
    else:
        limit = threshold(rule, value)
        side = "above" if value > limit else "below" if value < limit else "at"
        line = (
            f"{context.asset} {_name(metric)} {_amount(metric, value)}: {side} {_amount(metric, limit)} "
            f"since {_clock(machine.since)} UTC ({rule.source or rule.name})"
        )
    return line + _because(context)


def novelty_evidence(
    context: Context, value: float, machine: AlertMachine, novelty: Novelty, column: int
) -> Evidence:
    """Outside which range, and which statistics made the score."""
    low, high = float(novelty.low[column]), float(novelty.high[column])
    evidence = Evidence(
        statistic="record novelty",
        value=value,
        threshold=high if value > high else low,
        reference=f"range {low:g} to {high:g} in {novelty.age_seconds[column] / 86_400:.1f} days",
        since=machine.since,
    )
    return _with_novelty(_with_context(evidence, context, machine), novelty, column)


def novelty_summary(context: Context, metric: str, value: float, novelty: Novelty, column: int) -> str:
    """The line a person reads first."""
    low, high = float(novelty.low[column]), float(novelty.high[column])
    days = float(novelty.age_seconds[column]) / 86_400
    shares = _statistic_shares(novelty, column)
    why = f"unusual {shares[0][0].replace('_', ' ')}" if shares else "unusual"
    if high > low and (value > high or value < low):
        beyond = (value - high if value > high else low - value) / (high - low)
        side = "above the highest" if value > high else "below the lowest"
        why = f"{beyond:.0%} of its range {side}"
    return (
        f"{context.asset} {_name(metric)} {_amount(metric, value)}: {why} in {days:.1f} days "
        f"({low:g} to {high:g}){_because(context)}"
    )


def in_range(value: float, novelty: Novelty, column: int) -> bool:
    """Whether the value is back in the range that it had before the alert."""
    low, high = float(novelty.low[column]), float(novelty.high[column])
    margin = RANGE_MARGIN * (high - low)
    return low - margin <= value <= high + margin


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


def _with_novelty(evidence: Evidence, novelty: Novelty, column: int) -> Evidence:
    return replace(
        evidence,
        novelty_score=round(float(novelty.score[column]), 6),
        novelty_shares=_statistic_shares(novelty, column),
    )


def _statistic_shares(novelty: Novelty, column: int) -> tuple[tuple[str, float], ...]:
    shares = novelty.shares[:, column]
    order = sorted(range(len(STATISTICS)), key=lambda k: (-shares[k], k))[:MAX_SHARES]
    return tuple((STATISTICS[k], round(float(shares[k]), 6)) for k in order if shares[k] > 0)


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
