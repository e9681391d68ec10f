"""What was learned of each device, kept over restarts: the profile, columns not to ask for, row indexes."""

from pathlib import Path

from msgspec import Struct

from coldaisle.core.events.types import AssetObserved
from coldaisle.integrations.snmp.keeping import read_kept, write_kept
from coldaisle.integrations.snmp.naming import row_asset

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
        self._known = read_kept(path, dict[str, Learned], {})
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
        self._changed = False  # first: what is learned while a thread writes is for the next time
        if not write_kept(self._path, self._known):
            self._changed = True


def renumbered(asset: str, known: Indexes, found: Indexes) -> list[AssetObserved]:
    """An observation for each row of a tracked table that lies at another index than it did."""
    return [
        AssetObserved(
            row_asset(asset, name), label,
            {"device": asset, "name": name, "index": index, "previous_index": before}, "snmp",
        )
        for label, rows in found.items()
        for name, index in rows.items()
        if (before := known.get(label, {}).get(name, index)) != index
    ]  # fmt: skip
