"""The history as Parquet, where pyarrow is installed; a clear word where it is not."""

import importlib.util
from pathlib import Path

import pytest

from coldaisle.core.errors import StoreError
from coldaisle.core.events import NewEvent
from coldaisle.core.store import archive_parquet
from coldaisle.core.store.archive_parquet import write_parquet
from coldaisle.core.store.memory import MemoryStore

HAS_PYARROW = importlib.util.find_spec("pyarrow") is not None


async def filled(count: int) -> MemoryStore:
    store = MemoryStore()
    for number in range(1, count + 1):
        event = NewEvent(number.to_bytes(16), "Test", 1, number, "tester", b'{"n":%d}' % number)
        await store.append(f"run-{number % 3}", [event])
    return store


@pytest.mark.skipif(not HAS_PYARROW, reason="pyarrow is not installed")
async def test_every_event_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet

    monkeypatch.setattr(archive_parquet, "GROUP_EVENTS", 1_000)
    store = await filled(2_500)
    assert await write_parquet(store, tmp_path / "history.parquet") == 2_500
    table = parquet.read_table(tmp_path / "history.parquet")
    rows = table.select(["position", "stream", "id", "data"]).to_pylist()
    events = (await store.read_all(limit=5_000)).events
    assert [(row["position"], row["stream"], row["id"], row["data"]) for row in rows] == [
        (event.position, event.stream, event.id, event.data) for event in events
    ]
    recorded = table.column("recorded").cast("int64").to_pylist()
    assert recorded == [event.recorded for event in events]
    with pytest.raises(StoreError, match="already"):
        await write_parquet(store, tmp_path / "history.parquet")


@pytest.mark.skipif(HAS_PYARROW, reason="pyarrow is installed")
async def test_without_pyarrow_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="pip install pyarrow"):
        await write_parquet(await filled(1), tmp_path / "history.parquet")
