"""Runs a reactor against a store: follow, react, append, remember how far."""

import asyncio

from coldaisle.core.events.streams import stream_of
from coldaisle.core.reactor import Reaction, Reactor, stamp
from coldaisle.core.store.live import decode_known
from coldaisle.core.store.port import Append, EventStore

CHECKPOINT_EVENTS = 1_000
"""A checkpoint is saved after this many events without an answer, and after every answer."""


class ReactorRunner:
    """Keeps one reactor up with the store; ``position`` is how far it is.

    At start it takes in the whole history and throws away what it answered before its checkpoint. After a
    crash between an append and its checkpoint it answers again, under the same ids: the store keeps the
    first. So a reaction is recorded exactly once.
    """

    def __init__(self, store: EventStore, reactor: Reactor) -> None:
        self._store = store
        self.reactor = reactor
        self.position = 0
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow the store until cancelled."""
        done = saved = await self._store.load_checkpoint(self.reactor.name)
        async for page in self._store.subscribe_all():
            reactions = await asyncio.to_thread(self.reactor.react, decode_known(page.events))
            new = [reaction for reaction in reactions if reaction.cause.position > done]
            if new:
                await self._store.append_many(appends_of(self.reactor.name, new))
            self.position = page.position
            if self.position > done and (new or self.position - saved >= CHECKPOINT_EVENTS):
                await self._store.save_checkpoint(self.reactor.name, self.position)
                saved = self.position
            if page.caught_up:
                self.caught_up.set()


def appends_of(name: str, reactions: list[Reaction]) -> list[Append]:
    """One append for each reaction, so that a repetition matches wherever pages were cut."""
    return [
        Append(stream_of(reaction.body), [event])
        for reaction, event in zip(reactions, stamp(name, reactions), strict=True)
    ]
