"""What a device answers: the reply PDU to a request PDU, of any version. Pure but for the model's own SET.

A SET of several varbinds stops at the first that the model refuses; those before it stay set. Version 1 has
neither exceptions nor Counter64 nor the newer error names: all three are translated (RFC 3584).
"""

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from coldaisle.integrations.snmp.ber import Varbind, Wire, encode_varbind, read_varbinds
from coldaisle.integrations.snmp.message import V1, Shell, encode_pdu
from coldaisle.integrations.snmp.oid import oid_text
from coldaisle.integrations.snmp.table import Table
from coldaisle.integrations.snmp.tags import (
    COUNTER64,
    END_OF_MIB_VIEW,
    GET,
    GET_BULK,
    GET_NEXT,
    NO_SUCH_INSTANCE,
    RESPONSE,
    SET,
)

OnSet = Callable[[str, int, Wire], int]
"""Asked for each varbind of a SET: OID, tag, decoded value. Returns the error-status, 0 when it is done."""

MAX_REPETITIONS = 1_000

NO_ERROR, TOO_BIG, NO_SUCH_NAME, BAD_VALUE, GEN_ERR, NO_ACCESS = 0, 1, 2, 3, 5, 6
NOT_WRITABLE = 17

_STATUS_V1 = {NO_ACCESS: NO_SUCH_NAME, 11: NO_SUCH_NAME, NOT_WRITABLE: NO_SUCH_NAME, 18: NO_SUCH_NAME,
              7: BAD_VALUE, 8: BAD_VALUE, 9: BAD_VALUE, 10: BAD_VALUE, 12: BAD_VALUE,
              13: GEN_ERR, 14: GEN_ERR, 15: GEN_ERR, 16: NO_SUCH_NAME}  # fmt: skip
"""Error statuses of version 2 as version 1 says them (RFC 3584 section 4.4)."""


class Asked(Struct, frozen=True):
    """A request: its PDU in ``octets``, whether its sender may write, and room for varbinds in the reply."""

    shell: Shell
    octets: bytes
    may_write: bool
    room_bytes: int


class Answering:
    """Answers from a table; ``on_set`` is the model behind it."""

    def __init__(self, table: Table, on_set: OnSet | None) -> None:
        self.table = table
        self._on_set = on_set

    def answer(self, asked: Asked) -> bytes | None:
        """The RESPONSE PDU; None when the request is none that is answered. Raises MalformedMessage."""
        shell = asked.shell
        varbinds = read_varbinds(asked.octets, shell.start, shell.stop)
        if shell.pdu == SET:
            return self._set(asked, varbinds)
        if shell.pdu == GET_BULK and shell.version != V1:
            rows = _cut(self._bulk(shell, varbinds), asked.room_bytes)
        elif shell.pdu in (GET, GET_NEXT):
            if shell.version == V1:
                return self._read_v1(asked, varbinds)
            find = self._row if shell.pdu == GET else self._next_row
            rows = [find(oid) for oid, _, _ in varbinds]
        else:
            return None
        if rows is None or sum(map(len, rows)) > asked.room_bytes:
            return _response(shell, b"", TOO_BIG)
        return _response(shell, b"".join(rows))

    def _read_v1(self, asked: Asked, varbinds: list[Varbind]) -> bytes:
        find = self._row_v1 if asked.shell.pdu == GET else self._next_row_v1
        rows = [find(oid) for oid, _, _ in varbinds]
        echo = asked.octets[asked.shell.start : asked.shell.stop]
        if None in rows:
            return _response(asked.shell, echo, NO_SUCH_NAME, rows.index(None) + 1)
        octets = b"".join(row for row in rows if row is not None)
        if len(octets) > asked.room_bytes:
            return _response(asked.shell, echo, TOO_BIG)
        return _response(asked.shell, octets)

    def _row_v1(self, oid: bytes) -> bytes | None:
        row = self.table.row(oid)
        return None if row is None or _is_counter64(row) else row

    def _next_row_v1(self, oid: bytes) -> bytes | None:
        rows = self.table.rows
        places = range(self.table.place_after(oid), len(rows))
        return next((rows[place] for place in places if not _is_counter64(rows[place])), None)

    def _row(self, oid: bytes) -> bytes:
        return self.table.row(oid) or encode_varbind(oid, NO_SUCH_INSTANCE, None)

    def _next_row(self, oid: bytes) -> bytes:
        place = self.table.place_after(oid)
        if place < len(self.table):
            return self.table.rows[place]
        return encode_varbind(oid, END_OF_MIB_VIEW, None)

    def _bulk(self, shell: Shell, varbinds: list[Varbind]) -> Iterator[bytes]:
        single = max(0, shell.error_status)
        repetitions = min(max(0, shell.error_index), MAX_REPETITIONS)
        for oid, _, _ in varbinds[:single]:
            yield self._next_row(oid)
        columns = [(oid, self.table.place_after(oid)) for oid, _, _ in varbinds[single:]]
        rows = self.table.rows
        ends = [self._end(oid, place) for oid, place in columns]
        for repetition in range(repetitions):
            for (_, place), end in zip(columns, ends, strict=True):
                yield rows[place + repetition] if place + repetition < len(rows) else end
            if all(place + repetition >= len(rows) for _, place in columns):
                return

    def _end(self, oid: bytes, place: int) -> bytes:
        """What a column says past its end, under the name of the row before."""
        return encode_varbind(self.table.last_oid if place < len(self.table) else oid, END_OF_MIB_VIEW, None)

    def _set(self, asked: Asked, varbinds: list[Varbind]) -> bytes:
        shell = asked.shell
        echo = asked.octets[shell.start : shell.stop]
        if not asked.may_write:
            return _response(shell, echo, NO_ACCESS, 1)
        for index, (oid, tag, value) in enumerate(varbinds, 1):
            status = self._ask_model(oid_text(oid), tag, value)
            if status != NO_ERROR:
                return _response(shell, echo, status, index)
        return _response(shell, echo)

    def _ask_model(self, oid: str, tag: int, value: Wire) -> int:
        return NOT_WRITABLE if self._on_set is None else self._on_set(oid, tag, value)


def _cut(rows: Iterable[bytes], rest: int) -> list[bytes] | None:
    """The rows that fit in ``rest`` bytes; None when not even the first does."""
    kept: list[bytes] = []
    for row in rows:
        rest -= len(row)
        if rest < 0:
            return kept or None
        kept.append(row)
    return kept


def _is_counter64(row: bytes) -> bool:
    return read_varbinds(row, 0, len(row))[0][1] == COUNTER64


def _response(shell: Shell, varbinds: bytes, status: int = NO_ERROR, index: int = 0) -> bytes:
    if shell.version == V1:
        status = _STATUS_V1.get(status, status)
    return encode_pdu(RESPONSE, shell.request_id, status, index, varbinds)
