"""Live subscriptions, beside the wire."""

import gc

import pytest
from kurrentdbclient.protos.v1 import shared_pb2, streams_pb2

from coldaisle.core.events import NewEvent
from coldaisle.core.store.memory import MemoryStore
from coldaisle.server.kurrent.following import Follower
from coldaisle.server.kurrent.reading import Reader

Options = streams_pb2.ReadReq.Options


async def test_a_stream_that_nobody_follows_any_more_leaves_nothing() -> None:
    """A client may follow a million names, one after the other."""
    follower = Follower(MemoryStore(), 10)
    for number in range(20):
        options = streams_pb2.ReadReq.Options.StreamOptions(
            stream_identifier=shared_pb2.StreamIdentifier(stream_name=b"s%d" % number)
        )
        pages = follower.stream(options, structured=False)
        assert [(await anext(pages)).WhichOneof("content") for _ in range(2)] == ["confirmation", "caught_up"]
        await pages.aclose()  # type: ignore[attr-defined]  # an async generator
    gc.collect()
    assert len(follower._tombstones) == 0


@pytest.mark.parametrize("source", ["all", "stream"])
async def test_what_comes_after_the_confirmation_is_not_missed(source: str) -> None:
    """A client that follows from the end may append as soon as it knows that it follows."""
    store = MemoryStore()
    await store.append("a", [NewEvent(b"1" * 16, "T", 1, 1, "me", b"{}")])
    options = Options(subscription=Options.SubscriptionOptions())
    getattr(options, source).end.SetInParent()
    if source == "stream":
        options.stream.stream_identifier.stream_name = b"a"
    answers = Reader(store, Follower(store, 10)).read(streams_pb2.ReadReq(options=options))
    assert (await anext(answers)).WhichOneof("content") == "confirmation"
    await store.append("a", [NewEvent(b"2" * 16, "T", 1, 1, "me", b"{}")])
    answer = await anext(answers)
    assert answer.event.event.stream_revision == 1
    await answers.aclose()  # type: ignore[attr-defined]  # an async generator
