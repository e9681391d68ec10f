"""AgentService: batches up, acks and commands down, over one stream that the agent opens."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from typing import Any

import grpc

from coldaisle.core.errors import ColdaisleError
from coldaisle.core.events import encode, new_id, stream_of
from coldaisle.core.events.types import AgentConnected, AgentDisconnected
from coldaisle.core.store import EventStore
from coldaisle.server.errors import InvalidRequest, ungrouped
from coldaisle.server.hub import AgentHub, AgentLink
from coldaisle.server.ingest import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, store_batch
from coldaisle.v1 import agent_pb2, agent_pb2_grpc

HELLO_SECONDS = 10.0
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}")
Requests = AsyncIterator[agent_pb2.ConnectRequest]
log = logging.getLogger(__name__)


class AgentService(agent_pb2_grpc.AgentServiceServicer):
    """See agent.proto."""

    def __init__(self, store: EventStore, hub: AgentHub) -> None:
        self._store = store
        self._hub = hub
        # What the history says of an agent comes in the order in which its streams came and went.
        self._in_order = asyncio.Lock()

    async def Connect(  # type: ignore[override]  # noqa: N802 - written by the context, not yielded
        self, requests: Requests, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        """Serve one agent until its stream ends."""
        link = await self._welcome(requests, context)
        reason = "connection lost"
        try:
            await self._joined(link)
            with ungrouped():
                await self._serve(link, requests, context)
            reason = "closed by the agent"
        except ColdaisleError as error:
            reason = str(error)
            raise
        finally:
            if link.ended.is_set():
                reason = "the server stopped"  # also when the call was cancelled before it could say so
            # a call that is cancelled twice leaves here, but what it has to say is still recorded
            await asyncio.shield(self._left(link, reason))

    async def _joined(self, link: AgentLink) -> None:
        async with self._in_order:
            bodies: list[AgentConnected | AgentDisconnected] = [AgentConnected(link.agent, link.address)]
            if self._hub.join(link):
                bodies.insert(0, AgentDisconnected(link.agent, "a newer stream took over"))
            await self._note(bodies)

    async def _left(self, link: AgentLink, reason: str) -> None:
        async with self._in_order:
            if self._hub.leave(link):
                await self._note([AgentDisconnected(link.agent, reason)])

    async def _welcome(self, requests: Requests, context: "grpc.aio.ServicerContext[Any, Any]") -> AgentLink:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                first = await anext(requests)
        except (TimeoutError, StopAsyncIteration):
            raise InvalidRequest("hello", "the first message must be Hello") from None
        if first.WhichOneof("message") != "hello" or not _NAME.fullmatch(first.hello.agent):
            raise InvalidRequest(
                "hello.agent", f"{first.hello.agent[:80]!r} is no name; use up to 64 of a-z A-Z 0-9 . _ -"
            )
        welcome = agent_pb2.Welcome(
            server_version=version("coldaisle"),
            max_batch_events=MAX_BATCH_EVENTS,
            max_batch_bytes=MAX_BATCH_BYTES,
        )
        await context.write(agent_pb2.ConnectResponse(welcome=welcome))
        return AgentLink(first.hello, context.peer(), time.time_ns())

    async def _serve(
        self, link: AgentLink, requests: Requests, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        """Read until the stream ends, or is to end; write what is in the outbox."""
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(_write_out(link, context))
            reading = group.create_task(self._read(link, requests))
            ended = group.create_task(link.ended.wait())
            await asyncio.wait((reading, ended), return_when=asyncio.FIRST_COMPLETED)
            for task in (writing, reading, ended):
                task.cancel()

    async def _read(self, link: AgentLink, requests: Requests) -> None:
        async for request in requests:
            link.seen = time.time_ns()
            match request.WhichOneof("message"):
                case "batch":
                    await self._take_batch(link, request.batch)
                case "result":
                    link.answered(request.result)
                case "heartbeat":
                    link.spool_events = request.heartbeat.spool_events
                case _:
                    raise InvalidRequest("message", "only batch, result and heartbeat may follow Hello")

    async def _take_batch(self, link: AgentLink, batch: agent_pb2.EventBatch) -> None:
        position, rejected = await store_batch(self._store, link.agent, batch)
        link.received_events += len(batch.events)
        ack = agent_pb2.BatchAck(
            batch_id=batch.batch_id, position=position, rejected_count=rejected, sent_unix_nano=time.time_ns()
        )
        await link.outbox.put(agent_pb2.ConnectResponse(ack=ack))

    async def _note(self, bodies: Sequence[AgentConnected | AgentDisconnected]) -> None:
        now = time.time_ns()
        events = [encode(body, id=new_id(now), time=now, actor="server") for body in bodies]
        try:
            await self._store.append(stream_of(bodies[0]), events)
        except ColdaisleError as error:
            log.warning("not recorded", extra={"agent": bodies[0].agent, "error": str(error)})


async def _write_out(link: AgentLink, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
    while True:
        await context.write(await link.next_message())
