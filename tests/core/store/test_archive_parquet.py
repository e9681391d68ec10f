"""The history as Parquet, read back by pyarrow itself; a clear word where pyarrow is not installed."""

import os
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

from coldaisle.core.errors import StoreError
from coldaisle.core.events import NewEvent
from coldaisle.core.store import archive_parquet
from coldaisle.core.store.archive_parquet import write_parquet
from coldaisle.core.store.memory import MemoryStore


async def filled(count: int) -> MemoryStore:
    store = MemoryStore()
    for number in range(1, count + 1):
        event = NewEvent(number.to_bytes(16), "Test", 1, number, "tester", b'{"n":%d}' % number)
        await store.append(f"run-{number % 3}", [event])
    return store


@pytest.mark.parametrize(("bound", "groups"), [("GROUP_EVENTS", 3), ("GROUP_BYTES", 2)])
async def test_every_event_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, groups: int
) -> None:
    monkeypatch.setattr(archive_parquet, bound, {"GROUP_EVENTS": 1_000, "GROUP_BYTES": 14_000}[bound])
    store = await filled(2_500)
    told: list[int] = []
    path = tmp_path / "history.parquet"
    assert await write_parquet(store, path, lambda after, _: told.append(after)) == 2_500
    table = parquet.read_table(path)
    assert (parquet.read_metadata(path).num_row_groups, told[-1]) == (groups, 2_500)
    rows = table.select(["position", "stream", "id", "data"]).to_pylist()
    events = (await store.read_all(limit=5_000)).events
    assert [(row["position"], row["stream"], row["id"], row["data"]) for row in rows] == [
        (event.position, event.stream, event.id, event.data) for event in events
    ]
    recorded = table.column("recorded").cast("int64").to_pylist()
    assert recorded == [event.recorded for event in events]
    with pytest.raises(StoreError, match="already"):
        await write_parquet(store, path)


async def test_an_empty_history_is_a_file_of_no_rows(tmp_path: Path) -> None:
    assert await write_parquet(MemoryStore(), tmp_path / "none.parquet") == 0
    assert parquet.read_table(tmp_path / "none.parquet").num_rows == 0


async def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none/history\.parquet was not written"):
        await write_parquet(await filled(1), tmp_path / "none" / "history.parquet")
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_is_told_and_given_back(small_disk: Path) -> None:
    store = MemoryStore()
    noise = [NewEvent(n.to_bytes(16), "Test", 1, n, "tester", os.urandom(500_000)) for n in range(1, 5)]
    await store.append("run-a", noise)
    with pytest.raises(StoreError, match="No space left"):
        await write_parquet(store, small_disk / "history.parquet")
    assert list(small_disk.iterdir()) == []


async def test_without_pyarrow_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as import sees a package that is not installed
    with pytest.raises(StoreError, match=r"pip install 'coldaisle\[parquet\]'"):
        await write_parquet(await filled(1), tmp_path / "history.parquet")
