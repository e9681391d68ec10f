"""Lines of one host, counted by the minute: in all, by gravity, by template, and the rarest.

A series is written from its first line on, zeros too, until QUIET_MINUTES passed without a line; then it
ends with one missing value. So silence costs nothing, and a return to normal is seen.
"""

from collections.abc import Iterator

from msgspec import Struct, field

from coldaisle.core.events.types import SamplesRecorded
from coldaisle.core.templates.gravity import Gravity

TOTAL = "log_lines_per_minute"
NEW_ERRORS = "log_new_error_lines_per_minute"
RAREST = "log_rarity_nats"
LOG_METRICS = frozenset({TOTAL, NEW_ERRORS, RAREST})
OTHER = "other"
"""Stands for every template that has no series of its own."""

QUIET_MINUTES = 30
MAX_HOST_TEMPLATES = 64
KEPT_QUIET_MINUTES = 7 * 1_440
"""A template that was quiet for so long gives its place among a host's series to another."""


class Counted(Struct):
    """One series: lines in the open minute, and the last minute (since 1970) that had one."""

    lines: int = 0
    last_minute: int = 0


class HostMinutes(Struct):
    """The open minute of a host; ``minute`` is -1 while it sleeps. ``actor`` is who reports its lines.

    ``retired`` are series that were written and end with the open minute.
    """

    actor: str
    minute: int = -1
    rarest: float = 0.0
    series: dict[str, Counted] = field(default_factory=dict)
    retired: list[str] = field(default_factory=list)

    def add(self, minute: int, template: str, gravity: Gravity, rarity: float, is_new_error: bool) -> None:
        """Count a line. One of a minute that has closed counts in the open one: its clock is wrong."""
        self.minute = max(minute, self.minute)
        self._count(TOTAL)
        if gravity != "other":
            self._count(f'{TOTAL}{{severity="{gravity}"}}')
        self._count(f'{TOTAL}{{template="{self._place(template)}"}}')
        if is_new_error:
            self._count(f'{NEW_ERRORS}{{template="{template}"}}')
        self.rarest = max(self.rarest, rarity)

    def close(self, asset: str, until: int) -> Iterator[tuple[int, SamplesRecorded]]:
        """Minutes before ``until`` and their samples; stops when the host falls asleep."""
        while 0 <= self.minute < until:
            closed = self.minute
            yield closed, self._samples(asset)
            self.minute = closed + 1 if self.series and closed - self._last_minute <= QUIET_MINUTES else -1

    def forget(self, template: str) -> None:
        """The template retired: its series end, or what they were last would be told for ever."""
        for metric in (f'{TOTAL}{{template="{template}"}}', f'{NEW_ERRORS}{{template="{template}"}}'):
            counted = self.series.pop(metric, None)
            if counted is not None and 0 <= self.minute <= counted.last_minute + QUIET_MINUTES + 1:
                self.retired.append(metric)

    @property
    def _last_minute(self) -> int:
        return self.series[TOTAL].last_minute

    def _count(self, metric: str) -> None:
        counted = self.series.get(metric)
        if counted is None:
            counted = self.series[metric] = Counted()
        counted.lines += 1
        counted.last_minute = self.minute

    def _place(self, template: str) -> str:
        """The template, or OTHER where its host has no room for one more series."""
        if f'{TOTAL}{{template="{template}"}}' in self.series or len(self.series) < MAX_HOST_TEMPLATES:
            return template
        old = min(self.series, key=lambda metric: self.series[metric].last_minute)
        if self.minute - self.series[old].last_minute <= KEPT_QUIET_MINUTES:
            return OTHER
        del self.series[old]
        return template

    def _samples(self, asset: str) -> SamplesRecorded:
        """The minute's values; None once for each series that ends with it."""
        values: dict[str, float | None] = dict.fromkeys(self.retired)
        self.retired = []
        for metric, counted in self.series.items():
            quiet = self.minute - counted.last_minute
            if quiet <= QUIET_MINUTES:
                values[metric] = float(counted.lines)
            elif quiet == QUIET_MINUTES + 1:
                values[metric] = None
            counted.lines = 0
        values[RAREST] = self.rarest if values.get(TOTAL) else None
        self.rarest = 0.0
        return SamplesRecorded(asset, tuple(values), tuple(values.values()))
