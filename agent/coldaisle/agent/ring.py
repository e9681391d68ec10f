"""Where observations wait while the spool cannot be written: in memory, bounded, losses counted. Pure."""

from collections import deque
from collections.abc import Sequence

from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import GapRecorded


class Ring:
    """Keeps the newest ``max_events`` observations."""

    def __init__(self, source: str, max_events: int) -> None:
        self._source = source
        self._max_events = max_events
        self._kept: deque[Observation] = deque()
        self._lost_count = 0
        self.dropped_count = 0
        self._since = 0
        self._until = 0

    def add(self, observations: Sequence[Observation]) -> None:
        """Keep these too, at the expense of the oldest."""
        self._kept.extend(observations)
        while len(self._kept) > self._max_events:
            self._lose(self._kept.popleft())

    def pending(self) -> list[Observation]:
        """What is kept, and the gap event that says what is not."""
        if not self._lost_count:
            return list(self._kept)
        gap = GapRecorded(
            self._source, self._since, self._until, self._lost_count,
            "the spool could not be written and memory was full: the oldest was dropped",
        )  # fmt: skip
        return [Observation(self._until, gap), *self._kept]

    def clear(self) -> None:
        """All of it is on disk now."""
        self._kept.clear()
        self._lost_count = 0

    def _lose(self, observation: Observation) -> None:
        # A gap that this agent was about to report stands for everything that it counts.
        gap = observation.body if isinstance(observation.body, GapRecorded) else None
        since, until = (gap.since, gap.until) if gap else (observation.time, observation.time)
        self._since = min(self._since, since) if self._lost_count else since
        self._until = max(self._until, until)
        lost_count = max(1, gap.lost_count) if gap else 1
        self._lost_count += lost_count
        self.dropped_count += lost_count

    def __len__(self) -> int:
        return len(self._kept)
