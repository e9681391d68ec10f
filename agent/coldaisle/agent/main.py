"""The agent's process: builds everything from the configuration, runs it, and stops it in order.

The order at the end: collectors stop, the writer commits what they emitted, the uplink sends it if the
server is there, the stream closes. What is not sent waits in the spool for the next start.
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial

from coldaisle.agent.act import Actions
from coldaisle.agent.batches import Bounds
from coldaisle.agent.channel import bearer, endpoint_of
from coldaisle.agent.collecting import Collecting
from coldaisle.agent.collectors import Carriers, Collector, collectors_of
from coldaisle.agent.config import AgentConfig
from coldaisle.agent.inventory import inventory_events
from coldaisle.agent.pipeline import Pipeline
from coldaisle.agent.reload import Reloading
from coldaisle.agent.self_metrics import SELF, SelfMetrics
from coldaisle.agent.service import keep_alive, notify
from coldaisle.agent.spool import Spool
from coldaisle.agent.uplink import Uplink
from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.events.types import AgentStarted
from coldaisle.core.version import VERSION
from coldaisle.v1 import agent_pb2

logger = logging.getLogger(__name__)


async def run(config: AgentConfig) -> None:
    """Collect and send until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    stop, reload = asyncio.Event(), asyncio.Event()
    with _signals(stop.set, reload.set):
        await run_until(stop, config, reload)


async def run_until(stop: asyncio.Event, config: AgentConfig, reload: asyncio.Event | None = None) -> None:
    """Collect and send until ``stop`` is set; raises what a collector could not handle."""
    collectors = collectors_of(config)
    async with AsyncExitStack() as stack:
        spool = stack.enter_context(_spool(config))
        uplink = _uplink(config, spool)
        carriers = await stack.enter_async_context(Carriers(config))
        acting = Actions(carriers.current, uplink.answer, uplink.clock.age_seconds)
        actions = await stack.enter_async_context(acting)
        agent = _Agent(config, spool, uplink, carriers, actions)
        await agent.run(stop, collectors, reload or asyncio.Event())
    logger.info("agent stopped")


class _Agent:
    """The parts of a running agent, and the order in which they start and stop."""

    def __init__(
        self, config: AgentConfig, spool: Spool, uplink: Uplink, carriers: Carriers, actions: Actions
    ) -> None:
        self._config = config
        self._spool = spool
        self._uplink = uplink
        self._carriers = carriers
        self._actions = actions
        self._pipeline = Pipeline(spool, config.agent.name, config.spool.flush_seconds, uplink.wake)

    async def run(self, stop: asyncio.Event, collectors: list[Collector], reload: asyncio.Event) -> None:
        """Until ``stop``."""
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._pipeline.run(), name="writer")
            sending = group.create_task(self._uplink.run(self._actions.take), name="uplink")
            await _announce(self._config, collectors, self._pipeline.emit)
            collecting = Collecting(group, self._pipeline.emit_as)
            collecting.start([*collectors, self._self_metrics()])
            reloading = Reloading(self._config, collecting, self._pipeline.emit, self._adopt)
            others = [group.create_task(reloading.run(reload)), group.create_task(keep_alive())]
            notify("READY=1")
            await stop.wait()
            notify("STOPPING=1")
            logger.info("agent stopping")
            await _stop(others)
            await collecting.stop()
            await _drain(self._pipeline, writing, self._uplink, self._config.agent.stop_seconds)
            await _stop([writing, sending])

    def _self_metrics(self) -> Collector:
        settings = self._config.agent
        metrics = SelfMetrics(settings.name, settings.self_seconds, self._pipeline, self._uplink, self._spool)
        return Collector(SELF, metrics.run)

    async def _adopt(self, config: AgentConfig) -> None:
        self._uplink.greet(_hello(config))
        await self._carriers.change(config)


async def _announce(config: AgentConfig, collectors: list[Collector], emit: Emit) -> None:
    names = tuple(collector.name for collector in collectors)
    now = time.time_ns()
    started = AgentStarted(config.agent.name, socket.gethostname(), VERSION, names)
    await emit(Observation(now, started))
    for body in inventory_events(config.assets):
        await emit(Observation(now, body))
    logger.info("agent started", extra={"agent": config.agent.name, "collectors": list(names)})


async def _drain(pipeline: Pipeline, writing: asyncio.Task[None], uplink: Uplink, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await pipeline.close()
            await asyncio.wait([writing])
            if uplink.is_connected:
                await uplink.drained()
    except TimeoutError:
        logger.warning("not everything was sent before the end: it stays in the spool")


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _spool(config: AgentConfig) -> Spool:
    path = config.path(config.agent.data_dir) / "spool.db"
    return Spool(path, config.agent.name, config.spool.max_bytes, Bounds(config.spool.max_batch_events))


def _hello(config: AgentConfig) -> agent_pb2.Hello:
    assets = sorted(device.asset for device in config.devices)
    return agent_pb2.Hello(agent=config.agent.name, version=VERSION, assets=assets)


def _uplink(config: AgentConfig, spool: Spool) -> Uplink:
    token = config.path(config.agent.token_file) if config.agent.token_file else None
    return Uplink(_hello(config), spool, partial(endpoint_of, config), partial(bearer, token))


@contextmanager
def _signals(stop: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
