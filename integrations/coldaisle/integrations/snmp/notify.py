"""Receives notifications of every version and turns them into events.

Nothing is lost silently: the receive buffer is raised, what the kernel drops is read from
``/proc/net/udp`` where there is one, what does not fit in the queue is counted, and both become
GapRecorded. What cannot be read or is not authentic becomes InputRejected. An INFORM is acknowledged once
its event is on disk, so an unanswered one comes again. A repetition within a short window is only counted.
"""

import asyncio
import contextlib
import hashlib
import logging
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import NamedTuple, Self

from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.events.types import GapRecorded, InputRejected, SamplesRecorded, TrapReceived
from coldaisle.integrations.snmp.ber import value_text
from coldaisle.integrations.snmp.errors import MalformedMessage, NotAuthentic
from coldaisle.integrations.snmp.incoming import Incoming, Receipt
from coldaisle.integrations.snmp.oid import oid_text
from coldaisle.integrations.snmp.recent import Recent
from coldaisle.integrations.snmp.sockets import kernel_drops, raise_receive_buffer
from coldaisle.integrations.snmp.traps import Notice
from coldaisle.integrations.snmp.usm.engine import LocalEngine
from coldaisle.integrations.snmp.usm.senders import TrapUser

RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024
MAX_QUEUED_DATAGRAMS = 10_000
MAX_QUEUED_BYTES = 16_777_216
"""Of those datagrams, each of which may have 64 KiB."""

MAX_REJECTED_BYTES = 128
"""How much of a malformed datagram an InputRejected keeps, as twice as many hex digits."""

DROPS_CHECK_SECONDS = 5.0
REPETITION_SECONDS = 5.0
LAST_SECONDS = 2.0
"""For what is queued when the listener stops."""

Address = tuple[str, int]

_KEY_BYTES = 16

_log = logging.getLogger(__name__)


class _Received(NamedTuple):
    """A datagram; ``time`` is UTC ns, ``seconds`` those of a clock that nobody sets."""

    time: int
    seconds: float
    data: bytes
    address: Address


def trap_event(asset: str, address: str, notice: Notice) -> TrapReceived:
    """The event of a notification; raises MalformedMessage when one of its OIDs is none."""
    rows = tuple((oid_text(oid), value_text(tag, value)) for oid, tag, value in notice.varbinds)
    return TrapReceived(asset, oid_text(notice.trap_oid), rows, address)


def asset_of(address: Address, assets: Mapping[str, str], agent_address: str = "") -> str:
    """The asset at ``host:port``, else at ``host``, else at the address that a relayed trap names.

    When none is known: ``host-`` and the address with dashes.
    """
    host, port = address[0], address[1]
    named = assets.get(f"{host}:{port}") or assets.get(f"[{host}]:{port}") or assets.get(host)
    named = named or assets.get(agent_address)
    return named or "host-" + host.replace(".", "-").replace(":", "-").replace("%", "-")


class TrapListener(asyncio.DatagramProtocol):
    """Receives notifications; an async context manager, bound from ``__aenter__`` on.

    ``assets`` maps ``host:port`` or ``host`` to an asset. ``run`` opens the socket when nobody did.
    ``users`` are those of version 3; ``engine`` is ours, which their informs are made out to. With
    ``measured_as`` the counters are recorded as samples of that asset.
    """

    def __init__(
        self,
        host: str = "0.0.0.0",
        port: int = 162,
        *,
        assets: Mapping[str, str] | None = None,
        users: Iterable[TrapUser] = (),
        engine: LocalEngine | None = None,
        measured_as: str = "",
        max_queued_datagrams: int = MAX_QUEUED_DATAGRAMS,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        drops_check_seconds: float = DROPS_CHECK_SECONDS,
        repetition_seconds: float = REPETITION_SECONDS,
    ) -> None:
        self.host = host
        self.port = port
        self.receive_buffer_bytes = 0
        self.received_count = 0
        self.repeated_count = 0
        self.rejected_count = 0
        self.dropped_in_queue_count = 0
        self._assets = dict(assets or {})
        self._incoming = Incoming(engine or LocalEngine(), users)
        self._recent = Recent(repetition_seconds)
        self._measured_as = measured_as
        self._queue: asyncio.Queue[_Received] = asyncio.Queue(max_queued_datagrams)
        self._max_queued_bytes = max_queued_bytes
        self._queued_bytes = 0
        self._taken: Observation | None = None
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
        if self.receive_buffer_bytes < RECEIVE_BUFFER_BYTES:
            _log.warning(
                "a small receive buffer may lose bursts of traps: raise net.core.rmem_max",
                extra={"wanted_bytes": RECEIVE_BUFFER_BYTES, "granted_bytes": self.receive_buffer_bytes},
            )
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
        """Emit every notification, and every loss, until cancelled; what is queued then is still emitted."""
        async with AsyncExitStack() as stack:
            if self._transport is None:
                await stack.enter_async_context(self)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._watch_drops(emit))
                    group.create_task(self._drain(emit))
            finally:
                await self._drain_last(emit)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Queue one datagram, or count it as lost (asyncio calls this)."""
        self.received_count += 1
        if self._queue.full() or self._queued_bytes + len(data) > self._max_queued_bytes:
            self.dropped_in_queue_count += 1
            return
        self._queued_bytes += len(data)
        self._queue.put_nowait(_Received(time.time_ns(), time.monotonic(), data, addr))

    def loss(self, now: int) -> Observation | None:
        """What was lost since this was last asked, None for nothing; ``now`` is UTC ns."""
        lost_count = self.dropped_in_queue_count + self.dropped_in_kernel_count
        new_count = lost_count - self._told_lost_count
        since = min(self._told_at, now)  # the clock may have stepped back
        self._told_lost_count, self._told_at = lost_count, now
        if new_count <= 0:
            return None
        reason = "UDP datagrams were dropped by the kernel or the full queue"
        return Observation(now, GapRecorded(f"snmp-traps:{self.port}", since, now, new_count, reason))

    def measured(self) -> SamplesRecorded:
        """The counters since the start, and the receive buffer that the kernel granted."""
        counters = {
            "snmp_traps_received_total": self.received_count,
            "snmp_traps_repeated_total": self.repeated_count,
            "snmp_traps_rejected_total": self.rejected_count,
            "snmp_traps_dropped_in_queue_total": self.dropped_in_queue_count,
            "snmp_traps_dropped_in_kernel_total": self.dropped_in_kernel_count,
            "snmp_traps_receive_buffer_bytes": self.receive_buffer_bytes,
        }
        return SamplesRecorded(self._measured_as, tuple(counters), tuple(map(float, counters.values())))

    async def _drain(self, emit: Emit) -> None:
        while True:
            self._take(await self._queue.get())
            await self._emit_taken(emit)

    async def _drain_last(self, emit: Emit) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._emit_taken(emit)
                for _ in range(self._queue.qsize()):  # no more than that: whoever floods us goes on
                    self._take(self._queue.get_nowait())
                    await self._emit_taken(emit)
        left = self._queue.qsize() + (self._taken is not None)
        if left:
            _log.error("notifications lost at the end", extra={"count": left})

    def _take(self, received: _Received) -> None:
        self._queued_bytes -= len(received.data)
        try:
            self._taken = self._observed(received)
        except (MalformedMessage, NotAuthentic) as error:
            self.rejected_count += 1
            raw = received.data[:MAX_REJECTED_BYTES].hex()
            rejected = InputRejected(f"snmp-trap:{received.address[0]}", str(error), raw)
            self._taken = Observation(received.time, rejected)

    async def _emit_taken(self, emit: Emit) -> None:
        """Forget what was taken only when it is emitted: who is cancelled here still emits it at the end."""
        if self._taken is not None:
            await emit(self._taken)
            self._taken = None

    def _observed(self, received: _Received) -> Observation | None:
        """A new notification; None when there is nothing to record. Raises MalformedMessage, NotAuthentic."""
        address = received.address
        receipt = self._incoming.read(received.data, address[0])
        notice = receipt.notice
        if notice is None:
            self._send(receipt.reply, address)
            return None
        asset = asset_of(address, self._assets, notice.agent_address)
        event = trap_event(asset, address[0], notice)
        # Not the content itself: twenty thousand notifications of 64 KiB are more than a host has to spare.
        key = hashlib.blake2b(address[0].encode() + receipt.content, digest_size=_KEY_BYTES).digest()
        standing = self._recent.note(key, received.seconds)
        if standing == "new":
            return Observation(received.time, event, lambda: self._confirm(key, receipt, address))
        self.repeated_count += 1
        if standing == "committed":
            self._send(receipt.reply, address)
        return None

    def _confirm(self, key: bytes, receipt: Receipt, address: Address) -> None:
        self._recent.commit(key)
        self._send(receipt.reply, address)

    def _send(self, reply: bytes, address: Address) -> None:
        if reply and self._transport is not None:
            self._transport.sendto(reply, address)

    async def _watch_drops(self, emit: Emit) -> None:
        while True:
            await asyncio.sleep(self._drops_check_seconds)
            now = time.time_ns()
            if (lost := self.loss(now)) is not None:
                await emit(lost)
            if self._measured_as:
                await emit(Observation(now, self.measured()))

    def _socket(self) -> socket.socket:
        assert self._transport is not None
        bound: socket.socket = self._transport.get_extra_info("socket")
        return bound
