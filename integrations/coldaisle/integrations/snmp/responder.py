"""A device that answers: one UDP socket over a table of encoded rows.

It serves GET, GETNEXT, GETBULK and SET of version 2c. A SET of several varbinds stops at the first that
the model refuses; those before it stay set.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

from coldaisle.integrations.snmp.ber import Value, Varbind, Wire, encode_varbind
from coldaisle.integrations.snmp.errors import MalformedMessage
from coldaisle.integrations.snmp.message import Shell, decode_shell, decode_varbinds, encode
from coldaisle.integrations.snmp.oid import decode_arcs, encode_oid, oid_text
from coldaisle.integrations.snmp.tags import (
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

MAX_REPLY_BYTES = 1_472
"""What one unfragmented Ethernet frame carries; real devices cut their GETBULK replies there."""

MAX_REPETITIONS = 1_000
MAX_SHELL_BYTES = 64
"""Room for everything in a reply but community and varbinds."""

NO_ERROR, TOO_BIG, NO_ACCESS, NOT_WRITABLE = 0, 1, 6, 17


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


class Responder(asyncio.DatagramProtocol):
    """An SNMP agent on its own address; an async context manager.

    A wrong community gets silence and is counted; a SET with the read community gets noAccess.
    Port 0 takes a free one, ``port`` then tells which.
    """

    def __init__(
        self,
        table: Table,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        read_community: str = "public",
        write_community: str = "private",
        on_set: OnSet | None = None,
        max_reply_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        self.table = table
        self.host = host
        self.port = port
        self.requests_count = 0
        self.wrong_community_count = 0
        self.malformed_count = 0
        self._read = read_community.encode()
        self._write = write_community.encode()
        self._on_set = on_set
        self._max_reply_bytes = max_reply_bytes
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, self.port))
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            await asyncio.sleep(0)  # the loop closes the socket in its next turn

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that the device answers on."""
        return self.host, self.port

    def send(self, datagram: bytes, address: tuple[str, int]) -> None:
        """Send from the device's own address and port, as its traps are; dropped while it is closed."""
        if self._transport is not None:
            self._transport.sendto(datagram, address)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one datagram (asyncio calls this)."""
        self.requests_count += 1
        try:
            shell = decode_shell(data)
            if shell.community not in (self._read, self._write):
                self.wrong_community_count += 1
                return
            reply = self._answer(shell, data)
        except MalformedMessage:
            self.malformed_count += 1
            return
        if reply is not None:
            self.send(reply, addr)

    def _answer(self, shell: Shell, data: bytes) -> bytes | None:
        varbinds = decode_varbinds(data, shell)
        if shell.pdu == SET:
            return self._set(shell, varbinds, data)
        rest = self._max_reply_bytes - len(shell.community) - MAX_SHELL_BYTES
        rows: list[bytes] | None
        if shell.pdu == GET_BULK:
            rows = _cut(self._bulk(shell, varbinds), rest)
        elif shell.pdu in (GET, GET_NEXT):
            find = self._row if shell.pdu == GET else self._next_row
            rows = [find(oid) for oid, _, _ in varbinds]
        else:
            return None
        if rows is None or sum(map(len, rows)) > rest:
            return _reply(shell, b"", TOO_BIG)
        return _reply(shell, b"".join(rows))

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

    def _set(self, shell: Shell, varbinds: list[Varbind], data: bytes) -> bytes:
        asked = data[shell.start : shell.stop]
        if shell.community != self._write:
            return _reply(shell, asked, NO_ACCESS, 1)
        for index, (oid, tag, value) in enumerate(varbinds, 1):
            status = self._ask_model(oid_text(oid), tag, value)
            if status != NO_ERROR:
                return _reply(shell, asked, status, index)
        return _reply(shell, asked)

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


def _reply(shell: Shell, varbinds: bytes, status: int = NO_ERROR, index: int = 0) -> bytes:
    return encode(shell.community, RESPONSE, shell.request_id, status, index, varbinds)
