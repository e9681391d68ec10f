"""Large states to msgpack, in pieces: one call for all of it would keep every other thread from running."""

import msgspec
from msgspec import UNSET, Struct

_FIX, _MAP_16, _MAP_32 = 0x80, 0xDE, 0xDF
_encoder = msgspec.msgpack.Encoder()


def encode_in_pieces(state: Struct, depth: int) -> bytes:
    """The very bytes that one call gives.

    ``depth`` is how many structs and dicts within each other are taken apart; what lies deeper is small.
    """
    out = bytearray()
    _put(out, state, depth)
    return bytes(out)


def _put(out: bytearray, value: object, depth: int) -> None:
    if depth and isinstance(value, dict):
        _put_map(out, value, depth)
    elif depth and isinstance(value, Struct) and not value.__struct_config__.array_like:
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        _put_map(out, {name: each for name, each in fields.items() if each is not UNSET}, depth)
    else:
        _encoder.encode_into(value, out, -1)


def _put_map(out: bytearray, entries: dict[object, object], depth: int) -> None:
    out += _head(len(entries))
    for key, value in entries.items():
        _encoder.encode_into(key, out, -1)
        _put(out, value, depth - 1)


def _head(count: int) -> bytes:
    if count < 1 << 4:
        return bytes([_FIX | count])
    if count < 1 << 16:
        return bytes([_MAP_16]) + count.to_bytes(2)
    return bytes([_MAP_32]) + count.to_bytes(4)
