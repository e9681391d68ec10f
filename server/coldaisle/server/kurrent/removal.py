"""Deleting streams for clients: hidden, or closed for ever."""

import contextlib
import time
from collections.abc import Iterator

from coldaisle.core.errors import StreamTombstoned, WrongVersion
from coldaisle.core.events import new_id
from coldaisle.core.store import EventStore, Expected
from coldaisle.core.store.port import StreamState
from coldaisle.integrations.kurrent.decode import JSON
from coldaisle.server.kurrent.access import require_writing
from coldaisle.server.kurrent.errors import WireRefusal, stream_deleted, wrong_version
from coldaisle.server.kurrent.events import Proposed, wire_parts
from coldaisle.server.kurrent.following import Follower
from coldaisle.server.kurrent.windows import METADATA_PREFIX, METADATA_TYPE, metadata_until, state_of
from coldaisle.server.kurrent.writing import Submission, check_stream, submit

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
        await self._note(stream)
        return await self._store.head()

    async def tombstone(self, stream: str, expected: int | Expected) -> int:
        """Close the stream; the position at which that holds."""
        await self._state(stream)
        with _told(stream, expected):
            await self._store.tombstone(stream, expected)
        self._follower.tombstoned(stream)
        return await self._store.head()

    async def _note(self, stream: str) -> None:
        """Say it in the metadata too: who changes that later shall not bring back what was deleted."""
        truncate_before = (await state_of(self._store, stream)).truncate_before
        if not truncate_before or stream.startswith(METADATA_PREFIX):
            return
        name = METADATA_PREFIX + stream
        newest = await self._store.read_stream(name, limit=1, backwards=True)
        data = metadata_until(wire_parts(newest[0])[1] if newest else b"", truncate_before)
        event = Proposed(new_id(time.time_ns()), METADATA_TYPE, JSON, data, b"")
        with contextlib.suppress(WireRefusal):  # metadata that is closed for ever says nothing any more
            await submit(self._store, [Submission(name, [event])])

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
