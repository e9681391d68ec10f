"""A history as a Parquet file, for tools that read columns. Needs pyarrow, which no extra brings.

One row an event; the payload stays JSON in one column. Not an archive: nothing reads it back.
"""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coldaisle.core.errors import StoreError
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.backup import require_absent
from coldaisle.core.store.backup_copy import Source

GROUP_EVENTS = 65_536
"""Rows that are compressed together: what the writing of a file holds in memory."""

Progress = Callable[[int, int], None]


async def write_parquet(history: Source, target: Path, progress: Progress = lambda *_: None) -> int:
    """Write all events to the new file; how many. Raises StoreError without pyarrow."""
    require_absent(target)
    pyarrow, parquet = _pyarrow()
    schema = _schema(pyarrow)
    partial = target.with_name(f".{target.name}.partial")
    count, after, end = 0, 0, await history.head()
    waiting: list[Recorded] = []
    with parquet.ParquetWriter(str(partial), schema, compression="zstd") as writer:
        while after < end:
            page = await history.read_all(after=after)
            after = page.position
            waiting += page.events
            if waiting and (after >= end or len(waiting) >= GROUP_EVENTS):
                writer.write_table(_table(pyarrow, schema, waiting))
                count += len(waiting)
                waiting = []
            progress(after, end)
    os.link(partial, target)
    partial.unlink()
    return count


def _pyarrow() -> tuple[Any, Any]:  # Any: pyarrow ships no types, and is not installed everywhere
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise StoreError("Parquet needs the module pyarrow: pip install pyarrow") from error


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
