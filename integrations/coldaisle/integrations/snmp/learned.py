"""What was learned of each device, kept over restarts: the profile, columns not to ask for, row indexes."""

import logging
import os
from pathlib import Path

import msgspec
from msgspec import Struct

MAX_FILE_BYTES = 268_435_456

_log = logging.getLogger(__name__)

Indexes = dict[str, dict[str, str]]
"""Where rows lie: label of the table, then name of the row, to its index."""


class Learned(Struct, frozen=True):
    """One device. ``needless`` columns brought nothing when all were asked for (UTC ns ``learned_at``)."""

    profile: str = ""
    needless: frozenset[str] = frozenset()
    learned_at: int = 0
    indexes: Indexes = {}


class Memory:
    """What was learned, by asset; in ``path`` when there is one. A file that cannot be read is begun anew."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known = _read(path) if path is not None else {}
        self._changed = False

    def of(self, asset: str) -> Learned:
        """What is known of an asset; empty when nothing is."""
        return self._known.get(asset, Learned())

    def learn(self, asset: str, learned: Learned) -> None:
        """Replace what is known of an asset."""
        if self._known.get(asset) != learned:
            self._known[asset] = learned
            self._changed = True

    def keep_only(self, assets: set[str]) -> None:
        """Forget the others."""
        self._known = {asset: known for asset, known in self._known.items() if asset in assets}

    def save(self) -> None:
        """Write what changed, whole or not at all; a fault is logged, for all can be learned again."""
        if self._path is None or not self._changed:
            return
        partly = self._path.with_suffix(".partly")
        try:
            partly.write_bytes(msgspec.json.encode(self._known))
            os.replace(partly, self._path)
        except OSError as error:
            _log.warning(
                "what was learned cannot be kept", extra={"file": str(self._path), "reason": str(error)}
            )
        else:
            self._changed = False


def _read(path: Path) -> dict[str, Learned]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"over {MAX_FILE_BYTES} bytes")
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Learned])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.warning("what was learned is begun anew", extra={"file": str(path), "reason": str(error)})
        return {}
