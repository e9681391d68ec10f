"""Saved states of folds, so that a start does not begin at the first event.

A snapshot is a cache: one that is damaged, of another schema or beyond the history is passed over, and the
fold begins earlier. Nothing here is a source of truth, so nothing here is an error.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from msgspec import Struct

from coldaisle.core.errors import StoreError

if TYPE_CHECKING:
    import apsw

    from coldaisle.core.store.sqlite import SqliteStore

KEPT_SNAPSHOTS = 8
"""Snapshots kept of one name, spread over the history: a twin of long ago starts from the nearest one."""

KEPT_LATEST_SNAPSHOTS = 2
"""Likewise of what is only ever loaded at its newest: one more, should that one be damaged."""

MAX_SNAPSHOT_BYTES = 512 << 20
"""Detection takes 7 kB for an asset of four metrics."""

PART_BYTES = 1 << 20
"""Of a snapshot in one transaction. All at once, 60 MB held up appends for one to three seconds."""

PART_REST_SECONDS = 0.005
"""Between two transactions: meanwhile appends have the writer."""

FORGOTTEN_PARTS = 2
"""Parts that one transaction removes."""

_POSITIONS = (
    "SELECT position FROM snapshot WHERE name = ? AND position <= ? AND schema = ? "
    "AND typeof(position) = 'integer' ORDER BY position DESC"
)
_FIRST = "SELECT CAST(sha256 AS BLOB), CAST(data AS BLOB) FROM snapshot WHERE name = ? AND position = ?"
_PARTS = "SELECT CAST(data AS BLOB) FROM snapshot_part WHERE name = ? AND position = ? ORDER BY part"
_FORGET_PARTS = (
    "DELETE FROM snapshot_part WHERE rowid IN (SELECT rowid FROM snapshot_part WHERE name = ?1 "
    "AND position NOT IN (SELECT position FROM snapshot WHERE name = ?1) LIMIT ?2) RETURNING part"
)
log = logging.getLogger(__name__)


class Snapshot(Struct, frozen=True):
    """A state, and the position that it had taken in."""

    position: int
    data: bytes


class Snapshots(Protocol):
    """Where snapshots are kept."""

    async def save_snapshot(
        self, name: str, position: int, schema: int, data: bytes, *, only_latest: bool = False
    ) -> None:
        """Keep a state, with ``only_latest`` none of long ago. Raises StoreError where it cannot."""
        ...

    async def load_snapshot(self, name: str, schema: int, *, at_most: int | None = None) -> Snapshot | None:
        """The newest usable state of this schema, at or before ``at_most``."""
        ...


def superfluous(positions: Iterable[int], kept: int = KEPT_SNAPSHOTS) -> list[int]:
    """Which of the positions to drop so that the rest is the newest one and an even spread."""
    rest, dropped = sorted(positions), []
    while len(rest) > max(1, kept):
        gaps = [rest[n + 1] - (rest[n - 1] if n else 0) for n in range(len(rest) - 1)]
        dropped.append(rest.pop(gaps.index(min(gaps))))
    return dropped


def _superfluous(positions: Iterable[int], only_latest: bool) -> list[int]:
    return sorted(positions)[:-KEPT_LATEST_SNAPSHOTS] if only_latest else superfluous(positions)


class MemorySnapshots:
    """Snapshots that end with the process: for tests, and beside a MemoryStore."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[int, tuple[int, bytes]]] = {}

    async def save_snapshot(
        self, name: str, position: int, schema: int, data: bytes, *, only_latest: bool = False
    ) -> None:
        """See Snapshots."""
        kept = self._kept.setdefault(name, {})
        kept[position] = (schema, data)
        for old in _superfluous(kept, only_latest):
            del kept[old]

    async def load_snapshot(self, name: str, schema: int, *, at_most: int | None = None) -> Snapshot | None:
        """See Snapshots."""
        for position, (found, data) in sorted(self._kept.get(name, {}).items(), reverse=True):
            if found == schema and (at_most is None or position <= at_most):
                return Snapshot(position, data)
        return None


class SqliteSnapshots:
    """Snapshots in the file of the history that they are of, so that a backup holds both.

    A large one is written in parts, the first of them last: with it, and only then, the snapshot is there.
    """

    def __init__(self, store: "SqliteStore") -> None:
        self._store = store
        self._turn = asyncio.Lock()  # whoever is done removes parts without a snapshot, also another's

    async def save_snapshot(
        self, name: str, position: int, schema: int, data: bytes, *, only_latest: bool = False
    ) -> None:
        """See Snapshots."""
        if len(data) > MAX_SNAPSHOT_BYTES:
            log.warning("a snapshot is too large to keep", extra={"snapshot": name, "bytes": len(data)})
            return
        digest = await asyncio.to_thread(_digest, position, schema, data)
        view = memoryview(data)
        first, *others = (view[at : at + PART_BYTES] for at in range(0, max(1, len(data)), PART_BYTES))
        async with self._turn:
            try:
                for part in enumerate(others, start=1):
                    await self._store.maintain(partial(_add_part, name=name, position=position, part=part))
                    await asyncio.sleep(PART_REST_SECONDS)
                row = (name, position, schema, digest, first)
                await self._store.maintain(
                    partial(_save, row=row, parts=len(others), only_latest=only_latest)
                )
            finally:
                await self._forget_parts(name)

    async def _forget_parts(self, name: str) -> None:
        """Those of dropped snapshots, and of one that was never finished."""
        with contextlib.suppress(StoreError):  # the next one tries again
            removed = FORGOTTEN_PARTS
            while removed == FORGOTTEN_PARTS:
                removed = await self._store.maintain(partial(_forget_some, name=name))
                await asyncio.sleep(PART_REST_SECONDS)

    async def load_snapshot(self, name: str, schema: int, *, at_most: int | None = None) -> Snapshot | None:
        """See Snapshots. A damaged file that can still be read up to here costs time, not the start."""
        end = await self._store.head() if at_most is None else at_most
        try:
            return await self._store.inspect(lambda connection: _load(connection, name, schema, end))
        except StoreError as error:
            log.warning("snapshots cannot be read", extra={"snapshot": name, "error": str(error)})
            return None


def snapshot_positions(connection: "apsw.Connection") -> dict[str, int]:
    """The newest position that each name has a snapshot of."""
    from coldaisle.core.store.sqlite_schema import typed_rows

    query = "SELECT name, max(position) FROM snapshot GROUP BY name"
    return dict(typed_rows(connection, query, (), (str, int)))


def _digest(position: int, schema: int, data: bytes) -> bytes:
    digest = hashlib.sha256(b"%d/%d/" % (position, schema))
    digest.update(data)  # not one text: that would be a copy of all of it
    return digest.digest()


def _add_part(connection: "apsw.Connection", name: str, position: int, part: tuple[int, memoryview]) -> None:
    """With its first other part a snapshot of the same position is no more: never is one half another's."""
    connection.execute("DELETE FROM snapshot WHERE name = ? AND position = ?", (name, position))
    connection.execute("INSERT OR REPLACE INTO snapshot_part VALUES(?,?,?,?)", (name, position, *part))


def _save(
    connection: "apsw.Connection",
    row: tuple[str, int, int, bytes, memoryview],
    parts: int,
    only_latest: bool,
) -> None:
    """With the first part the snapshot is there, and older ones may go."""
    name, position = row[:2]
    connection.execute(
        "DELETE FROM snapshot_part WHERE name = ? AND position = ? AND part > ?", (name, position, parts)
    )
    connection.execute("INSERT OR REPLACE INTO snapshot VALUES(?,?,?,?,?)", row)
    found = connection.execute("SELECT position FROM snapshot WHERE name = ?", (name,)).fetchall()
    for old in _superfluous([at for (at,) in cast("list[tuple[int]]", found)], only_latest):
        connection.execute("DELETE FROM snapshot WHERE name = ? AND position = ?", (name, old))


def _forget_some(connection: "apsw.Connection", name: str) -> int:
    """How many parts were removed that belong to no snapshot."""
    return len(connection.execute(_FORGET_PARTS, (name, FORGOTTEN_PARTS)).fetchall())


def _load(connection: "apsw.Connection", name: str, schema: int, end: int) -> Snapshot | None:
    found = connection.execute(_POSITIONS, (name, end, schema)).fetchall()
    for (position,) in cast("list[tuple[int]]", found):
        rows = connection.execute(_FIRST, (name, position)).fetchall()
        parts = connection.execute(_PARTS, (name, position)).fetchall()
        data = b"".join(part for *_, part in cast("list[tuple[bytes, ...]]", [*rows, *parts]))
        if rows and _digest(position, schema, data) == rows[0][0]:
            return Snapshot(position, data)
        log.warning("a damaged snapshot is passed over", extra={"snapshot": name, "position": position})
    return None
