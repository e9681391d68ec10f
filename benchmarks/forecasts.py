"""Forecasts on NAB's real series beside each of their models alone: error, coverage of intervals, and cost.

Error is the mean absolute one, relative to "same time yesterday", the median over files; a value below one is
better. COLDAISLE_SHARED names the folder that holds data/nab; without it made-up series take its place.
"""

import csv
import math
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median

from measure import Bar, report

from coldaisle.core.forecast import steps_of
from coldaisle.core.forecast.forecaster import Forecaster
from coldaisle.core.forecast.models import models

SHARED = Path(os.environ.get("COLDAISLE_SHARED", Path(__file__).parents[2] / "shared"))
SECOND = 1_000_000_000
DAY_SECONDS = 86_400
HORIZONS = {"1h_by_5min": (300, 12), "1d_by_15min": (900, 96), "1d_by_1h": (3_600, 24)}
BASE = "same time yesterday"
MIN_JUDGED = 100
COVERAGE_LEAST, COVERAGE_MOST = 0.85, 0.95

Samples = list[tuple[int, float]]


@dataclass
class Measured:
    """One file at one horizon; errors by who forecast."""

    errors: dict[str, float]
    coverage: float
    judged: int
    step_microseconds: float


def series() -> Iterator[Samples]:
    """NAB's real series, or ten made-up ones."""
    files = sorted((SHARED / "data" / "nab" / "data").glob("real*/*.csv"))
    for file in files:
        with file.open() as text:
            yield [(moment(row["timestamp"]), float(row["value"])) for row in csv.DictReader(text)]
    for seed in range(0 if files else 10):
        chance = random.Random(seed)
        yield [
            (n * 300 * SECOND, 9 * math.sin(n / 288 * 2 * math.pi) + chance.gauss(0, 1)) for n in range(6_000)
        ]


def moment(text: str) -> int:
    """NAB's stamps as UTC ns."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def measure(samples: Samples, step_seconds: int, ahead: int) -> Measured | None:
    """Follow one series; judge what was said ``ahead`` steps before. None where too little can be judged."""
    steps = steps_of(samples, step_seconds)
    first, last = min(steps), max(steps)
    forecaster = Forecaster(step_seconds, ahead, first)
    alone = models(DAY_SECONDS // step_seconds)
    said: dict[int, dict[str, float]] = {}
    errors: dict[str, list[float]] = {name: [] for name in (*alone, "chosen")}
    spent = 0.0
    for step in range(first, last + 1):
        value = steps.get(step)
        before = said.pop(step, {})
        if value is not None and len(before) == len(errors):
            for name, forecast in before.items():
                errors[name].append(abs(value - forecast))
        started = time.process_time()
        forecaster.update(value)
        spent += time.process_time() - started
        for model in alone.values() if value is not None else ():
            model.update(step, value)
        told = {name: model.forecast(step, ahead) for name, model in alone.items()}
        told["chosen"] = forecaster.at(ahead)
        said[step + ahead] = {name: each for name, each in told.items() if each is not None}
    held, judged = forecaster.record
    if judged < MIN_JUDGED or not mean(errors[BASE]):
        return None
    means = {name: mean(each) for name, each in errors.items()}
    return Measured(means, held / judged, judged, spent / (last - first + 1) * 1e6)


def main() -> None:
    figures: dict[str, object] = {}
    bars: dict[str, Bar] = {}
    everything = list(series())
    for name, (step_seconds, ahead) in HORIZONS.items():
        found = [m for samples in everything if (m := measure(samples, step_seconds, ahead))]
        for model in found[0].errors:
            relative = median(each.errors[model] / each.errors[BASE] for each in found)
            figures[f"{name} error {model}"] = round(relative, 3)
        coverage = [each.coverage for each in found]
        inside = [each for each in coverage if COVERAGE_LEAST <= each <= COVERAGE_MOST]
        figures[f"{name} files"] = len(found)
        figures[f"{name} coverage mean"] = round(mean(coverage), 3)
        figures[f"{name} coverage least"] = round(min(coverage), 3)
        figures[f"{name} files within .85 to .95"] = round(len(inside) / len(found), 3)
        figures[f"{name} microseconds a step"] = round(median(each.step_microseconds for each in found), 1)
        bars[f"{name} coverage at least"] = Bar(mean(coverage), COVERAGE_LEAST)
        bars[f"{name} coverage at most"] = Bar(mean(coverage), COVERAGE_MOST, "at_most")
        bars[f"{name} error over yesterday's"] = Bar(
            float(str(figures[f"{name} error chosen"])), 1.0, "at_most"
        )
    report("forecasts", figures, bars)


if __name__ == "__main__":
    main()
