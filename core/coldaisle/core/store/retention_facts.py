"""What retention did, as facts of the history.

The file counts what is removed in the very transactions that remove it. The fact about it comes after, and
carries the count; where a crash came between, the next telling makes up for it.
"""

import time

import msgspec

from coldaisle.core.events import decode, encode, new_id, stream_of
from coldaisle.core.events.types import EventsRemoved
from coldaisle.core.store.retention import Scavenged
from coldaisle.core.store.retention_marks import mark, number_at
from coldaisle.core.store.sqlite import SqliteStore

_NOTHING_YET = EventsRemoved("", 0, 0, 0)


async def tell_removed(store: SqliteStore, done: Scavenged, actor: str) -> None:
    """Append what the history has not been told about this category yet, if there is any."""
    told = await _last_told(store, done.category)
    removed, archived = await store.inspect(
        lambda connection: (
            number_at(connection, mark(done.category, "removed_events")),
            number_at(connection, mark(done.category, "archived_events")),
        )
    )
    if (removed, archived) == (told.total_removed_events, told.total_archived_events):
        return
    body = EventsRemoved(done.category, done.position, removed, archived)
    now = time.time_ns()
    await store.append(stream_of(body), [encode(body, id=new_id(now), time=now, actor=actor)])


async def _last_told(store: SqliteStore, category: str) -> EventsRemoved:
    stream = stream_of(msgspec.structs.replace(_NOTHING_YET, category=category))
    for event in await store.read_stream(stream, backwards=True, limit=1):
        fact = decode(event)
        if fact is not None and isinstance(fact.body, EventsRemoved):
            return fact.body
    return _NOTHING_YET
