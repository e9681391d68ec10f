"""Changes the key of a store's file; also puts encryption on, or takes it off."""

import os
from pathlib import Path

import apsw

from coldaisle.core.errors import StoreUnreadable
from coldaisle.core.store.cipher import StoreKey, rekey
from coldaisle.core.store.lock import lock
from coldaisle.core.store.sqlite_schema import translate


def rekey_store(path: Path, old: StoreKey | None, new: StoreKey | None) -> None:
    """Encrypt the store anew; None is a store that is not encrypted. Raises StoreLocked while it is served.

    Takes as long as copying the file. A crash leaves it under the old key, whole.
    """
    if not path.exists():
        raise StoreUnreadable(f"there is no store at {path}: name the file that `coldaisle serve` writes")
    locked = lock(path)
    try:
        rekey(path, old, new)
    except apsw.Error as error:
        raise translate(error, path) from error
    finally:
        os.close(locked)
