"""A backtest as text for a person, and as plain data for a program; pure."""

from collections import Counter
from datetime import UTC, datetime

import msgspec

from coldaisle.server.backtest import BEGINNING, OPEN_END, AlertSpan, Backtest, Difference, Outcome, Span

MAX_LINES = 100
"""Differences shown; the rest is counted, and whole in JSON."""

_NANOSECONDS = 1_000_000_000


def backtest_lines(found: Backtest) -> list[str]:
    """The comparison: totals side by side, then what differs, then the runs."""
    differences = [_line(difference) for difference in found.differences[:MAX_LINES]]
    if len(found.differences) > MAX_LINES:
        differences.append(f"… and {len(found.differences) - MAX_LINES} more; all of them with -o json")
    counts = Counter(difference.what for difference in found.differences)
    told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "no difference"
    return [
        f"span        {_span(found.span)}, {found.series_days:,.1f} series-days",
        f"{'':<12}{'alerts':>8}{'pages':>8}{'warnings':>10}{'a series-day':>14}{'runs':>6}",
        _totals("recorded", found.recorded, found.series_days),
        _totals("tried", found.tried, found.series_days),
        f"alerts      {told}",
        *differences,
        *_run_lines(found),
    ]


def backtest_data(found: Backtest) -> object:
    """The whole comparison as plain data."""
    return msgspec.to_builtins(found)


def _span(span: Span) -> str:
    start = "the first event" if span.start == BEGINNING else _moment(span.start)
    return f"{start} to {'the last' if span.end == OPEN_END else _moment(span.end)}"


def _totals(name: str, outcome: Outcome, days: float) -> str:
    alerts, pages = len(outcome.alerts), outcome.of_severity("page")
    rate = f"{alerts / days:.4f}" if days else "-"
    return f"{name:<12}{alerts:>8}{pages:>8}{alerts - pages:>10}{rate:>14}{len(outcome.runs):>6}"


def _line(difference: Difference) -> str:
    shown = difference.tried or difference.recorded
    assert shown is not None  # a difference is between something and something
    line = f"  {difference.what:<8}{_moment(shown.opened)}  {shown.severity:<5} {shown.summary}"
    if difference.recorded is None or difference.tried is None:
        return line
    return f"{line} ({', '.join(_changes(difference.recorded, difference.tried))})"


def _changes(recorded: AlertSpan, tried: AlertSpan) -> list[str]:
    seconds = (tried.opened - recorded.opened) / _NANOSECONDS
    changes = [f"opens {abs(seconds):.0f} s {'later' if seconds > 0 else 'earlier'}"] if seconds else []
    if recorded.severity != tried.severity:
        changes.append(f"{recorded.severity} before")
    if recorded.cleared != tried.cleared:
        changes.append(f"cleared {_moment(recorded.cleared)} before, {_moment(tried.cleared)} now")
    return changes or ["says otherwise"]


def _run_lines(found: Backtest) -> list[str]:
    """Runs by policy and alert's moment: a moved alert has another id, its run too."""
    lines = []
    for name, one, other in (
        ("not started", found.recorded, found.tried),
        ("started", found.tried, found.recorded),
    ):
        known = {(run.policy, run.time) for run in other.runs.values()}
        lines += [
            f"run {name:<12}{_moment(run.time)}  {run.policy} → {run.playbook}"
            + (f" (refused: {run.refusal})" if run.refusal else "")
            for run in one.runs.values()
            if (run.policy, run.time) not in known
        ]
    return lines or ["runs        no difference"]


def _moment(time: int) -> str:
    return (
        datetime.fromtimestamp(time // _NANOSECONDS, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        if time
        else "not yet"
    )
