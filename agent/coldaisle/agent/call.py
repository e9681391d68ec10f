"""One gRPC call over one HTTP/2 connection, for the agent's only stream: framing, flow control, status.

``grpc.aio`` does the same in 13 MB that every host would pay for (docs/adr). h2 keeps the state of
HTTP/2, this module moves bytes. Limits: no compression; one call a connection, a new one for each attempt.
"""

import asyncio
import urllib.parse
from collections.abc import Callable, Iterable
from typing import cast

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from coldaisle.agent.errors import StreamEnded

MAX_MESSAGE_BYTES = 4_194_304
"""The longest message that is accepted from the server, as gRPC's own clients have it."""

_PREFIX_BYTES = 5  # a flag for compression and four bytes of length before every message
_OK = 0
_MAX_STATUS_DIGITS = 3
# The statuses of gRPC by their number.
_STATUSES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_REMEDIES = {
    "UNAUTHENTICATED": "; check agent.token_file",
    "PERMISSION_DENIED": "; the token is not one of this agent",
}

Headers = Iterable[tuple[bytes, bytes]]


class Call(asyncio.Protocol):
    """A protocol of asyncio; however the call ends, ``read`` and ``write`` raise StreamEnded then.

    One task reads at a time; writes are in order however many tasks write.
    """

    def __init__(self) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self._http = h2.connection.H2Connection(config)
        self._stream = 1
        self._received = bytearray()
        self._unconfirmed_bytes = 0
        self._readable, self._writable, self._over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._writable.set()
        self._writing = asyncio.Lock()
        self.ending = ""
        self._handlers: dict[type[h2.events.Event], Callable[..., None]] = {
            h2.events.ResponseReceived: lambda event: self._headers(event.headers),
            h2.events.TrailersReceived: lambda event: self._headers(event.headers),
            h2.events.DataReceived: self._data,
            h2.events.WindowUpdated: lambda _: self._writable.set(),
            h2.events.RemoteSettingsChanged: lambda _: self._writable.set(),
            h2.events.StreamEnded: lambda _: self._end("the server ended the stream"),
            h2.events.StreamReset: lambda event: self._end(
                f"the server reset the stream: {event.error_code!s}"
            ),
            h2.events.ConnectionTerminated: lambda event: self._end(
                f"the server goes away: {event.error_code!s}"
            ),
        }

    # --- what asyncio calls -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the server as HTTP/2 demands."""
        self._transport = cast(asyncio.Transport, transport)  # create_connection makes no other kind
        self._http.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take what the server sent."""
        try:
            for event in self._http.receive_data(data):
                handle = self._handlers.get(type(event))
                if handle is not None:
                    handle(event)
        except h2.exceptions.ProtocolError as error:
            self._end(f"not HTTP/2 as agreed: {error}; is it a Coldaisle server?")
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes any more."""
        self._end(f"connection lost: {exc}" if exc else "the server closed the connection")

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        self._is_paused = False
        self._writable.set()

    # --- what the stream calls ----------------------------------------------------------------------------

    _is_paused = False

    def begin(self, scheme: str, authority: str, path: str, metadata: Iterable[tuple[str, str]]) -> None:
        """Send the call's headers."""
        stated = [
            (":method", "POST"), (":scheme", scheme), (":path", path), (":authority", authority),
            ("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", "coldaisle-agent"),
            *metadata,
        ]  # fmt: skip
        self._http.send_headers(self._stream, stated)
        self._flush()

    async def write(self, message: bytes) -> None:
        """Send one message, as fast as the server takes it."""
        framed = memoryview(b"\0" + len(message).to_bytes(4) + message)
        async with self._writing:
            while framed:
                room = await self._room()
                self._http.send_data(self._stream, framed[:room].tobytes())
                self._flush()
                framed = framed[room:]

    async def read(self) -> bytes:
        """The next message; what arrived before the end is read first."""
        length = int.from_bytes((await self._take(_PREFIX_BYTES))[1:])
        if length > MAX_MESSAGE_BYTES:
            raise StreamEnded(f"the server sent a message of {length} bytes, over {MAX_MESSAGE_BYTES}")
        return await self._take(length)

    async def finish(self) -> None:
        """Say that no message follows and wait for the server's end; ``ending`` then says which."""
        if not self.ending:
            self._http.end_stream(self._stream)
            self._flush()
            await self._over.wait()

    def abort(self) -> None:
        """Leave at once; a server that reads nothing would keep what is unsent, and its socket, for ever."""
        self._end("left")
        if self._is_paused:
            self._transport.abort()
        else:
            self._transport.close()

    # --- inside -------------------------------------------------------------------------------------------

    async def _room(self) -> int:
        """How many bytes may be sent now, at least one."""
        while True:
            if self.ending:
                raise StreamEnded(self.ending)
            window = self._http.local_flow_control_window(self._stream)
            if window > 0 and not self._is_paused:
                return min(window, self._http.max_outbound_frame_size)
            self._writable.clear()
            await self._writable.wait()

    async def _take(self, size: int) -> bytes:
        """Exactly so many bytes; only what is taken makes room for the server to send more."""
        while len(self._received) < size:
            self._confirm()
            if self.ending:
                raise StreamEnded(self.ending)
            self._readable.clear()
            await self._readable.wait()
        taken = bytes(self._received[:size])
        del self._received[:size]
        if not self._received:
            self._confirm()
        return taken

    def _confirm(self) -> None:
        if self._unconfirmed_bytes and not self.ending:
            self._http.acknowledge_received_data(self._unconfirmed_bytes, self._stream)
            self._unconfirmed_bytes = 0
            self._flush()

    def _data(self, event: h2.events.DataReceived) -> None:
        self._received += event.data or b""
        self._unconfirmed_bytes += event.flow_controlled_length or 0
        self._readable.set()

    def _headers(self, headers: Headers) -> None:
        found = dict(headers)
        status = found.get(b":status", b"200")
        if status != b"200":
            self._end(f"HTTP status {status.decode('ascii', 'replace')}; is it a Coldaisle server?")
        elif b"grpc-status" in found:
            self._end(explained(found[b"grpc-status"], found.get(b"grpc-message", b"")))

    def _end(self, reason: str) -> None:
        """The first reason is the one that counts."""
        self.ending = self.ending or reason
        for event in (self._readable, self._writable, self._over):
            event.set()

    def _flush(self) -> None:
        waiting = self._http.data_to_send()
        if waiting:
            self._transport.write(waiting)


def explained(status: bytes, message: bytes) -> str:
    """A status of gRPC as one line, with the next step where there is one."""
    status = status[:_MAX_STATUS_DIGITS]
    number = int(status) if status.isdigit() else len(_STATUSES)
    name = _STATUSES[number] if number < len(_STATUSES) else f"status {status!r}"
    said = urllib.parse.unquote(message.decode("ascii", "replace"))
    ended = f"the server ended the stream: {name}"
    return (f"{name}: {said}" if number != _OK and said else ended) + _REMEDIES.get(name, "")
