"""A device that answers: one UDP socket over a table of encoded rows, in versions 1, 2c and 3."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from coldaisle.integrations.snmp.answering import Answering, Asked, OnSet
from coldaisle.integrations.snmp.errors import MalformedMessage
from coldaisle.integrations.snmp.message import V3, decode_shell, encode_community, version_of
from coldaisle.integrations.snmp.table import Table
from coldaisle.integrations.snmp.usm.authority import OVERHEAD_BYTES, Authority, Refused
from coldaisle.integrations.snmp.usm.engine import LocalEngine
from coldaisle.integrations.snmp.usm.message import MAX_MESSAGE_BYTES, decode_secure
from coldaisle.integrations.snmp.usm.user import User

MAX_REPLY_BYTES = 1_472
"""What one unfragmented Ethernet frame carries; real devices cut their GETBULK replies there."""

MAX_SHELL_BYTES = 64
"""Room for everything in a reply but community and varbinds."""


class Responder(asyncio.DatagramProtocol):
    """An SNMP agent on its own address; an async context manager.

    A wrong community gets silence and is counted; a SET with the read community gets noAccess. Of the
    ``users`` of version 3 those in ``writers`` may SET; a request below the level of its user is refused.
    Port 0 takes a free one, ``port`` then tells which.
    """

    def __init__(
        self,
        table: Table,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        read_community: str = "public",
        write_community: str = "private",
        users: Sequence[User] = (),
        writers: Sequence[User] = (),
        engine: LocalEngine | None = None,
        on_set: OnSet | None = None,
        max_reply_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        self.host = host
        self.port = port
        self.requests_count = 0
        self.wrong_community_count = 0
        self.malformed_count = 0
        self.authority = Authority(engine or LocalEngine(), (*users, *writers))
        self._read = read_community.encode()
        self._write = write_community.encode()
        self._writers = frozenset(writers)
        self._answering = Answering(table, on_set)
        self._max_reply_bytes = min(max_reply_bytes, MAX_MESSAGE_BYTES)
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def table(self) -> Table:
        """The rows that it answers from; another table takes its place at once."""
        return self._answering.table

    @table.setter
    def table(self, table: Table) -> None:
        self._answering.table = table

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, self.port))
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            await asyncio.sleep(0)  # the loop closes the socket in its next turn

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that the device answers on."""
        return self.host, self.port

    def send(self, datagram: bytes, address: tuple[str, int]) -> None:
        """Send from the device's own address and port, as its traps are; dropped while it is closed."""
        if self._transport is not None:
            self._transport.sendto(datagram, address)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one datagram (asyncio calls this)."""
        self.requests_count += 1
        try:
            reply = self.answer(data)
        except MalformedMessage:
            self.malformed_count += 1
        else:
            if reply:
                self.send(reply, addr)

    def answer(self, data: bytes) -> bytes | None:
        """The reply to one datagram, None or empty for silence. Raises MalformedMessage."""
        try:
            return self._answer_user(data) if version_of(data) == V3 else self._answer_community(data)
        except IndexError:
            raise MalformedMessage("the message is cut off") from None

    def _answer_community(self, data: bytes) -> bytes | None:
        shell = decode_shell(data)
        if shell.community not in (self._read, self._write):
            self.wrong_community_count += 1
            return None
        room_bytes = self._max_reply_bytes - len(shell.community) - MAX_SHELL_BYTES
        pdu = self._answering.answer(Asked(shell, data, shell.community == self._write, room_bytes))
        return None if pdu is None else encode_community(shell.version, shell.community, pdu)

    def _answer_user(self, data: bytes) -> bytes | None:
        secure = decode_secure(data)
        try:
            found = self.authority.authorize(secure, data)
        except Refused as refused:
            return refused.report
        room_bytes = min(self._max_reply_bytes, secure.max_bytes) - len(secure.user) - OVERHEAD_BYTES
        may_write = found.user in self._writers
        asked = Asked(found.scoped.shell, found.scoped.octets, may_write, room_bytes)
        pdu = self._answering.answer(asked)
        return None if pdu is None else self.authority.reply(found, pdu)
