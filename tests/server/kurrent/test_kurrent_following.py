"""Live subscriptions, beside the wire."""

import gc

from kurrentdbclient.protos.v1 import shared_pb2, streams_pb2

from coldaisle.core.store.memory import MemoryStore
from coldaisle.server.kurrent.following import Follower


async def test_a_stream_that_nobody_follows_any_more_leaves_nothing() -> None:
    """A client may follow a million names, one after the other."""
    follower = Follower(MemoryStore(), 10)
    for number in range(20):
        options = streams_pb2.ReadReq.Options.StreamOptions(
            stream_identifier=shared_pb2.StreamIdentifier(stream_name=b"s%d" % number)
        )
        pages = follower.stream(options, structured=False)
        assert (await anext(pages)).WhichOneof("content") == "caught_up"
        await pages.aclose()  # type: ignore[attr-defined]  # an async generator
    gc.collect()
    assert len(follower._tombstones) == 0
