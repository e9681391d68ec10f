"""Counts of log lines among the series: what their statistics may raise.

A count is mostly zero, and its first one is a record: so a record counts only when it is many lines beyond
the old one. It warns and never pages, for a flood of lines says that something is odd, not what is broken.
"""

from collections.abc import Sequence

from coldaisle.core.events.types import Severity
from coldaisle.core.templates import LOG_METRICS
from coldaisle.core.templates.minutes import TOTAL

MIN_EXCESS_LINES = 20.0


def is_about_lines(metric: str) -> bool:
    """Whether the series comes from the log reactor."""
    return metric.partition("{")[0] in LOG_METRICS


def are_about_lines(metrics: Sequence[str]) -> bool:
    """Whether these samples are a minute of the log reactor: counted late, and no sign of life."""
    return bool(metrics) and is_about_lines(metrics[0])


def line_severity(metric: str, value: float, highest: float, severity: Severity) -> Severity | None:
    """What a novelty of this severity is worth, where ``highest`` was the most lines in a minute so far."""
    if not is_about_lines(metric):
        return severity
    is_flood = metric.partition("{")[0] == TOTAL and value >= highest + MIN_EXCESS_LINES
    return "warn" if is_flood else None
