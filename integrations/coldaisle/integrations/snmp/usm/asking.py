"""The asking side of version 3: what is sent, and the checks that a reply must pass.

The order of the checks is that of RFC 3414 section 3.2, with one more before them: a reply below the
security level of its request is refused. Reports that end a request for good become SecurityReport.
"""

import time
from typing import NoReturn

from coldaisle.integrations.snmp.ber import Reader, Varbind, read_varbinds
from coldaisle.integrations.snmp.errors import NotAuthentic, SecurityReport
from coldaisle.integrations.snmp.message import Request, Shell, opened
from coldaisle.integrations.snmp.question import AnyShell, check_status
from coldaisle.integrations.snmp.tags import GET, REPORT, RESPONSE
from coldaisle.integrations.snmp.usm.engine import RemoteEngine
from coldaisle.integrations.snmp.usm.message import (
    Scoped,
    SecureShell,
    decode_scoped,
    encode_scoped,
    encode_secure,
)
from coldaisle.integrations.snmp.usm.reports import NOT_IN_TIME, UNKNOWN_ENGINE, report_name
from coldaisle.integrations.snmp.usm.user import AUTH, PRIVACY, REPORTABLE, Keys, User

NOBODY = Keys(User(""), b"")
_EMPTY_PDU_TAIL = bytes.fromhex("0201000201003000")


class Discovery:
    """Asks a device for its engine id, boots and time, which only a Report can bring."""

    def __init__(self) -> None:
        self.engine: RemoteEngine | None = None

    def datagram(self, message_id: int) -> bytes:
        """An empty request of nobody to the empty engine id."""
        pdu = Request(GET, _EMPTY_PDU_TAIL).with_id(message_id)
        return encode_secure(NOBODY, REPORTABLE, b"", 0, 0, message_id, encode_scoped(b"", b"", pdu))

    def answer(self, shell: AnyShell, data: bytes) -> list[Varbind] | None:
        """Keeps the engine; None when the reply is no Report of one."""
        if not isinstance(shell, SecureShell) or shell.level or not shell.engine_id:
            return None
        scoped = decode_scoped(data, shell.start, shell.stop)
        if scoped.shell.pdu != REPORT:
            return None
        self.engine = RemoteEngine(shell.engine_id, shell.boots, shell.time, time.monotonic())
        return _varbinds(scoped)


class SecureQuestion:
    """A request of a user to a known engine, whose clock it follows."""

    def __init__(
        self, keys: Keys, engine: RemoteEngine, context: str, request: Request, read: Reader = read_varbinds
    ) -> None:
        self._keys = keys
        self._read = read
        self._engine = engine
        self._context = context.encode()
        self._request = request
        self._message_id = 0

    def datagram(self, message_id: int) -> bytes:
        """What to send; the message id is the request id too."""
        self._message_id = message_id
        engine, keys = self._engine, self._keys
        scoped = encode_scoped(engine.id, self._context, self._request.with_id(message_id))
        seconds = engine.time_at(time.monotonic())
        flags = keys.level | REPORTABLE
        return encode_secure(keys, flags, engine.id, engine.boots, seconds, message_id, scoped)

    def answer(self, shell: AnyShell, data: bytes) -> list[Varbind] | None:
        """The varbinds of an authentic reply. Raises NotAuthentic, SecurityReport, ErrorStatus, …"""
        if not isinstance(shell, SecureShell):
            return None
        if shell.level & self._keys.level != self._keys.level:
            self._take_lesser(shell, data)
        if shell.engine_id != self._engine.id:
            raise NotAuthentic("a reply came from another engine id")
        self._check_mac(shell, data)
        scoped = self._opened(shell, data)  # with the message's own time, so it may come before its check
        if scoped.shell.pdu == REPORT:
            self._take_report(shell, scoped)
        self._check_time(shell)
        return self._varbinds(scoped)

    def _take_lesser(self, shell: SecureShell, data: bytes) -> NoReturn:
        """Below the level asked for only a Report may come, and only an authentic one may set the time."""
        if shell.level & PRIVACY:
            raise NotAuthentic("a reply has another security level")
        if shell.level & AUTH:
            self._check_mac(shell, data)
        scoped = decode_scoped(data, shell.start, shell.stop)
        if scoped.shell.pdu != REPORT:
            raise NotAuthentic("a reply has a lower security level than its request: a downgrade, refused")
        self._take_report(shell, scoped)

    def _take_report(self, shell: SecureShell, scoped: Scoped) -> NoReturn:
        name = report_name(_varbinds(scoped))
        if name == NOT_IN_TIME and self._keys.level:
            if not shell.level & AUTH:
                raise NotAuthentic("a report about the time is not authentic")
            self._engine.set(shell.boots, shell.time, time.monotonic())
            raise SecurityReport(name, "the device", is_mended=True)
        if name == UNKNOWN_ENGINE and shell.engine_id == self._engine.id:
            raise NotAuthentic("an engine reports its own id as unknown")
        raise SecurityReport(name, "the device")

    def _check_mac(self, shell: SecureShell, data: bytes) -> None:
        if self._keys.level & AUTH and not self._keys.verifies(data, shell.mac_start, shell.mac_stop):
            raise NotAuthentic("the authentication code of a reply is wrong")

    def _check_time(self, shell: SecureShell) -> None:
        """An old reply to this very request means a clock that stands still or went back: ask for it anew."""
        if not self._keys.level & AUTH:
            return
        now = time.monotonic()
        if not self._engine.is_timely(shell.boots, shell.time, now):
            raise SecurityReport(NOT_IN_TIME, "a reply of the device")
        self._engine.advance(shell.boots, shell.time, now)

    def _opened(self, shell: SecureShell, data: bytes) -> Scoped:
        if not shell.level & PRIVACY or self._keys.cipher is None:
            return decode_scoped(data, shell.start, shell.stop)
        hidden = data[shell.start : shell.stop]
        plain = self._keys.cipher.decrypt(shell.boots, shell.time, shell.salt, hidden)
        return decode_scoped(plain, 0, len(plain))

    def _varbinds(self, scoped: Scoped) -> list[Varbind] | None:
        shell: Shell = scoped.shell
        if scoped.engine_id != self._engine.id or scoped.context != self._context:
            raise NotAuthentic("a reply is about another engine or context")
        if shell.pdu != RESPONSE or shell.request_id != self._message_id:
            return None
        check_status(self._request, shell)
        return _varbinds(scoped, self._read)


def _varbinds(scoped: Scoped, read: Reader = read_varbinds) -> list[Varbind]:
    start, stop = scoped.shell.start, scoped.shell.stop
    return opened(scoped.octets, lambda octets: read(octets, start, stop))
