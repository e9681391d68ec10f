"""Collectors → bounded queue → one writer that commits to the spool → a wake-up for the uplink."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable

from coldaisle.agent.errors import SpoolUnwritable
from coldaisle.agent.ring import Ring
from coldaisle.agent.spool import Spool
from coldaisle.agent.weight import weight_bytes
from coldaisle.core.events.envelope import Emit, Observation

logger = logging.getLogger(__name__)

_MAX_QUEUED_EVENTS = 2048
_MAX_QUEUED_BYTES = 16_777_216
_MAX_WRITE_EVENTS = 2048
_MAX_WRITE_BYTES = 4_194_304
"""Of one commit to the spool, which holds what it writes encoded too."""

RING_EVENTS = 10_000
RING_BYTES = 33_554_432
RETRY_SECONDS = 1.0
"""Between attempts while the disk takes nothing."""


class Pipeline:
    """What collectors emit into. ``run`` is the one writer; ``close`` lets it finish what is queued.

    ``refused`` is set while the spool takes nothing and events wait in memory.
    """

    def __init__(
        self,
        spool: Spool,
        agent: str,
        flush_seconds: float,
        wake: Callable[[], None],
        ring_events: int = RING_EVENTS,
        ring_bytes: int = RING_BYTES,
    ) -> None:
        self._spool = spool
        self._flush_seconds = flush_seconds
        self._wake = wake
        self._ring = Ring(agent, ring_events, ring_bytes)
        self._emitted: Counter[str] = Counter()
        self._retry_at = 0.0
        self._is_closed = False
        self.refused = asyncio.Event()
        self._queue: asyncio.Queue[Observation | None] = asyncio.Queue(_MAX_QUEUED_EVENTS)
        self._queued_bytes = 0
        self._room = asyncio.Event()

    async def emit(self, observation: Observation) -> None:
        """Queue one observation; waits while the writer is behind."""
        while self._queued_bytes > _MAX_QUEUED_BYTES:
            self._room.clear()
            await self._room.wait()
        await self._queue.put(observation)
        self._queued_bytes += weight_bytes(observation)

    def emit_as(self, collector: str) -> Emit:
        """The same, counted for a collector."""

        async def emit(observation: Observation) -> None:
            await self.emit(observation)
            self._emitted[collector] += 1

        return emit

    def emitted(self) -> dict[str, float]:
        """How many observations each collector made, as metrics."""
        return {
            f'agent_observations_total{{collector="{name}"}}': count for name, count in self._emitted.items()
        }

    @property
    def queued_count(self) -> int:
        """Observations between collectors and spool."""
        return self._queue.qsize() + len(self._ring)

    @property
    def dropped_count(self) -> int:
        """Observations that were lost while the spool took nothing."""
        return self._ring.dropped_count

    async def close(self) -> None:
        """Say that no collector emits any more."""
        await self._queue.put(None)

    async def run(self) -> None:
        """Write until closed, then until nothing is left."""
        while not self._is_closed:
            observations, is_open = await self._gather()
            self._is_closed = not is_open
            await self._write(observations)
        if len(self._ring):
            logger.error(
                "events lost: the spool was not writable at the end", extra={"count": len(self._ring)}
            )

    async def _gather(self) -> tuple[list[Observation], bool]:
        """What arrives within one flush interval, at most one commit's worth; False when closed."""
        gathered: list[Observation] = []
        gathered_bytes, max_events = 0, min(self._spool.bounds.max_events, _MAX_WRITE_EVENTS)
        deadline: float | None = self._deadline() if self.refused.is_set() else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline) as limit:
                while len(gathered) < max_events and gathered_bytes < _MAX_WRITE_BYTES:
                    observation = await self._queue.get()
                    if observation is None:
                        return gathered, False
                    gathered.append(observation)
                    gathered_bytes += self._taken(observation)
                    if deadline is None:
                        deadline = self._deadline()
                        limit.reschedule(deadline)
        return gathered, True

    def _taken(self, observation: Observation) -> int:
        weight = weight_bytes(observation)
        self._queued_bytes -= weight
        self._room.set()
        return weight

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._flush_seconds

    async def _write(self, observations: list[Observation]) -> None:
        now = asyncio.get_running_loop().time()
        self._ring.add(observations)
        if self.refused.is_set() and now < self._retry_at and not self._is_closed:
            return
        try:
            while part := self._ring.first(_MAX_WRITE_EVENTS, _MAX_WRITE_BYTES):
                await self._spool.apart(self._spool.append, part)
                self._ring.written(part)
                _confirm(part)
                self._report("")
                self._wake()
        except SpoolUnwritable as error:
            self._retry_at = now + RETRY_SECONDS
            self._report(str(error))

    def _report(self, failure: str) -> None:
        if failure and not self.refused.is_set():
            logger.error("spool not writable: collecting into memory", extra={"reason": failure})
            self.refused.set()
        elif not failure and self.refused.is_set():
            logger.warning("spool writable again")
            self.refused.clear()


def _confirm(observations: list[Observation]) -> None:
    for observation in observations:
        if observation.on_commit is not None:
            observation.on_commit()
