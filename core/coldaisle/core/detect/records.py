"""How a series is remembered: one record of 256 bytes, all records in one array.

A record is 64 words of 32 bits. A sample touches one record, so that scattered series cost few cache lines;
a block of records is turned into columns, worked on, and turned back.

==========  ==========================================================================================
words       what
==========  ==========================================================================================
0 to 10     running values: three averages, smoothed residual, mean and variance of two spans,
            winsorised mean and variance, envelope of the score
11, 12      what awaits the next step: sum of the values, largest surprise of a value
13 to 30    lowest, then highest, of each of the nine statistics
31          the last value
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

WORDS = 64
RECORD_BYTES = 4 * WORDS
STATISTICS = (
    "value", "ew_fast", "ew_mid", "ew_slow",
    "seasonal", "seasonal_smooth", "logstd_fast", "logstd_slow", "spread",
)  # fmt: skip
SLOTS = 24

AVERAGES = slice(0, 3)
SMOOTH = 3
MEANS = slice(4, 6)
VARIANCES = slice(6, 8)
CENTRE, SQUARE = 8, 9
ENVELOPE = 10
SUM, SURPRISE = 11, 12
LOW = slice(13, 22)
HIGH = slice(22, 31)
LAST = 31
COLUMNS = 32
"""The words before it are turned into columns; the others change in place."""

PROFILE = 40
SEEN_BYTE = 148


class Records:
    """Records in rows, and the same memory seen as numbers of other widths."""

    __slots__ = ("awaiting", "bytes", "first_times", "known", "origins", "steps", "times", "whole", "words")

    def __init__(self, words: Singles) -> None:
        self.words = words
        self.whole = words.view(f"V{RECORD_BYTES}")[:, 0]
        self.bytes: Bytes = words.view(np.uint8)
        self.origins: Floats = words.view(np.float64)[:, 16]
        self.times: Seconds = words.view(np.uint32)[:, 34]
        self.first_times: Seconds = words.view(np.uint32)[:, 35]
        self.steps: NDArray[np.uint16] = words.view(np.uint16)[:, 72]
        self.known: Bytes = self.bytes[:, 146]
        self.awaiting: Bytes = self.bytes[:, 147]

    @classmethod
    def empty(cls, count: int) -> "Records":
        """Records of series that had no sample yet."""
        return cls(np.zeros((count, WORDS), np.float32))

    def __len__(self) -> int:
        return len(self.words)

    def part(self, rows: "Ints | slice") -> "Records":
        """Some: copies, or for a slice the same memory."""
        if isinstance(rows, slice):
            return Records(self.words[rows])
        return Records(self.whole.take(rows).view(np.float32).reshape(-1, WORDS))

    def put(self, rows: "Ints | slice", changed: "Records") -> None:
        """Put back what ``part`` gave."""
        if not isinstance(rows, slice):
            self.whole[rows] = changed.whole
