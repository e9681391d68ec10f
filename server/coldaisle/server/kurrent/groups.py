"""Groups of consumers, running: each reads the store ahead of its consumers and remembers how far it got."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence

import msgspec
from grpc import StatusCode
from msgspec import Struct

from coldaisle.core.errors import StoreError
from coldaisle.core.events import NewEvent, new_id
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store import EventFilter, EventStore
from coldaisle.server.kurrent.errors import WireRefusal, group_refusal
from coldaisle.server.kurrent.events import Proposed, to_store, wire_parts
from coldaisle.server.kurrent.filters import WireFilter, build_filter
from coldaisle.server.kurrent.following import pages_of
from coldaisle.server.kurrent.ledger import Consumer, Delivery, Ledger
from coldaisle.server.kurrent.windows import Window, state_of, window_in

ALL = "$all"
PARKED_TYPE = "$parked"
MAX_TICK_SECONDS = 1.0
MIN_TICK_SECONDS = 0.02
MAX_REPLAYED_EVENTS = 10_000
MAX_BUFFER_EVENTS = 10_000
MAX_SLOTS = 10_000
MAX_REASON_CHARACTERS = 1_000

log = logging.getLogger(__name__)


class GroupFilter(Struct, frozen=True):
    """What a group on everything looks for."""

    stream_names: bool
    regex: str
    prefixes: tuple[str, ...] = ()


class GroupConfig(Struct, frozen=True):
    """A group as its creator wants it. ``start`` is where it begins, included; -1 is the end."""

    stream: str
    name: str
    start: int = 0
    filter: GroupFilter | None = None
    resolve_links: bool = False
    extra_statistics: bool = False
    message_timeout_ms: int = 30_000
    max_retry_count: int = 10
    checkpoint_after_ms: int = 2_000
    min_checkpoint_count: int = 10
    max_checkpoint_count: int = 1_000
    max_subscriber_count: int = 0
    live_buffer_size: int = 500
    read_batch_size: int = 20
    history_buffer_size: int = 500
    strategy: str = "RoundRobin"

    @property
    def key(self) -> str:
        """The group's name among all groups; its checkpoint stands under it."""
        return f"kurrent/{self.stream}::{self.name}"

    @property
    def parked_stream(self) -> str:
        """Where its parked events are noted."""
        return f"$persistentsubscription-{self.stream}::{self.name}-parked"

    def wanted(self) -> WireFilter:
        """Its filter. Raises WireRefusal."""
        if self.filter is None:
            return WireFilter()
        return build_filter(self.filter.stream_names, self.filter.regex, self.filter.prefixes)


class ParkedNote(Struct, frozen=True):
    """A parked event, by its position; what is parked stays where it was."""

    position: int
    reason: str = ""


class Seat(Consumer):
    """A connected consumer: its events, then why they end."""

    def __init__(self, name: str, slots: int) -> None:
        super().__init__(name, max(1, min(slots, MAX_SLOTS)))
        self.outbox: asyncio.Queue[Delivery | WireRefusal | None] = asyncio.Queue()

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """What comes, until the seat is closed."""
        while (item := await self.outbox.get()) is not None:
            if isinstance(item, WireRefusal):
                raise item
            yield item


class Group:
    """One running group. An async context manager."""

    def __init__(self, store: EventStore, config: GroupConfig) -> None:
        self.config = config
        self.parked_last = -1
        self._store = store
        self._wanted = config.wanted()
        self._window: Window | None = None
        self._room = asyncio.Event()
        self._saved = (-1, -2)
        self._tasks: list[asyncio.Task[None]] = []
        self._parkings: set[asyncio.Task[None]] = set()
        self.ledger = Ledger(0, -1, config.max_retry_count)

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Go on where the group was."""
        config = self.config
        position = await self._store.load_checkpoint(config.key) - 1  # stored one higher: 0 is "never"
        if position < 0:
            position = await self._first_position()
            await self._store.save_checkpoint(config.key, position + 1)
        parked = await self._store.load_checkpoint(f"{config.key}-parked") - 1
        state = await self._store.stream_state(config.parked_stream)
        self.parked_last = state.version if state is not None else -1
        if config.stream != ALL:
            state = await state_of(self._store, config.stream)
            self._window = await window_in(self._store, config.stream, state)
        self.ledger = Ledger(position, parked, config.max_retry_count)
        self._tasks = [tasks.create_task(self._feed()), tasks.create_task(self._keep_time())]

    async def stop(self, code: StatusCode | None = None) -> None:
        """End the group's work; its consumers are told."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait([*self._tasks, *self._parkings])
        text = "the group was changed, deleted or stopped"
        dropped = self.refusal(code or StatusCode.CANCELLED, "persistent-subscription-dropped", text)
        for seat in list(self.ledger.consumers):
            assert isinstance(seat, Seat)
            self.ledger.leave(seat)
            seat.outbox.put_nowait(dropped)
        await self.save()

    def refusal(self, code: StatusCode, what: str, text: str) -> WireRefusal:
        """A refusal that names this group."""
        return group_refusal(code, what, self.config.stream, self.config.name, text)

    def join(self, name: str, slots: int) -> Seat:
        """A place for one more consumer. Raises WireRefusal when the group is full."""
        limit = self.config.max_subscriber_count
        if limit and len(self.ledger.consumers) >= limit:
            text = f"Maximum subscriptions reached: {limit} in group {self.config.name!r}"
            raise self.refusal(StatusCode.FAILED_PRECONDITION, "maximum-subscribers-reached", text)
        seat = Seat(name, slots)
        self.ledger.consumers.append(seat)
        self._pump()
        return seat

    async def leave(self, seat: Seat) -> None:
        """A consumer is gone."""
        if seat not in self.ledger.consumers:  # dropped; the checkpoint may be another group's by now
            return
        self.ledger.leave(seat)
        self._pump()
        await self.save()

    async def acknowledge(self, seat: Seat, ids: Sequence[bytes]) -> None:
        """The consumer is done with these."""
        self.ledger.finish(seat, ids)
        self._pump()

    async def refuse(self, seat: Seat, ids: Sequence[bytes], park: bool, reason: str) -> None:
        """The consumer could not do these: once more, or aside."""
        give_up = self.ledger.park(seat, ids) if park else self.ledger.retry(seat, ids)
        await self._park(give_up, reason)
        self._pump()

    async def replay_parked(self, stop_at: int | None) -> None:
        """Deliver parked events again, at most ``stop_at`` of them."""
        limit = MAX_REPLAYED_EVENTS if stop_at is None else min(stop_at, MAX_REPLAYED_EVENTS)
        notes = await self._store.read_stream(
            self.config.parked_stream, after=self.ledger.parked_read, limit=limit
        )
        found: list[tuple[int, Recorded]] = []
        for note in notes:
            position = msgspec.json.decode(wire_parts(note)[1], type=ParkedNote).position
            page = await self._store.read_all(after=position - 1, limit=1)
            if page.events and page.events[0].position == position:  # else retention has removed it
                found.append((note.version, page.events[0]))
        self.ledger.replay(found)
        if notes:
            self.ledger.parked_read = max(self.ledger.parked_read, notes[-1].version)
        self._pump()

    async def save(self) -> None:
        """Remember how far the group got."""
        now = self.ledger.checkpoint(), self.ledger.parked_checkpoint()
        if now == self._saved:
            return
        await self._store.save_checkpoint(self.config.key, now[0] + 1)
        await self._store.save_checkpoint(f"{self.config.key}-parked", now[1] + 1)
        self._saved = now

    async def _first_position(self) -> int:
        start, stream = self.config.start, self.config.stream
        if start < 0:
            return await self._store.head()
        if stream == ALL:
            return max(0, start - 1)
        at = await self._store.read_stream(stream, after=start - 1, limit=1)
        return at[0].position - 1 if at else 0

    async def _feed(self) -> None:
        stream = self.config.stream
        only = self._wanted.only if stream == ALL else EventFilter(stream_prefixes=(stream,))
        after = self.ledger.read_position
        async with contextlib.aclosing(pages_of(self._store, after, only)) as pages:
            async for page in pages:
                self.ledger.feed([event for event in page.events if self._is_ours(event)], page.position)
                self._pump()
                while len(self.ledger.waiting) >= self.config.history_buffer_size:
                    self._room.clear()
                    await self._room.wait()

    def _is_ours(self, event: Recorded) -> bool:
        if event.stream == self.config.parked_stream:
            return False
        if self._window is None:
            return self._wanted.admits(event)
        is_later = event.stream == self.config.stream and event.version >= self.config.start
        return is_later and self._window.shows(event)

    def _pump(self) -> None:
        for seat, delivery in self.ledger.assign(self.config.strategy, time.monotonic()):
            assert isinstance(seat, Seat)
            seat.outbox.put_nowait(delivery)
        self._room.set()

    async def _keep_time(self) -> None:
        """Takes back what no one answered in time, and saves the checkpoint."""
        timeout_seconds = self.config.message_timeout_ms / 1_000
        tick_seconds = min(MAX_TICK_SECONDS, max(MIN_TICK_SECONDS, timeout_seconds / 4 or MAX_TICK_SECONDS))
        while True:
            await asyncio.sleep(tick_seconds)
            if timeout_seconds > 0:
                for seat, ids in self.ledger.overdue(time.monotonic(), timeout_seconds):
                    await self._park(self.ledger.retry(seat, ids), "no answer in time, too often")
                self._pump()
            try:
                await self.save()
            except StoreError as error:  # the next tick tries again; until then more would be repeated
                log.warning("a group's checkpoint was not saved", extra={"error": str(error)})

    async def _park(self, deliveries: Sequence[Delivery], reason: str) -> None:
        """In a task of its own: the client that gave these up may be gone before they are on the disk."""
        if not deliveries:
            return
        parking = asyncio.ensure_future(self._write_parked(deliveries, reason))
        self._parkings.add(parking)
        parking.add_done_callback(self._parkings.discard)
        await asyncio.shield(parking)

    async def _write_parked(self, deliveries: Sequence[Delivery], reason: str) -> None:
        now = time.time_ns()
        notes = [self._note(delivery, reason[:MAX_REASON_CHARACTERS], now) for delivery in deliveries]
        try:
            appended = await self._store.append(self.config.parked_stream, notes)
        except StoreError as error:
            self.ledger.not_parked(deliveries)
            log.warning("events could not be parked and wait again", extra={"error": str(error)})
        else:
            self.ledger.parked(deliveries)
            self.parked_last = appended.version

    def _note(self, delivery: Delivery, reason: str, now: int) -> NewEvent:
        data = msgspec.json.encode(ParkedNote(delivery.event.position, reason))
        proposed = Proposed(new_id(now), PARKED_TYPE, "application/json", data, b"")
        return to_store(proposed, now, "group")
