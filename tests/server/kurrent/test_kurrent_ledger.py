"""A group's book-keeping, whatever its consumers do."""

from hypothesis import given
from hypothesis import strategies as st

from coldaisle.core.events.envelope import Recorded
from coldaisle.server.kurrent.ledger import Consumer, Delivery, Ledger


def event(number: int) -> Recorded:
    return Recorded(number, f"s-{number % 3}", number, number.to_bytes(16), "T", 1, 0, 0, "", b"")


what_happens = st.sampled_from(["feed", "ack", "retry", "park", "noted", "full", "leave", "join"])
steps = st.lists(st.tuples(what_happens, st.integers(0, 7)), max_size=60)


@given(steps, st.sampled_from(["DispatchToSingle", "RoundRobin", "Pinned"]))
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
