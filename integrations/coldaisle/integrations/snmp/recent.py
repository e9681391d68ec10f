"""Which notifications came lately, to tell a repetition from news. Pure, and bounded in time and number.

A repetition is the same sender, trap and varbinds, sysUpTime included: what networks and impatient senders
make, never two alarms of a device.
"""

from collections import OrderedDict
from typing import Literal

MAX_RECENT_NOTICES = 20_000

Standing = Literal["new", "pending", "committed"]


class Recent:
    """The notifications of the last ``window_seconds``; the oldest go when there are too many."""

    def __init__(self, window_seconds: float, max_notices: int = MAX_RECENT_NOTICES) -> None:
        self._window_seconds = window_seconds
        self._max_notices = max_notices
        self._committed: OrderedDict[bytes, bool] = OrderedDict()
        self._times: dict[bytes, float] = {}

    def note(self, key: bytes, now: float) -> Standing:
        """Whether it is new; of a repetition, whether the first is already kept for good."""
        self._forget(now)
        committed = self._committed.get(key)
        if committed is None:
            self._committed[key] = False
            self._times[key] = now
            return "new"
        return "committed" if committed else "pending"

    def commit(self, key: bytes) -> None:
        """The first of its kind is kept for good."""
        if key in self._committed:
            self._committed[key] = True

    def _forget(self, now: float) -> None:
        while self._committed:
            oldest = next(iter(self._committed))
            if now - self._times[oldest] <= self._window_seconds and len(self._committed) < self._max_notices:
                return
            del self._committed[oldest]
            del self._times[oldest]
