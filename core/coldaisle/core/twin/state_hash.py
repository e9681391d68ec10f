"""One number for a whole twin: equal histories give equal hashes, on any machine."""

import hashlib
from collections.abc import Iterator

import msgspec

from coldaisle.core.twin.model import Twin

_encoder = msgspec.json.Encoder(order="deterministic")


def state_hash(twin: Twin) -> str:
    """SHA-256, hex, of the twin as JSON with sorted keys. Costs the size of the twin: ask when needed.

    In a thread it leaves others their turn, for it goes by pieces.
    """
    digest = hashlib.sha256()
    for piece in _json(twin):
        digest.update(piece)
    return digest.hexdigest()


def _json(twin: Twin) -> Iterator[bytes]:
    """The very bytes that the encoder gives for the whole, by entries of the twin's maps."""
    before = b"{"
    for name in twin.__struct_fields__:
        value = getattr(twin, name)
        if value is msgspec.UNSET:
            continue
        yield before + _encoder.encode(name) + b":"
        if isinstance(value, dict):
            yield from _entries(value)
        else:
            yield _encoder.encode(value)
        before = b","
    yield b"}"


def _entries(entries: dict[str, object]) -> Iterator[bytes]:
    before = b"{"
    for key in sorted(entries):
        yield before + _encoder.encode(key) + b":" + _encoder.encode(entries[key])
        before = b","
    yield b"}" if entries else b"{}"
