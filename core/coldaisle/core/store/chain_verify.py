"""Walks the hash chain of a store and says at which position it does not hold, and how.

Batch by batch, each in a short read transaction: a server may append meanwhile, and memory holds one
batch's digests. What retention removed left its digest, or a seal of its batch: the chain holds across it.
"""

import hmac
from collections.abc import Callable, Sequence
from enum import Enum

import apsw
from msgspec import Struct

from coldaisle.core.errors import ChainKeyUnusable
from coldaisle.core.store.chain import (
    ARCHIVED,
    DIGEST_BYTES,
    NO_HASH,
    REMOVED,
    Epoch,
    batch_hash,
    epoch_start,
    how_emptied,
    how_removed,
    is_digest_of,
)
from coldaisle.core.store.chain_culprit import classify, stored_events
from coldaisle.core.store.chain_keys import ChainKeys
from coldaisle.core.store.checkpoints import Checkpoint
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_chain import Batch, batches, load_epochs, removal_records, store_id
from coldaisle.core.store.sqlite_schema import LAST_POSITION, is_event_table

_OF_A_SECOND_STREAM = (
    "SELECT min(position) FROM event WHERE stream_id IN "
    "(SELECT max(id) FROM stream GROUP BY +name HAVING count(*) > 1)"
)
"""The plus sign keeps SQLite from an index that somebody may have made."""

STEP_EVENTS = 2_000
"""Events that one read transaction looks at, unless one batch is larger."""

Progress = Callable[[int, int], None]
"""Takes the position verified up to, and the head."""


class Kind(Enum):
    """What was done to a history."""

    CHANGED = "changed"
    REMOVED = "removed"
    REORDERED = "reordered"
    INSERTED = "inserted"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"


class Fault(Struct, frozen=True):
    """The first position that does not hold, and in which way."""

    position: int
    kind: Kind
    says: str


class Verified(Struct, frozen=True):
    """What a walk found. ``fault`` None: the chain holds from ``first_position`` to ``position``.

    ``removed`` counts the events that retention took, ``archived`` those of them that it archived; what came
    before ``first_position`` is not chained.
    """

    first_position: int
    position: int
    events: int
    removed: int
    archived: int
    chain_hash: bytes
    fault: Fault | None = None


async def verify_chain(
    store: SqliteStore,
    keys: ChainKeys,
    *,
    against: Sequence[Checkpoint] = (),
    progress: Progress = lambda *_: None,
) -> Verified:
    """Verify the whole chain, and that it is the one that the checkpoints were made of.

    The checkpoints' signatures are the caller's to verify. Raises ChainKeyUnusable.
    """
    walk = await store.inspect(lambda connection: _Walk(connection, keys, against))
    while walk.running:
        head = await store.inspect(walk.step)
        progress(walk.position, head)
    return walk.verified()


class _Walk:
    """How far a verification got."""

    def __init__(self, connection: apsw.Connection, keys: ChainKeys, against: Sequence[Checkpoint]) -> None:
        self._keys = keys
        self._epochs: list[Epoch] = []
        self._pending: list[tuple[Epoch, list[bytes]]] = []
        self._sealing: list[bytes] = []
        self._take_epochs(connection)
        self._store_id = store_id(connection)
        self._against = sorted({(each.position, each.chain_hash) for each in against if each.position})
        self._first = self._epochs[0].first_position
        self.position = self._first - 1
        self._events = self._removed = self._archived = 0
        self._hash = NO_HASH
        self._fault: Fault | None = None
        self.running = True
        self._reached(self.position, NO_HASH)  # a checkpoint of before there was a chain is of another one
        if (aside := _aside(connection)) is not None:
            self._stop(*aside)
        foreign = [each for each in against if each.store != self._store_id.hex()]
        if foreign:
            self._stop(self._first, Kind.REWRITTEN, f"the checkpoint is of another store, {foreign[0].store}")

    def verified(self) -> Verified:
        """What was found so far."""
        return Verified(
            self._first, self.position, self._events, self._removed, self._archived, self._hash, self._fault
        )

    def step(self, connection: apsw.Connection) -> int:
        """Some batches further, on one consistent state; the head."""
        connection.execute("BEGIN")
        try:
            self._take_epochs(connection)
            end = self._events + self._removed + STEP_EVENTS
            while self.running and self._events + self._removed < end:
                batch = next(batches(connection, self.position, 1), None)
                if batch is None:
                    self._finish(connection)
                else:
                    self._batch(connection, batch)
            return int(connection.execute(LAST_POSITION).get)
        finally:
            connection.execute("COMMIT")

    def _take_epochs(self, connection: apsw.Connection) -> None:
        """A key may have come in force since the last step, and seals what goes from there on."""
        known, self._epochs = len(self._epochs), load_epochs(connection)
        if not self._epochs:
            raise ChainKeyUnusable(
                "this history has no hash chain: serve it with a chain key; or its chain was taken away"
            )
        self._pending.extend((epoch, self._keys.since(epoch.key_id)) for epoch in self._epochs[known:])

    def _batch(self, connection: apsw.Connection, batch: Batch) -> None:
        first, last = batch.first_position, batch.last_position
        if first > self.position + 1:
            self._stop(self.position + 1, Kind.REMOVED, f"no batch holds the positions up to {first - 1}")
        elif first <= self.position:
            self._stop(self.position + 1, Kind.CHANGED, f"the batch up to {last} is of another length")
        elif (key := self._key(first)) is None:
            says = "it was chained under a key that another had replaced"
            self._stop(first, Kind.INSERTED, says)
        elif batch.emptied_from is None:
            self._written(connection, batch, key)
        else:
            self._emptied(connection, batch, key)

    def _written(self, connection: apsw.Connection, batch: Batch, key: bytes) -> None:
        """Its events are there, or went by retention's seals."""
        bad = self._compare(connection, batch)
        if bad is not None:
            self._stop(bad, *_culprit(connection, bad))
        elif not hmac.compare_digest(batch_hash(key, self._hash, batch.digests), batch.hash):
            says = f"the hash of the batch up to {batch.last_position} does not hold"
            self._stop(self.position + 1, Kind.CHANGED, says)
        else:
            self._reached(batch.last_position, batch.hash)

    def _emptied(self, connection: apsw.Connection, batch: Batch, key: bytes) -> None:
        """Nothing is left of it, and the chain's own seal says that this was retention."""
        first, last = batch.first_position, batch.last_position
        there = connection.execute(
            "SELECT min(position) FROM event WHERE position BETWEEN ? AND ?", (first, last)
        ).get
        how = how_emptied(batch.seal, self._sealing, self._hash, first, last, batch.hash)
        digests = batch.digests[:-DIGEST_BYTES]
        if not how or (how == REMOVED) != (not digests):
            says = f"that retention emptied the batch up to {last} is under no seal of the chain's key"
            self._stop(first, Kind.REMOVED, says)
        elif there is not None:
            self._stop(there, *_culprit(connection, there))
        elif digests and not hmac.compare_digest(batch_hash(key, self._hash, digests), batch.hash):
            self._stop(first, Kind.CHANGED, f"the digests of the batch up to {last} do not hold")
        else:
            self._removed += last - first + 1
            self._archived += last - first + 1 if how == ARCHIVED else 0
            self._reached(last, batch.hash)

    def _key(self, first: int) -> bytes | None:
        """The key in force at ``first``; enters the epochs that begin there. None: it had been replaced.

        That key and those after it may have sealed what went from there on, and none before it.
        """
        while self._pending and self._pending[0][0].first_position <= first:
            epoch, keys = self._pending.pop(0)
            if self._sealing and keys[0] not in self._sealing[1:]:
                return None
            self._hash = epoch_start(keys[0], epoch, self._store_id, self._hash)
            self._sealing = keys
        return self._sealing[0]

    def _compare(self, connection: apsw.Connection, batch: Batch) -> int | None:
        """The first position of the batch that is not as its digest says; None when all are."""
        position, last = batch.first_position, batch.last_position
        removed = removal_records(connection, position, last)
        for fields in stored_events(connection, position, last):
            position = self._skip(position, fields[0], batch, removed)
            if position < fields[0] or position in removed:
                return position
            if not is_digest_of(batch.digest(position), fields):
                return position
            self._events += 1
            position += 1
        position = self._skip(position, last + 1, batch, removed)
        return position if position <= last else None

    def _skip(self, position: int, end: int, batch: Batch, removed: dict[int, bytes]) -> int:
        """Past what retention removed, by its own seal."""
        while position < end:
            record = removed.get(position, b"")
            how = how_removed(record, position, batch.digest(position), self._sealing)
            if not how:
                break
            self._removed += 1
            self._archived += how == ARCHIVED
            position += 1
        return position

    def _reached(self, position: int, chain_hash: bytes) -> None:
        self.position, self._hash = position, chain_hash
        while self._against and self._against[0][0] <= position:
            published = self._against.pop(0)
            if published != (position, chain_hash.hex()):
                says = f"another history was published up to position {published[0]}"
                self._stop(self._first, Kind.REWRITTEN, says)

    def _finish(self, connection: apsw.Connection) -> None:
        """At the last batch: nothing may follow it, and nothing may be missing after it."""
        self.running = False
        follows = connection.execute(
            "SELECT min(position) FROM event WHERE position > ?", (self.position,)
        ).get
        if follows is not None:
            self._stop(follows, Kind.INSERTED, "the chain does not know of it")
            return
        promised = max((int(connection.execute(LAST_POSITION).get), *(at for at, _ in self._against)))
        if promised > self.position:
            self._stop(self.position + 1, Kind.TRUNCATED, f"the history went on up to {promised}")

    def _stop(self, position: int, kind: Kind, says: str) -> None:
        self.running = False
        self._fault = Fault(position, kind, says)


def _aside(connection: apsw.Connection) -> tuple[int, Kind, str] | None:
    """What no walk along the positions meets, or sees, and who reads a stream does."""
    if not is_event_table(connection):
        return 1, Kind.CHANGED, "the table of events is another, and may hold some between two positions"
    lowest = connection.execute("SELECT min(position) FROM event").get
    if lowest is not None and lowest < 1:
        return lowest, Kind.INSERTED, "positions begin at 1"
    apart = connection.execute(_OF_A_SECOND_STREAM).get
    return None if apart is None else (apart, Kind.CHANGED, "its stream is one of two of the same name")


def _culprit(connection: apsw.Connection, position: int) -> tuple[Kind, str]:
    name, says = classify(connection, position)
    return Kind(name), says
