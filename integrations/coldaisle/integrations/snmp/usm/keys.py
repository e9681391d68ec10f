"""From a pass phrase to the key of one engine (RFC 3414 appendix A.2, RFC 7860 section 9.3). Pure.

The slow half, hashing the phrase repeated to a mebibyte, does not depend on the engine and is cached.
"""

import hashlib
from functools import lru_cache
from typing import Literal

from msgspec import Struct

KeyExpansion = Literal["blumenthal", "reeder"]

REPEATED_BYTES = 1_048_576
MAX_CACHED_MASTER_KEYS = 1_024


class Digest(Struct, frozen=True):
    """A hash, and how many octets of its HMAC a message carries."""

    name: str
    mac_bytes: int


DIGESTS = {
    "MD5": Digest("md5", 12),
    "SHA-1": Digest("sha1", 12),
    "SHA-224": Digest("sha224", 16),
    "SHA-256": Digest("sha256", 24),
    "SHA-384": Digest("sha384", 32),
    "SHA-512": Digest("sha512", 48),
}
"""The authentication protocols by the names that settings use."""


@lru_cache(maxsize=MAX_CACHED_MASTER_KEYS)
def master_key(digest: Digest, phrase: bytes) -> bytes:
    """Ku: milliseconds the first time, nothing after that."""
    times = REPEATED_BYTES // len(phrase) + 1
    return _hash(digest, (phrase * times)[:REPEATED_BYTES])


def localized_key(digest: Digest, phrase: bytes, engine_id: bytes) -> bytes:
    """Kul: the key of one engine."""
    master = master_key(digest, phrase)
    return _hash(digest, master + engine_id + master)


def privacy_key(digest: Digest, phrase: bytes, engine_id: bytes, size: int, expansion: KeyExpansion) -> bytes:
    """``size`` octets of the key localized with the *authentication* hash.

    A hash too short for AES-192 or AES-256 is expanded in one of two dialects: Blumenthal's draft appends
    the hash of the key so far; Reeder's, which Cisco took, localizes the last part as if it were a phrase.
    """
    key = part = localized_key(digest, phrase, engine_id)
    while len(key) < size:
        if expansion == "blumenthal":
            part = _hash(digest, key)
        else:
            part = _localized_uncached(digest, part, engine_id)
        key += part
    return key[:size]


def _localized_uncached(digest: Digest, phrase: bytes, engine_id: bytes) -> bytes:
    """As localized_key, but a part of an engine's key must not push pass phrases out of the cache."""
    master = master_key.__wrapped__(digest, phrase)
    return _hash(digest, master + engine_id + master)


def _hash(digest: Digest, octets: bytes) -> bytes:
    return hashlib.new(digest.name, octets, usedforsecurity=True).digest()
