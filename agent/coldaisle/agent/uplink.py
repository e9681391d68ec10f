"""Sends the spool to the server over one stream, and takes commands from it.

At least once on the wire: a batch leaves the spool when the server says that it is on disk. After a cut
everything unacknowledged goes again, in order, under the same ids.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from coldaisle.agent.backoff import Backoff
from coldaisle.agent.clock import Clock
from coldaisle.agent.errors import SpoolUnwritable, StreamEnded
from coldaisle.agent.spool import Spool, SpooledBatch
from coldaisle.agent.stream import Endpoint, Metadata, Stream
from coldaisle.v1 import agent_pb2

logger = logging.getLogger(__name__)

FindServer = Callable[[], Endpoint]
Show = Callable[[], Metadata]
TakeCommand = Callable[[agent_pb2.Command], Awaitable[None]]

_MAX_RESULTS = 256


class Limits(Struct, frozen=True):
    """Times and bounds of the uplink."""

    window_batches: int = 4
    heartbeat_seconds: float = 5.0
    welcome_seconds: float = 10.0
    ack_seconds: float = 30.0
    first_retry_seconds: float = 0.25
    max_retry_seconds: float = 30.0
    close_seconds: float = 1.0
    connect_seconds: float = 10.0


class Uplink:
    """``run`` connects for ever; ``wake`` says that the spool grew; ``drained`` waits until it is empty."""

    def __init__(
        self,
        hello: agent_pb2.Hello,
        spool: Spool,
        find_server: FindServer,
        show: Show,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self._hello = hello
        self._spool = spool
        self._find_server = find_server
        self._show = show
        self._limits = limits
        self._backoff = Backoff(limits.first_retry_seconds, limits.max_retry_seconds)
        self._changed = asyncio.Event()
        self._empty = asyncio.Event()
        self._unacked: dict[int, float] = {}
        self.clock = Clock()
        self._greeting = asyncio.Event()
        self._results: asyncio.Queue[agent_pb2.CommandResult] = asyncio.Queue(_MAX_RESULTS)
        self.is_connected = False
        self._last_reason = ""

    def wake(self) -> None:
        """There is something new in the spool."""
        self._empty.clear()
        self._changed.set()

    def greet(self, hello: agent_pb2.Hello) -> None:
        """Say something else of this agent from now on: on a new stream, when it differs."""
        if hello != self._hello:
            self._hello = hello
            self._greeting.set()

    async def answer(self, result: agent_pb2.CommandResult) -> None:
        """Send a command's result, on the next stream if this one is gone."""
        await self._results.put(result)

    async def drained(self) -> None:
        """Wait until the server has everything."""
        self.wake()
        await self._empty.wait()

    async def run(self, take: TakeCommand) -> None:
        """Keep one stream open until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            reason = await self._attempt(take)
            if loop.time() - began > self._limits.max_retry_seconds:
                self._backoff.reset()
            wait_seconds = self._backoff.next_seconds()
            if (
                self.is_connected or reason != self._last_reason
            ):  # once, not at every attempt of a long outage
                logger.warning(
                    "server away", extra={"reason": reason, "retry_seconds": round(wait_seconds, 2)}
                )
            self.is_connected, self._last_reason = False, reason
            await asyncio.sleep(wait_seconds)

    async def _attempt(self, take: TakeCommand) -> str:
        """One stream from hello to its end; answers why it ended."""
        reason = ""
        try:
            limits = self._limits
            opening = Stream(self._find_server(), self._show(), limits.connect_seconds, limits.close_seconds)
            async with opening as stream:
                await self._session(stream, take)
        except* (StreamEnded, OSError, SpoolUnwritable) as group:
            reason = "; ".join(sorted({str(error) for error in leaves(group)}))
        return reason

    async def _session(self, stream: Stream, take: TakeCommand) -> None:
        self._greeting.clear()
        await self._greet(stream)
        self._unacked.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._receive(stream, take))
            group.create_task(self._send(stream))
            group.create_task(self._heartbeat(stream))
            group.create_task(self._send_results(stream))
            group.create_task(self._leave_to_greet())

    async def _greet(self, stream: Stream) -> None:
        try:
            async with asyncio.timeout(self._limits.welcome_seconds):
                await stream.write(agent_pb2.ConnectRequest(hello=self._hello))
                answer = await stream.read()
        except TimeoutError:
            raise StreamEnded("the server did not answer the greeting") from None
        if answer.WhichOneof("message") != "welcome":
            raise StreamEnded("the server's first message is no welcome: is it a Coldaisle server?")
        self.is_connected = True
        welcome = answer.welcome
        bounds = {"max_batch_events": welcome.max_batch_events, "max_batch_bytes": welcome.max_batch_bytes}
        logger.info("server reached", extra={"server_version": welcome.server_version, **bounds})
        self._spool.respect(welcome.max_batch_events, welcome.max_batch_bytes)

    async def _receive(self, stream: Stream, take: TakeCommand) -> None:
        while True:
            message = await stream.read()
            match message.WhichOneof("message"):
                case "ack":
                    await self._acknowledged(message.ack)
                case "command":
                    await take(message.command)
                case other:
                    logger.info("message passed over", extra={"message_kind": str(other)})

    async def _acknowledged(self, ack: agent_pb2.BatchAck) -> None:
        if ack.batch_id not in self._unacked:
            logger.warning("acknowledgement of a batch that was not sent", extra={"batch": ack.batch_id})
            return
        if ack.rejected_count:
            logger.warning(
                "events not understood", extra={"batch": ack.batch_id, "count": ack.rejected_count}
            )
        taken_seconds = asyncio.get_running_loop().time() - self._unacked[ack.batch_id]
        self.clock.compare(ack.sent_unix_nano, time.time_ns(), taken_seconds)
        self._backoff.reset()  # not at the welcome: a server that ends on a batch would get it again at once
        await self._spool.apart(self._spool.delete, ack.batch_id)
        del self._unacked[ack.batch_id]
        self._changed.set()

    async def _send(self, stream: Stream) -> None:
        sent = 0
        while True:
            self._changed.clear()
            batches = await self._next_batches(sent)
            for batch in batches:
                self._unacked[batch.id] = asyncio.get_running_loop().time()
                await stream.write_batch(batch.id, batch.payload)
                sent = batch.id
            if not batches:
                if not self._unacked and not self._changed.is_set():
                    self._empty.set()
                await self._changed.wait()

    async def _next_batches(self, after: int) -> Sequence[SpooledBatch]:
        room = self._limits.window_batches - len(self._unacked)
        if room <= 0 or not self._spool.has_beyond(after):
            return ()
        return await self._spool.apart(self._spool.peek, after, room)

    async def _send_results(self, stream: Stream) -> None:
        while True:
            result = await self._results.get()
            try:
                await stream.write(agent_pb2.ConnectRequest(result=result))
            except BaseException:
                with contextlib.suppress(asyncio.QueueFull):
                    self._results.put_nowait(result)
                raise

    async def _leave_to_greet(self) -> None:
        await self._greeting.wait()
        raise StreamEnded("the configuration changed: greeting anew")

    async def _heartbeat(self, stream: Stream) -> None:
        while True:
            size = self._spool.size()
            beat = agent_pb2.Heartbeat(
                spool_events=size.events, spool_bytes=size.bytes, sent_unix_nano=time.time_ns()
            )
            await self._beat(stream, beat)
            await asyncio.sleep(self._limits.heartbeat_seconds)
            oldest = min(self._unacked.values(), default=None)
            if oldest is not None and asyncio.get_running_loop().time() - oldest > self._limits.ack_seconds:
                raise StreamEnded(f"no acknowledgement within {self._limits.ack_seconds:g} s")

    async def _beat(self, stream: Stream, beat: agent_pb2.Heartbeat) -> None:
        """A server that reads no more lets every write wait, and this one says so."""
        try:
            async with asyncio.timeout(self._limits.ack_seconds):
                await stream.write(agent_pb2.ConnectRequest(heartbeat=beat))
        except TimeoutError:
            raise StreamEnded(f"the server read nothing within {self._limits.ack_seconds:g} s") from None


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The errors themselves, however deep task groups wrapped them."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
