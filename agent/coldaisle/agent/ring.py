"""Where observations wait for the spool, also while it cannot be written: in memory, bounded, losses counted.

Pure.
"""

from collections import deque
from collections.abc import Sequence

from coldaisle.agent.weight import weight_bytes
from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import GapRecorded


class Ring:
    """Keeps the newest ``max_events`` observations, as far as they are within ``max_bytes``."""

    def __init__(self, source: str, max_events: int, max_bytes: int) -> None:
        self._source = source
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._kept: deque[Observation] = deque()
        self._kept_bytes = 0
        self._lost_count = 0
        self.dropped_count = 0
        self._since = 0
        self._until = 0

    def add(self, observations: Sequence[Observation]) -> None:
        """Keep these too, at the expense of the oldest."""
        self._kept.extend(observations)
        self._kept_bytes += sum(map(weight_bytes, observations))
        while len(self._kept) > self._max_events or self._kept_bytes > self._max_bytes:
            self._lose(self._pop())

    def first(self, max_events: int, max_bytes: int) -> list[Observation]:
        """The oldest, at least one where there are any; before them the gap event that says what is lost."""
        found = [self._gap()] if self._lost_count else []
        found_bytes = 0
        for observation in self._kept:
            found_bytes += weight_bytes(observation)
            if found and (len(found) >= max_events or found_bytes > max_bytes):
                break
            found.append(observation)
        return found

    def written(self, first: Sequence[Observation]) -> None:
        """What ``first`` answered is on disk now."""
        for _ in range(len(first) - bool(self._lost_count)):
            self._pop()
        self._lost_count = 0

    def _pop(self) -> Observation:
        observation = self._kept.popleft()
        self._kept_bytes -= weight_bytes(observation)
        return observation

    def _gap(self) -> Observation:
        gap = GapRecorded(
            self._source, self._since, self._until, self._lost_count,
            "the spool could not be written and memory was full: the oldest was dropped",
        )  # fmt: skip
        return Observation(self._until, gap)

    def _lose(self, observation: Observation) -> None:
        # A gap that this agent was about to report stands for everything that it counts.
        gap = observation.body if isinstance(observation.body, GapRecorded) else None
        since, until = (gap.since, gap.until) if gap else (observation.time, observation.time)
        self._since = min(self._since, since) if self._lost_count else since
        self._until = max(self._until, until) if self._lost_count else until
        lost_count = max(1, gap.lost_count) if gap else 1
        self._lost_count += lost_count
        self.dropped_count += lost_count

    def __len__(self) -> int:
        return len(self._kept)
