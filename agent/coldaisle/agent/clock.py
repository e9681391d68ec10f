"""How far this machine's clock is from the server's: every observation carries this machine's time."""

import logging

logger = logging.getLogger(__name__)

MAX_OFFSET_SECONDS = 2.0
"""Beyond it the times of two agents can no longer be told apart by their order."""

_NANOSECONDS = 1e9


class Clock:
    """Compares at every acknowledgement. ``offset_seconds`` is positive when the server is ahead."""

    def __init__(self) -> None:
        self.offset_seconds: float | None = None
        self._sure_offset_seconds: float | None = None  # of an answer that came soon
        self._is_off = False

    def age_seconds(self, sent: int, now: int) -> float:
        """How long ago the server sent something by its clock (UTC ns); 0 where nobody can tell."""
        if not sent or self._sure_offset_seconds is None:
            return 0.0
        return (now - sent) / _NANOSECONDS + self._sure_offset_seconds

    def compare(self, server_time: int, now: int, taken_seconds: float) -> None:
        """Take the server's time (UTC ns, 0 unknown) out of an answer that took so long.

        The answer was written somewhere within that time, so half of it cannot be told from an offset.
        """
        if not server_time:
            return
        self.offset_seconds = (server_time - now) / _NANOSECONDS + taken_seconds / 2
        if taken_seconds <= MAX_OFFSET_SECONDS:
            self._sure_offset_seconds = self.offset_seconds
        is_off = abs(self.offset_seconds) - taken_seconds / 2 > MAX_OFFSET_SECONDS
        if is_off and not self._is_off:
            fields = {"offset_seconds": round(self.offset_seconds, 3), "bound_seconds": MAX_OFFSET_SECONDS}
            logger.error("clock differs from the server's: check time synchronisation", extra=fields)
        self._is_off = is_off
