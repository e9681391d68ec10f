"""Deleting streams for clients: hidden, or closed for ever."""

import contextlib
from collections.abc import Iterator

from coldaisle.core.errors import StreamTombstoned, WrongVersion
from coldaisle.core.store import EventStore, Expected
from coldaisle.core.store.port import StreamState
from coldaisle.server.kurrent.access import require_writing
from coldaisle.server.kurrent.errors import stream_deleted, wrong_version
from coldaisle.server.kurrent.following import Follower
from coldaisle.server.kurrent.windows import state_of
from coldaisle.server.kurrent.writing import check_stream

_NUMBERS = {Expected.NO_STREAM: -1, Expected.ANY: -2, Expected.EXISTS: -4}
"""The protocol's numbers for expectations without a version."""


class Removal:
    """Deletes and tombstones, and ends the subscriptions to what is closed."""

    def __init__(self, store: EventStore, follower: Follower) -> None:
        self._store = store
        self._follower = follower

    async def delete(self, stream: str, expected: int | Expected) -> int:
        """Hide the stream's events; the position at which that holds."""
        state = await self._state(stream)
        if isinstance(expected, int) and not state.exists:
            raise wrong_version(stream, expected, -1)  # never there, or deleted already
        with _told(stream, expected):
            await self._store.delete_stream(stream, expected)
        return await self._store.head()

    async def tombstone(self, stream: str, expected: int | Expected) -> int:
        """Close the stream; the position at which that holds."""
        await self._state(stream)
        with _told(stream, expected):
            await self._store.tombstone(stream, expected)
        self._follower.tombstoned(stream)
        return await self._store.head()

    async def _state(self, stream: str) -> StreamState:
        check_stream(stream, require_writing())
        state = await state_of(self._store, stream)
        if state.tombstoned:
            raise stream_deleted(stream)
        return state


@contextlib.contextmanager
def _told(stream: str, expected: int | Expected) -> Iterator[None]:
    try:
        yield
    except StreamTombstoned as error:
        raise stream_deleted(stream) from error
    except WrongVersion as error:
        number = expected if isinstance(expected, int) else _NUMBERS[expected]
        raise wrong_version(stream, number, error.actual) from error
