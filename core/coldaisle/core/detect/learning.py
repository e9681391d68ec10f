"""What an alert means for what is learned: frozen while it is open, then decided by what people say of it.

The records of a series with an open alert go on in the shadow. When the alert ends, what was usual before it
is put back, as if it had never been; unless somebody said that it was false or expected, or nobody said
anything for long: then what was seen is the new normal.
"""

import numpy as np
from msgspec import Struct

from coldaisle.core.detect.novelty import NoveltyState
from coldaisle.core.detect.records import CENTRE, HIGH, LOW, PROFILE, SQUARE, Records, Singles

MAX_SPANS = 1_000
"""Alerts that ended whose span can still be learned when feedback comes late."""

NEVER = 1 << 62
"""A time after all others, UTC ns."""

_USUAL = np.r_[LOW, HIGH, CENTRE, SQUARE, PROFILE : PROFILE + 24]


class Held(Struct, frozen=True, array_like=True):
    """A series' record as it was before its alert, and when that opened (UTC ns)."""

    series: int
    record: bytes
    since: int


class LearningState(Struct, frozen=True):
    """All that is known: by open alert what is held, by ended alert the ranges that it had reached."""

    held: dict[str, Held] = {}
    spans: dict[str, tuple[int, bytes]] = {}


class Learning:
    """The freeze of every series with an open alert."""

    def __init__(self, state: LearningState | None = None) -> None:
        self.state = state or LearningState({}, {})
        self._held, self._spans = self.state.held, self.state.spans

    def freeze(self, alert: str, series: int, before: Singles, time: int) -> None:
        """An alert opened on the series; ``before`` is its record as it was before the sample."""
        self._held[alert] = Held(series, before.astype("<f4").tobytes(), time)

    def hold(self, alert: str, time: int) -> None:
        """An alert opened on an asset as a whole: its models do not learn."""
        self._held[alert] = Held(-1, b"", time)

    def held_range(self, alert: str) -> Records | None:
        """The record as it was before the alert, None when it is learned already."""
        held = self._held.get(alert)
        return Records.of_words(_words(held.record)) if held is not None and held.record else None

    def overdue(self, alert: str, time: int, seconds: float) -> bool:
        """Whether the alert has been open, and nothing was said of it, for so long."""
        held = self._held.get(alert)
        return held is not None and seconds > 0 and time - held.since >= seconds * 1e9

    def confirm(self, alert: str) -> None:
        """A person says that it is a true one: it is never learned, however long it lasts."""
        if alert in self._held:
            held = self._held[alert]
            self._held[alert] = Held(held.series, held.record, NEVER)

    def learn(self, alert: str) -> bool:
        """What the alert is about is the new normal; False when nothing of it is known any more."""
        return self._held.pop(alert, None) is not None

    def excise(self, alert: str, novelty: NoveltyState) -> None:
        """The alert ended: what was usual before it is usual again."""
        held = self._held.pop(alert, None)
        if held is None or not held.record:
            return
        words = novelty.records.record(held.series)
        ranges = words[LOW.start : HIGH.stop].astype("<f4").tobytes()
        words[_USUAL] = _words(held.record)[_USUAL]
        novelty.records.set_record(held.series, words)
        self._spans[alert] = (held.series, ranges)
        if len(self._spans) > MAX_SPANS:
            del self._spans[next(iter(self._spans))]

    def widen(self, alert: str, novelty: NoveltyState) -> None:
        """Feedback came after the end: the ranges reach as far as they did during the alert."""
        if alert not in self._spans:
            return
        series, ranges = self._spans.pop(alert)
        low, high = np.frombuffer(ranges, "<f4").reshape(2, -1)
        words = novelty.records.record(series)
        words[LOW], words[HIGH] = np.minimum(words[LOW], low), np.maximum(words[HIGH], high)
        novelty.records.set_record(series, words)


def _words(data: bytes) -> Singles:
    return np.frombuffer(data, "<f4").astype(np.float32)
