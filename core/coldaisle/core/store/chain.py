"""The keyed hash chain over a history: what is hashed, and in which order. Pure.

Every event has a digest over its canonical header, which holds the hash of its data. A batch is what one
transaction appended; its hash covers the hash of the batch before and the digests of its events, under a
key that is not in the store: who can write the file cannot make the hashes anew. Who also holds the key
can; a signed checkpoint that was published elsewhere finds that too.
"""

import hmac
import struct
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from itertools import starmap
from typing import Annotated

from msgspec import Meta, Struct

from coldaisle.core.errors import EventError
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.events.ids import ID_BYTES

ALGORITHM = "hmac-sha256-1"
DIGEST_BYTES = 32
NO_HASH = bytes(DIGEST_BYTES)
"""Stands for the batch before the first one."""

REMOVED, ARCHIVED = b"removed", b"archived"
"""How an event went that retention removed: for good, or into a segment of the archive."""

_HEADER_VERSION = 1
_NUMBERS = struct.Struct(">BqqIqq")  # header version, position, version, schema, time, recorded
_ID_LENGTH = ID_BYTES.to_bytes(4)
_NO_REFERENCE = bytes(4)
_NO_REFERENCES = 2 * _NO_REFERENCE
_CACHED_TEXTS = 16_384

Fields = tuple[int, str, int, bytes, str, int, int, int, str, bytes, bytes | None, bytes | None]
"""An event's fields in the order of Recorded."""
FieldsOfStream = tuple[int, object, int, bytes, str, int, int, int, str, bytes, bytes | None, bytes | None]
"""The same where the stream's name is known otherwise: a row holds a number in its place."""


class Epoch(Struct, frozen=True, array_like=True):
    """From which position on a key makes the hashes."""

    key_id: str
    first_position: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]


def event_digest(event: Recorded) -> bytes:
    """The digest of an event as it is stored."""
    return fields_digest((
        event.position, event.stream, event.version, event.id, event.type, event.schema, event.time,
        event.recorded, event.actor, event.data, event.correlation_id, event.causation_id,
    ))  # fmt: skip


def fields_digest(fields: Fields) -> bytes:
    """The digest of an event given as its fields. Raises EventError."""
    return stream_digest(fields[1], fields)


def stream_digest(stream: str, fields: FieldsOfStream) -> bytes:
    """The digest of an event of this stream: the sha256 of its canonical header.

    The header: one byte 1; position and version (8 bytes), schema (4), time and recorded (8); then stream,
    type, actor, id, correlation and causation id, each behind its length (4 bytes); then the sha256 of the
    data. Numbers are big-endian. Raises EventError where a field is of another type, or out of range.
    """
    position, _, version, event_id, type_name, schema, time, recorded, actor, data, cause, origin = fields
    try:
        numbers = _NUMBERS.pack(_HEADER_VERSION, position, version, schema, time, recorded)
        if cause is None and origin is None and len(event_id) == ID_BYTES:  # most: a fifth less in all
            ids = _ID_LENGTH + event_id + _NO_REFERENCES
        else:
            ids = _prefixed(event_id) + _reference(cause) + _reference(origin)
        header = numbers + _texts(stream, type_name, actor) + ids + sha256(data).digest()
        return sha256(header).digest()
    except (TypeError, AttributeError, UnicodeEncodeError, struct.error) as error:
        raise EventError(f"position {position} holds no event as it is written ({error})") from error


def is_digest_of(digest: bytes, fields: Fields) -> bool:
    """Whether this is the digest of an event that was read, whatever its columns hold by now."""
    try:
        return fields_digest(fields) == digest
    except EventError:
        return False


def digests_of(events: Iterable[tuple[str, FieldsOfStream]]) -> bytes:
    """The digests of events, each with its stream's name, one after the other."""
    return b"".join(starmap(stream_digest, events))


def epoch_start(key: bytes, epoch: Epoch, store_id: bytes, previous: bytes) -> bytes:
    """What stands before the first batch of an epoch; binds algorithm, store, key and position."""
    parts = (ALGORITHM.encode(), epoch.key_id.encode(), store_id, epoch.first_position.to_bytes(8), previous)
    return hmac.digest(key, b"epoch" + b"".join(map(_prefixed, parts)), "sha256")


def batch_hash(key: bytes, previous: bytes, digests: bytes) -> bytes:
    """The hash of a batch whose events have these digests."""
    return hmac.digest(key, previous + digests, "sha256")


def removal_record(key: bytes | None, how: bytes, position: int, digest: bytes) -> bytes:
    """What stays of an event that retention removes: its digest, and where there is a chain, a seal.

    The seal is the HMAC of ``how`` (``REMOVED`` or ``ARCHIVED``), position and digest under the chain's key:
    who only edits the file cannot take an event out and say that retention did.
    """
    return digest if key is None else digest + _seal(key, how, position, digest)


def how_removed(record: bytes, position: int, digest: bytes, keys: Iterable[bytes]) -> bytes:
    """``REMOVED`` or ``ARCHIVED``, as the seal says; empty where the record is of no event of this digest."""
    if record[:DIGEST_BYTES] != digest:
        return b""
    for key in keys:
        for how in (ARCHIVED, REMOVED):
            if hmac.compare_digest(record[DIGEST_BYTES:], _seal(key, how, position, digest)):
                return how
    return b""


def emptied_seal(key: bytes, how: bytes, previous: bytes, first: int, last: int, stored: bytes) -> bytes:
    """What stands for the records of a batch of which retention removed every event, all in the same way.

    It is over that way, the batch's positions, what its hash goes on from (``previous``), and that hash
    (``stored``).
    """
    positions = first.to_bytes(8) + last.to_bytes(8)
    return hmac.digest(key, b"emptied" + how + positions + previous + stored, "sha256")


def how_emptied(
    seal: bytes, keys: Iterable[bytes], previous: bytes, first: int, last: int, stored: bytes
) -> bytes:
    """``REMOVED`` or ``ARCHIVED``, as the seal of an emptied batch says; empty where it is none."""
    for key in keys:
        for how in (ARCHIVED, REMOVED):
            if hmac.compare_digest(seal, emptied_seal(key, how, previous, first, last, stored)):
                return how
    return b""


def _seal(key: bytes, how: bytes, position: int, digest: bytes) -> bytes:
    return hmac.digest(key, how + position.to_bytes(8) + digest, "sha256")


def _prefixed(field: bytes) -> bytes:
    return len(field).to_bytes(4) + field


def _reference(event_id: bytes | None) -> bytes:
    return _NO_REFERENCE if event_id is None else _prefixed(event_id)


@lru_cache(_CACHED_TEXTS)
def _texts(stream: str, type_name: str, actor: str) -> bytes:
    return b"".join(_prefixed(text.encode()) for text in (stream, type_name, actor))
