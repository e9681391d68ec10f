"""Events out of an SQLite file, page by page; runs in a reader's thread."""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from sys import intern
from typing import cast

import apsw

from coldaisle.core.errors import StoreUnreadable
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.page_bound import SLICE_EVENTS, take_page
from coldaisle.core.store.port import EVERYTHING, EventFilter, Page, Step
from coldaisle.core.store.replay import run_step
from coldaisle.core.store.sqlite_insert import Row
from coldaisle.core.store.sqlite_schema import LAST_POSITION, typed_rows

SCAN_WINDOW_EVENTS = 50_000
"""Events that one filtered read looks at, at most: a rare type does not hold a reader for a whole history."""

MAX_STEP_EVENTS = 4_000
"""Events that a replay gives to its step: so long it holds a reader, and the log's checkpoint back."""

KEPT_BYTES = 4 << 20
"""Freed memory that a reader may keep for its next page; most pages take less."""

MAX_KNOWN_NAMES = 100_000
"""Streams whose name a reader remembers (some 20 MB): runs and alerts have a stream each."""

_COLUMNS = (
    "position, stream_id, version, id, type, schema, time, recorded, actor, data, "
    "correlation_id, causation_id"
)
_NAMES_FROM = "SELECT id, name FROM stream WHERE id >= ? ORDER BY id LIMIT 256"
_RECORDED_FROM = "SELECT recorded FROM event WHERE position >= ? ORDER BY position LIMIT 1"
_VISIBLE = "(SELECT id FROM stream WHERE name = ? AND NOT tombstoned)"
_FIRST_VISIBLE = "(SELECT truncate_before FROM stream WHERE name = ?)"


class PageReader:
    """Reads pages of one file, over whichever connection; it remembers the streams' names."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream_names: dict[int, str] = {}
        _keep_freed_memory()

    def stream(
        self, connection: apsw.Connection, name: str, after: int, limit: int, backwards: bool
    ) -> list[Recorded]:
        """What ``EventStore.read_stream`` gives."""
        bound, order = ("<", "DESC") if backwards else (">", "ASC")
        edge = (1 << 62) if backwards and after < 0 else after
        query = (
            f"SELECT {_COLUMNS} FROM event WHERE stream_id = {_VISIBLE} AND version >= {_FIRST_VISIBLE} "
            f"AND version {bound} ? ORDER BY version {order} LIMIT ?"
        )
        return self._records(connection, query, (name, name, edge, limit))[0]

    def page(self, connection: apsw.Connection, after: int, limit: int, only: EventFilter) -> Page:
        """The events after a position, oldest first."""
        newest = head(connection)
        end = newest if only == EVERYTHING else min(newest, after + SCAN_WINDOW_EVENTS)
        where, values = _conditions(only)
        query = (
            f"SELECT {_COLUMNS} FROM event WHERE position > ? AND position <= ?{where} "
            "ORDER BY position LIMIT ?"
        )
        events, whole = self._records(connection, query, (after, end, *values, limit))
        position = max(after, end) if whole and len(events) < limit else events[-1].position
        return Page(events, position, caught_up=position >= newest)

    def page_backwards(self, connection: apsw.Connection, after: int, limit: int, only: EventFilter) -> Page:
        """The events before a position, or from the end when it is 0, newest first."""
        end = after or head(connection) + 1
        start = 0 if only == EVERYTHING else max(0, end - SCAN_WINDOW_EVENTS)
        where, values = _conditions(only)
        query = (
            f"SELECT {_COLUMNS} FROM event WHERE position < ? AND position >= ?{where} "
            "ORDER BY position DESC LIMIT ?"
        )
        events, whole = self._records(connection, query, (end, start, *values, limit))
        position = max(1, start) if whole and len(events) < limit else events[-1].position
        return Page(events, position, caught_up=position <= 1)

    def replay(self, connection: apsw.Connection, step: Step, after: int, end: int) -> int:
        """What ``EventStore.replay`` does.

        Each slice is used and dropped before the next is fetched, and so never leaves the core's own cache:
        by pages of a thousand events a replay takes a third longer, and more beside a busy neighbour.
        """
        query = f"SELECT {_COLUMNS} FROM event WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
        end = min(end, head(connection))
        if after >= end:
            return after
        count = 0

        def events(slices: Iterator[list[Recorded]]) -> Iterator[Recorded]:
            nonlocal count, after
            for events in slices:
                count += len(events)
                after = events[-1].position
                yield from events

        with closing(connection.execute(query, (after, end, MAX_STEP_EVENTS))) as cursor:
            slices = self._slices(connection, cast("Iterator[Row]", cursor))  # see _records
            run_step(step, events(slices))
        return after if count == MAX_STEP_EVENTS else end

    def _records(
        self, connection: apsw.Connection, query: str, values: tuple[int | str, ...]
    ) -> tuple[list[Recorded], bool]:
        """The events of one page, and whether the page's bytes had room for all of them."""
        # apsw types a row by what SQLite could hold; the schema says what these columns do hold
        with closing(connection.execute(query, values)) as cursor:
            slices = self._slices(connection, cast("Iterator[Row]", cursor))
            try:
                return take_page(chain.from_iterable(slices))
            except TypeError as error:  # data without a length
                raise self._altered() from error

    def _slices(self, connection: apsw.Connection, rows: Iterator[Row]) -> Iterator[list[Recorded]]:
        """Rows become events while they are in the core's own cache."""
        while fetched := list(islice(rows, SLICE_EVENTS)):
            yield self._named(connection, fetched)

    def _named(self, connection: apsw.Connection, rows: list[Row]) -> list[Recorded]:
        try:
            try:
                return _recorded(rows, self._stream_names)
            except KeyError:
                names = self._look_up(connection, {row[1] for row in rows})
            return _recorded(rows, names)
        except KeyError as error:
            raise StoreUnreadable(
                f"{self._path}: an event is of stream {error}, which is not there: restore a backup"
            ) from error
        except TypeError as error:  # a text that is none
            raise self._altered() from error

    def _look_up(self, connection: apsw.Connection, ids: set[int]) -> dict[int, str]:
        """The names of these streams, and of those that began after them: they often come next."""
        known = self._stream_names
        names = {each: known[each] for each in ids if each in known}
        while missing := ids - names.keys():
            first = min(missing)
            names.update(cast("list[tuple[int, str]]", connection.execute(_NAMES_FROM, (first,)).fetchall()))
            if first not in names:
                raise KeyError(first)
        if len(known) + len(names) > MAX_KNOWN_NAMES:
            self._stream_names = names  # the old ones stay whole: another thread may read in them
        else:
            known.update(names)
        return names

    def _altered(self) -> StoreUnreadable:
        return StoreUnreadable(
            f"{self._path}: an event holds a value of another type than was written: "
            "`coldaisle store check` names its position; restore a backup"
        )


def _keep_freed_memory() -> None:
    """Else a page's memory goes back to the system and the next one faults it in: a fifth of a replay's time.

    GNU's malloc takes the size of a large block that is freed as the measure of what to keep (mallopt(3),
    M_MMAP_THRESHOLD). The block is never touched, so it costs nothing, here or with another library.
    """
    bytes(KEPT_BYTES)


def _recorded(rows: list[Row], names: dict[int, str]) -> list[Recorded]:
    """Twelve names, because slicing each row costs a tenth of reading; texts that repeat are kept once."""
    return [
        Recorded(
            position, names[stream_id], version, own, intern(type_name), schema, time, recorded,
            intern(actor), data, correlation_id, causation_id,
        )
        for (
            position, stream_id, version, own, type_name, schema, time, recorded, actor, data,
            correlation_id, causation_id,
        ) in rows
    ]  # fmt: skip


def head(connection: apsw.Connection) -> int:
    """The newest position; 0 in an empty store."""
    return int(connection.execute(LAST_POSITION).get)


def data_version(connection: apsw.Connection) -> int:
    """Another number whenever another connection, also in another process, has written since."""
    return int(connection.execute("PRAGMA data_version").get)


def position_at(connection: apsw.Connection, time: int) -> int:
    """See EventStore: a binary search, because ``recorded`` never falls along positions."""
    low, high = 0, head(connection)
    while low < high:
        middle = (low + high + 1) // 2
        found = typed_rows(connection, _RECORDED_FROM, (middle,), (int,))
        early = bool(found) and found[0][0] <= time  # nothing: the last events were removed
        low, high = (middle, high) if early else (low, middle - 1)
    return low


def _conditions(only: EventFilter) -> tuple[str, tuple[str, ...]]:
    """The filter as SQL; prefixes become ranges of names, so that the index on names serves them.

    The plus sign keeps SQLite from going along the streams, and so through their whole history for each page:
    a page goes along the positions, as one without a filter does.
    """
    parts: list[str] = []
    values: list[str] = []
    if only.types:
        parts.append(f" AND type IN ({','.join('?' * len(only.types))})")
        values.extend(only.types)
    if only.stream_prefixes:
        ranges = " OR ".join("name >= ? AND name < ?" for _ in only.stream_prefixes)
        parts.append(f" AND +stream_id IN (SELECT id FROM stream WHERE {ranges})")
        for prefix in only.stream_prefixes:
            values.extend((prefix, prefix + "\U0010ffff"))
    return "".join(parts), tuple(values)
