"""One gRPC stream with one kind of failure: every way in which it can end raises StreamEnded."""

import asyncio
from types import TracebackType
from typing import Self

import grpc

from coldaisle.agent.errors import StreamEnded
from coldaisle.v1 import agent_pb2, agent_pb2_grpc

_REMEDIES = {
    grpc.StatusCode.UNAUTHENTICATED: "; check agent.token_file",
    grpc.StatusCode.PERMISSION_DENIED: "; the token is not one of this agent",
}


class Stream:
    """An async context manager around the call; writes may come from several tasks."""

    def __init__(
        self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...], close_seconds: float
    ) -> None:
        self._channel = channel
        self._metadata = metadata
        self._close_seconds = close_seconds
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        stub = agent_pb2_grpc.AgentServiceStub(self._channel)
        self._call = stub.Connect(metadata=self._metadata)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(self._close_seconds):
                await self._call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
            pass  # it had ended already
        finally:
            self._call.cancel()

    async def write(self, request: agent_pb2.ConnectRequest) -> None:
        """Send one message."""
        try:
            async with self._lock:
                await self._call.write(request)
        except grpc.aio.AioRpcError as error:
            raise StreamEnded(describe(error)) from error
        except asyncio.InvalidStateError as error:
            raise StreamEnded(await self._status()) from error

    async def read(self) -> agent_pb2.ConnectResponse:
        """The next message."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise StreamEnded(describe(error)) from error
        if not isinstance(message, agent_pb2.ConnectResponse):
            raise StreamEnded(await self._status())
        return message

    async def _status(self) -> str:
        return _explained(await self._call.code(), await self._call.details())


def describe(error: grpc.aio.AioRpcError) -> str:
    """A status as one line, with the next step where there is one."""
    return _explained(error.code(), error.details())


def _explained(code: grpc.StatusCode, details: str | None) -> str:
    said = f"{code.name}: {details}" if details else f"the server ended the stream: {code.name}"
    return said + _REMEDIES.get(code, "")
