"""Who calls over the KurrentDB protocol, and what they may do."""

import asyncio
import base64
import binascii
import contextvars
import hashlib
import os

from grpc import StatusCode
from msgspec import Struct

from coldaisle.server.kurrent.errors import WireRefusal, access_denied
from coldaisle.server.kurrent.settings import KurrentSettings, password_fits

OPEN_SERVICES = ("event_store.client.gossip.Gossip", "event_store.client.server_features.ServerFeatures")
MAX_CACHED_LOGINS = 1_000
MAX_HEADER_BYTES = 1_024
PASSWORD_CHECKS_AT_ONCE = 1
"""Each takes a core for 50 ms: whoever guesses passwords must not stop the plant's history."""


class Caller(Struct, frozen=True):
    """Someone whose call was let in."""

    name: str
    may_write: bool
    admin: bool


_NOBODYS_HASH = f"scrypt${'00' * 16}${'00' * 64}"
"""What an unknown user's password is held against: refused as fast as a known one's, he tells nothing."""

NOBODY = Caller("nobody", may_write=False, admin=False)
caller: contextvars.ContextVar[Caller] = contextvars.ContextVar("kurrent_caller", default=NOBODY)
"""Who makes the present call."""


def require_writing() -> Caller:
    """The caller, if writes from outside are allowed and it may make them."""
    who = caller.get()
    if not who.may_write:
        raise access_denied(
            f"{who.name} may not write here: set allow_writes (and may_write for a user), or append through "
            "the agents"
        )
    return who


class Gate:
    """Finds the caller of a call by its Basic credentials; plain-text callers are this machine's user."""

    def __init__(self, settings: KurrentSettings) -> None:
        self._settings = settings
        self._users = {user.name: user for user in settings.users}
        self._encrypted = bool(settings.certificate_file)
        self._known: dict[bytes, Caller] = {}
        self._salt = os.urandom(16)
        self._turn = asyncio.Semaphore(PASSWORD_CHECKS_AT_ONCE)

    async def let_in(self, service: str, authorization: str) -> Caller:
        """The caller. Raises WireRefusal when there is none."""
        if service in OPEN_SERVICES:
            return NOBODY
        if not self._encrypted:
            return Caller("local", may_write=self._settings.allow_writes, admin=False)
        if not authorization and self._settings.anonymous_reads:
            return Caller("anonymous", may_write=False, admin=False)
        if not authorization or len(authorization) > MAX_HEADER_BYTES:
            raise _unauthenticated("no credentials: name user and password in the connection string")
        return await self._by_password(authorization)

    async def _by_password(self, authorization: str) -> Caller:
        key = hashlib.sha256(self._salt + authorization.encode()).digest()
        known = self._known.get(key)
        if known is not None:
            return known
        async with self._turn:
            found = await asyncio.to_thread(self._check, authorization)
        if len(self._known) >= MAX_CACHED_LOGINS:
            self._known.clear()
        self._known[key] = found
        return found

    def _check(self, authorization: str) -> Caller:
        name, password = _basic(authorization)
        user = self._users.get(name)
        if not password_fits(password, _NOBODYS_HASH if user is None else user.password_hash) or user is None:
            raise _unauthenticated("user or password is wrong")
        may_write = self._settings.allow_writes and (user.may_write or user.admin)
        return Caller(name, may_write=may_write, admin=may_write and user.admin)


def _basic(authorization: str) -> tuple[str, str]:
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "basic":
        raise _unauthenticated("send Basic credentials")
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _unauthenticated("these Basic credentials cannot be read") from error
    return name, password


def _unauthenticated(text: str) -> WireRefusal:
    return WireRefusal(StatusCode.UNAUTHENTICATED, text)
