"""The event store: its port, its adapters, and what follows it."""

from coldaisle.core.store.live import LiveTwin, twin_at
from coldaisle.core.store.port import (
    EVERYTHING,
    MAX_PAGE_EVENTS,
    Append,
    Appended,
    EventFilter,
    EventStore,
    Expected,
    Page,
    StreamState,
)

__all__ = [
    "EVERYTHING",
    "MAX_PAGE_EVENTS",
    "Append",
    "Appended",
    "EventFilter",
    "EventStore",
    "Expected",
    "LiveTwin",
    "Page",
    "StreamState",
    "twin_at",
]
