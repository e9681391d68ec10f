"""Encryption of scoped PDUs: AES in CFB mode (RFC 3826), and DES in CBC mode for old devices (RFC 3414).

Salts count up from a random start, so that no two messages under one key share an initialization vector.
"""

import secrets
from functools import lru_cache
from types import ModuleType
from typing import Protocol

from coldaisle.integrations.snmp.errors import MalformedMessage, PrivacyUnavailable

SALT_BYTES = 8
DES_BLOCK_BYTES = 8
KEY_BYTES = {"DES": 16, "AES-128": 16, "AES-192": 24, "AES-256": 32}
"""How much key each privacy protocol needs; half of that of DES is its pre-IV."""


class Cipher(Protocol):
    """Hides and shows scoped PDUs under one key; ``boots`` and ``time`` are those in the message."""

    def encrypt(self, boots: int, time: int, plain: bytes) -> tuple[bytes, bytes]:
        """The octets to send, and their salt."""

    def decrypt(self, boots: int, time: int, salt: bytes, octets: bytes) -> bytes:
        """What was hidden; garbage under a wrong key. Raises MalformedMessage for impossible lengths."""


def cipher_for(protocol: str, key: bytes) -> Cipher:
    """The cipher of a protocol in KEY_BYTES. Raises PrivacyUnavailable without ``cryptography``."""
    return DesCipher(key) if protocol == "DES" else AesCipher(key)


class AesCipher:
    """AES-128, AES-192 or AES-256, as the length of the key says."""

    def __init__(self, key: bytes) -> None:
        self._ciphers = _primitives()
        self._algorithm = self._ciphers.algorithms.AES(key)
        self._salt = secrets.randbits(64)

    def encrypt(self, boots: int, time: int, plain: bytes) -> tuple[bytes, bytes]:
        """The octets to send, as many as ``plain``, and their salt."""
        self._salt = (self._salt + 1) % 2**64
        salt = self._salt.to_bytes(SALT_BYTES)
        return self._cipher(boots, time, salt).encryptor().update(plain), salt

    def decrypt(self, boots: int, time: int, salt: bytes, octets: bytes) -> bytes:
        """What was hidden."""
        if len(salt) != SALT_BYTES:
            raise MalformedMessage("a salt is not 8 octets")
        plain: bytes = self._cipher(boots, time, salt).decryptor().update(octets)
        return plain

    def _cipher(self, boots: int, time: int, salt: bytes):  # type: ignore[no-untyped-def]  # lazily imported
        vector = boots.to_bytes(4) + time.to_bytes(4) + salt
        return self._ciphers.Cipher(self._algorithm, _modes().CFB(vector))


class DesCipher:
    """DES, which single-key triple DES equals."""

    def __init__(self, key: bytes) -> None:
        self._ciphers = _primitives()
        self._algorithm = _old_algorithms().TripleDES(key[:8] * 3)
        self._pre_vector = int.from_bytes(key[8:16])
        self._salt = secrets.randbits(32)

    def encrypt(self, boots: int, time: int, plain: bytes) -> tuple[bytes, bytes]:
        """The octets to send, padded to whole blocks, and their salt."""
        self._salt = (self._salt + 1) % 2**32
        salt = boots.to_bytes(4) + self._salt.to_bytes(4)
        padded = plain + bytes(-len(plain) % DES_BLOCK_BYTES)
        return self._cipher(salt).encryptor().update(padded), salt

    def decrypt(self, boots: int, time: int, salt: bytes, octets: bytes) -> bytes:
        """What was hidden, with its padding."""
        if len(salt) != SALT_BYTES or len(octets) % DES_BLOCK_BYTES:
            raise MalformedMessage("a salt is not 8 octets or a DES message not whole blocks")
        plain: bytes = self._cipher(salt).decryptor().update(octets)
        return plain

    def _cipher(self, salt: bytes):  # type: ignore[no-untyped-def]  # lazily imported
        vector = (self._pre_vector ^ int.from_bytes(salt)).to_bytes(SALT_BYTES)
        return self._ciphers.Cipher(self._algorithm, self._ciphers.modes.CBC(vector))


@lru_cache(maxsize=1)
def _primitives() -> ModuleType:
    try:
        from cryptography.hazmat.primitives import ciphers
    except ImportError as error:
        raise PrivacyUnavailable(
            "encrypted SNMP needs the package cryptography: install coldaisle[snmpv3]"
        ) from error
    return ciphers


@lru_cache(maxsize=1)
def _modes() -> ModuleType:
    """Where CFB lives: newer versions moved it."""
    try:
        from cryptography.hazmat.decrepit.ciphers import modes
    except ImportError:
        from cryptography.hazmat.primitives.ciphers import modes  # type: ignore[no-redef]
    return modes


@lru_cache(maxsize=1)
def _old_algorithms() -> ModuleType:
    from cryptography.hazmat.decrepit.ciphers import algorithms

    return algorithms
