"""Receives syslog on a UDP and a TCP port and emits it in groups.

TCP senders are made to wait while the window is full. UDP senders cannot wait: what does not fit, here
or in the kernel's buffer, is counted and becomes a gap event.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from msgspec.structs import replace

from coldaisle.core.errors import ConfigError
from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.redaction import Redactor
from coldaisle.integrations.syslog.config import SyslogConfig
from coldaisle.integrations.syslog.decode import asset_name, parse_message, udp_drops
from coldaisle.integrations.syslog.framing import FrameCutter, Rejected
from coldaisle.integrations.syslog.pending import Pending

logger = logging.getLogger(__name__)

_READ_BYTES = 65_536
_DROP_CHECK_SECONDS = 1.0
_LAST_FLUSH_SECONDS = 2.0
_MAX_KEPT_BYTES = 512

# Five minutes of silence, then four questions without an answer end a connection.
_SILENCE_SECONDS = 300
_ASK_SECONDS = 15
_MAX_ASKED = 4

Address = tuple[str, int]


class SyslogCollector:
    """Listens while ``run`` runs; ``source`` names the agent in gap and rejection events.

    ``listening`` is set once the ports are open; ``udp_address`` and ``tcp_address`` then say which.
    """

    def __init__(self, config: SyslogConfig, known_assets: Collection[str], source: str = "syslog") -> None:
        self.listening = asyncio.Event()
        self.udp_address: Address | None = None
        self.tcp_address: Address | None = None
        self._config = config
        self._known = frozenset(known_assets)
        self._names: dict[str, str] = {}
        self._pending = Pending(source, config.max_pending_lines, config.group_lines)
        self._taken: deque[Observation] = deque()
        self._redactor = Redactor(addresses=config.mask_addresses, patterns=config.mask_patterns)
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._room = asyncio.Event()
        self._connections: set[asyncio.StreamWriter] = set()
        self._udp_inode = 0
        self._udp_drops = 0

    def know(self, known_assets: Collection[str]) -> None:
        """Other assets are known from now on."""
        self._known = frozenset(known_assets)
        self._names.clear()

    async def run(self, emit: Emit) -> None:
        """Receive until cancelled; what is pending then is still emitted."""
        async with self._udp(), self._tcp():
            self.listening.set()
            try:
                await self._flush_groups(emit)
            finally:
                await self._flush_last(emit)

    async def _flush_groups(self, emit: Emit) -> None:
        loop = asyncio.get_running_loop()
        checked = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DROP_CHECK_SECONDS):
                    await self._arrived.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.group_seconds if self._arrived.is_set() else 0):
                    await self._enough.wait()
            if loop.time() - checked >= _DROP_CHECK_SECONDS:
                checked = loop.time()
                self._count_drops()
            await self._flush(emit)

    async def _flush(self, emit: Emit) -> None:
        self._taken += self._pending.take(time.time_ns())
        self._arrived.clear()
        self._enough.clear()
        self._room.set()
        while self._taken:
            await emit(self._taken[0])
            self._taken.popleft()  # not before: who is cancelled here still emits it at the end

    async def _flush_last(self, emit: Emit) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_FLUSH_SECONDS):
                await self._flush(emit)
        if self._taken:
            logger.error("syslog lost at the end: not emitted in time", extra={"events": len(self._taken)})

    def _accept(self, frame: bytes | Rejected, peer: str) -> None:
        now = time.time_ns()
        if isinstance(frame, Rejected):
            raw = self._redactor.redact(frame.raw.decode("utf-8", "backslashreplace"))
            self._pending.reject(f"{peer}: {frame.reason}", raw, now)
        else:
            message = parse_message(frame, now)
            line = replace(message.line, message=self._redactor.redact(message.line.message))
            self._pending.add(self._asset(message.hostname or peer), line)
        self._arrived.set()
        if self._pending.count >= self._config.group_lines:
            self._enough.set()

    def _asset(self, hostname: str) -> str:
        found = self._names.get(hostname)
        if found is None:
            if len(self._names) >= 10_000:  # hostnames are the senders' choice: forget rather than grow
                self._names.clear()
            found = hostname if hostname in self._known else asset_name(hostname)
            self._names[hostname] = found
        return found

    # --- UDP ----------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _udp(self) -> AsyncIterator[None]:
        if not self._config.udp:
            yield
            return
        loop = asyncio.get_running_loop()
        receiver = await _bind("udp", self._config.udp, socket.SOCK_DGRAM)
        _raise_buffer(receiver, self._config.receive_buffer_bytes)
        self.udp_address = receiver.getsockname()[:2]
        self._udp_inode = os.fstat(receiver.fileno()).st_ino
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=receiver)
        try:
            yield
        finally:
            self._count_drops()
            transport.close()

    def datagram(self, data: bytes, peer: str) -> None:
        """One datagram is one message."""
        bound = self._config.max_frame_bytes
        if len(data) > bound:
            reason = f"a datagram of {len(data)} bytes is over the bound of {bound}"
            self._accept(Rejected(reason, data[:_MAX_KEPT_BYTES]), peer)
        elif data:
            self._accept(data, peer)

    def _count_drops(self) -> None:
        if not self._udp_inode:
            return
        drops = sum(udp_drops(_text(path), self._udp_inode) for path in ("/proc/net/udp", "/proc/net/udp6"))
        if drops > self._udp_drops:
            self._pending.lose(
                "the kernel dropped datagrams: its receive buffer was full", drops - self._udp_drops
            )
            self._udp_drops = drops

    # --- TCP ----------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _tcp(self) -> AsyncIterator[None]:
        if not self._config.tcp:
            yield
            return
        listener = await _bind("tcp", self._config.tcp, socket.SOCK_STREAM)
        _ask_silent_senders(listener)
        server = await asyncio.start_server(self._connection, sock=listener, limit=_READ_BYTES)
        self.tcp_address = listener.getsockname()[:2]
        try:
            yield
        finally:
            server.close()
            for writer in list(self._connections):
                writer.close()
            await server.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("unknown",))[0])
        if len(self._connections) >= self._config.max_connections:
            self._accept(Rejected("too many connections: this one was refused", b""), peer)
            writer.close()
            return
        self._connections.add(writer)
        try:
            await self._frames(reader, peer)
        except OSError as error:
            logger.info("syslog connection lost", extra={"peer": peer, "reason": str(error)})
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _frames(self, reader: asyncio.StreamReader, peer: str) -> None:
        cutter = FrameCutter(self._config.max_frame_bytes)
        while chunk := await reader.read(_READ_BYTES):
            for frame in cutter.feed(chunk):
                await self._wait_for_room()
                self._accept(frame, peer)
                if isinstance(frame, Rejected) and frame.fatal:
                    return
        for frame in cutter.finish():
            self._accept(frame, peer)

    async def _wait_for_room(self) -> None:
        while self._pending.is_full:
            self._room.clear()
            await self._room.wait()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, collector: SyslogCollector) -> None:
        self._collector = collector

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._collector.datagram(data, str(addr[0]))


async def _bind(setting: str, address: str, kind: socket.SocketKind) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=kind)
        bound = socket.socket(found[0][0], kind)
    except (OSError, ValueError) as error:
        raise ConfigError(f"syslog.{setting}: {address!r} is not an address to listen on: {error}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind is socket.SOCK_STREAM))
        bound.setblocking(False)
        bound.bind(found[0][4])
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"syslog.{setting}: cannot listen on {address!r}: {error}; choose another port or stop its owner"
        ) from error
    return bound


def _raise_buffer(receiver: socket.socket, wanted_bytes: int) -> None:
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted_bytes)
    # Linux answers with twice what it granted; net.core.rmem_max is the ceiling.
    granted = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    if granted < wanted_bytes:
        logger.warning(
            "the kernel granted a smaller UDP buffer; raise net.core.rmem_max",
            extra={"wanted_bytes": wanted_bytes, "granted_bytes": granted},
        )


def _ask_silent_senders(listener: socket.socket) -> None:
    """Its connections have the kernel ask a silent sender whether it is still there.

    One that lost its power says no goodbye, and nothing is sent to it: its place would be taken for ever.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _SILENCE_SECONDS), ("TCP_KEEPINTVL", _ASK_SECONDS), ("TCP_KEEPCNT", _MAX_ASKED)
    ):  # fmt: skip
        if hasattr(socket, option):  # Linux's names; elsewhere the system's own times hold
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _text(path: str) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError:
        return ""
