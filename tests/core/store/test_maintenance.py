"""Work in the writer's own thread and transaction, and reading a history that has holes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from coldaisle.core.errors import StoreError
from coldaisle.core.events import NewEvent
from coldaisle.core.store import EventFilter
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.store.sqlite_streams import note_versions


def new(number: int) -> NewEvent:
    return NewEvent(number.to_bytes(16), "Odd" if number % 2 else "Even", 1, number, "tester", b"{}")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "events.db") as opened:
        await opened.append("run-a", [new(n) for n in range(1, 11)])
        yield opened


def remove(low: int, high: int) -> Callable[[apsw.Connection], object]:
    def job(connection: apsw.Connection) -> None:
        note_versions(connection, ["run-a", "run-b"])
        connection.execute("DELETE FROM event WHERE position BETWEEN ? AND ?", (low, high))

    return job


async def test_a_job_answers_what_it_returns_and_raises_what_it_raises(store: SqliteStore) -> None:
    assert await store.maintain(lambda c: c.execute("SELECT count(*) FROM event").get) == 10

    def fails(connection: apsw.Connection) -> None:
        connection.execute("DELETE FROM event")
        raise ValueError("the job's own")

    with pytest.raises(ValueError, match="own"):
        await store.maintain(fails)
    with pytest.raises(StoreError, match="no such table"):
        await store.maintain(lambda c: c.execute("DELETE FROM elsewhere"))
    assert len((await store.read_all()).events) == 10
    assert (await store.append("run-a", [new(11)])).position == 11


async def test_jobs_and_appends_take_turns(store: SqliteStore) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(11, 60):
            group.create_task(store.append("run-b", [new(number)]))
            group.create_task(store.maintain(lambda c: c.execute("SELECT 1").get))
    assert await store.head() == 59


async def test_work_outside_a_transaction_may_vacuum(store: SqliteStore) -> None:
    await store.maintain(lambda c: c.execute("VACUUM").fetchall(), transaction=False)
    assert (await store.append("run-a", [new(11)], 9)).version == 10


async def test_positions_are_not_used_again_when_the_last_events_go(store: SqliteStore) -> None:
    await store.maintain(remove(6, 10))
    assert await store.head() == 10
    page = await store.read_all()
    assert [e.position for e in page.events] == [1, 2, 3, 4, 5]
    assert (page.position, page.caught_up) == (10, True)
    assert await store.position_at(1 << 62) == 5
    done = await store.append("run-a", [new(11)])
    assert (done.version, done.position) == (10, 11)


async def test_positions_are_not_used_again_after_a_restart(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "events.db") as store:
        await store.append("run-a", [new(n) for n in range(1, 12)])
        await store.maintain(remove(1, 11))
    async with SqliteStore(tmp_path / "events.db") as store:
        assert await store.head() == 11
        done = await store.append("run-a", [new(12)])
        assert (done.version, done.position) == (11, 12)


async def test_pages_are_right_where_there_are_holes(store: SqliteStore) -> None:
    await store.maintain(remove(3, 7))
    page = await store.read_all(limit=3)
    assert [e.position for e in page.events] == [1, 2, 8]
    assert (page.position, page.caught_up) == (8, False)
    page = await store.read_all(after=4, limit=10)
    assert [e.position for e in page.events] == [8, 9, 10]
    assert page.caught_up
    odd = await store.read_all(only=EventFilter(types=("Odd",)))
    assert [e.position for e in odd.events] == [1, 9]
    back = await store.read_all(backwards=True, after=8)
    assert [e.position for e in back.events] == [2, 1]
    assert [e.version for e in await store.read_stream("run-a", after=1)] == [7, 8, 9]
    for position in (2, 8):
        (event,) = [e for e in (await store.read_all()).events if e.position == position]
        assert await store.position_at(event.recorded) == 10


async def test_a_subscription_passes_holes(store: SqliteStore) -> None:
    await store.maintain(remove(2, 10))
    pages = store.subscribe_all()
    first = await anext(pages)
    assert ([e.position for e in first.events], first.position, first.caught_up) == ([1], 10, True)
    await store.append("run-a", [new(11)])
    assert [e.position for e in (await anext(pages)).events] == [11]
    await pages.aclose()  # type: ignore[attr-defined]  # an async generator
