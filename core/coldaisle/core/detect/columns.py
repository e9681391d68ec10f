"""The columns of a block: read from the records of its series, worked on, and written back."""

import numpy as np

from coldaisle.core.detect.records import (
    COLUMNS,
    OCTET,
    RUNNING,
    STATISTICS,
    Indices,
    Ints,
    Records,
    Rows,
    Singles,
)

_QUAD = 4
_OCTETS = COLUMNS // OCTET
_FIRST_SELDOM = RUNNING // OCTET


class Room:
    """Room for the columns of so many series at most, used again for each block."""

    def __init__(self, series: int) -> None:
        self._columns = np.empty(COLUMNS * series, np.float32)
        self._statistics = np.empty(len(STATISTICS) * series, np.float32)
        self._octets = np.empty((_OCTETS, series, OCTET), np.float32)
        self._quads = np.empty((RUNNING // _QUAD, series, _QUAD), np.float32)

    def read(self, records: Records, rows: Rows, count: int) -> Singles:
        """The columns of these ``count`` series, shape (32, count), contiguous; valid until the next call."""
        columns = self._columns[: COLUMNS * count].reshape(COLUMNS, count)
        octets = records.octets[:_OCTETS, rows] if isinstance(rows, slice) else self._gather(records, rows)
        columns.reshape(_OCTETS, OCTET, count)[...] = octets.transpose(0, 2, 1)
        return columns

    def statistics(self, count: int) -> Singles:
        """Room for the statistics of so many series, shape (9, count), contiguous."""
        return self._statistics[: len(STATISTICS) * count].reshape(-1, count)

    def write(self, records: Records, rows: Rows, columns: Singles, changed: Indices) -> None:
        """Put back the running values of all, and the other columns of those that ``changed``."""
        if isinstance(rows, slice):
            for word in range(RUNNING):
                records.octets[word // OCTET, rows, word % OCTET] = columns[word]
            seldom = changed + rows.start
        else:
            self._scatter(records, rows, columns)
            seldom = rows[changed]
        if len(changed):
            words = columns[_FIRST_SELDOM * OCTET :, changed].reshape(-1, OCTET, len(changed))
            records.octets[_FIRST_SELDOM:_OCTETS, seldom] = words.transpose(0, 2, 1)

    def _gather(self, records: Records, rows: Ints) -> Singles:
        octets = self._octets[:, : len(rows)]
        for octet, into in zip(records.octets, octets, strict=False):
            octet.take(rows, axis=0, out=into, mode="clip")
        return octets

    def _scatter(self, records: Records, rows: Ints, columns: Singles) -> None:
        for quad, words in enumerate(self._quads[:, : len(rows)]):
            for place in range(_QUAD):
                words[:, place] = columns[_QUAD * quad + place]
            records.put_quad(quad, rows, words)
