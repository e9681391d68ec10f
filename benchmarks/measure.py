"""How benchmarks measure and report: medians of interleaved runs, and one JSON object as the last line."""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Timing:
    """Seconds of one way of doing the work: medians, and each round's."""

    cpu_rounds: tuple[float, ...]
    wall_rounds: tuple[float, ...]

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpu_rounds)

    @property
    def wall(self) -> float:
        return statistics.median(self.wall_rounds)

    def cpu_over(self, other: "Timing") -> float:
        """The median of the rounds' ratios: both ways met the same minute."""
        return _median_ratio(self.cpu_rounds, other.cpu_rounds)

    def wall_over(self, other: "Timing") -> float:
        return _median_ratio(self.wall_rounds, other.wall_rounds)


def _median_ratio(these: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(these, others, strict=True))


def interleaved(
    ways: Mapping[str, Callable[[], object]], rounds: int, tidy: Callable[[], None] = lambda: None
) -> dict[str, Timing]:
    """Run every way once a round, so that a noisy minute hits all of them.

    Each round begins with another way: none always follows the one that leaves the disk busy. ``tidy`` runs
    after each, outside the clock.
    """
    names = list(ways)
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    for start in range(rounds):
        for name in names[start % len(names) :] + names[: start % len(names)]:
            work = ways[name]
            started_cpu, started_wall = time.process_time(), time.perf_counter()
            work()
            cpu[name].append(time.process_time() - started_cpu)
            wall[name].append(time.perf_counter() - started_wall)
            tidy()
    return {name: Timing(tuple(cpu[name]), tuple(wall[name])) for name in ways}


@dataclass(frozen=True)
class Bar:
    """A value and what it must reach."""

    value: float
    bound: float
    side: Literal["at_least", "at_most"] = "at_least"

    def as_json(self) -> dict[str, float | bool]:
        """The form that the last line carries."""
        holds = self.value >= self.bound if self.side == "at_least" else self.value <= self.bound
        return {"value": round(self.value, 4), self.side: self.bound, "holds": holds}


def report(name: str, figures: Mapping[str, object], bars: Mapping[str, Bar]) -> None:
    """Print figures and bars for a person, then the JSON line."""
    for key, value in figures.items():
        print(f"  {key:<52} {value:,.6g}" if isinstance(value, float) else f"  {key:<52} {value}")
    for key, bar in bars.items():
        shown = bar.as_json()
        print(
            f"  {'ok ' if shown['holds'] else 'MISSED'} {key:<48} {bar.value:.3f} ({bar.side} {bar.bound:g})"
        )
    result = {
        "name": name,
        "figures": dict(figures),
        "bars": {key: bar.as_json() for key, bar in bars.items()},
    }
    print(json.dumps(result))
