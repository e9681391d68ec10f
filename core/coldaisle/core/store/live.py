"""A twin that follows the store, and the fold of the store up to any moment."""

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from coldaisle.core.events.codec import decode
from coldaisle.core.events.envelope import Fact, Recorded
from coldaisle.core.store.port import MAX_PAGE_EVENTS, EventStore, Page
from coldaisle.core.twin import Twin, fold


def decode_known(events: Sequence[Recorded]) -> list[Fact]:
    """The events whose type is known here, decoded."""
    return [fact for event in events if (fact := decode(event)) is not None]


def advance(twin: Twin, page: Page) -> Twin:
    """The twin after a page, at the page's position also when its last events are unknown here."""
    return replace(fold(twin, decode_known(page.events)), position=page.position)


class LiveTwin:
    """The current twin. ``run`` follows the store; readers take ``current`` and wait for ``beyond``."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._changed = asyncio.Event()
        self.current = Twin()

    async def run(self) -> None:
        """Follow the store until cancelled."""
        async for page in self._store.subscribe_all():
            self._publish(advance(self.current, page))

    async def beyond(self, position: int) -> Twin:
        """The first twin after ``position`` that this call sees; waits for it."""
        while self.current.position <= position:
            await self._changed.wait()
        return self.current

    async def at_least(self, position: int) -> Twin:
        """A twin that has taken in everything up to ``position``; waits for it."""
        return await self.beyond(position - 1)

    def _publish(self, twin: Twin) -> None:
        self.current = twin
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


async def twin_at(store: EventStore, position: int) -> Twin:
    """The twin as it was at ``position``: the fold of the history up to there."""
    twin = Twin()
    while twin.position < position:
        page = await store.read_all(after=twin.position, limit=min(MAX_PAGE_EVENTS, position - twin.position))
        if not page.events:
            break
        twin = advance(twin, page)
    return twin
