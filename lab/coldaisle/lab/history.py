"""Observations as a history: numbered facts for a reactor, or events appended to a store."""

from collections.abc import Iterable, Sequence

from coldaisle.core.events.codec import encode
from coldaisle.core.events.envelope import Fact, NewEvent, Observation
from coldaisle.core.events.ids import sequenced_id
from coldaisle.core.events.streams import stream_of
from coldaisle.core.store.port import MAX_APPEND_EVENTS, Append, EventStore

ORIGIN = "lab-recorder"
ACTOR = "agent/recorder"


class Numbering:
    """Gives observations the places that a store would give them."""

    def __init__(self, position: int = 0) -> None:
        self.position = position
        self._versions: dict[str, int] = {}

    def fork(self) -> "Numbering":
        """Return another numbering that goes on from here."""
        other = Numbering(self.position)
        other._versions = dict(self._versions)
        return other

    def facts(self, observations: Iterable[Observation]) -> list[Fact]:
        """Return the observations as facts, in their order."""
        return [self._fact(each) for each in observations]

    def _fact(self, seen: Observation) -> Fact:
        stream = stream_of(seen.body)
        self.position += 1
        version = self._versions[stream] = self._versions.get(stream, -1) + 1
        event_id = sequenced_id(seen.time, ORIGIN, self.position)
        return Fact(
            self.position, stream, version, event_id, seen.time, seen.time, ACTOR, None, None, seen.body
        )


async def append(store: EventStore, observations: Sequence[Observation], first_number: int) -> int:
    """Append them, in pieces that a store takes; returns the number of the next one."""
    for start in range(0, len(observations), MAX_APPEND_EVENTS):
        piece = observations[start : start + MAX_APPEND_EVENTS]
        by_stream: dict[str, list[NewEvent]] = {}
        for number, seen in enumerate(piece, first_number + start):
            event_id = sequenced_id(seen.time, ORIGIN, number)
            event = encode(seen.body, id=event_id, time=seen.time, actor=ACTOR)
            by_stream.setdefault(stream_of(seen.body), []).append(event)
        await store.append_many([Append(stream, events) for stream, events in by_stream.items()])
    return first_number + len(observations)
