"""A file of an older schema becomes one of this program's: step by step, each step whole or not at all.

A step is named by the version that it starts from, and a published step is never edited. Before the first
step the file is backed up beside itself.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import apsw

from coldaisle.core.errors import StoreUnreadable
from coldaisle.core.store.backup import backup
from coldaisle.core.store.cipher import StoreKey
from coldaisle.core.store.sqlite_schema import SCHEMA_VERSION

Step = Callable[[apsw.Connection], None]

MIGRATIONS: Mapping[int, Step] = {}
"""From which schema number, how to the next. Empty as long as there was one schema only."""


def migrate(
    connection: apsw.Connection,
    path: Path,
    steps: Mapping[int, Step] = MIGRATIONS,
    target: int = SCHEMA_VERSION,
    *,
    key: StoreKey | None = None,
) -> int:
    """Bring the file up to ``target``; the number of steps taken. Raises StoreUnreadable for want of one."""
    found = int(connection.pragma("user_version"))
    if found >= target:
        return 0
    missing = [version for version in range(found, target) if version not in steps]
    if missing:
        raise StoreUnreadable(
            f"{path} has schema {found}, and this Coldaisle knows no way from {missing[0]} to {target}: "
            "open it with the Coldaisle that wrote it and copy it from there"
        )
    saved = path.with_name(f"{path.name}.schema-{found}")
    if not saved.exists():
        backup(path, saved, key=key)
    for version in range(found, target):
        with connection:
            steps[version](connection)
            connection.execute(f"PRAGMA user_version={version + 1}")
    return target - found
