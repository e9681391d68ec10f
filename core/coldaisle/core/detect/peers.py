"""Compared with its like: a rack against the racks of its row, each against where it usually stands.

A whole row that warms is no peer's fault, and a rack that always is two degrees warmer is none either; one
that leaves the others is, long before a limit.
"""

from collections.abc import Iterable
from statistics import median

from msgspec import Struct

MIN_PEERS = 4
MAX_PEERS = 64
USUAL_WEIGHT = 0.01
MIN_LEARNED = 30
MEDIAN_TO_SIGMA = 1.4826
SPREAD_SHARE = 0.02
"""A deviation is never measured in less than this share of the peers' median."""

METRIC_ENDINGS = ("_celsius", "_watts", "_pascals", "_percent")
MAX_AGE_SECONDS = 300
_SECOND = 1_000_000_000


class Standing(Struct, array_like=True):
    """A series among its peers: last value and its time (UTC ns), usual distance from the median, and how
    often that was learned."""

    value: float
    time: int
    usual: float = 0.0
    learned: int = 0


class Peers:
    """Every compared series' standing, by metric and asset."""

    def __init__(self, standings: dict[str, dict[str, Standing]] | None = None) -> None:
        self.standings = {} if standings is None else standings

    def update(
        self, metric: str, asset: str, peers: Iterable[str], value: float, time: int, learn: bool
    ) -> tuple[float, float] | None:
        """How many robust standard deviations the value lies from where it stands among its peers, and the
        value that would be expected of it; None while too little is known."""
        of_metric = self.standings.setdefault(metric, {})
        mine = of_metric.setdefault(asset, Standing(value, time))
        mine.value, mine.time = value, time
        others = _values(of_metric, asset, peers, time)
        if len(others) < MIN_PEERS:
            return None
        centre = median(others)
        expected = centre + mine.usual
        found = None
        if mine.learned >= MIN_LEARNED:
            found = (abs(value - expected) / _spread(others, centre), expected)
        if learn:
            mine.learned += 1
            mine.usual += max(USUAL_WEIGHT, 1 / mine.learned) * (value - centre - mine.usual)
        return found

    def forget(self, asset: str) -> None:
        """The asset is gone."""
        for of_metric in self.standings.values():
            of_metric.pop(asset, None)


def is_compared(metric: str) -> bool:
    """Whether peers have this metric alike: temperatures, power, pressures, percentages."""
    return metric.partition("{")[0].endswith(METRIC_ENDINGS)


def _values(of_metric: dict[str, Standing], asset: str, peers: Iterable[str], time: int) -> list[float]:
    oldest = time - MAX_AGE_SECONDS * _SECOND
    values: list[float] = []
    for peer in peers:
        standing = of_metric.get(peer)
        if standing is not None and peer != asset and standing.time >= oldest:
            values.append(standing.value - standing.usual)
            if len(values) == MAX_PEERS:
                break
    return values


def _spread(others: list[float], centre: float) -> float:
    """The peers' robust standard deviation, with a floor."""
    deviation = median(abs(value - centre) for value in others)
    return MEDIAN_TO_SIGMA * deviation + SPREAD_SHARE * abs(centre) + 1e-9
