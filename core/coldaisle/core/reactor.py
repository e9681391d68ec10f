"""What a reactor is: a fold that answers. Detection and remediation policy are reactors.

The answers depend on the history before them and on nothing else: not on the clock, not on where pages
are cut. So a replay says the same again, and ids derived from (cause, reactor, ordinal) make the second
recording of an answer the first one.
"""

import zlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec
from msgspec import Struct

from coldaisle.core.events.codec import encode
from coldaisle.core.events.envelope import Fact, NewEvent
from coldaisle.core.events.ids import derived_id
from coldaisle.core.events.types import AnyEvent


class Reaction(Struct, frozen=True):
    """An answer to the fact ``cause``; ``time`` (UTC ns) where it is about another moment than the cause."""

    cause: Fact
    body: AnyEvent
    time: int | None = None


class Reactor(Protocol):
    """Folds facts into its own state and answers. The runtime throws away answers given before."""

    name: str

    def react(self, facts: Sequence[Fact]) -> list[Reaction]:
        """Take in facts, in order of position, and answer, in the same order."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A reactor whose state can be saved and loaded exactly: what it says next must not show it.

    ``snapshot_schema`` changes whenever an older state would not fit.
    """

    snapshot_schema: int

    def save(self) -> bytes:
        """The whole state."""
        ...

    def load(self, data: bytes) -> None:
        """Take a saved state, or raise ValueError and stay as it was."""
        ...


def form_number(form: object, meaning: int, *libraries: str) -> int:
    """A schema number that changes by itself with the fields of ``form``, and with ``meaning`` by hand.

    ``libraries`` are versions that the state depends on.
    """
    described = msgspec.json.encode(msgspec.json.schema(form), order="deterministic")
    return meaning << 32 | zlib.crc32(described + "\0".join(libraries).encode())


def stamp(reactor: str, reactions: Sequence[Reaction]) -> list[NewEvent]:
    """The reactions as events: time of the cause or their own, causation, correlation and a derived id."""
    events: list[NewEvent] = []
    ordinal, previous = 0, b""
    for reaction in reactions:
        cause = reaction.cause
        ordinal, previous = (ordinal + 1 if cause.id == previous else 0), cause.id
        events.append(
            encode(
                reaction.body,
                id=derived_id(cause.time, cause.id, reactor, ordinal),
                time=cause.time if reaction.time is None else reaction.time,
                actor=f"reactor/{reactor}",
                correlation_id=cause.correlation_id or cause.id,
                causation_id=cause.id,
            )
        )
    return events
