"""The hash chain as an SQLite store keeps it: epochs and store id in ``setting``, a row for each batch."""

from collections.abc import Iterable, Iterator
from itertools import starmap
from pathlib import Path
from typing import cast

import apsw
import msgspec
from msgspec import Struct

from coldaisle.core.errors import ChainKeyUnusable, StoreUnreadable
from coldaisle.core.store.chain import (
    ALGORITHM,
    DIGEST_BYTES,
    NO_HASH,
    Epoch,
    batch_hash,
    digests_of,
    epoch_start,
)
from coldaisle.core.store.chain_keys import ChainKeys
from coldaisle.core.store.cipher import StoreKey
from coldaisle.core.store.sqlite_insert import Row
from coldaisle.core.store.sqlite_schema import open_reader, transaction, translate, typed_rows

_NO_END = (1 << 63) - 1
_BATCHES = (
    "SELECT last_position, CASE typeof(hash) WHEN 'blob' THEN hash ELSE x'' END, "
    "CASE typeof(digests) WHEN 'blob' THEN digests ELSE x'' END, "
    "CASE typeof(emptied_from) WHEN 'null' THEN NULL WHEN 'integer' THEN emptied_from ELSE 0 END "
    "FROM batch WHERE last_position > ? "
    "ORDER BY last_position LIMIT ?"
)
_EMPTIED = (
    "SELECT emptied_from, last_position FROM batch WHERE emptied_from >= "
    "ifnull((SELECT max(emptied_from) FROM batch WHERE emptied_from <= ?1), 0) AND emptied_from <= ?2 "
    "AND last_position >= ?1 ORDER BY emptied_from"
)
"""Batches do not overlap, so at most one begins before the range: the index serves all of this."""
_SETTING = "SELECT value FROM setting WHERE key = ?"
_INSERT_BATCH = "INSERT INTO batch(last_position, hash, digests) VALUES(?,?,?)"
_PUT = "INSERT INTO setting VALUES(?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value"


class Batch(Struct, frozen=True):
    """A batch of the chain: where it ends, its hash, and the digests of its events.

    Of one that retention emptied, ``digests`` ends with the seal that says so (see ``chain.emptied_seal``);
    the digests themselves are there only if its events were archived.
    """

    last_position: int
    hash: bytes
    digests: bytes
    emptied_from: int | None = None

    @property
    def first_position(self) -> int:
        """Where it begins."""
        if self.emptied_from is not None:
            return self.emptied_from
        return self.last_position - len(self.digests) // DIGEST_BYTES + 1

    @property
    def seal(self) -> bytes:
        """Of an emptied one: under what it was emptied."""
        return self.digests[-DIGEST_BYTES:]

    @property
    def has_digests(self) -> bool:
        """Whether the digests of its events are still there."""
        return self.emptied_from is None or len(self.digests) > DIGEST_BYTES

    def digest(self, position: int) -> bytes:
        """The digest of one of its events, where it has them."""
        at = (position - self.first_position) * DIGEST_BYTES
        return self.digests[at : at + DIGEST_BYTES] if self.has_digests else b""


_epochs_decoder: msgspec.json.Decoder[list[Epoch]] = msgspec.json.Decoder(list[Epoch])


class Chain:
    """The end of a store's chain; belongs to the writer's thread."""

    def __init__(self, key: bytes, last_hash: bytes) -> None:
        self._key = key
        self._hash = self._staged = last_hash

    def link(
        self, connection: apsw.Connection, last_position: int, events: Iterable[tuple[str, Row]]
    ) -> None:
        """Add the batch of these events, each with its stream, inside the transaction that appends them."""
        digests = digests_of(events)
        self._staged = batch_hash(self._key, self._hash, digests)
        connection.execute(_INSERT_BATCH, (last_position, self._staged, digests))

    def commit(self) -> None:
        """What was linked is on disk: the next batch goes on from there."""
        self._hash = self._staged


def open_chain(
    connection: apsw.Connection, path: Path, position: int, keys: ChainKeys | None
) -> Chain | None:
    """Go on with the store's chain, or begin one behind ``position``. None: no chain, and none is wanted.

    Raises ChainKeyUnusable: a history that was chained is not written without its key.
    """
    epochs = load_epochs(connection)
    if keys is None:
        if epochs:
            raise ChainKeyUnusable(
                f"the history in {path} is chained with key {epochs[-1].key_id}, and no key was given: "
                "give the chain's key file; without it nothing can be appended"
            )
        return None
    if epochs and epochs[-1].key_id == keys.current:
        return Chain(keys[keys.current], last_hash(connection, epochs, keys))
    # a key that does not know the ones before it is a wrong key, not the next one
    previous = last_hash(connection, epochs, keys) if epochs else NO_HASH
    epoch = Epoch(keys.current, position + 1)
    with transaction(connection):
        _save(connection, [*epochs, epoch])
    return Chain(keys[keys.current], epoch_start(keys[keys.current], epoch, store_id(connection), previous))


def load_epochs(connection: apsw.Connection) -> list[Epoch]:
    """The epochs of the chain, oldest first; empty: there is no chain."""
    epochs = typed_rows(connection, _SETTING, ("chain_epochs",), (str,))
    if not epochs:
        return []
    ((algorithm,),) = typed_rows(connection, _SETTING, ("chain_algorithm",), (str,)) or [("",)]
    if algorithm != ALGORITHM:
        raise StoreUnreadable(
            f"the chain's algorithm is {algorithm!r}, this Coldaisle knows {ALGORITHM!r}: upgrade Coldaisle"
        )
    try:
        return _epochs_decoder.decode(epochs[0][0])
    except msgspec.DecodeError as error:
        raise StoreUnreadable(
            f"the list of the chain's keys is damaged ({error}): restore a backup"
        ) from error


def is_chained(path: Path, key: StoreKey | None) -> bool:
    """Whether the file has a chain, also one of an older schema. Raises StoreUnreadable."""
    connection = open_reader(path, key, any_age=True)
    try:
        has_settings = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'setting'").get
        return bool(has_settings and load_epochs(connection))
    except apsw.Error as error:
        raise translate(error, path) from error
    finally:
        connection.close()


def batches(connection: apsw.Connection, after: int, limit: int = -1) -> Iterator[Batch]:
    """The batches that end behind a position; what was made of another type comes as no bytes, or as 0."""
    rows = cast(
        "Iterator[tuple[int, bytes, bytes, int | None]]", connection.execute(_BATCHES, (after, limit))
    )
    return starmap(Batch, rows)


def emptied(connection: apsw.Connection, first: int = 0, last: int = _NO_END) -> Iterator[tuple[int, int]]:
    """First and last position of each batch that retention emptied, as far as it touches these positions."""
    return cast("Iterator[tuple[int, int]]", connection.execute(_EMPTIED, (first, last)))


def last_batch(connection: apsw.Connection, end: int = _NO_END) -> tuple[int, bytes] | None:
    """Position and hash of the last batch that ends at or before ``end``."""
    query = (
        "SELECT last_position, hash FROM batch WHERE last_position <= ? ORDER BY last_position DESC LIMIT 1"
    )
    found = typed_rows(connection, query, (end,), (int, bytes))
    return (found[0][0], found[0][1]) if found else None


def removal_records(connection: apsw.Connection, first: int, last: int) -> dict[int, bytes]:
    """What stayed of the events removed from these positions; empty where that is no longer bytes."""
    rows = connection.execute(
        "SELECT position, CASE typeof(digest) WHEN 'blob' THEN digest ELSE x'' END FROM removed "
        "WHERE position BETWEEN ? AND ?",
        (first, last),
    ).fetchall()
    return dict(cast("list[tuple[int, bytes]]", rows))


def store_id(connection: apsw.Connection) -> bytes:
    """The name that the store got when it was made; every copy of it has the same."""
    found = typed_rows(connection, _SETTING, ("store_id",), (bytes,))
    return found[0][0] if found else b""


def last_hash(
    connection: apsw.Connection, epochs: list[Epoch], keys: ChainKeys, before: int = _NO_END
) -> bytes:
    """The hash that the next batch goes on from, or the one that begins at ``before``."""
    reached, current = last_batch(connection, before - 1) or (-1, NO_HASH)
    for epoch in epochs:
        key = keys[epoch.key_id]
        if reached < epoch.first_position <= before:
            current = epoch_start(key, epoch, store_id(connection), current)
    return current


def _save(connection: apsw.Connection, epochs: list[Epoch]) -> None:
    connection.execute("INSERT OR IGNORE INTO setting VALUES('store_id', randomblob(16))")
    connection.execute(_PUT, ("chain_algorithm", ALGORITHM))
    connection.execute(_PUT, ("chain_epochs", msgspec.json.encode(epochs).decode()))
