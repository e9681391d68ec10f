"""What people decide becomes an event: who, when, once for each request id (AIP-155)."""

import hashlib
import uuid

from coldaisle.core.events import Recorded, encode, new_id, stream_of
from coldaisle.core.events.ids import derived_id
from coldaisle.core.events.types import AnyEvent
from coldaisle.core.store import EventStore, Expected
from coldaisle.server.access import actor
from coldaisle.server.errors import InvalidRequest

REQUEST_NAMESPACE = "request"
ID_CHARACTERS = 10
MAX_TEXT_CHARACTERS = 2_000
"""A reason or note: what a person writes, not what a program dumps."""


async def record(
    store: EventStore,
    body: AnyEvent,
    request_id: str,
    time: int,
    *,
    expected: int | Expected = Expected.ANY,
    cause: Recorded | None = None,
) -> int:
    """Append the decision; a repetition of the request answers as the first did. Returns the position."""
    event_id = request_event_id(request_id) if request_id else new_id(time)
    event = encode(
        body,
        id=event_id,
        time=time,
        actor=actor.get(),
        correlation_id=(cause.correlation_id or cause.id) if cause else event_id,
        causation_id=cause.id if cause else None,
    )
    return (await store.append(stream_of(body), [event], expected)).position


async def recorded_before(store: EventStore, stream: str, request_id: str, kind: type[AnyEvent]) -> bool:
    """Whether this very request was recorded already. Looks at the newest page of a short stream.

    Raises InvalidRequest when another decision has its id: to answer as that one did would pass for success.
    """
    if not request_id:
        return False
    wanted = request_event_id(request_id)
    types = [event.type for event in await store.read_stream(stream, backwards=True) if event.id == wanted]
    if types and types != [kind.__name__]:
        raise InvalidRequest("request_id", f"was that of a {types[0]}; take a new one for each decision")
    return bool(types)


def check_request_id(request_id: str) -> None:
    """Raises InvalidRequest unless it is left out or a UUID."""
    if request_id:
        request_bytes(request_id)


def request_event_id(request_id: str) -> bytes:
    """The id of the event that a request leads to."""
    return derived_id(0, request_bytes(request_id), REQUEST_NAMESPACE, 0)


def chosen_id(prefix: str, request_id: str, time: int) -> str:
    """The id of what a person asks for, such as ``r-3f2c…``: the same for the same request."""
    seed = request_bytes(request_id) if request_id else new_id(time)
    return f"{prefix}-{hashlib.sha256(seed).hexdigest()[:ID_CHARACTERS]}"


def checked_text(text: str, field: str, *, needed: bool = False) -> str:
    """What a person said; raises InvalidRequest when it is missing or no longer a remark."""
    if needed and not text.strip():
        raise InvalidRequest(field, "missing; say why, it is kept in the history")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise InvalidRequest(field, f"{len(text)} characters, {MAX_TEXT_CHARACTERS} allowed; shorten it")
    return text


def request_bytes(request_id: str) -> bytes:
    """The UUID of a request; raises InvalidRequest."""
    try:
        return uuid.UUID(request_id).bytes
    except ValueError:
        raise InvalidRequest("request_id", f"{request_id[:60]!r} is not a UUID") from None
