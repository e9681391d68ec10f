"""A new configuration for an agent that runs, at SIGHUP: what did not change is not touched."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from coldaisle.agent.collecting import Collecting
from coldaisle.agent.collectors import collectors_of
from coldaisle.agent.config import AgentConfig, load_config
from coldaisle.agent.inventory import inventory_news
from coldaisle.core.errors import ColdaisleError
from coldaisle.core.events.envelope import Emit, Observation

logger = logging.getLogger(__name__)

Adopt = Callable[[AgentConfig], Awaitable[None]]
"""Tells the rest of the agent, which sends and acts, of the new configuration."""


class Reloading:
    """``run`` waits for ``asked``; a configuration with a fault is refused whole, with its place."""

    def __init__(self, config: AgentConfig, collecting: Collecting, emit: Emit, adopt: Adopt) -> None:
        self._config = config
        self._collecting = collecting
        self._emit = emit
        self._adopt = adopt

    async def run(self, asked: asyncio.Event) -> None:
        """Reload each time until cancelled."""
        while True:
            await asked.wait()
            asked.clear()
            reason = ""
            try:
                await self._reload()
            except ColdaisleError as error:
                reason = str(error)
            if reason:
                logger.error("configuration not reloaded: the old one goes on", extra={"reason": reason})

    async def _reload(self) -> None:
        new = await asyncio.to_thread(load_config, self._config.file)
        for section in ("agent", "spool"):
            if _fixed(getattr(new, section)) != _fixed(getattr(self._config, section)):
                logger.warning("this section takes effect at the next start", extra={"section": section})
        done = await self._collecting.change(collectors_of(new), new)
        await self._announce(new)
        await self._adopt(new)
        self._config = new
        logger.info("configuration reloaded", extra={"changes": done})

    async def _announce(self, new: AgentConfig) -> None:
        """What the inventory says now and did not say before."""
        for body in inventory_news(self._config.assets, new.assets):
            await self._emit(Observation(time.time_ns(), body))


def _fixed(section: object) -> dict[str, object]:
    """The settings of a section that a running agent cannot change."""
    kept = {name: getattr(section, name) for name in getattr(section, "__struct_fields__", ())}
    kept.pop("inventory", None)  # its files are what is reloaded
    return kept
