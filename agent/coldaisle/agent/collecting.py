"""The collectors that run, and how they become those that a new configuration asks for."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from msgspec import structs

from coldaisle.agent.collectors import TRAPS, Collector
from coldaisle.agent.config import AgentConfig
from coldaisle.agent.self_metrics import SELF
from coldaisle.core.errors import ColdaisleError
from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.events.types import TrapReceived

logger = logging.getLogger(__name__)


class Collecting:
    """Runs collectors in ``group``; ``emit_as`` gives each what it emits into."""

    def __init__(self, group: asyncio.TaskGroup, emit_as: Callable[[str], Emit]) -> None:
        self._group = group
        self._emit_as = emit_as
        self._running: dict[str, tuple[Collector, asyncio.Task[None]]] = {}

    def start(self, collectors: Sequence[Collector]) -> None:
        """Start these; one that cannot work ends the agent."""
        for collector in collectors:
            task = self._group.create_task(_run(collector, self._emit_for(collector)), name=collector.name)
            self._running[collector.name] = (collector, task)

    async def change(self, collectors: Sequence[Collector], config: AgentConfig) -> list[str]:
        """Touch only what differs; answers what was done. One that cannot work is left out, and said."""
        wanted = {collector.name: collector for collector in collectors}
        done = [await self._stop(name) for name in list(self._running) if name not in {*wanted, SELF}]
        for name, collector in wanted.items():
            done += await self._become(name, collector, config)
        return done

    async def stop(self) -> None:
        """Stop all."""
        for name in list(self._running):
            await self._stop(name)

    def _emit_for(self, collector: Collector) -> Emit:
        """What the collector emits into; a device that sent a trap is polled soon."""
        emit = self._emit_as(collector.name)

        async def emit_and_poll(observation: Observation) -> None:
            await emit(observation)
            if isinstance(observation.body, TrapReceived):
                self._poll_soon(observation.body.asset)

        return emit_and_poll if collector.name == TRAPS else emit

    def _poll_soon(self, asset: str) -> None:
        for collector, _ in self._running.values():
            if collector.poll_soon is not None:
                collector.poll_soon(asset)

    async def _become(self, name: str, collector: Collector, config: AgentConfig) -> list[str]:
        if name not in self._running:
            return [self._start_late(collector)]
        old, task = self._running[name]
        if old.settings != collector.settings or task.done():
            return [await self._stop(name), self._start_late(collector)]
        if old.update is None or old.live == collector.live:
            return []
        old.update(config)
        kept = structs.replace(old, live=collector.live)
        self._running[name] = (kept, task)
        return [f"{name} updated"]

    def _start_late(self, collector: Collector) -> str:
        task = self._group.create_task(_run_late(collector, self._emit_for(collector)), name=collector.name)
        self._running[collector.name] = (collector, task)
        return f"{collector.name} started"

    async def _stop(self, name: str) -> str:
        _, task = self._running.pop(name)
        task.cancel()
        await asyncio.wait([task])  # its ports are free before another takes them
        return f"{name} stopped"


async def _run(collector: Collector, emit: Emit) -> None:
    await collector.run(emit)


async def _run_late(collector: Collector, emit: Emit) -> None:
    """An agent that runs is not ended by a port that is taken or a secret that cannot be read."""
    reason = ""
    try:
        await collector.run(emit)
    except ColdaisleError as error:
        reason = str(error)
    if reason:
        fields = {"collector": collector.name, "reason": reason}
        logger.error("collector ended: correct its settings and reload", extra=fields)
