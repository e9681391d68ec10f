"""Requests and their replies over one UDP socket per address family.

A reply belongs to the request with the same peer address and request id; one that comes after its
request was given up is counted. Noise from a peer never ends a request, but names the cause when the
request times out.
"""

import asyncio
import random
import secrets
import socket
import time
from typing import cast

from msgspec import Struct

from coldaisle.integrations.snmp.ber import Varbind
from coldaisle.integrations.snmp.errors import AddressUnusable, ErrorStatus, MalformedMessage, SnmpTimeout
from coldaisle.integrations.snmp.message import (
    FIRST_REQUEST_ID,
    LAST_REQUEST_ID,
    Request,
    Shell,
    decode_shell,
    decode_varbinds,
)
from coldaisle.integrations.snmp.oid import oid_text
from coldaisle.integrations.snmp.sockets import Datagrams, raise_receive_buffer
from coldaisle.integrations.snmp.tags import RESPONSE

RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
MAX_CACHED_ADDRESSES = 10_000
JITTER_SHARE = 0.25
"""How much longer a later try may wait at random, as a share of the timeout."""

Peer = tuple[str, int]
_Endpoint = tuple[str, int] | tuple[str, int, int, int]


class Target(Struct, frozen=True):
    """A device to ask. ``retries`` are tries after the first, ``max_repetitions`` rows per GETBULK."""

    host: str
    port: int = 161
    community: str = "public"
    timeout_seconds: float = 1.0
    retries: int = 2
    max_repetitions: int = 25

    def __repr__(self) -> str:
        """Without the community, which is a secret."""
        return f"Target({self.host}:{self.port})"


class Reply(Struct, frozen=True):
    """What a device answered; ``received_at`` is UTC ns, the round trip counts from the last try."""

    varbinds: list[Varbind]
    received_at: int
    round_trip_seconds: float


class _Exchange:
    """One request on its way: sends again until it is answered or its tries are used."""

    def __init__(
        self,
        transport: asyncio.DatagramTransport,
        endpoint: _Endpoint,
        datagram: bytes,
        target: Target,
        waits_seconds: list[float],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Reply] = self._loop.create_future()
        self.noise: MalformedMessage | None = None
        self._transport = transport
        self._endpoint = endpoint
        self._datagram = datagram
        self._target = target
        self._waits_seconds = waits_seconds
        self._tries_count = 0
        self._send()

    def _send(self) -> None:
        if self.future.done():
            return
        if self._tries_count == len(self._waits_seconds):
            self.future.set_exception(self.noise or SnmpTimeout(self._silence()))
            return
        self._sent_at = time.monotonic_ns()
        self._transport.sendto(self._datagram, self._endpoint)
        self._timer = self._loop.call_later(self._waits_seconds[self._tries_count], self._send)
        self._tries_count += 1

    def answer(self, varbinds: list[Varbind]) -> None:
        """Give the asker its reply."""
        if not self.future.done():
            round_trip_seconds = (time.monotonic_ns() - self._sent_at) / 1e9
            self.future.set_result(Reply(varbinds, time.time_ns(), round_trip_seconds))

    def fail(self, error: Exception) -> None:
        """Give the asker an error."""
        if not self.future.done():
            self.future.set_exception(error)

    def stop(self) -> None:
        """Send no more."""
        self._timer.cancel()

    def _silence(self) -> str:
        return (
            f"{self._target!r} did not answer {self._tries_count} tries in {sum(self._waits_seconds):.1f} s"
        )


class Exchanges(asyncio.DatagramProtocol):
    """All requests under way. ``seed`` rules the jitter, never the ids, which nobody shall guess."""

    def __init__(self, seed: int) -> None:
        self.late_replies_count = 0
        self.malformed_replies_count = 0
        self._jitter = random.Random(seed)
        self._last_id = FIRST_REQUEST_ID + secrets.randbelow(LAST_REQUEST_ID - FIRST_REQUEST_ID)
        self._waiting: dict[Peer, dict[int, tuple[_Exchange, Request]]] = {}
        self._transports: dict[int, asyncio.DatagramTransport] = {}
        self._endpoints: dict[Peer, tuple[int, _Endpoint]] = {}

    async def close(self) -> None:
        """Close the sockets; what is under way times out."""
        for transport in self._transports.values():
            transport.close()
        self._transports.clear()
        await asyncio.sleep(0)  # the loop closes the sockets in its next turn

    async def ask(self, target: Target, request: Request, retries: int) -> Reply:
        """One request and its reply. Raises ErrorStatus, MalformedMessage, SnmpTimeout, AddressUnusable."""
        family, endpoint = await self._resolve(target)
        transport = self._transports.get(family) or self._open(family)
        peer = (endpoint[0], endpoint[1])
        request_id = self._take_id()
        waits = [target.timeout_seconds * self._stretch(number) for number in range(retries + 1)]
        exchange = _Exchange(transport, endpoint, request.with_id(request_id), target, waits)
        waiting = self._waiting.setdefault(peer, {})
        waiting[request_id] = (exchange, request)
        try:
            return await exchange.future
        finally:
            exchange.stop()
            del waiting[request_id]
            if not waiting and self._waiting.get(peer) is waiting:
                del self._waiting[peer]

    def datagram_received(self, data: bytes, addr: _Endpoint) -> None:
        """Hand one datagram to its request (asyncio calls this)."""
        waiting = self._waiting.get((addr[0], addr[1]))
        try:
            shell = decode_shell(data)
        except MalformedMessage as error:
            self._note_noise(waiting or {}, error)
            return
        exchange, request = (waiting or {}).get(shell.request_id, (None, None))
        if shell.pdu != RESPONSE or exchange is None or request is None:
            self.late_replies_count += 1
            return
        _settle(exchange, request, shell, data)

    def _note_noise(self, waiting: dict[int, tuple[_Exchange, Request]], error: MalformedMessage) -> None:
        self.malformed_replies_count += 1
        for exchange, _ in waiting.values():
            exchange.noise = error

    def _stretch(self, number: int) -> float:
        return 1 + JITTER_SHARE * self._jitter.random() if number else 1.0

    def _take_id(self) -> int:
        self._last_id = self._last_id + 1 if self._last_id < LAST_REQUEST_ID else FIRST_REQUEST_ID
        return self._last_id

    def _open(self, family: int) -> asyncio.DatagramTransport:
        transport = Datagrams(self, family)
        raise_receive_buffer(transport.get_extra_info("socket"), RECEIVE_BUFFER_BYTES)
        self._transports[family] = transport
        return transport

    async def _resolve(self, target: Target) -> tuple[int, _Endpoint]:
        known = self._endpoints.get((target.host, target.port))
        if known is not None:
            return known
        if len(self._endpoints) >= MAX_CACHED_ADDRESSES:
            self._endpoints.clear()
        resolved = self._endpoints[(target.host, target.port)] = await _look_up(target)
        return resolved


async def _look_up(target: Target) -> tuple[int, _Endpoint]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(target.timeout_seconds * (target.retries + 1)):
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
    except (OSError, TimeoutError) as error:
        raise AddressUnusable(f"{target.host!r} does not resolve to an address: {error}") from error
    # an IPv4 or IPv6 entry has a text host and a port, unlike the socket types that the hint excludes
    return int(found[0][0]), cast(_Endpoint, found[0][4])


def _settle(exchange: _Exchange, request: Request, shell: Shell, data: bytes) -> None:
    if shell.error_status:
        index = shell.error_index
        oid = request.oids[index - 1] if 0 < index <= len(request.oids) else b""
        exchange.fail(ErrorStatus(shell.error_status, index, oid_text(oid)))
        return
    try:
        exchange.answer(decode_varbinds(data, shell))
    except MalformedMessage as error:
        exchange.fail(error)
