"""Rows of a group reach the table whole, by few statements."""

import asyncio
import sys
import time
from pathlib import Path

import apsw
import pytest

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
    assert inserted(rows(count)) == (rows(count), count // MAX_ROWS + (count % MAX_ROWS).bit_count())


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
