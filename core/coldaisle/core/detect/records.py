"""How a series is remembered: a record of 256 bytes, cut into eight octets of eight words of 32 bits.

Equal octets of all series lie together. So scattered series cost few cache lines, and series that lie one
after the other are turned into columns and back at little more than the price of a copy.

==========  ==========================================================================================
words       what
==========  ==========================================================================================
0 to 10     running values: three averages; means of two spans and the winsorised one; their three
            variances; smoothed residual, envelope of the score
11          the last value
12, 13      what awaits the next step: sum of the values, largest surprise of a value
14 to 31    lowest, then highest, of each of the nine statistics
32, 33      origin: the first value (float64); all values are kept relative to it
34, 35      times of the last step and of the first sample, UTC seconds (uint32)
36          steps taken (uint16), whether every hour is known (uint8), samples awaiting a step (uint8)
37 to 39    samples seen in each hour of the day, 4 bits each, at most 9
40 to 63    what is usual in each hour of the day
==========  ==========================================================================================
"""

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Seconds = NDArray[np.uint32]
Indices = NDArray[np.intp]
Rows = Ints | slice
"""Which series: indices, or a slice where they lie one after the other."""

WORDS = 64
RECORD_BYTES = 4 * WORDS
OCTET = 8
"""Words that are moved at once: 32 bytes, half a cache line."""

STATISTICS = (
    "value", "ew_fast", "ew_mid", "ew_slow",
    "seasonal", "seasonal_smooth", "logstd_fast", "logstd_slow", "spread",
)  # fmt: skip
SLOTS = 24

AVERAGES = slice(0, 3)
MEANS = slice(3, 6)
CENTRE = 5
VARIANCES = slice(6, 9)
SQUARE = 8
SMOOTH, ENVELOPE = 9, 10
LAST = 11
SUM, SURPRISE = 12, 13
LOW = slice(14, 23)
HIGH = slice(23, 32)
COLUMNS = 32
"""The words before it are turned into columns; the others change in place."""

RUNNING = 12
"""The words before it change with every step; the other columns seldom."""

FACTS = 4
"""The octet of what is known of a series beside its columns: words 32 to 39."""

PROFILE = 40


_LINE = 16
"""Words of a cache line."""


class Facts:
    """Words 32 to 39 of some series, seen as numbers of other widths; shape of ``octet``: (n, 8)."""

    __slots__ = ("awaiting", "first_times", "known", "octet", "origins", "seen", "steps", "times")

    def __init__(self, octet: Singles) -> None:
        halves, seconds, single = octet.view(np.uint16), octet.view(np.uint32), octet.view(np.uint8)
        self.octet = octet
        self.origins: Floats = octet.view(np.float64)[:, 0]
        self.times: Seconds = seconds[:, 2]
        self.first_times: Seconds = seconds[:, 3]
        self.steps: NDArray[np.uint16] = halves[:, 8]
        self.known: Bytes = single[:, 18]
        self.awaiting: Bytes = single[:, 19]
        self.seen: Bytes = single[:, 20:]


class Records:
    """The records of some series: ``octets`` of shape (8, n, 8)."""

    __slots__ = ("_quads", "facts", "octets")

    def __init__(self, octets: Singles) -> None:
        self.octets = octets
        self.facts = Facts(octets[FACTS])
        self._quads = octets.view(np.complex128)

    @classmethod
    def empty(cls, count: int) -> "Records":
        """Records of series that had no sample yet; no octet lies across two cache lines."""
        room = np.zeros(count * WORDS + _LINE, np.float32)
        first = -(room.ctypes.data // room.itemsize) % _LINE
        return cls(room[first : first + count * WORDS].reshape(WORDS // OCTET, count, OCTET))

    @classmethod
    def of_words(cls, words: Singles) -> "Records":
        """From copies of records in rows, shape (n, 64)."""
        octets = words.reshape(-1, WORDS // OCTET, OCTET).transpose(1, 0, 2)
        return cls(np.array(octets, np.float32, order="C"))

    def __len__(self) -> int:
        return len(self.facts.octet)

    def words(self, rows: Rows) -> Singles:
        """Copies of some, one a row; shape (n, 64)."""
        return self.octets[:, rows].transpose(1, 0, 2).reshape(-1, WORDS)

    def word(self, word: int, rows: Ints) -> Floats:
        """One word of some, in double precision."""
        words: Floats = self.octets[word // OCTET, rows, word % OCTET].astype(np.float64)
        return words

    def record(self, row: int) -> Singles:
        """A copy of one, shape (64,)."""
        return self.octets[:, row].reshape(WORDS)

    def set_record(self, row: int, words: Singles) -> None:
        """Replace one; ``words`` of shape (64,)."""
        self.octets[:, row] = words.reshape(-1, OCTET)

    def facts_of(self, rows: Rows) -> Facts:
        """Those of some series: copies, or for a slice the same memory."""
        octet = self.octets[FACTS]
        return Facts(octet[rows] if isinstance(rows, slice) else octet.take(rows, axis=0))

    def put_facts(self, rows: Rows, facts: Facts) -> None:
        """Put back what ``facts_of`` gave."""
        if not isinstance(rows, slice):
            self.put_quad(2 * FACTS, rows, facts.octet[:, :4])
            self.put_quad(2 * FACTS + 1, rows, facts.octet[:, 4:])

    def put_quad(self, quad: int, rows: Ints, words: Singles) -> None:
        """Scatter four words a series: numpy moves 16 bytes at once where it takes them for a number."""
        self._quads[quad >> 1, :, quad & 1][rows] = words.view(np.complex128)[:, 0]
