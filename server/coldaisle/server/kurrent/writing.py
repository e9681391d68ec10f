"""Every append from outside, in one place: who may, into which stream, and what it becomes."""

import time
from collections.abc import Sequence

from msgspec import Struct

from coldaisle.core.errors import EventError, StreamTombstoned, TooLarge
from coldaisle.core.store import Append, Appended, EventStore, Expected
from coldaisle.server.kurrent.access import Caller, require_writing
from coldaisle.server.kurrent.errors import access_denied, bad_request, stream_deleted
from coldaisle.server.kurrent.events import Proposed, to_store
from coldaisle.server.kurrent.windows import METADATA_PREFIX, METADATA_TYPE, parse_metadata, state_of

SYSTEM_PREFIX = "$"
DELETED = (1 << 63) - 1
"""The ``$tb`` of a deleted stream."""


class Submission(Struct, frozen=True):
    """Events that a client wants in one stream."""

    stream: str
    events: Sequence[Proposed]
    expected: int | Expected = Expected.ANY


async def submit(store: EventStore, submissions: Sequence[Submission]) -> list[Appended]:
    """Append for a client, whole or not at all.

    Raises WireRefusal for what the client may not do, else as ``EventStore.append_many``.
    """
    who = require_writing()
    now = time.time_ns()
    appends: list[Append] = []
    for submission in submissions:
        check_stream(submission.stream, who, [event.type for event in submission.events])
        try:
            events = [to_store(event, now, who.name) for event in submission.events]
        except EventError as error:
            raise bad_request(str(error)) from error
        if events:
            appends.append(Append(submission.stream, events, submission.expected))
    try:
        results = await store.append_many(appends)
    except StreamTombstoned as error:
        raise stream_deleted(error.stream) from error
    except TooLarge as error:
        raise bad_request(str(error)) from error
    for append in appends:
        if append.stream.startswith(METADATA_PREFIX):
            await _apply_metadata(store, append.stream.removeprefix(METADATA_PREFIX), submissions)
    return results


async def _apply_metadata(store: EventStore, stream: str, submissions: Sequence[Submission]) -> None:
    """Truncation by metadata: said again with each repetition, so a crash in between heals."""
    newest = [one.events[-1] for one in submissions if one.stream == METADATA_PREFIX + stream][-1]
    truncate_before = parse_metadata(newest.data).truncate_before
    state = await state_of(store, stream)
    if truncate_before is not None and truncate_before >= DELETED:
        await store.delete_stream(stream)
    elif truncate_before is not None:
        await store.truncate_stream(stream, max(0, truncate_before))
    elif state.exists and state.truncate_before:
        await store.truncate_stream(stream, 0)


def check_stream(stream: str, who: Caller, types: Sequence[str] = ()) -> None:
    """Raises WireRefusal where only admins write; metadata of ordinary streams is for all writers."""
    about = stream.removeprefix(METADATA_PREFIX)
    is_metadata = about != stream
    if is_metadata and any(kind != METADATA_TYPE for kind in types):
        raise bad_request(f"{stream} holds {METADATA_TYPE} events only")
    if about.startswith(SYSTEM_PREFIX) and not who.admin:
        raise access_denied(f"{stream} is a system stream: only an admin writes there")
