"""Events that deletion, truncation or a tombstone hid from readers of their stream: their rows go.

Whoever hid them meant them to be gone, so they are not archived. What the chain needs of them stays, and the
history can still be verified. As with old events, what no snapshot covers stays, and the newest event does.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import apsw

from coldaisle.core.store.chain import REMOVED, Fields, fields_digest
from coldaisle.core.store.retention import REMOVED_EVENTS, Scavenged, bounded
from coldaisle.core.store.retention_emptied import seal_emptied
from coldaisle.core.store.retention_marks import add_to_total, remove_events
from coldaisle.core.store.sqlite import SqliteStore

DELETED = "$deleted"
"""Stands for deleted streams where a category is named; no category begins with a dollar."""

_SELECT_HIDDEN = (
    "SELECT e.position, s.name, e.version, e.id, e.type, e.schema, e.time, e.recorded, e.actor, e.data, "
    "e.correlation_id, e.causation_id FROM stream s CROSS JOIN event e ON e.stream_id = s.id "
    "AND e.version < s.truncate_before WHERE s.truncate_before > 0 AND e.position <= ? LIMIT ?"
)
"""CROSS has SQLite start from the streams, which are few: the writer waits, and so do appends."""


async def scavenge_deleted(
    store: SqliteStore, *, covered_by: Sequence[str], rest_seconds: float = 0.0
) -> Scavenged:
    """Remove what is hidden, in steps of some milliseconds each. May be killed and called again."""
    end, held_back = await bounded(store, await store.head(), covered_by)
    removed = 0
    record = partial(store.removal_record, REMOVED)
    while gone := await store.maintain(partial(_remove_some, end=end, record=record)):
        removed += len(gone)
        await seal_emptied(store, gone)
        await asyncio.sleep(rest_seconds)
    return Scavenged(DELETED, removed, 0, end, held_back)


def _remove_some(connection: apsw.Connection, end: int, record: Callable[[int, bytes], bytes]) -> list[int]:
    """Looks and removes in one transaction: what is hidden may be shown again at any other time.

    The positions that it removed.
    """
    rows = cast("list[Fields]", connection.execute(_SELECT_HIDDEN, (end, REMOVED_EVENTS)).fetchall())
    remove_events(connection, [(row[0], record(row[0], fields_digest(row))) for row in rows])
    if rows:
        add_to_total(connection, DELETED, "removed_events", len(rows))
    return [row[0] for row in rows]
