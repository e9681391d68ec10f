"""What was done to a history, once a position is known where it does not hold.

An event's digest covers its position. So each event near by is asked whether it would fit at the place in
question, and the event there whether it would fit elsewhere: one that was moved gives itself away.
"""

from collections.abc import Iterator
from typing import cast

import apsw

from coldaisle.core.store.chain import Fields, is_digest_of
from coldaisle.core.store.sqlite_chain import batches, emptied

SEARCHED_POSITIONS = 20_000
"""How far from its place an event that was moved is recognised as such; beyond, it counts as changed."""

_COLUMNS = (
    "e.position", "s.name", "e.version", "e.id", "e.type", "e.schema", "e.time", "e.recorded", "e.actor",
    "e.data", "e.correlation_id", "e.causation_id",
)  # fmt: skip
_IS_TEXT = tuple(column in ("s.name", "e.type", "e.actor") for column in _COLUMNS)
_BY_POSITION = (
    "SELECT {} FROM event e LEFT JOIN stream s ON s.id = e.stream_id "
    "WHERE e.position BETWEEN ? AND ? ORDER BY e.position"
)
_READ = _BY_POSITION.format(", ".join(_COLUMNS))
_READ_RAW = _BY_POSITION.format(
    ", ".join(
        f"CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) END"
        if is_text
        else f"CASE typeof({column}) WHEN 'text' THEN 0.5 ELSE {column} END"
        for column, is_text in zip(_COLUMNS, _IS_TEXT, strict=True)
    )
)
"""Reads any row: a text comes as its bytes, and where none belongs, as a number that no column holds."""


def stored_events(connection: apsw.Connection, first: int, last: int) -> Iterator[Fields]:
    """The events of these positions as their columns are; what is no text there has no digest either."""
    after = first - 1
    try:
        for event in cast("Iterator[Fields]", connection.execute(_READ, (first, last))):
            after = event[0]
            yield event
    except UnicodeDecodeError:
        for row in connection.execute(_READ_RAW, (after + 1, last)):
            yield cast("Fields", tuple(map(_decoded, row, _IS_TEXT)))


def _decoded(value: object, is_text: bool) -> object:
    """Bytes that are not UTF-8 become a text that cannot be encoded again, and so has no digest."""
    return value.decode(errors="surrogateescape") if is_text and isinstance(value, bytes) else value


def classify(connection: apsw.Connection, position: int) -> tuple[str, str]:
    """What happened to the event that belongs at ``position``, and a sentence on it."""
    expected = _digest_at(connection, position)
    here = next(stored_events(connection, position, position), None)
    is_listed = bool(connection.execute("SELECT count(*) FROM removed WHERE position = ?", (position,)).get)
    is_emptied = next(emptied(connection, position, position), None) is not None
    if here is None:
        return _missing(connection, position, is_listed)
    if is_listed or is_emptied:
        return "inserted", "retention had removed the event that belongs there"
    if expected is None:
        return "inserted", "the chain does not know of it"
    end = position + SEARCHED_POSITIONS
    there = stored_events(connection, position + 1, end)
    now_at = (other[0] for other in there if _fits(other, position, here[2], expected))
    digests = chained_digests(connection, position + 1, end)
    belongs_at = (at for at, digest in digests if _fits(here, at, here[2], digest))
    return _moved(next(now_at, None), next(belongs_at, None))


def _moved(now_at: int | None, belongs_at: int | None) -> tuple[str, str]:
    """By where the event stands now that belongs at the place, and where that belongs which stands there."""
    if now_at is not None and belongs_at is not None:
        return "reordered", f"the event that belongs there stands at {now_at}"
    if now_at is not None:
        return "inserted", f"the event that belongs there was moved up to {now_at}"
    if belongs_at is not None:
        return "removed", f"the event is gone, and the one of {belongs_at} stands there"
    return "changed", "the event is not what was appended"


def _missing(connection: apsw.Connection, position: int, is_listed: bool) -> tuple[str, str]:
    if is_listed:
        return "removed", "the event is gone; that retention removed it is under no seal of the chain's key"
    later = connection.execute("SELECT count(*) FROM event WHERE position > ?", (position,)).get
    if later:
        return "removed", "the event is gone, and retention did not remove it"
    return "truncated", "this event and all after it are gone"


def _fits(event: Fields, position: int, version: int, digest: bytes) -> bool:
    """Whether the event is the one of this digest, moved to where it is now with its version or without."""
    moved = event[0] - position
    versions = {version, event[2], event[2] - moved} if isinstance(event[2], int) else {version}
    return any(is_digest_of(digest, (position, event[1], each, *event[3:])) for each in versions)


def _digest_at(connection: apsw.Connection, position: int) -> bytes | None:
    return dict(chained_digests(connection, position, position)).get(position)


def chained_digests(connection: apsw.Connection, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    """The digests of positions, as far as there are batches, in order."""
    for batch in batches(connection, first - 1):
        start = batch.first_position
        if start > last:
            return
        if not batch.has_digests:
            continue
        for position in range(max(first, start), min(last, batch.last_position) + 1):
            yield position, batch.digest(position)
