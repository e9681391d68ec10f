"""The agent's process: builds everything from the configuration, runs it, and stops it in order.

The order at the end: collectors stop, the writer commits what they emitted, the uplink sends it if the
server is there, the stream closes. What is not sent waits in the spool for the next start.
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial

from coldaisle.agent.act import Actions
from coldaisle.agent.batches import Bounds
from coldaisle.agent.channel import bearer, endpoint_of
from coldaisle.agent.collectors import Collector, carriers_of, collectors_of
from coldaisle.agent.config import AgentConfig
from coldaisle.agent.inventory import inventory_events
from coldaisle.agent.pipeline import Pipeline
from coldaisle.agent.spool import Spool
from coldaisle.agent.uplink import Uplink
from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.events.types import AgentStarted
from coldaisle.core.version import VERSION
from coldaisle.v1 import agent_pb2

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run(config: AgentConfig) -> None:
    """Collect and send until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    with _signals(stop.set):
        await run_until(stop, config)


async def run_until(stop: asyncio.Event, config: AgentConfig) -> None:
    """Collect and send until ``stop`` is set; raises what a collector could not handle."""
    collectors = collectors_of(config)
    async with AsyncExitStack() as stack:
        spool = stack.enter_context(_spool(config))
        uplink = _uplink(config, spool)
        carriers = await stack.enter_async_context(carriers_of(config))
        actions = await stack.enter_async_context(Actions(carriers, uplink.answer))
        await _run(stop, config, collectors, spool, uplink, actions)
    logger.info("agent stopped")


async def _run(
    stop: asyncio.Event,
    config: AgentConfig,
    collectors: list[Collector],
    spool: Spool,
    uplink: Uplink,
    actions: Actions,
) -> None:
    pipeline = Pipeline(spool, config.agent.name, config.spool.flush_seconds, uplink.wake)
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(pipeline.run(), name="writer")
        sending = group.create_task(uplink.run(actions.take), name="uplink")
        await _announce(config, collectors, pipeline.emit)
        collecting = [group.create_task(_collect(c.run, pipeline.emit), name=c.name) for c in collectors]
        await stop.wait()
        logger.info("agent stopping")
        await _stop(collecting)
        await _drain(pipeline, writing, uplink, config.agent.stop_seconds)
        await _stop([writing, sending])


async def _collect(collect: Callable[[Emit], Awaitable[None]], emit: Emit) -> None:
    await collect(emit)


async def _announce(config: AgentConfig, collectors: list[Collector], emit: Emit) -> None:
    names = tuple(collector.name for collector in collectors)
    now = time.time_ns()
    await emit(Observation(now, AgentStarted(config.agent.name, socket.gethostname(), VERSION, names)))
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


def _uplink(config: AgentConfig, spool: Spool) -> Uplink:
    assets = sorted(device.asset for device in config.devices)
    hello = agent_pb2.Hello(agent=config.agent.name, version=VERSION, assets=assets)
    token = config.path(config.agent.token_file) if config.agent.token_file else None
    return Uplink(hello, spool, partial(endpoint_of, config), partial(bearer, token))


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
