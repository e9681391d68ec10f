"""A twin that follows the store, and the fold of the store up to any moment."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec
from msgspec.structs import replace

from coldaisle.core.errors import StoreError
from coldaisle.core.events.codec import decode
from coldaisle.core.events.envelope import Fact, Recorded
from coldaisle.core.pieces import encode_in_pieces
from coldaisle.core.reactor import form_number
from coldaisle.core.store.port import EventStore, Page, Step
from coldaisle.core.store.replay import Paged
from coldaisle.core.store.snapshots import Snapshots
from coldaisle.core.twin import Twin, fold

TWIN_SNAPSHOT = "twin"
SNAPSHOT_EVENTS = 100_000
"""A snapshot of the twin is saved after this many events, and at stop: what a start replays at most."""

FOLD_MEANING = 2
"""Raise it when ``fold`` makes another twin of the same history; a change of the twin's fields needs none."""

TWIN_SCHEMA = form_number(Twin, FOLD_MEANING)
_DEPTH = 2
"""The twin, and its maps."""
_decoder = msgspec.msgpack.Decoder(Twin)
log = logging.getLogger(__name__)


class History(Paged, Protocol):
    """What a fold needs of a store; an archive beside a store has it too."""

    async def replay(self, step: Step, *, after: int = 0, end: int) -> int:
        """See EventStore."""
        ...


def decode_each(events: Iterable[Recorded]) -> Iterator[Fact]:
    """The events whose type is known here, decoded as they are asked for."""
    return (fact for event in events if (fact := decode(event)) is not None)


def decode_known(events: Iterable[Recorded]) -> list[Fact]:
    """The events whose type is known here, decoded."""
    return list(decode_each(events))


def advance(twin: Twin, page: Page) -> Twin:
    """The twin after a page, at the page's position also when its last events are unknown here."""
    return replace(fold(twin, decode_each(page.events)), position=page.position)


async def save_twin(snapshots: Snapshots, twin: Twin) -> None:
    """Keep the twin as a snapshot."""
    data = await asyncio.to_thread(encode_in_pieces, twin, _DEPTH)
    await snapshots.save_snapshot(TWIN_SNAPSHOT, twin.position, TWIN_SCHEMA, data)


async def load_twin(snapshots: Snapshots | None, at_most: int | None = None) -> Twin:
    """The twin of the newest usable snapshot; an empty one when there is none."""
    if snapshots is None:
        return Twin()
    found = await snapshots.load_snapshot(TWIN_SNAPSHOT, TWIN_SCHEMA, at_most=at_most)
    if found is None:
        return Twin()
    try:
        return await asyncio.to_thread(_decoder.decode, found.data)
    except msgspec.MsgspecError as error:
        log.warning("a snapshot of the twin does not decode", extra={"error": str(error)})
        return Twin()


class LiveTwin:
    """The current twin. ``run`` follows the store; readers take ``current`` and wait for ``beyond``.

    ``recorded`` is when the store took the newest event that was followed, UTC ns; 0 before the first.
    """

    def __init__(self, store: EventStore, snapshots: Snapshots | None = None) -> None:
        self._store = store
        self._snapshots = snapshots
        self._saved_position = 0
        self._changed = asyncio.Event()
        self.current = Twin()
        self.recorded = 0

    async def run(self) -> None:
        """Follow the store until cancelled, from the newest snapshot on."""
        if self.current.position == 0:
            self._publish(await load_twin(self._snapshots))
            self._saved_position = self.current.position
        try:
            await self._catch_up()
            async for page in self._store.subscribe_all(after=self.current.position):
                if page.events:
                    self.recorded = page.events[-1].recorded
                self._publish(advance(self.current, page))
                await self._save_now_and_then()
        except asyncio.CancelledError:
            await self.save()
            raise

    async def _catch_up(self) -> None:
        head, before = await self._store.head(), -1
        while before < self.current.position < head:
            before = self.current.position
            self._publish(await advance_on(self._store, self.current, head))
            await self._save_now_and_then()

    async def _save_now_and_then(self) -> None:
        if self.current.position - self._saved_position >= SNAPSHOT_EVENTS:
            await self.save()

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

    async def save(self) -> None:
        """Save a snapshot, as ``run`` does now and then; one not written costs the next start time."""
        if self._snapshots is None or self.current.position == self._saved_position:
            return
        twin = self.current
        try:
            await save_twin(self._snapshots, twin)
        except StoreError as error:
            log.warning("the twin's snapshot was not saved", extra={"error": str(error)})
        self._saved_position = twin.position  # only now: a stop in the middle saves again


async def twin_at(history: History, position: int, snapshots: Snapshots | None = None) -> Twin:
    """The twin as it was at ``position``: the nearest snapshot before it, and the history up to there."""
    twin, before = await load_twin(snapshots, position), -1
    while before < twin.position < position:
        before, twin = twin.position, await advance_on(history, twin, position)
    return twin


async def advance_on(history: History, twin: Twin, end: int) -> Twin:
    """The twin some thousand events later, or at ``end``."""

    def step(events: Iterator[Recorded]) -> None:
        nonlocal twin
        twin = fold(twin, decode_each(events))

    reached = await history.replay(step, after=twin.position, end=end)
    return replace(twin, position=reached)
