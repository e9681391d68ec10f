"""Rows straight from the pages of an SQLite file, without its tree: what a torn file still holds.

Each leaf page of a table names its own rows, so that a row can be read although every page above it is
gone. A row counts only if all of it is consistent: lengths add up, types are those of the table, texts are
text. Nothing is written, and nothing is trusted: a number that leads out of the file ends a row, and a page
that the disk does not give is lost. The file is not mapped: such a page would end the process.

Format: https://www.sqlite.org/fileformat2.html, sections 1.2 to 1.6 and 2.1.
"""

import os
from collections.abc import Container, Iterator
from pathlib import Path

from coldaisle.core.store.sqlite_schema import PAGE_BYTES

Value = int | float | str | bytes | None
Row = tuple[Value, ...]
"""The row's number first, then its columns, of which the first is NULL where it is the row's number."""

MAX_ROW_BYTES = 4 << 20
_MAX_KEY = (1 << 63) - 1
"""Beyond are the negative ones, and no row of a store has such a key."""

_LEAF = 0x0D
_FILE_HEADER_BYTES = 100
_LEAF_HEADER_BYTES = 8
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class _Torn(Exception):  # noqa: N818 - named for the situation; never leaves this module
    """Raised where a row's bytes cannot be a row; it is passed over."""


def rows_of(path: Path, unreadable: Container[int] = ()) -> Iterator[Row]:
    """Every consistent row of every table leaf in the file, in the order of pages.

    ``unreadable`` are pages that are known to be lost, whatever the file holds in their place.
    """
    if path.stat().st_size < PAGE_BYTES:
        return
    with path.open("rb", buffering=0) as file:
        pages = _Pages(file.fileno(), unreadable)
        for number in range(1, pages.count + 1):
            yield from pages.rows(number)


class _Pages:
    """The pages of one file; page 1 is the first."""

    def __init__(self, file: int, unreadable: Container[int]) -> None:
        self._file = file
        self._unreadable = unreadable
        size, reserved = self._layout()
        self._size = size
        self._usable = size - reserved
        self.count = os.fstat(file).st_size // size

    def _layout(self) -> tuple[int, int]:
        """Bytes of a page, and how many of them hold no data; as in every store where nobody can tell."""
        try:
            header = os.pread(self._file, _FILE_HEADER_BYTES, 0)
        except OSError:
            return PAGE_BYTES, 0
        size = int.from_bytes(header[16:18])
        if size < 512 or size & (size - 1):
            return PAGE_BYTES, 0
        return size, header[20] if header[20] <= 64 else 0

    def rows(self, number: int) -> Iterator[Row]:
        """The rows of a page; none when it is no leaf of a table."""
        try:
            page = self._page(number)
        except _Torn:
            return
        start = _FILE_HEADER_BYTES if number == 1 else 0
        if page[start] != _LEAF:
            return
        cells = int.from_bytes(page[start + 3 : start + 5])
        first = start + _LEAF_HEADER_BYTES
        previous = 0
        for at in range(first, min(first + 2 * cells, self._usable - 1), 2):
            try:
                row = self._row(page, int.from_bytes(page[at : at + 2]))
            except (_Torn, IndexError, UnicodeDecodeError):
                continue
            key = row[0]
            if isinstance(key, int) and key > previous:  # rows of a leaf ascend
                previous = key
                yield row

    def _page(self, number: int) -> bytes:
        if not 1 <= number <= self.count or number in self._unreadable:
            raise _Torn
        try:
            page = os.pread(self._file, self._size, (number - 1) * self._size)
        except OSError as error:
            raise _Torn from error
        if len(page) < self._size:
            raise _Torn
        return page

    def _row(self, page: bytes, at: int) -> Row:
        length, at = _varint(page, at)
        key, at = _varint(page, at)
        if not 0 < length <= MAX_ROW_BYTES or key > _MAX_KEY:
            raise _Torn
        return (key, *_columns(self._payload(page, at, length)))

    def _payload(self, page: bytes, at: int, length: int) -> bytes:
        """The row's bytes: what lies in the page, then what lies in its chain of overflow pages."""
        usable = self._usable
        here = length
        if length > usable - 35:
            least = (usable - 12) * 32 // 255 - 23
            here = least + (length - least) % (usable - 4)
            here = here if here <= usable - 35 else least
        if at + here > usable:
            raise _Torn
        payload = page[at : at + here]
        following = int.from_bytes(page[at + here : at + here + 4])
        while len(payload) < length:
            page = self._page(following)
            following = int.from_bytes(page[:4])
            payload += page[4 : min(usable, 4 + length - len(payload))]
        return payload


def _columns(payload: bytes) -> Iterator[Value]:
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if at != end or end + sum(_width(kind) for kind in kinds) != len(payload):
        raise _Torn
    for kind in kinds:
        width = _width(kind)
        yield _value(kind, payload[at : at + width])
        at += width


def _width(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    if kind in (10, 11):
        raise _Torn
    return 8 if kind == 7 else _INTEGER_BYTES.get(kind, 0)


def _value(kind: int, data: bytes) -> Value:
    match kind:
        case 0:
            return None
        case 7:
            raise _Torn  # no column of a store is a float
        case 8 | 9:
            return kind - 8
        case _ if kind >= 12:
            return data.decode() if kind % 2 else data
        case _:
            return int.from_bytes(data, signed=True)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(9):
        byte = data[at]
        at += 1
        if count == 8:
            return value << 8 | byte, at
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            break
    return value, at
