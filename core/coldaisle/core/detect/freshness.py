"""Whether sources still speak. Absence is not normality: what falls silent gets an alert of its own.

Silence counts by when polls arrived: an agent that was cut off brings hours of them within seconds, and while
the server was away it heard nobody.

Also what arrives late or twice: it is history, and nothing to detect on.
"""

from zlib import crc32

import msgspec
from msgspec import Struct

from coldaisle.core.events import types as t

PERIODS = 3
"""Silence of so many of its usual periods is too long for a source."""

CHECK_EVERY_SECONDS = 10
_PERIOD_WEIGHT = 0.2
_SECOND = 1_000_000_000
_encoder = msgspec.msgpack.Encoder()


class Pulse(Struct, frozen=True, array_like=True):
    """A source's last poll: its time and when it arrived (UTC ns), what it said as a checksum, and the usual
    period in seconds."""

    time: int
    arrived: int
    checksum: int
    period_seconds: float


class FreshnessState(Struct, frozen=True):
    """All that is known: pulses, longest silent first; open alerts by asset; no check before, and since when
    the server listens (UTC ns)."""

    pulses: dict[str, Pulse] = {}
    alerts: dict[str, str] = {}
    check_after: int = 0
    listens_since: int = 0


class Freshness:
    """The pulse of every asset that is polled."""

    def __init__(self, state: FreshnessState | None = None) -> None:
        state = state or FreshnessState({}, {})
        self.pulses, self.alerts, self._check_after = state.pulses, state.alerts, state.check_after
        self._listens_since = state.listens_since

    def state(self) -> FreshnessState:
        """What the constructor takes."""
        return FreshnessState(self.pulses, self.alerts, self._check_after, self._listens_since)

    def listen(self, since: int) -> None:
        """The server was away until then (UTC ns): each source gets its time anew."""
        self._listens_since = since

    def heard(self, body: t.SamplesRecorded, time: int, arrived: int) -> bool:
        """Take in a poll; False for one that is older than the last, or the same again."""
        checksum = crc32(_encoder.encode((body.metrics, body.values)))
        last = self.pulses.get(body.asset)
        if last is None:
            self.pulses[body.asset] = Pulse(time, arrived, checksum, 0.0)
            return True
        if time < last.time or (time, checksum) == (last.time, last.checksum):
            return False
        span = (time - last.time) / _SECOND
        period = last.period_seconds
        if span:
            period = period + _PERIOD_WEIGHT * (span - period) if period else span
        del self.pulses[body.asset]  # to the end: the longest silent stays first
        self.pulses[body.asset] = Pulse(time, arrived, checksum, period)
        return True

    def forget(self, asset: str) -> None:
        """The asset is gone."""
        self.pulses.pop(asset, None)

    def silent(self, now: int, stale_seconds: float) -> list[tuple[str, Pulse]]:
        """Assets that fell silent and have no alert for it yet; looks once every 10 s. ``now`` is UTC ns."""
        if not stale_seconds or now < self._check_after:
            return []
        self._check_after = now + CHECK_EVERY_SECONDS * _SECOND
        found = []
        for asset, pulse in self.pulses.items():
            silent_seconds = (now - max(pulse.arrived, self._listens_since)) / _SECOND
            if silent_seconds <= stale_seconds:
                break
            if silent_seconds > PERIODS * pulse.period_seconds and asset not in self.alerts:
                found.append((asset, pulse))
        return found
