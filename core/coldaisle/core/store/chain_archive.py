"""Holds the archive against the hash chain: what a replay finds there is what was appended, and all of it.

To be called once the chain itself holds. The seal of a removed event says whether it was archived; the chain
has the digest of every event. So neither a segment nor the list of segments needs to be trusted.
"""

from functools import partial
from pathlib import Path

import apsw
from msgspec.structs import replace

from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.archive_history import ArchivedHistory, segments_of
from coldaisle.core.store.chain import ARCHIVED, event_digest, how_removed
from coldaisle.core.store.chain_culprit import chained_digests
from coldaisle.core.store.chain_keys import ChainKeys
from coldaisle.core.store.chain_verify import Fault, Kind, Progress, Verified
from coldaisle.core.store.replay import up_to
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_chain import emptied, load_epochs, removal_records


async def verify_archive(
    store: SqliteStore,
    keys: ChainKeys,
    found: Verified,
    folder: Path | None = None,
    progress: Progress = lambda *_: None,
) -> Verified:
    """``found``, what ``verify_chain`` found, with the first fault of the archive if there is one.

    Raises StoreUnreadable when a segment is missing or is another file than was archived.
    """
    end = min(found.position, await store.inspect(partial(_reach, archived=found.archived)))
    history, after = ArchivedHistory(store, folder), found.first_position - 1
    while after < end:
        page = up_to(await history.read_all(after=after), end)
        fault = await store.inspect(
            partial(_fault, keys=keys, events=page.events, after=after, end=page.position)
        )
        if fault is not None:
            return replace(found, fault=fault)
        after = page.position
        progress(after, end)
    return found


def _reach(connection: apsw.Connection, archived: int) -> int:
    """Up to where an event is in the archive, or should be."""
    listed = max((segment.last_position for segment in segments_of(connection)), default=0)
    if not archived:
        return listed
    removed = int(connection.execute("SELECT ifnull(max(position), 0) FROM removed").get)
    return max(listed, removed, *(last for _, last in emptied(connection)))


def _fault(
    connection: apsw.Connection, keys: ChainKeys, events: list[Recorded], after: int, end: int
) -> Fault | None:
    """The first of these positions that reads otherwise than it was appended, or whose event is not there."""
    digests = dict(chained_digests(connection, after + 1, end))
    there = {event.position: event for event in events}
    records = removal_records(connection, after + 1, end)
    known = [keys[epoch.key_id] for epoch in load_epochs(connection)]
    ranges = emptied(connection, after + 1, end)
    whole = {at for first, last in ranges for at in range(first, last + 1) if at in digests}
    for position in sorted({*there, *records, *whole}):
        event, digest = there.get(position), digests.get(position, b"")
        if event is not None and event_digest(event) != digest:
            return Fault(position, Kind.CHANGED, "the archive holds another event than was appended")
        if event is None and (
            position in whole or how_removed(records[position], position, digest, known) == ARCHIVED
        ):
            return Fault(position, Kind.REMOVED, "the event was archived, and is in no segment")
    return None
