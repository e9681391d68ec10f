"""Counters as rates, and how much a value changed in a while.

A counter's rate is per second between two samples; a gap, never a spike, where a counter restarted.
"""

import functools

TOTAL = "_total"
NANOSECONDS = 1_000_000_000
MAX_KEPT_SAMPLES = 64
"""Samples kept of a series whose change is watched: of faster polls, one in so many parts of the span."""
MAX_CACHED_NAMES = 100_000


def is_counter(metric: str) -> bool:
    """Whether the metric only ever rises: its name, without labels, ends in ``_total``."""
    return metric.partition("{")[0].endswith(TOTAL)


@functools.lru_cache(MAX_CACHED_NAMES)
def rate_name(metric: str) -> str:
    """What a source that makes a counter's rate itself calls it: ``x_total{…}`` is ``x_per_second{…}``."""
    name, brace, labels = metric.partition("{")
    return f"{name.removesuffix(TOTAL)}_per_second{brace}{labels}"


class Rates:
    """The last value of every counter, and its time (UTC ns), by asset and metric."""

    def __init__(self, last: dict[tuple[str, str], tuple[float, int]] | None = None) -> None:
        self.last = last or {}

    def rate(self, asset: str, metric: str, value: float, time: int) -> float | None:
        """Per second since the last sample; None for the first one, and after the counter fell."""
        previous = self.last.get((asset, metric))
        self.last[asset, metric] = (value, time)
        if previous is None or time <= previous[1] or value < previous[0]:
            return None
        return (value - previous[0]) / ((time - previous[1]) / NANOSECONDS)


class Changes:
    """The recent samples (UTC ns, value) of series whose change is watched, by asset, metric and rule."""

    def __init__(self, recent: dict[tuple[str, str, str], list[tuple[int, float]]] | None = None) -> None:
        self.recent = recent or {}

    def change(self, key: tuple[str, str, str], time: int, value: float, per_seconds: float) -> float | None:
        """How much the value changed in the last ``per_seconds``; None until that much is known.

        After a gap nothing is known: what happened in it is not a change of a moment.
        """
        span = int(per_seconds * NANOSECONDS)
        samples = self.recent.setdefault(key, [])
        if samples and time - samples[-1][0] > span:
            samples.clear()
        if len(samples) < 2 or time - samples[-2][0] >= span // MAX_KEPT_SAMPLES:
            samples.append((time, value))
        else:
            samples[-1] = (time, value)
        while len(samples) > 1 and samples[1][0] <= time - span:
            del samples[0]
        return value - samples[0][1] if time - samples[0][0] >= span else None
