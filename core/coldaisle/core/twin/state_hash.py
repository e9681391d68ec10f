"""One number for a whole twin: equal histories give equal hashes, on any machine."""

import hashlib

import msgspec

from coldaisle.core.twin.model import Twin

_encoder = msgspec.json.Encoder(order="deterministic")


def state_hash(twin: Twin) -> str:
    """SHA-256, hex, of the twin as JSON with sorted keys. Costs the size of the twin: ask when needed."""
    return hashlib.sha256(_encoder.encode(twin)).hexdigest()
