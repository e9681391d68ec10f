"""Who may do what over the KurrentDB protocol, and how much of it."""

import hashlib
import hmac
import os
import re

from msgspec import Struct

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 14, 8, 1
_SALT_BYTES = 16
_HASHED = re.compile(r"scrypt\$(?:[0-9a-f]{2})+\$[0-9a-f]{128}")


class User(Struct, frozen=True, forbid_unknown_fields=True):
    """Someone who may read; ``may_write`` also appends, ``admin`` also writes system streams."""

    name: str
    password_hash: str
    may_write: bool = False
    admin: bool = False


class KurrentSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How the store is served.

    Without a certificate the listener speaks plain text, on loopback only, and every caller is this
    machine's user: clients do not send credentials in plain text. ``allow_writes`` is needed for any write,
    also by users who may write. ``advertise_host`` is the name that ``+discover`` clients are sent to.
    """

    allow_writes: bool = False
    users: tuple[User, ...] = ()
    anonymous_reads: bool = False
    certificate_file: str = ""
    key_file: str = ""
    advertise_host: str = ""
    max_append_bytes: int = 1 << 20
    max_transaction_bytes: int = 16 << 20
    max_subscriptions: int = 100
    max_groups: int = 100


def hashed_password(password: str) -> str:
    """The form in which a password stands in the settings."""
    salt = os.urandom(_SALT_BYTES)
    return f"scrypt${salt.hex()}${_digest(password, salt).hex()}"


def is_hashed(password_hash: str) -> bool:
    """Whether the text is of the form that :func:`hashed_password` gives."""
    return _HASHED.fullmatch(password_hash) is not None


def password_fits(password: str, password_hash: str) -> bool:
    """Whether the password is the hashed one; costs about 50 ms of a core, on purpose."""
    if not is_hashed(password_hash):
        return False
    _, salt, digest = password_hash.split("$")
    return hmac.compare_digest(_digest(password, bytes.fromhex(salt)), bytes.fromhex(digest))


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P)
