"""Rows of a group reach the table whole, by few statements."""

import asyncio
import sys
import time
from pathlib import Path

import apsw
import pytest

from coldaisle.core.errors import StoreUnreadable
from coldaisle.core.events import NewEvent
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_insert import MAX_ROWS, MAX_TOGETHER_BYTES, Row, insert_events
from coldaisle.core.store.sqlite_schema import SCHEMA


def rows(count: int, data: bytes = b"{}") -> list[Row]:
    return [(n, 1, n, n.to_bytes(16), "Test", 1, n, n, "t", data, None, None) for n in range(1, count + 1)]


def inserted(given: list[Row]) -> tuple[list[Row], int]:
    """What the table holds afterwards, and with how many statements."""
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    statements: list[str] = []

    def note(_: object, statement: str, __: object) -> bool:
        statements.append(statement)
        return True

    connection.exec_trace = note
    insert_events(connection, given)
    connection.exec_trace = None
    return connection.execute("SELECT * FROM event ORDER BY position").fetchall(), len(statements)


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 100, 127, 1_000])
def test_groups_of_any_size_are_written_whole(count: int) -> None:
    """The first by itself: it names its position."""
    others = max(0, count - 1)
    statements = min(count, 1) + others // MAX_ROWS + (others % MAX_ROWS).bit_count()
    assert inserted(rows(count)) == (rows(count), statements)


def test_rows_begin_behind_positions_that_were_removed() -> None:
    assert inserted(rows(200)[90:])[0] == rows(200)[90:]


async def test_an_append_before_a_row_that_somebody_else_wrote_is_refused_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    events = [NewEvent(n.to_bytes(16), "Test", 1, n, "t", b"{}") for n in range(1, 11)]
    foreign = "INSERT INTO event VALUES(9, 1, 99, randomblob(16), 'Test', 1, 9, 9, 't', x'', NULL, NULL)"
    async with SqliteStore(tmp_path / "a.db") as store:
        await store.append("s", events[:2])
        stranger = apsw.Connection(str(tmp_path / "a.db"))
        stranger.execute(foreign)
        stranger.close()
        with pytest.raises(StoreUnreadable):
            await store.append("s", events[2:])
        assert [event.position for event in await store.read_stream("s")] == [1, 2, 9]


def test_rows_with_much_data_go_one_by_one() -> None:
    given = [*rows(3), *rows(5, b"x" * (MAX_TOGETHER_BYTES + 1))[3:]]
    assert inserted(given) == (given, 5)


def test_an_append_passes_beside_a_busy_event_loop(tmp_path: Path) -> None:
    interval = sys.getswitchinterval()
    events = [NewEvent(n.to_bytes(16), "Test", 1, n, "t", b"{}") for n in range(100)]

    async def compute(until: asyncio.Event) -> None:
        while not until.is_set():
            stop = time.perf_counter() + 0.001
            while time.perf_counter() < stop:
                pass
            await asyncio.sleep(0)

    async def run() -> int:
        done = asyncio.Event()
        async with SqliteStore(tmp_path / "a.db") as store, asyncio.TaskGroup() as group:
            group.create_task(compute(done))
            try:
                async with asyncio.timeout(30):  # of milliseconds; with the usual interval it is a minute
                    appended = await store.append("s", events)
            finally:
                done.set()
        return appended.version

    try:
        sys.setswitchinterval(0.0001)
        assert asyncio.run(run()) == len(events) - 1
    finally:
        sys.setswitchinterval(interval)
