"""What silences and maintenance have in common: when they hold, how many there are, how they ended."""

from collections.abc import Mapping
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import UnsetType

from coldaisle.core.detect.overlays import MAX_OVERLAYS
from coldaisle.core.events import decode
from coldaisle.core.events.types import MaintenanceEnded, MaintenanceScheduled, SilenceCreated, SilenceExpired
from coldaisle.core.store import EventStore
from coldaisle.server.errors import InvalidRequest, TooManyOverlays
from coldaisle.server.moments import nanoseconds

NANOSECONDS = 1_000_000_000
MIN_DURATION = NANOSECONDS
MAX_DURATION = MAX_AHEAD = 366 * 86_400 * NANOSECONDS
"""How long one may last, and how far ahead it may begin: longer is a decision for the settings."""

Overlay = TypeVar("Overlay", SilenceCreated, MaintenanceScheduled)


def window(start: Timestamp | None, duration: Duration | None, now: int) -> tuple[int, int]:
    """From when to when it holds, UTC ns; ``start`` None is now. Raises InvalidRequest."""
    starts = now if start is None else nanoseconds(start, "start_time")
    lasts = 0 if duration is None else duration.seconds * NANOSECONDS + duration.nanos
    if not MIN_DURATION <= lasts <= MAX_DURATION:
        raise InvalidRequest("duration", f"{lasts / NANOSECONDS:g} s; from 1 s to 366 days")
    if starts > now + MAX_AHEAD:
        raise InvalidRequest("start_time", "more than 366 days ahead")
    if starts + lasts <= now:
        raise InvalidRequest("start_time", "with this duration it is over already")
    return starts, starts + lasts


def in_force(overlays: Mapping[str, Overlay] | UnsetType, time: int) -> list[Overlay]:
    """Those that hold at that time and those to come, first to end first."""
    if isinstance(overlays, UnsetType):
        return []
    lasting = [(overlay.ends, name) for name, overlay in overlays.items() if overlay.ends > time]
    return [overlays[name] for _, name in sorted(lasting)]


def require_room(overlays: Mapping[str, Overlay] | UnsetType, time: int, what: str) -> None:
    """Raises TooManyOverlays: detection would forget one of them."""
    if len(in_force(overlays, time)) >= MAX_OVERLAYS:
        raise TooManyOverlays(f"{MAX_OVERLAYS} {what} are in force, as many as may be: end some first")


async def told(
    store: EventStore, stream: str
) -> tuple[SilenceCreated | MaintenanceScheduled | None, int | None]:
    """How it began, None where it never did; and when it was ended by hand, UTC ns."""
    begun: SilenceCreated | MaintenanceScheduled | None = None
    ended: int | None = None
    for event in await store.read_stream(stream):
        fact = decode(event)
        match fact.body if fact else None:
            case (SilenceCreated() | MaintenanceScheduled()) as body:
                begun = body
            case SilenceExpired() | MaintenanceEnded():
                ended = max(begun.starts, event.time) if begun else event.time
            case _:
                pass
    return begun, ended
