"""The envelope around each event: before it is stored, as it is stored, and decoded."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from coldaisle.core.events.types import AnyEvent


class NewEvent(Struct, frozen=True, gc=False):
    """An event on its way into the store.

    ``id`` is 16 bytes, chosen by the producer: the store keeps the first event of an id and answers a
    repetition with the first result. ``time`` is UTC nanoseconds of the source's clock. ``data`` is JSON.
    ``time`` has 64 bits, ``schema`` 31 and no sign. Stores refuse what is not as it says here.
    """

    id: bytes
    type: str
    schema: int
    time: int
    actor: str
    data: bytes
    correlation_id: bytes | None = None
    causation_id: bytes | None = None


class Recorded(Struct, frozen=True, gc=False):
    """An event as the store keeps it.

    ``position`` is its place in the whole history (from 1, without gaps), ``version`` its place in the
    stream (from 0), ``recorded`` when the store took it (UTC ns).
    """

    position: int
    stream: str
    version: int
    id: bytes
    type: str
    schema: int
    time: int
    recorded: int
    actor: str
    data: bytes
    correlation_id: bytes | None = None
    causation_id: bytes | None = None


class Fact(Struct, frozen=True, gc=False):
    """A recorded event with its body decoded: what folds and reactors see."""

    position: int
    stream: str
    version: int
    id: bytes
    time: int
    recorded: int
    actor: str
    correlation_id: bytes | None
    causation_id: bytes | None
    body: AnyEvent


class Observation(Struct, frozen=True, gc=False):
    """What a collector saw, and when (UTC ns, the source's clock); the spool gives it its id.

    ``on_commit`` is called once the observation is on disk, for sources that wait for a confirmation; never
    when it is lost before that, and perhaps again after a failure, so it must bear repetition.
    """

    time: int
    body: AnyEvent
    on_commit: Callable[[], None] | None = None


Emit = Callable[[Observation], Awaitable[None]]
"""Where a collector puts what it saw; waiting on it is the back-pressure."""
