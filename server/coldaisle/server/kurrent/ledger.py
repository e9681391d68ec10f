"""What a group of consumers has before it: what waits, who holds what, how far it got; pure.

Delivery is at least once. An event is finished when it was acknowledged, skipped, or parked on the disk; the
checkpoint stands before the first unfinished event. Times are seconds of any steady clock.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from coldaisle.core.events.envelope import Recorded
from coldaisle.server.kurrent.events import correlation_of

PINNED_BY_CORRELATION = "PinnedByCorrelation"
STRATEGIES = ("DispatchToSingle", "RoundRobin", "Pinned", PINNED_BY_CORRELATION)
"""How events are shared among consumers."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a consumer; ``parked_version`` is its place among the parked, if it was."""

    event: Recorded
    retries: int = 0
    parked_version: int | None = None


@dataclass(slots=True)
class Consumer:
    """Someone who takes events of the group, so many at once."""

    name: str
    slots: int
    held: dict[bytes, tuple[Delivery, float]] = field(default_factory=dict)
    total: int = 0

    @property
    def has_room(self) -> bool:
        """Whether one more event may be sent."""
        return len(self.held) < self.slots


class Ledger:
    """The state of one group."""

    def __init__(self, position: int, parked_version: int, max_retries: int) -> None:
        self.waiting: deque[Delivery] = deque()
        self.parking: list[Delivery] = []
        self.consumers: list[Consumer] = []
        self.max_retries = max_retries
        self.read_position = position
        self.parked_read = parked_version
        self.total = 0
        self._turn = 0

    def feed(self, events: Iterable[Recorded], position: int) -> None:
        """Take in what was read, up to ``position``."""
        self.waiting.extend(Delivery(event) for event in events)
        self.read_position = position

    def replay(self, parked: Iterable[tuple[int, Recorded]]) -> None:
        """Put parked events before all others; each comes with its place among the parked."""
        deliveries = [Delivery(event, parked_version=version) for version, event in parked]
        self.waiting.extendleft(reversed(deliveries))
        if deliveries:
            self.parked_read = max(self.parked_read, *(d.parked_version or 0 for d in deliveries))

    def assign(self, strategy: str, now: float) -> list[tuple[Consumer, Delivery]]:
        """Hand waiting events to consumers with room, in order."""
        given: list[tuple[Consumer, Delivery]] = []
        passed: list[Delivery] = []
        while self.waiting and any(consumer.has_room for consumer in self.consumers):
            delivery = self.waiting.popleft()
            consumer = self._choose(strategy, delivery.event)
            if consumer is None:  # pinned to one without room, for whom the others do not wait
                passed.append(delivery)
                continue
            consumer.held[delivery.event.id] = (delivery, now)
            consumer.total += 1
            self.total += 1
            given.append((consumer, delivery))
        self.waiting.extendleft(reversed(passed))
        return given

    def finish(self, consumer: Consumer, ids: Iterable[bytes]) -> list[Delivery]:
        """These are done with; ids that the consumer does not hold are ignored."""
        taken = (consumer.held.pop(event_id, None) for event_id in ids)
        return [entry[0] for entry in taken if entry is not None]

    def park(self, consumer: Consumer, ids: Iterable[bytes]) -> list[Delivery]:
        """Take these from the consumer, to be parked: :meth:`parked` or :meth:`not_parked` comes next."""
        taken = self.finish(consumer, ids)
        self.parking.extend(taken)
        return taken

    def parked(self, deliveries: Iterable[Delivery]) -> None:
        """These are parked on the disk."""
        gone = {id(delivery) for delivery in deliveries}
        self.parking = [delivery for delivery in self.parking if id(delivery) not in gone]

    def not_parked(self, deliveries: Sequence[Delivery]) -> None:
        """These could not be parked: they wait again."""
        self.parked(deliveries)
        self.waiting.extendleft(reversed(deliveries))

    def retry(self, consumer: Consumer, ids: Iterable[bytes]) -> list[Delivery]:
        """Put these back to the front; gives those that were tried too often, as :meth:`park` does."""
        failed = self.finish(consumer, ids)
        again = [replace(d, retries=d.retries + 1) for d in failed if d.retries < self.max_retries]
        self.waiting.extendleft(reversed(again))
        given_up = [delivery for delivery in failed if delivery.retries >= self.max_retries]
        self.parking.extend(given_up)
        return given_up

    def overdue(self, now: float, timeout_seconds: float) -> list[tuple[Consumer, list[bytes]]]:
        """What was handed out too long ago."""
        found = []
        for consumer in self.consumers:
            late = [key for key, (_, since) in consumer.held.items() if now - since >= timeout_seconds]
            if late:
                found.append((consumer, late))
        return found

    def leave(self, consumer: Consumer) -> None:
        """The consumer is gone: what it held waits again, in order."""
        if consumer not in self.consumers:
            return
        self.consumers.remove(consumer)
        lost = sorted((d for d, _ in consumer.held.values()), key=lambda d: d.event.position, reverse=True)
        consumer.held.clear()
        self.waiting.extendleft(replace(d, retries=d.retries + 1) for d in lost)

    @property
    def in_flight(self) -> int:
        """Events handed out and not answered."""
        return sum(len(consumer.held) for consumer in self.consumers)

    def checkpoint(self) -> int:
        """The position up to which everything is finished."""
        positions = [d.event.position for d in self._unfinished() if d.parked_version is None]
        return min(positions) - 1 if positions else self.read_position

    def parked_checkpoint(self) -> int:
        """The place among the parked up to which everything was replayed and finished."""
        versions = [d.parked_version for d in self._unfinished() if d.parked_version is not None]
        return min(versions) - 1 if versions else self.parked_read

    def _unfinished(self) -> list[Delivery]:
        held = [d for consumer in self.consumers for d, _ in consumer.held.values()]
        return [*self.waiting, *self.parking, *held]

    def _choose(self, strategy: str, event: Recorded) -> Consumer | None:
        consumers = self.consumers
        if strategy.startswith("Pinned"):
            correlation = correlation_of(event) if strategy == PINNED_BY_CORRELATION else ""
            pinned = consumers[sum((correlation or event.stream).encode()) % len(consumers)]
            return pinned if pinned.has_room else None
        first = self._turn % len(consumers) if strategy == "RoundRobin" else 0
        for consumer in consumers[first:] + consumers[:first]:
            if consumer.has_room:
                self._turn = consumers.index(consumer) + 1
                return consumer
        return None
