"""The agent's stream to the server, in its own messages; every way in which it can end raises StreamEnded."""

import asyncio
import ssl
from types import TracebackType
from typing import Self

from google.protobuf.message import DecodeError
from msgspec import Struct

from coldaisle.agent.call import Call
from coldaisle.agent.errors import StreamEnded
from coldaisle.v1 import agent_pb2

_PATH = "/coldaisle.v1.AgentService/Connect"

Metadata = tuple[tuple[str, str], ...]


class Endpoint(Struct, frozen=True):
    """Where the server is, and how it proves that it is the one; without ``tls`` only on loopback."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


class Stream:
    """An async context manager around the connection; writes may come from several tasks."""

    def __init__(
        self, endpoint: Endpoint, metadata: Metadata, connect_seconds: float, close_seconds: float
    ) -> None:
        self._endpoint = endpoint
        self._metadata = metadata
        self._connect_seconds = connect_seconds
        self._close_seconds = close_seconds

    async def __aenter__(self) -> Self:
        self._call = await _connect(self._endpoint, self._connect_seconds)
        scheme = "https" if self._endpoint.tls else "http"
        self._call.begin(scheme, _place(self._endpoint), _PATH, self._metadata)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(self._close_seconds):
                await self._call.finish()
        except TimeoutError:
            pass  # the server does not say goodbye: nothing of ours is lost by that
        finally:
            self._call.abort()

    async def write(self, request: agent_pb2.ConnectRequest) -> None:
        """Send one message."""
        await self._call.write(request.SerializeToString())

    async def write_batch(self, batch_id: int, payload: bytes) -> None:
        """Send a batch as the spool has it: it is never decoded again on its way."""
        await self._call.write(batch_request(batch_id, payload))

    async def end_ungreeted(self) -> str:
        """End the stream before any message; answers what the server says to that."""
        await self._call.finish()
        return self._call.ending

    async def read(self) -> agent_pb2.ConnectResponse:
        """The next message."""
        try:
            return agent_pb2.ConnectResponse.FromString(await self._call.read())
        except DecodeError as error:
            raise StreamEnded(
                f"the server sent what is no message: {error}; is it a Coldaisle server?"
            ) from error


async def _connect(endpoint: Endpoint, seconds: float) -> Call:
    loop = asyncio.get_running_loop()
    place = _place(endpoint)
    try:
        async with asyncio.timeout(seconds):
            transport, call = await loop.create_connection(
                Call, endpoint.host, endpoint.port, ssl=endpoint.tls
            )
    except TimeoutError:
        raise StreamEnded(f"{place} did not accept a connection within {seconds:g} s") from None
    except (OSError, UnicodeError) as error:  # no name of a host has an empty part, or one of 64 letters
        raise StreamEnded(f"cannot connect to {place}: {error}") from error
    secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if secured is not None and secured.selected_alpn_protocol() != "h2":
        transport.close()
        raise StreamEnded(f"{place} does not speak HTTP/2: is it a Coldaisle server?")
    return call


def _place(endpoint: Endpoint) -> str:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{host}:{endpoint.port}"


def batch_request(batch_id: int, payload: bytes) -> bytes:
    """A ConnectRequest of the batch: to a serialized EventBatch its number is put in front, as wire bytes."""
    batch = b"\x08" + _varint(batch_id) + payload
    return b"\x12" + _varint(len(batch)) + batch


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
