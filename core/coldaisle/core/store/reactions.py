"""Runs a reactor against a store: follow, react, append, remember how far."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from coldaisle.core.errors import StoreError, StoreFull
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.events.streams import stream_of
from coldaisle.core.reactor import Reaction, Reactor, Remembering, stamp
from coldaisle.core.store.live import decode_known
from coldaisle.core.store.port import Append, EventStore, Page
from coldaisle.core.store.snapshots import Snapshots

CHECKPOINT_EVENTS = 1_000
"""A checkpoint is saved after this many events without an answer, and after every answer."""

SNAPSHOT_EVENTS = 200_000
"""A reactor that remembers saves its state after this many events, and at stop."""

MAX_APPEND_ANSWERS = 1_000
"""Answers appended at once. One fact may have tens of thousands, as when an agent that relays many hosts
comes back; the store refuses so many in one append, and others would wait for them."""

FIRST_RETRY_SECONDS = 0.25
MAX_RETRY_SECONDS = 10.0
log = logging.getLogger(__name__)


class Waits:
    """How long to wait before each next attempt: exponential, capped, with jitter."""

    def __init__(self) -> None:
        self._longest_seconds = FIRST_RETRY_SECONDS

    def next_seconds(self) -> float:
        """Seconds to wait now."""
        longest = self._longest_seconds
        self._longest_seconds = min(2 * longest, MAX_RETRY_SECONDS)
        return longest * random.uniform(0.5, 1.0)


class ReactorRunner:
    """Keeps one reactor up with the store; ``position`` is how far it is.

    At start it takes in the history, from its newest snapshot on when it has one, and throws away what it
    answered before its checkpoint. After a crash between an append and its checkpoint it answers again,
    under the same ids: the store keeps the first. So a reaction is recorded exactly once. While the store
    is full it waits and tries again; ``problem`` says so, and is empty otherwise.

    A snapshot is saved only where every answer up to it is stored. ``react`` runs in a thread, one call at
    a time: nothing but this runner may touch a reactor's state.
    """

    def __init__(self, store: EventStore, reactor: Reactor, snapshots: Snapshots | None = None) -> None:
        self._store = store
        self.reactor = reactor
        self._snapshots = snapshots
        self._saved_position = 0
        self._state_is_at_position = True
        self._turn = asyncio.Lock()
        self.position = 0
        self.problem = ""
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow the store until cancelled."""
        done = saved = await self._store.load_checkpoint(self.reactor.name)
        await self._load()
        try:
            async for page in self._store.subscribe_all(after=self.position):
                answered = await self._take(page, done)
                if self.position > done and (answered or self.position - saved >= CHECKPOINT_EVENTS):
                    saved = self.position
                    save = partial(self._store.save_checkpoint, self.reactor.name, saved)
                    await self._when_there_is_room(save)
                if self.position - self._saved_position >= SNAPSHOT_EVENTS:
                    await self.save()
                if page.caught_up:
                    self.caught_up.set()
        except asyncio.CancelledError:
            await self.save()
            raise

    async def _take(self, page: Page, done: int) -> bool:
        """React to a page and store the answers; whether there were any beyond ``done``."""
        async with self._turn:
            self._state_is_at_position = False
            reactions = await asyncio.to_thread(self._react, page.events)
        new = [reaction for reaction in reactions if reaction.cause.position > done]
        if new:
            appends = appends_of(self.reactor.name, new)
            for start in range(0, len(appends), MAX_APPEND_ANSWERS):
                part = appends[start : start + MAX_APPEND_ANSWERS]
                await self._when_there_is_room(partial(self._store.append_many, part))
        self.position = page.position
        self._state_is_at_position = True
        return bool(new)

    def _react(self, events: Sequence[Recorded]) -> list[Reaction]:
        return self.reactor.react(decode_known(events))

    async def _load(self) -> None:
        reactor = self.reactor
        if self._snapshots is None or not isinstance(reactor, Remembering):
            return
        name = snapshot_name(reactor.name)
        found = await self._snapshots.load_snapshot(name, reactor.snapshot_schema)
        if found is None:
            return
        try:
            await asyncio.to_thread(reactor.load, found.data)
        except ValueError as error:
            log.warning("a reactor's snapshot does not fit", extra={"snapshot": name, "error": str(error)})
            return
        self.position = self._saved_position = found.position

    async def save(self) -> None:
        """Save a snapshot, as ``run`` does now and then; one not written costs the next start time."""
        async with self._turn:
            await self._save()

    async def _save(self) -> None:
        reactor = self.reactor
        if self._snapshots is None or not isinstance(reactor, Remembering):
            return
        if not self._state_is_at_position or self.position == self._saved_position:
            return
        try:
            data = await asyncio.to_thread(reactor.save)
            await self._snapshots.save_snapshot(
                snapshot_name(reactor.name), self.position, reactor.snapshot_schema, data, only_latest=True
            )
        except StoreError as error:
            log.warning("a reactor's state was not saved", extra={"error": str(error)})
        self._saved_position = self.position  # only now: a stop in the middle saves again

    async def _when_there_is_room(self, write: Callable[[], Awaitable[object]]) -> None:
        waits = Waits()
        while True:
            try:
                await write()
            except StoreFull as error:
                if not self.problem:
                    log.warning("a reactor waits for room", extra={"reactor": self.reactor.name})
                self.problem = str(error)
                await asyncio.sleep(waits.next_seconds())
            else:
                self.problem = ""
                return


def snapshot_name(reactor: str) -> str:
    """The name of a reactor's snapshots."""
    return f"reactor/{reactor}"


def appends_of(name: str, reactions: list[Reaction]) -> list[Append]:
    """One append for each reaction, so that a repetition matches wherever pages were cut."""
    return [
        Append(stream_of(reaction.body), [event])
        for reaction, event in zip(reactions, stamp(name, reactions), strict=True)
    ]
