"""The objects of a simulated device: encoded varbinds in the order of their OIDs."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping

from coldaisle.integrations.snmp.ber import Value, encode_varbind
from coldaisle.integrations.snmp.oid import decode_arcs, encode_oid


class Table:
    """The objects of a device: encoded varbinds in the order of their OIDs."""

    def __init__(self, rows: Mapping[str, tuple[int, Value]] | None = None) -> None:
        self._values: dict[str, tuple[int, Value]] = {}
        self._places: dict[bytes, int] = {}
        self._keys: list[tuple[int, ...]] = []
        self._rows: list[bytes] = []
        self._last_oid = b""
        self.update(rows or {})

    def __len__(self) -> int:
        """How many objects there are."""
        return len(self._rows)

    def update(self, rows: Mapping[str, tuple[int, Value]]) -> None:
        """Set objects by OID to ``(tag, value)``; new OIDs cost a sort, known ones only their encoding.

        Raises InvalidOid or InvalidValue; rows before the wrong one may be set by then.
        """
        fresh: dict[bytes, bytes] = {}
        for oid, row in rows.items():
            if self._values.get(oid) == row:
                continue
            raw = encode_oid(oid)
            place = self._places.get(raw)
            encoded = encode_varbind(raw, *row)
            if place is None:
                fresh[raw] = encoded
            else:
                self._rows[place] = encoded
            self._values[oid] = row
        if fresh:
            self._rebuild({**self._by_raw_oid(), **fresh})

    def remove(self, oids: Iterable[str]) -> None:
        """Take objects out; unknown ones are ignored."""
        rows = self._by_raw_oid()
        for oid in oids:
            self._values.pop(oid, None)
            rows.pop(encode_oid(oid), None)
        self._rebuild(rows)

    def value(self, oid: str) -> tuple[int, Value] | None:
        """The tag and value that were set under this text, None without."""
        return self._values.get(oid)

    def row(self, raw: bytes) -> bytes | None:
        """The encoded varbind of an OID, None without."""
        place = self._places.get(raw)
        return None if place is None else self._rows[place]

    def place_after(self, raw: bytes) -> int:
        """Where the first object after an OID lies; raises MalformedMessage."""
        place = self._places.get(raw)
        return bisect_right(self._keys, decode_arcs(raw)) if place is None else place + 1

    @property
    def rows(self) -> list[bytes]:
        """The encoded varbinds in the order of their OIDs; not to be changed by the reader."""
        return self._rows

    @property
    def last_oid(self) -> bytes:
        """The greatest OID; empty without rows."""
        return self._last_oid

    def _by_raw_oid(self) -> dict[bytes, bytes]:
        return {raw: self._rows[place] for raw, place in self._places.items()}

    def _rebuild(self, rows: dict[bytes, bytes]) -> None:
        ordered = sorted((decode_arcs(raw), raw) for raw in rows)
        self._keys = [key for key, _ in ordered]
        self._rows = [rows[raw] for _, raw in ordered]
        self._places = {raw: place for place, (_, raw) in enumerate(ordered)}
        self._last_oid = ordered[-1][1] if ordered else b""
