"""What is sent to a device, and what counts as its answer.

A question makes the datagram for a message id and judges each datagram that carries this id back.
"""

from typing import Protocol

from coldaisle.integrations.snmp.ber import Reader, Varbind, read_varbinds
from coldaisle.integrations.snmp.errors import ErrorStatus
from coldaisle.integrations.snmp.frames import known_shell, remember_shell
from coldaisle.integrations.snmp.message import (
    V3,
    Request,
    Shell,
    decode_community,
    open_message,
    opened,
)
from coldaisle.integrations.snmp.oid import oid_text
from coldaisle.integrations.snmp.tags import RESPONSE
from coldaisle.integrations.snmp.usm.message import SecureShell, decode_secure

AnyShell = Shell | SecureShell


class Question(Protocol):
    """One request of any version."""

    def datagram(self, message_id: int) -> bytes:
        """What to send."""

    def answer(self, shell: AnyShell, data: bytes) -> list[Varbind] | None:
        """The varbinds of a datagram; None when it is no answer to this.

        Raises NotAuthentic when the datagram may be another's, so that waiting goes on, and any other
        SnmpError when the answer is an error.
        """


class CommunityQuestion:
    """A request of version 1 or 2c."""

    def __init__(self, version: int, community: str, request: Request, read: Reader = read_varbinds) -> None:
        self._version = version
        self._read = read
        self._community = community.encode()
        self._request = request

    def datagram(self, message_id: int) -> bytes:
        """What to send."""
        return self._request.message(self._version, self._community, message_id)

    def answer(self, shell: AnyShell, data: bytes) -> list[Varbind] | None:
        """The varbinds of a RESPONSE of the version asked. Raises ErrorStatus, MalformedMessage."""
        if not isinstance(shell, Shell) or shell.pdu != RESPONSE or shell.version != self._version:
            return None
        check_status(self._request, shell)
        return opened(data, lambda octets: self._read(octets, shell.start, shell.stop))


def check_status(request: Request, shell: Shell) -> None:
    """Raises ErrorStatus when a RESPONSE carries one."""
    if shell.error_status:
        index = shell.error_index
        oid = request.oids[index - 1] if 0 < index <= len(request.oids) else b""
        raise ErrorStatus(shell.error_status, index, oid_text(oid))


def decode_any(data: bytes) -> tuple[int, AnyShell]:
    """The id by which a datagram finds its question, and its shell; raises MalformedMessage."""
    shell = known_shell(data)
    return opened(data, _decode_any) if shell is None else (shell.request_id, shell)


def _decode_any(data: bytes) -> tuple[int, AnyShell]:
    version, at, end = open_message(data)
    if version == V3:
        secure = decode_secure(data)
        return secure.message_id, secure
    shell = decode_community(data, version, at, end)
    remember_shell(data, shell)
    return shell.request_id, shell
