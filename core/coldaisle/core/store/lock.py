"""The lock that keeps a store to one writing process."""

import fcntl
import os
from pathlib import Path

from coldaisle.core.errors import StoreError, StoreLocked


def lock(path: Path) -> int:
    """A lock that ends with the process: two writers would each believe in their own positions."""
    try:
        lock_file = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise StoreError(f"{path}.lock cannot be made ({error.strerror}): check the folder") from error
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock_file)
        raise StoreLocked(
            f"another process writes to {path}: stop it, or open the store read-only"
        ) from error
    return lock_file
