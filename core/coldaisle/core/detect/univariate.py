"""One series with a detector of its own: stage 1 as benchmarks of single series want it.

No second implementation: it holds the records of one series and calls the code that the server calls.
"""

import numpy as np

from coldaisle.core.detect.novelty import NoveltyState

_ONLY = np.zeros(1, np.int64)


class SeriesDetector:
    """Scores the samples of one series, in order; knows nothing beforehand."""

    def __init__(self) -> None:
        self._state = NoveltyState()
        self._state.reserve(1)

    def update(self, timestamp_epoch_s: float, value: float) -> float:
        """The score of this finite value, 0 (as ever) to 1."""
        return self.scores(timestamp_epoch_s, value)[0]

    def scores(self, timestamp_epoch_s: float, value: float) -> tuple[float, float]:
        """The score of all statistics, and that of the value's own record."""
        found = self._state.update(_ONLY, np.array([value]), np.array([int(timestamp_epoch_s)]))
        return float(found.score[0]), float(found.value_score[0])


def detector() -> SeriesDetector:
    """A new one."""
    return SeriesDetector()
