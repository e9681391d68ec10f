"""Who sends traps of version 3: there the engine of the sender counts, whose clock nobody can ask for.

An engine is learned from its first authentic trap, unless a user's engines are configured. From then on its
traps must be in time; a user can be exempt, for devices whose clock stands still or goes back.
"""

import time
from collections.abc import Iterable

from msgspec import Struct

from coldaisle.integrations.snmp.errors import NotAuthentic
from coldaisle.integrations.snmp.usm.authority import Refused, open_scoped
from coldaisle.integrations.snmp.usm.engine import RemoteEngine
from coldaisle.integrations.snmp.usm.message import Scoped, SecureShell
from coldaisle.integrations.snmp.usm.user import AUTH, Keys, User, check_user

MAX_SENDERS = 10_000


class TrapUser(Struct, frozen=True):
    """A user whose traps are taken; ``engine_ids`` (hex) narrow them to these engines."""

    user: User
    engine_ids: frozenset[str] = frozenset()
    checks_time: bool = True


class _Sender(Struct):
    keys: Keys
    engine: RemoteEngine


class Senders:
    """The users that may send, and the clocks of those that did. Raises InvalidValue for no user."""

    def __init__(self, users: Iterable[TrapUser]) -> None:
        self._users = {check_user(known.user).name.encode(): known for known in users}
        self._senders: dict[tuple[str, bytes, bytes], _Sender] = {}

    def authorize(self, shell: SecureShell, data: bytes, host: str) -> Scoped:
        """The scoped PDU of a trap after all checks. Raises NotAuthentic, MalformedMessage."""
        known = self._users.get(shell.user)
        if known is None:
            raise NotAuthentic(f"a trap of the unknown user {shell.user[:32]!r}; add it to traps.users")
        if shell.level != known.user.level:
            raise NotAuthentic(f"a trap of user {known.user.name!r} has another security level than its user")
        if known.engine_ids and shell.engine_id.hex() not in known.engine_ids:
            raise NotAuthentic(f"engine id {shell.engine_id.hex()} is not one of user {known.user.name!r}")
        sender = self._sender(known, shell, host)
        if shell.level & AUTH:
            self._check(known, sender, shell, data, host)
        try:
            return open_scoped(sender.keys, shell, data)
        except Refused:
            raise NotAuthentic(f"a trap of user {known.user.name!r} does not decrypt: {_KEY}") from None

    def _sender(self, known: TrapUser, shell: SecureShell, host: str) -> _Sender:
        """The sender as learned; an unknown one is made here and learned only when its trap is authentic."""
        learned = self._senders.get((host, shell.engine_id, shell.user))
        if learned is not None:
            return learned
        engine = RemoteEngine(shell.engine_id, shell.boots, shell.time, time.monotonic())
        return _Sender(Keys(known.user, shell.engine_id), engine)

    def _check(self, known: TrapUser, sender: _Sender, shell: SecureShell, data: bytes, host: str) -> None:
        if not sender.keys.verifies(data, shell.mac_start, shell.mac_stop):
            raise NotAuthentic(f"a trap of user {known.user.name!r} has a wrong code: {_KEY}")
        now = time.monotonic()
        if known.checks_time and not sender.engine.is_timely(shell.boots, shell.time, now):
            raise NotAuthentic(
                f"a trap of user {known.user.name!r} is older than what came before: a repetition, or a "
                "device whose clock stands still or went back; check_time = false accepts those"
            )
        sender.engine.advance(shell.boots, shell.time, now)
        self._learn((host, shell.engine_id, shell.user), sender)

    def _learn(self, place: tuple[str, bytes, bytes], sender: _Sender) -> None:
        if place not in self._senders and len(self._senders) >= MAX_SENDERS:
            del self._senders[next(iter(self._senders))]
        self._senders[place] = sender


_KEY = "compare protocols and pass phrases"
