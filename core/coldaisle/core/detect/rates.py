"""Counters as rates: per second between two samples; a gap, never a spike, where a counter restarted."""

NANOSECONDS = 1_000_000_000


def is_counter(metric: str) -> bool:
    """Whether the metric only ever rises: its name, without labels, ends in ``_total``."""
    return metric.partition("{")[0].endswith("_total")


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
