"""A user of version 3, and what they can do at one engine: sign, verify, hide, show."""

import hmac
from functools import lru_cache

from msgspec import Struct

from coldaisle.integrations.snmp.errors import InvalidValue
from coldaisle.integrations.snmp.usm.keys import (
    DIGESTS,
    Digest,
    KeyExpansion,
    localized_key,
    privacy_key,
)
from coldaisle.integrations.snmp.usm.privacy import KEY_BYTES, Cipher, cipher_for

AUTH, PRIVACY, REPORTABLE = 1, 2, 4
"""The flags of a message; the first two are its security level."""

MIN_PHRASE_CHARACTERS = 8
MAX_NAME_BYTES = 32
MAX_CACHED_KEYS = 10_000
"""Keys of a user at an engine; more than devices of one agent."""


class User(Struct, frozen=True):
    """Who asks: protocols by their names in DIGESTS and KEY_BYTES, empty for none."""

    name: str
    auth: str = ""
    auth_phrase: str = ""
    privacy: str = ""
    privacy_phrase: str = ""
    key_expansion: KeyExpansion = "blumenthal"

    @property
    def level(self) -> int:
        """The flags that this user's messages carry."""
        return (AUTH if self.auth else 0) | (PRIVACY if self.privacy else 0)

    def __repr__(self) -> str:
        """Without the phrases, which are secrets."""
        return f"User({self.name!r}, {self.auth or 'noAuth'}, {self.privacy or 'noPriv'})"


def check_user(user: User) -> User:
    """The user, who can be used. Raises InvalidValue, which never tells a phrase."""
    if not 0 < len(user.name.encode()) <= MAX_NAME_BYTES:
        raise InvalidValue(f"a user name has 1 to {MAX_NAME_BYTES} octets, not {user.name!r}")
    if user.auth and user.auth not in DIGESTS:
        raise InvalidValue(f"authentication {user.auth!r} is not one of {', '.join(DIGESTS)}")
    if user.privacy and user.privacy not in KEY_BYTES:
        raise InvalidValue(f"privacy {user.privacy!r} is not one of {', '.join(KEY_BYTES)}")
    if user.privacy and not user.auth:
        raise InvalidValue(f"user {user.name!r} has privacy without authentication; set both")
    for protocol, phrase in ((user.auth, user.auth_phrase), (user.privacy, user.privacy_phrase)):
        if protocol and len(phrase) < MIN_PHRASE_CHARACTERS:
            least = f"at least {MIN_PHRASE_CHARACTERS} characters"
            raise InvalidValue(f"the pass phrase of user {user.name!r} for {protocol} needs {least}")
    return user


class Keys:
    """A user at one engine."""

    __slots__ = ("_auth_key", "_cipher", "_engine_id", "_user", "digest", "level", "name")

    def __init__(self, user: User, engine_id: bytes) -> None:
        self.name = user.name.encode()
        self.level = user.level
        self.digest: Digest | None = None
        self._user = user
        self._engine_id = engine_id
        self._auth_key = b""
        self._cipher: Cipher | None = None
        if user.auth:
            self.digest = DIGESTS[user.auth]
            self._auth_key = localized_key(self.digest, user.auth_phrase.encode(), engine_id)

    @property
    def cipher(self) -> Cipher | None:
        """What hides and shows, None without privacy; made when first needed, which is after the MAC held.

        Raises PrivacyUnavailable.
        """
        if self._cipher is None and self.level & PRIVACY and self.digest is not None:
            key = _privacy_key(self._user, self.digest, self._engine_id)
            self._cipher = cipher_for(self._user.privacy, key)
        return self._cipher

    @property
    def mac_bytes(self) -> int:
        """Room for the message authentication code; 0 without authentication."""
        return self.digest.mac_bytes if self.digest is not None else 0

    def mac(self, message: bytes) -> bytes:
        """The code of a whole message whose own place for it is zeroed."""
        assert self.digest is not None
        return hmac.digest(self._auth_key, message, self.digest.name)[: self.digest.mac_bytes]

    def verifies(self, message: bytes, start: int, stop: int) -> bool:
        """Whether the code that lies between two places of a message is right; compared in constant time."""
        if self.digest is None or stop - start != self.digest.mac_bytes:
            return False
        zeroed = message[:start] + bytes(stop - start) + message[stop:]
        return hmac.compare_digest(self.mac(zeroed), message[start:stop])


@lru_cache(maxsize=MAX_CACHED_KEYS)
def keys_of(user: User, engine_id: bytes) -> Keys:
    """The user's keys at an engine, made once. Raises PrivacyUnavailable."""
    return Keys(user, engine_id)


def _privacy_key(user: User, digest: Digest, engine_id: bytes) -> bytes:
    size = KEY_BYTES[user.privacy]
    return privacy_key(digest, user.privacy_phrase.encode(), engine_id, size, user.key_expansion)
