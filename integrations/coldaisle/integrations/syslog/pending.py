"""What was received and not yet emitted: grouped by asset, bounded, with everything lost counted. Pure."""

from collections import defaultdict
from collections.abc import Iterator

from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import GapRecorded, InputRejected, LogLine, LogLinesRecorded

_MAX_EVENT_CHARACTERS = 131_072
_MAX_PENDING_CHARACTERS = 8_388_608
"""Of all lines together: twenty thousand lines of full length are more than a host has to spare."""

_MAX_REJECTIONS = 100  # a window; what is beyond is counted, so that a flood of garbage stays small


class Pending:
    """Lines, rejections and losses of one grouping window."""

    def __init__(self, source: str, max_lines: int, group_lines: int) -> None:
        self.count = 0
        self._characters = 0
        self._source = source
        self._max_lines = max_lines
        self._group_lines = group_lines
        self._lines: defaultdict[str, list[LogLine]] = defaultdict(list)
        self._rejections: list[Observation] = []
        self._lost: dict[str, int] = {}
        self._since = 0

    @property
    def is_full(self) -> bool:
        """No further line is kept until the window was taken."""
        return self.count >= self._max_lines or self._characters >= _MAX_PENDING_CHARACTERS

    def add(self, asset: str, line: LogLine) -> None:
        """Keep a line; raise nothing, count it as lost when there is no room."""
        if self.is_full:
            self.lose("the collector was slower than the senders", 1)
            return
        self._lines[asset].append(line)
        self.count += 1
        self._characters += len(line.message)

    def reject(self, reason: str, raw: str, now: int) -> None:
        """Keep what could not be understood."""
        if len(self._rejections) >= _MAX_REJECTIONS:
            self.lose("more unreadable input than is kept", 1)
            return
        self._rejections.append(Observation(now, InputRejected(self._source, f"syslog: {reason}", raw)))

    def lose(self, reason: str, count: int) -> None:
        """Remember a loss; it becomes an event."""
        self._lost[reason] = self._lost.get(reason, 0) + count

    def take(self, now: int) -> list[Observation]:
        """Everything pending as observations; what follows belongs to the next window."""
        taken = [*self._gaps(now), *self._rejections, *self._groups()]
        self._lines.clear()
        self._rejections, self._lost, self._since = [], {}, now
        self.count = self._characters = 0
        return taken

    def _gaps(self, now: int) -> Iterator[Observation]:
        since = min(self._since or now, now)  # the clock may have stepped back
        for reason, count in self._lost.items():
            yield Observation(now, GapRecorded(self._source, since, now, count, f"syslog: {reason}"))

    def _groups(self) -> Iterator[Observation]:
        for asset, lines in self._lines.items():
            for group in self._cut(lines):
                yield Observation(group[-1].time, LogLinesRecorded(asset, tuple(group), "syslog"))

    def _cut(self, lines: list[LogLine]) -> Iterator[list[LogLine]]:
        group: list[LogLine] = []
        characters = 0
        for line in lines:
            if group and (len(group) >= self._group_lines or characters >= _MAX_EVENT_CHARACTERS):
                yield group
                group, characters = [], 0
            group.append(line)
            characters += len(line.message)
        if group:
            yield group
