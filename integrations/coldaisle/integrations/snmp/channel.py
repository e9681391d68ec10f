"""A UDP socket and the questions that wait on it.

A reply belongs to the question with the same peer address and message id; one that comes after its
question was given up is counted. Noise from a peer never ends a question, but names the cause when it
times out.
"""

import asyncio
import time
from collections.abc import Callable
from math import inf
from typing import Protocol

from msgspec import Struct

from coldaisle.integrations.snmp.ber import Varbind
from coldaisle.integrations.snmp.errors import MalformedMessage, NotAuthentic, SnmpError, SnmpTimeout
from coldaisle.integrations.snmp.peers import Peer
from coldaisle.integrations.snmp.question import Question, decode_any
from coldaisle.integrations.snmp.sockets import raise_receive_buffer
from coldaisle.integrations.snmp.target import Target

RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
LOOK_SECONDS = 0.05
"""Between two looks for overdue tries: a timer for each question costs more than all else of it to send."""

ANYWHERE: Peer = ("", 0)
"""The peer of questions that may be answered from another address."""

Endpoint = tuple[str, int] | tuple[str, int, int, int]


class Moment(Struct, frozen=True, gc=False):
    """UTC ns, to be recorded; and ns of a clock that nobody sets, to tell how much time passed."""

    utc: int
    steady: int

    @classmethod
    def now(cls) -> "Moment":
        """This one."""
        return cls(time.time_ns(), time.monotonic_ns())


class Reply(Struct, frozen=True):
    """What a device answered, and when; the round trip counts from the last try."""

    varbinds: list[Varbind]
    received_at: Moment
    round_trip_seconds: float
    tries_count: int = 1

    @property
    def left_at(self) -> Moment:
        """When it left the device, as far as one can tell."""
        half_way = int(self.round_trip_seconds * 5e8)
        return Moment(self.received_at.utc - half_way, self.received_at.steady - half_way)


class Errand(Protocol):
    """Requests to one device, one after the other, without a turn of the loop between them."""

    def question(self) -> Question:
        """What to ask now."""

    def take(self, reply: "Reply") -> bool:
        """Whether there is more to ask after this reply. What it raises ends the errand."""


class Waits(Struct, frozen=True):
    """How long each try waits, and all questions together; whom to name when no try is answered."""

    seconds: tuple[float, ...]
    asked: Target
    deadline_seconds: float = inf


class Counts:
    """What came and was of no use, over all sockets."""

    def __init__(self) -> None:
        self.late_replies = 0
        self.malformed_replies = 0
        self.unauthentic_replies = 0


class Channel(asyncio.DatagramProtocol):
    """One socket, made by the loop. With ``anywhere`` a reply may come from any address."""

    def __init__(self, counts: Counts, take_id: Callable[[], int], anywhere: bool = False) -> None:
        self._counts = counts
        self._take_id = take_id
        self._anywhere = anywhere
        self._waiting: dict[Peer, dict[int, _Exchange]] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Keep the socket, and let the kernel keep bursts of replies (asyncio calls this)."""
        self.transport = transport
        raise_receive_buffer(transport.get_extra_info("socket"), RECEIVE_BUFFER_BYTES)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for a reply."""
        return not self._waiting

    async def run(self, errand: Errand, endpoint: Endpoint, waits: Waits) -> Reply:
        """All questions of an errand; returns the reply to the last. Raises SnmpError."""
        peer = ANYWHERE if self._anywhere else (endpoint[0], endpoint[1])
        waiting = self._waiting.setdefault(peer, {})
        exchange = _Exchange(self.transport, endpoint, errand, waits)
        try:
            self._ask(waiting, exchange)
            if self._timer is None:
                self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
            return await exchange.future
        finally:
            waiting.pop(exchange.message_id, None)  # nothing waits for a question that could not be put
            if not waiting and self._waiting.get(peer) is waiting:
                del self._waiting[peer]

    def _ask(self, waiting: "dict[int, _Exchange]", exchange: "_Exchange") -> None:
        message_id = self._take_id()
        exchange.ask(message_id)
        waiting[message_id] = exchange

    def _look(self) -> None:
        """Look for tries that are overdue, now and as long as anything is asked."""
        now = self._loop.time()
        for waiting in self._waiting.values():
            for exchange in waiting.values():
                exchange.look(now)
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look) if self._waiting else None

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
            self._answer(waiting, exchange, varbinds)

    def _answer(
        self, waiting: "dict[int, _Exchange]", exchange: "_Exchange", varbinds: list[Varbind] | None
    ) -> None:
        if varbinds is None or exchange.future.done():
            self._counts.late_replies += 1
            return
        answered_id = exchange.message_id
        try:
            if exchange.answer(varbinds):
                del waiting[answered_id]
                self._ask(waiting, exchange)
        except SnmpError as error:
            exchange.fail(error)


class _Exchange:
    """An errand on its way: each question is sent again until it is answered or its tries are used."""

    __slots__ = (
        "_datagram", "_due", "_endpoint", "_ends_at", "_errand", "_loop", "_sent_at", "_transport",
        "_tries_count", "_waits", "future", "message_id", "noise", "question",
    )  # fmt: skip

    def __init__(
        self, transport: asyncio.DatagramTransport, endpoint: Endpoint, errand: Errand, waits: Waits
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Reply] = self._loop.create_future()
        self.message_id = 0
        self._errand = errand
        self._transport = transport
        self._endpoint = endpoint
        self._waits = waits
        self._ends_at = self._loop.time() + waits.deadline_seconds

    def ask(self, message_id: int) -> None:
        """Send the question of the hour."""
        self.message_id = message_id
        self.question = self._errand.question()
        self.noise: SnmpError | None = None
        self._datagram = self.question.datagram(message_id)
        self._tries_count = 0
        self._send()

    def answer(self, varbinds: list[Varbind]) -> bool:
        """Hand over a reply; whether there is more to ask. Raises SnmpError, as the errand does."""
        now = Moment.now()
        reply = Reply(varbinds, now, (now.steady - self._sent_at) / 1e9, self._tries_count)
        if self._errand.take(reply):
            return True
        self.future.set_result(reply)
        return False

    def fail(self, error: Exception) -> None:
        """Give the asker an error."""
        if not self.future.done():
            self.future.set_exception(error)

    def look(self, now: float) -> None:
        """Ask again, or give up, when the answer is overdue by the loop's clock."""
        if now < self._due or self.future.done():
            return
        if now >= self._ends_at or self._tries_count == len(self._waits.seconds):
            self.future.set_exception(self.noise or SnmpTimeout(self._silence()))
        else:
            self._send()

    def _send(self) -> None:
        self._sent_at = time.monotonic_ns()
        self._transport.sendto(self._datagram, self._endpoint)
        self._due = min(self._loop.time() + self._waits.seconds[self._tries_count], self._ends_at)
        self._tries_count += 1

    def _silence(self) -> str:
        waited = min(sum(self._waits.seconds), self._waits.deadline_seconds)
        return f"{self._waits.asked!r} did not answer {self._tries_count} tries in {waited:.1f} s"
