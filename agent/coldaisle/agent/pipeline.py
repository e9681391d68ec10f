"""Collectors → bounded queue → one writer that commits to the spool → a wake-up for the uplink."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable

from coldaisle.agent.errors import SpoolUnwritable
from coldaisle.agent.ring import Ring
from coldaisle.agent.spool import Spool
from coldaisle.core.events.envelope import Emit, Observation

logger = logging.getLogger(__name__)

_QUEUE_LENGTH = 2048
RING_EVENTS = 10_000
RETRY_SECONDS = 1.0
"""Between attempts while the disk takes nothing: each encodes everything that waits."""


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
    ) -> None:
        self._spool = spool
        self._flush_seconds = flush_seconds
        self._wake = wake
        self._ring = Ring(agent, ring_events)
        self._emitted: Counter[str] = Counter()
        self._retry_at = 0.0
        self._is_closed = False
        self.refused = asyncio.Event()
        self._queue: asyncio.Queue[Observation | None] = asyncio.Queue(_QUEUE_LENGTH)

    async def emit(self, observation: Observation) -> None:
        """Queue one observation; waits while the writer is behind."""
        await self._queue.put(observation)

    def emit_as(self, collector: str) -> Emit:
        """The same, counted for a collector."""

        async def emit(observation: Observation) -> None:
            await self._queue.put(observation)
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
        """What arrives within one flush interval, at most a batch; False when closed."""
        gathered: list[Observation] = []
        deadline: float | None = self._deadline() if self.refused.is_set() else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline) as limit:
                while len(gathered) < self._spool.bounds.max_events:
                    observation = await self._queue.get()
                    if observation is None:
                        return gathered, False
                    gathered.append(observation)
                    if deadline is None:
                        deadline = self._deadline()
                        limit.reschedule(deadline)
        return gathered, True

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._flush_seconds

    async def _write(self, observations: list[Observation]) -> None:
        now = asyncio.get_running_loop().time()
        if self.refused.is_set() and now < self._retry_at and not self._is_closed:
            self._ring.add(observations)
            return
        pending = [*self._ring.pending(), *observations]
        if not pending:
            return
        try:
            await asyncio.to_thread(self._spool.append, pending)
        except SpoolUnwritable as error:
            self._retry_at = now + RETRY_SECONDS
            self._ring.add(observations)
            self._report(str(error))
        else:
            self._ring.clear()
            _confirm(pending)
            self._report("")
            self._wake()

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
