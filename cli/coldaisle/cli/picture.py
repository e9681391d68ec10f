"""A series and its forecast as a picture of characters. Pure."""

from collections.abc import Sequence
from statistics import median

from coldaisle.cli.words import number

ROWS = 12
HALF_COLUMNS = 36
PAST, COMING, BAND, LIMIT, NOW = "●", "○", "░", "┄", "│"

Band = tuple[float, float, float]
"""Low, value, high."""


def picture(recent: Sequence[float | None], coming: Sequence[Band], limit: float | None = None) -> list[str]:
    """What was on the left, what will be on the right, a scale before it; nothing without a value."""
    past = _columns(recent)
    bands = _bands(coming)
    values = [value for value in past if value is not None] + [value for band in bands for value in band]
    if not values:
        return []
    low, high = _scale(values, limit)
    grid = [[" "] * (len(past) + 1 + len(bands)) for _ in range(ROWS)]
    if limit is not None and low <= limit <= high:
        grid[_row(limit, low, high)] = [LIMIT] * len(grid[0])
    for row in grid:
        row[len(past)] = NOW
    for column, value in enumerate(past):
        if value is not None:
            grid[_row(value, low, high)][column] = PAST
    for column, (least, value, most) in enumerate(bands, start=len(past) + 1):
        for row_number in range(_row(most, low, high), _row(least, low, high) + 1):
            grid[row_number][column] = BAND
        grid[_row(value, low, high)][column] = COMING
    return _labelled(grid, low, high)


def _columns(values: Sequence[float | None]) -> list[float | None]:
    """At most HALF_COLUMNS medians."""
    cut = _cuts(len(values))
    known = [[value for value in values[begin:end] if value is not None] for begin, end in cut]
    return [median(each) if each else None for each in known]


def _bands(bands: Sequence[Band]) -> list[Band]:
    """At most HALF_COLUMNS; each keeps the widest interval in it."""
    found = []
    for begin, end in _cuts(len(bands)):
        lows, values, highs = zip(*bands[begin:end], strict=True)
        found.append((min(lows), median(values), max(highs)))
    return found


def _cuts(count: int) -> list[tuple[int, int]]:
    columns = min(count, HALF_COLUMNS)
    return [(column * count // columns, (column + 1) * count // columns) for column in range(columns)]


def _scale(values: Sequence[float], limit: float | None) -> tuple[float, float]:
    """The range shown: the limit belongs to it where it is not so far off that nothing else would show."""
    low, high = min(values), max(values)
    if limit is not None and low - 2 * (high - low) <= limit <= high + 2 * (high - low):
        low, high = min(low, limit), max(high, limit)
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def _row(value: float, low: float, high: float) -> int:
    """0 is the top."""
    return round((high - value) / (high - low) * (ROWS - 1))


def _labelled(grid: list[list[str]], low: float, high: float) -> list[str]:
    labels = {row: number(high - row * (high - low) / (ROWS - 1)) for row in (0, ROWS // 2, ROWS - 1)}
    width = max(map(len, labels.values()))
    return [f"{labels.get(row, ''):>{width}} ┤{''.join(cells).rstrip()}" for row, cells in enumerate(grid)]
