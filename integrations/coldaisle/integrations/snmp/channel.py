"""A UDP socket and the questions that wait on it.

A reply belongs to the question with the same peer address and message id; one that comes after its
question was given up is counted. Noise from a peer never ends a question, but names the cause when it
times out.
"""

import asyncio
import time

from msgspec import Struct

from coldaisle.integrations.snmp.ber import Varbind
from coldaisle.integrations.snmp.errors import MalformedMessage, NotAuthentic, SnmpError, SnmpTimeout
from coldaisle.integrations.snmp.peers import Peer
from coldaisle.integrations.snmp.question import Question, decode_any
from coldaisle.integrations.snmp.sockets import raise_receive_buffer
from coldaisle.integrations.snmp.target import Target

RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
ANYWHERE: Peer = ("", 0)
"""The peer of questions that may be answered from another address."""

Endpoint = tuple[str, int] | tuple[str, int, int, int]


class Reply(Struct, frozen=True):
    """What a device answered; ``received_at`` is UTC ns, the round trip counts from the last try."""

    varbinds: list[Varbind]
    received_at: int
    round_trip_seconds: float
    tries_count: int = 1


class Waits(Struct, frozen=True):
    """How long each try waits, and whom to name when none is answered."""

    seconds: tuple[float, ...]
    asked: Target


class Counts:
    """What came and was of no use, over all sockets."""

    def __init__(self) -> None:
        self.late_replies = 0
        self.malformed_replies = 0
        self.unauthentic_replies = 0


class Channel(asyncio.DatagramProtocol):
    """One socket, made by the loop. With ``anywhere`` a reply may come from any address."""

    def __init__(self, counts: Counts, anywhere: bool = False) -> None:
        self._counts = counts
        self._anywhere = anywhere
        self._waiting: dict[Peer, dict[int, _Exchange]] = {}

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Keep the socket, and let the kernel keep bursts of replies (asyncio calls this)."""
        self.transport = transport
        raise_receive_buffer(transport.get_extra_info("socket"), RECEIVE_BUFFER_BYTES)

    async def ask(self, endpoint: Endpoint, question: Question, message_id: int, waits: Waits) -> Reply:
        """One question and its reply. Raises SnmpError."""
        peer = ANYWHERE if self._anywhere else (endpoint[0], endpoint[1])
        exchange = _Exchange(self.transport, endpoint, question, message_id, waits)
        waiting = self._waiting.setdefault(peer, {})
        waiting[message_id] = exchange
        try:
            return await exchange.future
        finally:
            exchange.stop()
            del waiting[message_id]
            if not waiting and self._waiting.get(peer) is waiting:
                del self._waiting[peer]

    def datagram_received(self, data: bytes, addr: Endpoint) -> None:
        """Hand one datagram to its question (asyncio calls this)."""
        waiting = self._waiting.get(ANYWHERE if self._anywhere else (addr[0], addr[1]), {})
        try:
            message_id, shell = decode_any(data)
        except MalformedMessage as error:
            self._counts.malformed_replies += 1
            for other in waiting.values():
                other.noise = error
            return
        exchange = waiting.get(message_id)
        if exchange is None:
            self._counts.late_replies += 1
            return
        try:
            varbinds = exchange.question.answer(shell, data)
        except NotAuthentic as error:
            self._counts.unauthentic_replies += 1
            exchange.noise = error
        except SnmpError as error:
            exchange.fail(error)
        else:
            self._answer(exchange, varbinds)

    def _answer(self, exchange: "_Exchange", varbinds: list[Varbind] | None) -> None:
        if varbinds is None:
            self._counts.late_replies += 1
        else:
            exchange.answer(varbinds)


class _Exchange:
    """One question on its way: sent again until it is answered or its tries are used."""

    __slots__ = (
        "_datagram", "_endpoint", "_loop", "_sent_at", "_timer", "_transport", "_tries_count", "_waits",
        "future", "noise", "question",
    )  # fmt: skip

    def __init__(
        self,
        transport: asyncio.DatagramTransport,
        endpoint: Endpoint,
        question: Question,
        message_id: int,
        waits: Waits,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Reply] = self._loop.create_future()
        self.noise: SnmpError | None = None
        self.question = question
        self._datagram = question.datagram(message_id)
        self._transport = transport
        self._endpoint = endpoint
        self._waits = waits
        self._tries_count = 0
        self._send()

    def answer(self, varbinds: list[Varbind]) -> None:
        """Give the asker its reply."""
        if not self.future.done():
            round_trip_seconds = (time.monotonic_ns() - self._sent_at) / 1e9
            self.future.set_result(Reply(varbinds, time.time_ns(), round_trip_seconds, self._tries_count))

    def fail(self, error: Exception) -> None:
        """Give the asker an error."""
        if not self.future.done():
            self.future.set_exception(error)

    def stop(self) -> None:
        """Send no more."""
        self._timer.cancel()

    def _send(self) -> None:
        if self.future.done():
            return
        if self._tries_count == len(self._waits.seconds):
            self.future.set_exception(self.noise or SnmpTimeout(self._silence()))
            return
        self._sent_at = time.monotonic_ns()
        self._transport.sendto(self._datagram, self._endpoint)
        self._timer = self._loop.call_later(self._waits.seconds[self._tries_count], self._send)
        self._tries_count += 1

    def _silence(self) -> str:
        waited = sum(self._waits.seconds)
        return f"{self._waits.asked!r} did not answer {self._tries_count} tries in {waited:.1f} s"
