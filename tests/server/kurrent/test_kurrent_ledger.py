"""A group's book-keeping, whatever its consumers do."""

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from coldaisle.core.events.envelope import NewEvent, Recorded
from coldaisle.server.kurrent.events import Proposed, to_store
from coldaisle.server.kurrent.ledger import STRATEGIES, Consumer, Delivery, Ledger


def event(number: int) -> Recorded:
    return Recorded(number, f"s-{number % 3}", number, number.to_bytes(16), "T", 1, 0, 0, "", b"")


what_happens = st.sampled_from(["feed", "ack", "retry", "park", "noted", "full", "leave", "join"])
steps = st.lists(st.tuples(what_happens, st.integers(0, 7)), max_size=60)


@given(steps, st.sampled_from(STRATEGIES))
def test_nothing_is_lost_and_the_checkpoint_never_passes_the_unfinished(
    taken: list[tuple[str, int]], strategy: str
) -> None:
    ledger = Ledger(0, -1, max_retries=2)
    finished: set[int] = set()
    parking: list[Delivery] = []
    fed = 0
    for what, number in taken:
        consumers = ledger.consumers
        if what == "feed":
            ledger.feed([event(n) for n in range(fed + 1, fed + 1 + number)], fed + number)
            fed += number
        elif what == "join":
            consumers.append(Consumer("c", number + 1))
        elif what == "noted":
            ledger.parked(parking[:number])
            finished |= {d.event.position for d in parking[:number]}
            del parking[:number]
        elif what == "full":
            ledger.not_parked(parking[:number])
            del parking[:number]
        elif consumers:
            consumer = consumers[number % len(consumers)]
            ids = list(consumer.held)[: number + 1]
            if what == "ack":
                finished |= {d.event.position for d in ledger.finish(consumer, ids)}
            elif what == "retry":
                parking += ledger.retry(consumer, ids)
            elif what == "park":
                parking += ledger.park(consumer, ids)
            else:
                ledger.leave(consumer)
        ledger.assign(strategy, 0.0)
        open_positions = set(range(1, fed + 1)) - finished
        held = [d.event.position for c in ledger.consumers for d, _ in c.held.values()]
        waiting = [d.event.position for d in ledger.waiting]
        aside = [d.event.position for d in parking]
        assert sorted(held + waiting + aside) == sorted(open_positions)
        assert ledger.checkpoint() == (min(open_positions) - 1 if open_positions else fed)
        assert all(len(c.held) <= c.slots for c in ledger.consumers)


def given_to(ledger: Ledger, strategy: str) -> list[tuple[str, int]]:
    return [(consumer.name, d.event.position) for consumer, d in ledger.assign(strategy, 0.0)]


def test_a_pinned_consumer_without_room_holds_up_its_own_events_only() -> None:
    ledger = Ledger(0, -1, max_retries=2)
    ledger.consumers += [Consumer("a", 1), Consumer("b", 9), Consumer("c", 9)]
    ledger.feed([event(n) for n in range(1, 10)], 9)
    first = given_to(ledger, "Pinned")
    assert sorted(name for name, _ in first) == ["a", *"bbb", *"ccc"]
    held = next(position for name, position in first if name == "a")
    ledger.finish(ledger.consumers[0], [event(held).id])
    assert given_to(ledger, "Pinned") == [("a", held + 3)]


def correlated(position: int, correlation: str) -> Recorded:
    metadata = b'{"$correlationId":"%s"}' % correlation.encode()
    sent = to_store(Proposed(position.to_bytes(16), "T", "application/json", b"{}", metadata), 1, "me")
    return recorded(position, sent)


def recorded(position: int, sent: NewEvent) -> Recorded:
    return Recorded(
        position,
        f"s-{position}",
        0,
        sent.id,
        sent.type,
        sent.schema,
        0,
        0,
        "me",
        sent.data,
        sent.correlation_id,
    )


def test_events_of_one_correlation_go_to_one_consumer() -> None:
    ledger = Ledger(0, -1, max_retries=2)
    ledger.consumers += [Consumer(str(number), 100) for number in range(7)]
    one = uuid4()
    ours = NewEvent(b"o" * 16, "T", 1, 0, "me", b"{}", one.bytes)
    ledger.feed([correlated(n, str(one)) for n in range(1, 20)] + [recorded(20, ours)], 20)
    assert len({name for name, _ in given_to(ledger, "PinnedByCorrelation")}) == 1
    ledger.feed([event(n) for n in range(21, 40, 3)], 40)
    assert len({name for name, _ in given_to(ledger, "PinnedByCorrelation")}) == 1
    ledger.feed([correlated(n, str(uuid4())) for n in range(40, 80)], 80)
    assert len({name for name, _ in given_to(ledger, "PinnedByCorrelation")}) > 1
