"""Batches of the chain of which retention left no event: one seal takes the place of what stayed of each.

Without this a removed event would leave some 107 bytes for ever. Nothing is sealed that does not hold: every
event must have gone by retention's own seal, all in the same way, and the batch must go on from the one
before it. What somebody else took out is found by the next verification, as before. Of a batch that was
archived the digests stay, which the archive is held against.
"""

from collections.abc import Sequence

import apsw
from msgspec import Struct

from coldaisle.core.store.chain import REMOVED, Epoch, batch_hash, emptied_seal, how_removed
from coldaisle.core.store.chain_keys import ChainKeys
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_chain import Batch, batches, last_hash, load_epochs, removal_records

_EVENT_IN = "SELECT 1 FROM event WHERE position BETWEEN ? AND ? LIMIT 1"
_EMPTY = (
    "UPDATE batch SET digests = ?, emptied_from = ? "
    "WHERE last_position = ? AND digests = ? AND emptied_from IS NULL"
)
_FORGET = "DELETE FROM removed WHERE position BETWEEN ? AND ?"


class Emptied(Struct, frozen=True):
    """A batch of which nothing is left, and what says so: the seal, of an archived one behind its digests."""

    batch: Batch
    seal: bytes


async def seal_emptied(store: SqliteStore, removed: Sequence[int]) -> None:
    """Seal the batches that held these positions, where they hold no event any more.

    A reader looks and makes the seals; the writer only puts them in.
    """
    keys = store.chain_keys
    if keys is None or not removed:
        return
    found = await store.inspect(lambda connection: _find(connection, keys, sorted(removed)))
    if found:
        await store.maintain(lambda connection: _put(connection, found))


def _find(connection: apsw.Connection, keys: ChainKeys, removed: Sequence[int]) -> list[Emptied]:
    connection.execute("BEGIN")  # one state: appends and other removals go on meanwhile
    try:
        epochs = load_epochs(connection)
        found: list[Emptied] = []
        reached = 0
        for position in removed:
            if position <= reached:
                continue
            batch = next(batches(connection, position - 1, 1), None)
            if batch is None:
                break
            if batch.first_position > position:  # this one is older than the chain
                reached = batch.first_position - 1
                continue
            reached = batch.last_position
            seal = _seal(connection, batch, epochs, keys)
            if seal:
                found.append(Emptied(batch, seal))
        return found
    finally:
        connection.execute("COMMIT")


def _seal(connection: apsw.Connection, batch: Batch, epochs: list[Epoch], keys: ChainKeys) -> bytes:
    """What takes the digests' place in an emptied batch; nothing where it is not empty, or does not hold."""
    first, last = batch.first_position, batch.last_position
    if batch.emptied_from is not None or connection.execute(_EVENT_IN, (first, last)).get:
        return b""
    in_force = [epoch for epoch in epochs if epoch.first_position <= first]
    if not in_force:
        return b""
    known = keys.since(in_force[-1].key_id)
    records = removal_records(connection, first, last)
    ways = {
        how_removed(records.get(position, b""), position, batch.digest(position), known)
        for position in range(first, last + 1)
    }
    if len(ways) != 1 or not (how := ways.pop()):
        return b""
    previous = last_hash(connection, epochs, keys, before=first)
    if batch_hash(known[0], previous, batch.digests) != batch.hash:
        return b""
    seal = emptied_seal(keys[keys.current], how, previous, first, last, batch.hash)
    return seal if how == REMOVED else batch.digests + seal


def _put(connection: apsw.Connection, found: Sequence[Emptied]) -> None:
    """In the writer's thread and transaction; what was changed since the look stays as it is."""
    for emptied in found:
        batch = emptied.batch
        first, last = batch.first_position, batch.last_position
        connection.execute(_EMPTY, (emptied.seal, first, last, batch.digests))
        if connection.changes():
            connection.execute(_FORGET, (first, last))
