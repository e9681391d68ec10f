"""The keyed hash chain over a history: what is hashed, and in which order. Pure.

Every event has a digest over its canonical header, which holds the hash of its data. A batch is what one
transaction appended; its hash covers the hash of the batch before and the digests of its events, under a
key that is not in the store: who can write the file cannot make the hashes anew.
"""

import struct
from hashlib import sha256

from coldaisle.core.events.envelope import Recorded

HEADER_VERSION = b"\x01"
_NUMBERS = struct.Struct(">QQIQQ")  # position, version, schema, time, recorded


def event_digest(event: Recorded) -> bytes:
    """The digest of an event as it is stored."""
    return sha256(header(event)).digest()


def header(event: Recorded) -> bytes:
    """The canonical header: every field but the data, and the hash of the data; big-endian."""
    texts = [text.encode() for text in (event.stream, event.type, event.actor)]
    ids = (event.id, event.correlation_id or b"", event.causation_id or b"")
    fields = [b"".join((len(field).to_bytes(4), field)) for field in (*texts, *ids)]
    numbers = _NUMBERS.pack(event.position, event.version, event.schema, event.time, event.recorded)
    return b"".join((HEADER_VERSION, numbers, *fields, sha256(event.data).digest()))
