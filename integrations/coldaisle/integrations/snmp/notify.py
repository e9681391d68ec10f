"""Traps and informs: encode them, receive them.

Nothing is lost silently: the receive buffer is raised, what the kernel drops is read from
``/proc/net/udp`` where there is one, what does not fit in the queue is counted, and both become
GapRecorded. An INFORM is acknowledged after ``emit`` returned, so an unanswered one comes again.
Only version 2c is understood; anything else becomes InputRejected.
"""

import asyncio
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.events.types import GapRecorded, InputRejected, TrapReceived
from coldaisle.integrations.snmp.ber import Value, Varbind, value_text
from coldaisle.integrations.snmp.errors import MalformedMessage
from coldaisle.integrations.snmp.message import (
    Shell,
    decode,
    encode,
    encode_varbinds,
)
from coldaisle.integrations.snmp.oid import encode_oid, oid_text
from coldaisle.integrations.snmp.sockets import kernel_drops, raise_receive_buffer
from coldaisle.integrations.snmp.tags import INFORM, OBJECT_IDENTIFIER, RESPONSE, TIMETICKS, TRAP_V2

SYS_UP_TIME = encode_oid("1.3.6.1.2.1.1.3.0")
SNMP_TRAP_OID = encode_oid("1.3.6.1.6.3.1.1.4.1.0")

RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
MAX_QUEUED_DATAGRAMS = 10_000
MAX_REJECTED_BYTES = 128
"""How much of a malformed datagram an InputRejected keeps, as twice as many hex digits."""

DROPS_CHECK_SECONDS = 5.0

Address = tuple[str, int]


def encode_trap_v2(
    community: str,
    uptime_centiseconds: int,
    trap_oid: str,
    varbinds: Iterable[tuple[str, int, Value]] = (),
    request_id: int = 1,
) -> bytes:
    """An SNMPv2-Trap datagram; ``varbinds`` are (OID, tag, value). Raises InvalidOid or InvalidValue."""
    return _encode(TRAP_V2, community, uptime_centiseconds, trap_oid, varbinds, request_id)


def encode_inform(
    community: str,
    uptime_centiseconds: int,
    trap_oid: str,
    varbinds: Iterable[tuple[str, int, Value]] = (),
    request_id: int = 1,
) -> bytes:
    """An InformRequest datagram: a trap that is answered with a RESPONSE of the same ``request_id``."""
    return _encode(INFORM, community, uptime_centiseconds, trap_oid, varbinds, request_id)


def decode_trap(asset: str, address: str, shell: Shell, varbinds: list[Varbind]) -> TrapReceived:
    """The event of a decoded notification; raises MalformedMessage when it is none."""
    if shell.pdu not in (TRAP_V2, INFORM):
        raise MalformedMessage(f"PDU tag {shell.pdu:#04x} is no notification")
    named = [value for oid, tag, value in varbinds if oid == SNMP_TRAP_OID and tag == OBJECT_IDENTIFIER]
    if not named or not isinstance(named[0], bytes):
        raise MalformedMessage("a notification has no trap OID")
    rest = tuple(
        (oid_text(oid), value_text(tag, value)) for oid, tag, value in varbinds if oid != SNMP_TRAP_OID
    )
    return TrapReceived(asset, oid_text(named[0]), rest, address)


def asset_of(address: Address, assets: Mapping[str, str]) -> str:
    """The asset at ``host:port``, else at ``host``, else ``host-`` and the address with dashes."""
    host, port = address[0], address[1]
    named = assets.get(f"{host}:{port}") or assets.get(f"[{host}]:{port}") or assets.get(host)
    return named or "host-" + host.replace(".", "-").replace(":", "-").replace("%", "-")


class TrapListener(asyncio.DatagramProtocol):
    """Receives notifications; an async context manager, bound from ``__aenter__`` on.

    ``assets`` maps ``host:port`` or ``host`` to an asset. ``run`` opens the socket when nobody did.
    """

    def __init__(
        self,
        host: str = "0.0.0.0",
        port: int = 162,
        *,
        assets: Mapping[str, str] | None = None,
        max_queued_datagrams: int = MAX_QUEUED_DATAGRAMS,
        drops_check_seconds: float = DROPS_CHECK_SECONDS,
    ) -> None:
        self.host = host
        self.port = port
        self.receive_buffer_bytes = 0
        self.received_count = 0
        self.dropped_in_queue_count = 0
        self._assets = dict(assets or {})
        self._queue: asyncio.Queue[tuple[int, bytes, Address]] = asyncio.Queue(max_queued_datagrams)
        self._drops_check_seconds = drops_check_seconds
        self._transport: asyncio.DatagramTransport | None = None
        self._told_lost_count = 0
        self._told_at = 0

    def know(self, assets: Mapping[str, str]) -> None:
        """Other senders are known from now on."""
        self._assets = dict(assets)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, self.port))
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        self.receive_buffer_bytes = raise_receive_buffer(self._socket(), RECEIVE_BUFFER_BYTES)
        self._told_at = time.time_ns()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            await asyncio.sleep(0)  # the loop closes the socket in its next turn

    @property
    def dropped_in_kernel_count(self) -> int:
        """What the kernel dropped at this socket; 0 where the system does not tell."""
        return kernel_drops(self._socket()) if self._transport is not None else 0

    async def run(self, emit: Emit) -> None:
        """Emit every notification, and every loss, until cancelled."""
        async with AsyncExitStack() as stack:
            if self._transport is None:
                await stack.enter_async_context(self)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_drops(emit))
                group.create_task(self._drain(emit))

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Queue one datagram, or count it as lost (asyncio calls this)."""
        self.received_count += 1
        try:
            self._queue.put_nowait((time.time_ns(), data, addr))
        except asyncio.QueueFull:
            self.dropped_in_queue_count += 1

    def loss(self, now: int) -> Observation | None:
        """What was lost since this was last asked, None for nothing; ``now`` is UTC ns."""
        lost_count = self.dropped_in_queue_count + self.dropped_in_kernel_count
        new_count, since = lost_count - self._told_lost_count, self._told_at
        self._told_lost_count, self._told_at = lost_count, now
        if new_count <= 0:
            return None
        reason = "UDP datagrams were dropped by the kernel or the full queue"
        return Observation(now, GapRecorded(f"snmp-traps:{self.port}", since, now, new_count, reason))

    async def _drain(self, emit: Emit) -> None:
        while True:
            received_at, data, address = await self._queue.get()
            await self._take(emit, received_at, data, address)

    async def _take(self, emit: Emit, received_at: int, data: bytes, address: Address) -> None:
        try:
            shell, varbinds = decode(data)
            trap = decode_trap(asset_of(address, self._assets), address[0], shell, varbinds)
        except MalformedMessage as error:
            raw = data[:MAX_REJECTED_BYTES].hex()
            await emit(Observation(received_at, InputRejected(f"snmp-trap:{address[0]}", error.reason, raw)))
            return
        await emit(Observation(received_at, trap))
        if shell.pdu == INFORM and self._transport is not None:
            octets = data[shell.start : shell.stop]
            self._transport.sendto(encode(shell.community, RESPONSE, shell.request_id, 0, 0, octets), address)

    async def _watch_drops(self, emit: Emit) -> None:
        while True:
            await asyncio.sleep(self._drops_check_seconds)
            if (lost := self.loss(time.time_ns())) is not None:
                await emit(lost)

    def _socket(self) -> socket.socket:
        assert self._transport is not None
        bound: socket.socket = self._transport.get_extra_info("socket")
        return bound


def _encode(
    pdu: int,
    community: str,
    uptime_centiseconds: int,
    trap_oid: str,
    varbinds: Iterable[tuple[str, int, Value]],
    request_id: int,
) -> bytes:
    rows: list[tuple[bytes, int, Value]] = [
        (SYS_UP_TIME, TIMETICKS, uptime_centiseconds),
        (SNMP_TRAP_OID, OBJECT_IDENTIFIER, trap_oid),
    ]
    rows += ((encode_oid(oid), tag, value) for oid, tag, value in varbinds)
    return encode(community.encode(), pdu, request_id, 0, 0, encode_varbinds(rows))
