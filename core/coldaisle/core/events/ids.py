"""Event ids: 16 bytes in the layout of UUID version 7 (RFC 9562), so that they sort by time.

Time-ordered ids keep the store's id index append-only. Every id starts with the event's time in
milliseconds; the rest says where the id comes from.
"""

import hashlib
import os
import uuid
from functools import lru_cache

_NANOSECONDS_PER_MILLISECOND = 1_000_000
_SEQUENCE_BITS = 40
ID_BYTES = 16
_TEXT_CHARACTERS = 36
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62


def new_id(time: int) -> bytes:
    """A fresh id for an event at ``time`` (UTC ns): random after the time."""
    return _layout(time, int.from_bytes(os.urandom(10)))


def sequenced_id(time: int, origin: str, sequence: int) -> bytes:
    """The id of the ``sequence``-th event of ``origin``: the same arguments give the same id.

    The low 40 bits are the sequence itself, so that a reader of the history can check that a source's
    numbers run without a hole; the 34 bits above are a hash of the origin.
    """
    return _layout(time, _salt(origin) << _SEQUENCE_BITS | sequence % (1 << _SEQUENCE_BITS))


def sequence_of(event_id: bytes) -> int:
    """The sequence in an id made by :func:`sequenced_id`."""
    return int.from_bytes(event_id) % (1 << _SEQUENCE_BITS)


def derived_id(time: int, cause: bytes, reactor: str, ordinal: int) -> bytes:
    """The id of what ``reactor`` says as its ``ordinal``-th answer to the event ``cause``.

    A reactor that crashed between answering and recording says the same again, under the same id.
    """
    digest = hashlib.sha256(cause + reactor.encode() + b"\0" + str(ordinal).encode()).digest()
    return _layout(time, int.from_bytes(digest[:10]))


def id_text(event_id: bytes) -> str:
    """The id as people and other systems write it, in a quarter of the time that uuid.UUID takes."""
    if len(event_id) != ID_BYTES:
        raise ValueError(f"an id has {ID_BYTES} bytes, not {len(event_id)}")
    digits = event_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse_id(text: str) -> bytes:
    """The inverse of :func:`id_text`; raises ValueError on anything but a UUID."""
    if len(text) == _TEXT_CHARACTERS and text[8] == text[13] == text[18] == text[23] == "-":
        raw = bytes.fromhex(text.replace("-", ""))
        if len(raw) == ID_BYTES:
            return raw
    return uuid.UUID(text).bytes


@lru_cache(maxsize=256)
def _salt(origin: str) -> int:
    return int.from_bytes(hashlib.sha256(origin.encode()).digest()[:8])


def _layout(time: int, low: int) -> bytes:
    milliseconds = time // _NANOSECONDS_PER_MILLISECOND % (1 << 48)
    high_12 = (low >> 62) % (1 << 12)
    low_62 = low % (1 << 62)
    return (milliseconds << 80 | _VERSION_7 | high_12 << 64 | _VARIANT | low_62).to_bytes(16)
