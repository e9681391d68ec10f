"""A history as a Parquet file, for tools that read columns. Needs pyarrow (the extra ``parquet``).

One row an event; the payload stays JSON in one column. Not an archive: nothing reads it back.
"""

import importlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from coldaisle.core.errors import StoreError
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.backup import require_absent
from coldaisle.core.store.backup_copy import Source
from coldaisle.core.store.page_bound import data_bytes

GROUP_EVENTS = 65_536
GROUP_BYTES = 16 << 20
"""Rows, and data, that are compressed together: what the writing of a file holds in memory."""

Progress = Callable[[int, int], None]


async def write_parquet(history: Source, target: Path, progress: Progress = lambda *_: None) -> int:
    """Write all events to the new file; how many. Raises StoreError, also where pyarrow is missing."""
    require_absent(target)
    pyarrow, parquet = _pyarrow()
    schema = _schema(pyarrow)
    partial = target.with_name(f".{target.name}.partial")
    count, end = 0, await history.head()
    try:
        with parquet.ParquetWriter(str(partial), schema, compression="zstd") as writer:
            async for events, after in _groups(history, end):
                writer.write_table(_table(pyarrow, schema, events))
                count += len(events)
                progress(after, end)
        os.link(partial, target)
    except OSError as error:
        raise StoreError(f"{target} was not written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


async def _groups(history: Source, end: int) -> AsyncIterator[tuple[list[Recorded], int]]:
    """Events that are compressed together, and the position up to which the history is read."""
    after, size_bytes = 0, 0
    waiting: list[Recorded] = []
    while after < end:
        page = await history.read_all(after=after)
        after = page.position
        waiting += page.events
        size_bytes += data_bytes(page.events)
        if waiting and (after >= end or len(waiting) >= GROUP_EVENTS or size_bytes >= GROUP_BYTES):
            yield waiting, after
            waiting, size_bytes = [], 0


def _pyarrow() -> tuple[Any, Any]:  # Any: pyarrow ships no types, and is not installed everywhere
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise StoreError("Parquet needs pyarrow: pip install 'coldaisle[parquet]'") from error


def _schema(pyarrow: Any) -> Any:  # as above
    whole, text, raw = pyarrow.int64(), pyarrow.string(), pyarrow.binary()
    moment = pyarrow.timestamp("ns", tz="UTC")
    return pyarrow.schema([
        ("position", whole), ("stream", text), ("version", whole), ("id", raw), ("type", text),
        ("schema", whole), ("time", moment), ("recorded", moment), ("actor", text), ("data", raw),
        ("correlation_id", raw), ("causation_id", raw),
    ])  # fmt: skip


def _table(pyarrow: Any, schema: Any, events: list[Recorded]) -> Any:  # as above
    columns = {name: [getattr(event, name) for event in events] for name in schema.names}
    return pyarrow.table(columns, schema=schema)
