"""What was learned about each device: how fast it answers, how much at once, and its engine.

All of it is kept per address, engines too: cloned devices share engine ids, and the clock of one would
lock out the other. What costs round trips to learn can be exported and restored.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import Struct

from coldaisle.integrations.snmp.target import Target
from coldaisle.integrations.snmp.usm.engine import RemoteEngine
from coldaisle.integrations.snmp.usm.message import MAX_COUNTER

MAX_PEERS = 10_000
MAX_DUPLICATES = 1_000
MIN_TIMEOUT_SECONDS = 0.5
"""The first try waits at least this long (or the target's timeout, if that is less)."""

_GAIN, _VARIATION_GAIN, _VARIATIONS = 1 / 8, 1 / 4, 4
"""RFC 6298: how much one sample moves the averages, and how many variations a reply may be late."""

Peer = tuple[str, int]


class KnownPeer(Struct, frozen=True):
    """What is worth keeping over a restart; ``saved_at`` is UTC ns, 0 repetitions mean nothing learned."""

    host: str
    port: int
    repetitions: int = 0
    engine_id: str = ""
    boots: int = 0
    time: int = 0
    saved_at: int = 0


class Duplicate(Struct, frozen=True):
    """One engine id at two addresses: cloned devices, or one device with two addresses."""

    engine_id: str
    first: Peer
    second: Peer


@dataclass(slots=True)
class PeerState:
    """One device at one address; ``engine_id`` is that of the engine found last, also when it is lost."""

    repetitions: int | None = None
    engine: RemoteEngine | None = None
    engine_id: bytes = b""
    smoothed_seconds: float = 0.0
    variation_seconds: float = 0.0
    _discovering: asyncio.Lock | None = None

    @property
    def discovering(self) -> asyncio.Lock:
        """Held while the engine is searched for."""
        if self._discovering is None:
            self._discovering = asyncio.Lock()
        return self._discovering

    def note_round_trip(self, seconds: float) -> None:
        """Learn from a reply to a first try; later ones cannot tell which try they answer."""
        if not self.smoothed_seconds:
            self.smoothed_seconds, self.variation_seconds = seconds, seconds / 2
            return
        late_seconds = abs(seconds - self.smoothed_seconds)
        self.variation_seconds += _VARIATION_GAIN * (late_seconds - self.variation_seconds)
        self.smoothed_seconds += _GAIN * (seconds - self.smoothed_seconds)

    def doubt_round_trip(self) -> None:
        """A later try was answered: wait for the first the whole timeout next, and learn from that.

        Else a device that became slower would be asked everything twice, for ever.
        """
        self.smoothed_seconds = 0.0

    def first_wait_seconds(self, timeout_seconds: float) -> float:
        """How long to wait for a reply to the first try; the whole timeout while nothing is known."""
        if not self.smoothed_seconds:
            return timeout_seconds
        usual = self.smoothed_seconds + _VARIATIONS * self.variation_seconds
        return min(timeout_seconds, max(MIN_TIMEOUT_SECONDS, usual))

    def repetitions_for(self, target: Target) -> int:
        """Rows to ask for with one GETBULK; 1 means GETNEXT."""
        if not target.can_bulk:
            return 1
        return min(self.repetitions or target.max_repetitions, target.max_repetitions)

    def grow(self, ceiling: int) -> None:
        """A walk went well: ask for one row more in the next."""
        if self.repetitions is not None:
            self.repetitions = self.repetitions + 1 if self.repetitions + 1 < ceiling else None

    def cut(self, asked: int, came: int) -> None:
        """A device truncates its replies: ask for less, but never for less than came."""
        self.repetitions = max(came, asked - asked // 4, 1)


class Peers:
    """The devices asked, the oldest forgotten first; ``duplicates`` are told once each."""

    def __init__(self, known: Iterable[KnownPeer] = ()) -> None:
        self.duplicates: list[Duplicate] = []
        self._states: dict[Peer, PeerState] = {}
        self._owners: dict[bytes, Peer] = {}
        self._told: set[tuple[bytes, Peer]] = set()
        for peer in known:
            self._restore(peer)

    def state(self, peer: Peer) -> PeerState:
        """What is known of a device; nothing at first."""
        known = self._states.get(peer)
        if known is None:
            if len(self._states) >= MAX_PEERS:
                self._forget(next(iter(self._states)))
            known = self._states[peer] = PeerState()
        return known

    def learn_engine(self, peer: Peer, engine: RemoteEngine) -> None:
        """A device's engine was discovered; the id that it had before is free for another."""
        state = self.state(peer)
        self._disown(peer, state)
        state.engine, state.engine_id = engine, engine.id
        owner = self._owners.setdefault(engine.id, peer)
        if owner != peer and (engine.id, peer) not in self._told and len(self._told) < MAX_DUPLICATES:
            self._told.add((engine.id, peer))
            self.duplicates.append(Duplicate(engine.id.hex(), owner, peer))

    def take_duplicates(self, *peers: Peer) -> list[Duplicate]:
        """Engine ids found at a second address since this was last asked, at these addresses or at any."""
        if not self.duplicates:
            return []
        taken = [found for found in self.duplicates if not peers or found.second in peers]
        self.duplicates = [found for found in self.duplicates if found not in taken]
        return taken

    def export(self) -> list[KnownPeer]:
        """What is worth keeping over a restart."""
        now, wall = time.monotonic(), time.time_ns()
        return [
            _known(peer, state, now, wall)
            for peer, state in self._states.items()
            if state.engine is not None or state.repetitions is not None
        ]

    def _restore(self, known: KnownPeer) -> None:
        """A wrong wall clock only costs one report of the device, which sets its time right."""
        state = self.state((known.host, known.port))
        state.repetitions = known.repetitions or None
        if known.engine_id:
            elapsed = max(0, (time.time_ns() - known.saved_at) // 10**9)
            seconds = min(known.time + elapsed, MAX_COUNTER)
            engine = RemoteEngine(bytes.fromhex(known.engine_id), known.boots, seconds, time.monotonic())
            self.learn_engine((known.host, known.port), engine)

    def _forget(self, peer: Peer) -> None:
        self._disown(peer, self._states.pop(peer))

    def _disown(self, peer: Peer, state: PeerState) -> None:
        if self._owners.get(state.engine_id) == peer:
            del self._owners[state.engine_id]


def _known(peer: Peer, state: PeerState, now: float, wall: int) -> KnownPeer:
    engine = state.engine
    if engine is None:
        return KnownPeer(*peer, state.repetitions or 0)
    return KnownPeer(
        *peer, state.repetitions or 0, engine.id.hex(), engine.boots, engine.time_at(now), saved_at=wall
    )
