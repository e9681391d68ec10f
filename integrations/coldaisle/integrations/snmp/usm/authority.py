"""The answering side of version 3: our engine decides whether a request is authentic and in time.

What it refuses is answered with a Report where the sender can take one (RFC 3414 section 3.2), and counted
by the name of the report.
"""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from coldaisle.integrations.snmp.ber import encode_varbind
from coldaisle.integrations.snmp.errors import MalformedMessage
from coldaisle.integrations.snmp.message import encode_pdu
from coldaisle.integrations.snmp.tags import COUNTER32, REPORT
from coldaisle.integrations.snmp.usm.engine import LocalEngine
from coldaisle.integrations.snmp.usm.message import (
    Scoped,
    SecureShell,
    decode_scoped,
    encode_scoped,
    encode_secure,
)
from coldaisle.integrations.snmp.usm.reports import (
    COUNTERS,
    DECRYPTION,
    NOT_IN_TIME,
    UNKNOWN_CONTEXT,
    UNKNOWN_ENGINE,
    UNKNOWN_USER,
    UNSUPPORTED_LEVEL,
    WRONG_DIGEST,
)
from coldaisle.integrations.snmp.usm.user import AUTH, PRIVACY, REPORTABLE, Keys, User, check_user, keys_of

OVERHEAD_BYTES = 256
"""Room for everything in a reply but user name and varbinds."""


class Authorized(Struct, frozen=True):
    """A request that passed: who asks, and what."""

    user: User
    keys: Keys
    shell: SecureShell
    scoped: Scoped


class Refused(Exception):  # noqa: N818 - named for the situation
    """Raised inside this package when a request fails a check; ``report`` is the answer to send, if any."""

    def __init__(self, name: str, report: bytes = b"") -> None:
        super().__init__(name)
        self.name = name
        self.report = report


class Authority:
    """Our engine and the users that it knows. Raises InvalidValue for a user that cannot be one."""

    def __init__(self, engine: LocalEngine, users: Iterable[User]) -> None:
        self.engine = engine
        self.refused_counts: Counter[str] = Counter()
        self._users = {user.name.encode(): check_user(user) for user in users}

    def authorize(self, shell: SecureShell, data: bytes) -> Authorized:
        """A request after all checks. Raises Refused, MalformedMessage."""
        keys = Keys(User(shell.user.decode("utf-8", "replace")), b"")
        try:
            user = self._known(shell)
            keys = keys_of(user, self.engine.id)
            if shell.level & AUTH:
                self._check(shell, data, keys)
            scoped = open_scoped(keys, shell, data)
            if scoped.context:
                raise Refused(UNKNOWN_CONTEXT)
        except Refused as refused:
            self.refused_counts[refused.name] += 1
            raise Refused(refused.name, self._report(keys, shell, data, refused.name)) from None
        return Authorized(user, keys, shell, scoped)

    def reply(self, asked: Authorized, pdu: bytes) -> bytes:
        """An encoded PDU as the answer, at the security level and in the context of the request."""
        engine, shell = self.engine, asked.shell
        scoped = encode_scoped(asked.scoped.engine_id, asked.scoped.context, pdu)
        return encode_secure(
            asked.keys, shell.level, engine.id, engine.boots, engine.time, shell.message_id, scoped
        )

    def _known(self, shell: SecureShell) -> User:
        if shell.engine_id != self.engine.id:
            raise Refused(UNKNOWN_ENGINE)
        user = self._users.get(shell.user)
        if user is None:
            raise Refused(UNKNOWN_USER)
        if shell.level != user.level:  # below it too: nobody shall ask in a user's name without a key
            raise Refused(UNSUPPORTED_LEVEL)
        return user

    def _check(self, shell: SecureShell, data: bytes, keys: Keys) -> None:
        if not keys.verifies(data, shell.mac_start, shell.mac_stop):
            raise Refused(WRONG_DIGEST)
        if not self.engine.is_timely(shell.boots, shell.time):
            raise Refused(NOT_IN_TIME)

    def _report(self, keys: Keys, shell: SecureShell, data: bytes, name: str) -> bytes:
        """Only a report about the time is authentic: for the others there is no common key."""
        if not shell.flags & REPORTABLE:
            return b""
        row = encode_varbind(COUNTERS[name], COUNTER32, self.refused_counts[name] % 2**32)
        pdu = encode_pdu(REPORT, _request_id(shell, data), 0, 0, row)
        engine, level = self.engine, AUTH if name == NOT_IN_TIME else 0
        scoped = encode_scoped(engine.id, b"", pdu)
        return encode_secure(keys, level, engine.id, engine.boots, engine.time, shell.message_id, scoped)


def open_scoped(keys: Keys, shell: SecureShell, data: bytes) -> Scoped:
    """The scoped PDU of an authentic message. Raises Refused when it does not decrypt, MalformedMessage."""
    if not shell.level & PRIVACY or keys.cipher is None:
        return decode_scoped(data, shell.start, shell.stop)
    try:
        plain = keys.cipher.decrypt(shell.boots, shell.time, shell.salt, data[shell.start : shell.stop])
        return decode_scoped(plain, 0, len(plain))
    except MalformedMessage:
        raise Refused(DECRYPTION) from None


def _request_id(shell: SecureShell, data: bytes) -> int:
    """The id of a request that is not hidden; 0 for others."""
    if shell.level & PRIVACY:
        return 0
    try:
        return decode_scoped(data, shell.start, shell.stop).shell.request_id
    except MalformedMessage:
        return 0
