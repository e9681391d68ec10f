"""Engines: the clock of another, as far as we know it, and our own.

A clock is boots and seconds since the last boot. What another engine says about its clock counts when the
message is authentic and goes forwards, or when it answers a question of our own.
"""

import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from coldaisle.core.errors import ConfigError
from coldaisle.integrations.snmp.usm.message import MAX_COUNTER

WINDOW_SECONDS = 150
MIN_ENGINE_ID_BYTES = 5


@dataclass(slots=True)
class RemoteEngine:
    """Another engine: ``time`` is what it said at ``heard_at`` of our own monotonic clock."""

    id: bytes
    boots: int
    time: int
    heard_at: float

    def time_at(self, now: float) -> int:
        """Its seconds since its boot, by our clock."""
        return min(self.time + max(0, int(now - self.heard_at)), MAX_COUNTER)

    def set(self, boots: int, seconds: int, now: float) -> None:
        """Take over what it said in answer to our own question, forwards or back."""
        self.boots, self.time, self.heard_at = boots, seconds, now

    def advance(self, boots: int, seconds: int, now: float) -> None:
        """Take over what an authentic message says, but only forwards."""
        if boots > self.boots or (boots == self.boots and seconds > self.time):
            self.set(boots, seconds, now)

    def is_timely(self, boots: int, seconds: int, now: float) -> bool:
        """Whether a message is young enough (RFC 3414 section 3.2, step 7b)."""
        if boots != self.boots:
            return boots > self.boots
        return seconds >= self.time_at(now) - WINDOW_SECONDS


@dataclass(slots=True)
class LocalEngine:
    """Our own engine, authoritative for requests and informs; random when nothing is given."""

    id: bytes = field(default_factory=lambda: new_engine_id())
    boots: int = 1
    booted_at: float = field(default_factory=time.monotonic)

    @property
    def time(self) -> int:
        """Seconds since the boot."""
        return min(int(time.monotonic() - self.booted_at), MAX_COUNTER)

    def is_timely(self, boots: int, seconds: int) -> bool:
        """Whether a request is inside the window (RFC 3414 section 3.2, step 7a)."""
        return boots == self.boots < MAX_COUNTER and abs(seconds - self.time) <= WINDOW_SECONDS


class _Kept(msgspec.Struct, frozen=True):
    engine_id: str
    boots: int


def new_engine_id() -> bytes:
    """A random engine id in the form of RFC 3411: no enterprise, octets chosen by the administrator."""
    return b"\x80\x00\x00\x00\x05" + secrets.token_bytes(12)


def load_engine(path: Path) -> LocalEngine:
    """Our engine as kept in a file, one boot later; a missing file makes a new one. Raises ConfigError."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        engine = LocalEngine(bytes.fromhex(kept.engine_id), kept.boots + 1)
    except FileNotFoundError:
        engine = LocalEngine()
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"cannot read the SNMP engine in {path}: {error}; correct or delete it") from error
    _save(path, engine)
    return engine


def _save(path: Path, engine: LocalEngine) -> None:
    """Before the first message goes out, and whole or not at all: boots must never repeat."""
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(_Kept(engine.id.hex(), engine.boots)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write the SNMP engine to {path}: {error}") from error
