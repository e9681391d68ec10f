"""From a datagram to a notification, of any version, and what is owed to its sender."""

from collections.abc import Iterable

from msgspec import Struct

from coldaisle.integrations.snmp.errors import MalformedMessage, NotAuthentic
from coldaisle.integrations.snmp.message import (
    V1,
    V3,
    Shell,
    decode_shell,
    encode_community,
    encode_pdu,
    version_of,
)
from coldaisle.integrations.snmp.tags import INFORM, RESPONSE
from coldaisle.integrations.snmp.traps import Notice, decode_trap_v1, notice_of
from coldaisle.integrations.snmp.usm.authority import Authority, Refused
from coldaisle.integrations.snmp.usm.engine import LocalEngine
from coldaisle.integrations.snmp.usm.message import SecureShell, decode_secure
from coldaisle.integrations.snmp.usm.reports import NOT_IN_TIME, UNKNOWN_ENGINE
from coldaisle.integrations.snmp.usm.senders import Senders, TrapUser
from coldaisle.integrations.snmp.usm.user import REPORTABLE

_HANDSHAKE = (UNKNOWN_ENGINE, NOT_IN_TIME)
"""Refusals by which a sender learns our engine and its clock: no fault of anybody."""


class Receipt(Struct, frozen=True):
    """A notification, None for a part of a handshake; ``reply`` acknowledges it, empty when nothing does.

    ``content`` is the same for repetitions.
    """

    notice: Notice | None
    content: bytes = b""
    reply: bytes = b""


class Incoming:
    """Reads datagrams: informs of version 3 are made out to our engine, traps to that of their sender."""

    def __init__(self, engine: LocalEngine, users: Iterable[TrapUser]) -> None:
        known = tuple(users)
        self.authority = Authority(engine, [trap_user.user for trap_user in known])
        self._senders = Senders(known)

    def read(self, data: bytes, host: str) -> Receipt:
        """One datagram of a host. Raises MalformedMessage, NotAuthentic."""
        version = version_of(data)
        if version == V3:
            return self._read_secure(data, host)
        if version == V1:
            return Receipt(decode_trap_v1(data), data)
        shell = decode_shell(data)
        notice = notice_of(shell, data)
        content = data[shell.start : shell.stop]
        if shell.pdu != INFORM:
            return Receipt(notice, content)
        return Receipt(
            notice, content, encode_community(version, shell.community, _acknowledgement(shell, content))
        )

    def _read_secure(self, data: bytes, host: str) -> Receipt:
        secure = decode_secure(data)
        if secure.flags & REPORTABLE or secure.engine_id == self.authority.engine.id:
            return self._read_inform(secure, data)
        scoped = self._senders.authorize(secure, data, host)
        if scoped.shell.pdu == INFORM:
            raise MalformedMessage("an inform that wants no report: its sender cannot learn our clock")
        content = scoped.octets[scoped.shell.start : scoped.shell.stop]
        return Receipt(notice_of(scoped.shell, scoped.octets), content)

    def _read_inform(self, secure: SecureShell, data: bytes) -> Receipt:
        try:
            found = self.authority.authorize(secure, data)
        except Refused as refused:
            if refused.name in _HANDSHAKE:
                return Receipt(None, reply=refused.report)
            raise NotAuthentic(f"an inform was refused: {refused.name}") from None
        shell, octets = found.scoped.shell, found.scoped.octets
        if shell.pdu != INFORM:
            raise MalformedMessage(f"PDU tag {shell.pdu:#04x} is no inform")
        content = octets[shell.start : shell.stop]
        reply = self.authority.reply(found, _acknowledgement(shell, content))
        return Receipt(notice_of(shell, octets), content, reply)


def _acknowledgement(shell: Shell, content: bytes) -> bytes:
    return encode_pdu(RESPONSE, shell.request_id, 0, 0, content)
