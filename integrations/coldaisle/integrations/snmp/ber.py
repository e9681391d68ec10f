"""The part of BER that SNMP uses: lengths, integers, varbinds.

A decoded varbind is a plain tuple ``(raw_oid, tag, value)``: an int for the integer types, None for NULL
and the three exceptions, else the content octets. Decoding is one pass with index arithmetic, without
recursion, bounded by the datagram, and raises MalformedMessage only (or IndexError beneath
:func:`coldaisle.integrations.snmp.message.decode`, which translates it).
"""

import socket
import struct
from collections.abc import Callable

from coldaisle.integrations.snmp.errors import InvalidValue, MalformedMessage
from coldaisle.integrations.snmp.oid import encode_oid, oid_text
from coldaisle.integrations.snmp.tags import (
    ABSENT,
    INTEGER,
    IP_ADDRESS,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    OPAQUE,
    SEQUENCE,
    UNSIGNED_MASKS,
)

Wire = int | bytes | None
"""A value as decoded; an OID stays its content octets, an address its four."""

Value = int | bytes | str | None
"""A value to encode; an OID or an address may be text."""

Varbind = tuple[bytes, int, Wire]

Reader = Callable[[bytes, int, int], list[Varbind]]
"""What makes varbinds of the octets between two places."""

MAX_LENGTH_OCTETS = 4
MAX_INTEGER_OCTETS = 9
"""A Counter64 of 2^63 and more has a leading zero octet."""

_OCTETS = tuple(bytes((octet,)) for octet in range(256))
_FLOAT_HEADER = b"\x9f\x78\x04"


def read_length(data: bytes, at: int) -> tuple[int, int]:
    """The length at ``at`` in short or long, even padded, form, and where its content begins."""
    first = data[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    if not 0 < count <= MAX_LENGTH_OCTETS:
        raise MalformedMessage("a length is indefinite or over 4 octets")
    start = at + 1 + count
    if start > len(data):
        raise MalformedMessage("a length is cut off")
    return int.from_bytes(data[at + 1 : start]), start


def read_header(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Where the content of the element at ``at`` begins and stops; it must have ``tag`` and fit."""
    if data[at] != tag:
        raise MalformedMessage(f"expected tag {tag:#04x}")
    length = data[at + 1]
    at += 2
    if length > 0x7F:
        length, at = read_length(data, at - 1)
    if at + length > end:
        raise MalformedMessage("an element reaches beyond its container")
    return at, at + length


def read_integer(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The INTEGER at ``at``, and where it stops."""
    start, stop = read_header(data, at, end, INTEGER)
    if not 0 < stop - start <= MAX_INTEGER_OCTETS:
        raise MalformedMessage("an integer is empty or too long")
    return int.from_bytes(data[start:stop], signed=True), stop


def integer(data: bytes, start: int, stop: int) -> int:
    """Content octets as a signed number."""
    if not 0 < stop - start <= MAX_INTEGER_OCTETS:
        raise MalformedMessage("an integer is empty or too long")
    return int.from_bytes(data[start:stop], signed=True)


def read_varbinds(data: bytes, at: int, end: int) -> list[Varbind]:
    """The varbinds between two places.

    One-octet lengths are read in line, since nearly all are; every other form goes through read_length.
    Bounds: a value must stop exactly where its varbind does, and the varbind inside the list.
    """
    varbinds: list[Varbind] = []
    from_bytes = int.from_bytes
    masks = UNSIGNED_MASKS
    while at < end:
        if data[at] != SEQUENCE:
            raise MalformedMessage("a varbind is not a sequence")
        length = data[at + 1]
        at += 2
        if length > 0x7F:
            length, at = read_length(data, at - 1)
        stop = at + length
        if stop > end or data[at] != OBJECT_IDENTIFIER:
            raise MalformedMessage("a varbind has no OID or reaches beyond its list")
        length = data[at + 1]
        at += 2
        if length > 0x7F:
            length, at = read_length(data, at - 1)
        value_at = at + length
        tag = data[value_at]
        oid = data[at:value_at]
        length = data[value_at + 1]
        at = value_at + 2
        if length > 0x7F:
            length, at = read_length(data, at - 1)
        if at + length != stop:
            raise MalformedMessage("a value does not fill its varbind")
        if tag in masks:
            if not 0 < length <= MAX_INTEGER_OCTETS:
                raise MalformedMessage("an integer is empty or too long")
            varbinds.append((oid, tag, from_bytes(data[at:stop], "big", signed=True) & masks[tag]))
        elif tag == OCTET_STRING:
            varbinds.append((oid, tag, data[at:stop]))
        else:
            varbinds.append((oid, tag, _decode_value(tag, data, at, stop)))
        at = stop
    return varbinds


def encode_length(length: int) -> bytes:
    """A length in its shortest form."""
    if length < 0x80:
        return _OCTETS[length]
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return _OCTETS[0x80 | len(octets)] + octets


def encode_element(tag: int, content: bytes) -> bytes:
    """A tag, the length and the content."""
    size = len(content)
    return _OCTETS[tag] + (_OCTETS[size] if size < 0x80 else encode_length(size)) + content


def encode_integer(value: int, tag: int = INTEGER) -> bytes:
    """A number in the fewest octets of two's complement."""
    size = (value + (value < 0)).bit_length() // 8 + 1
    return encode_element(tag, value.to_bytes(size, signed=True))


def encode_varbind(raw_oid: bytes, tag: int, value: Value) -> bytes:
    """One varbind; raises InvalidValue when the value does not fit the tag."""
    return encode_element(SEQUENCE, encode_element(OBJECT_IDENTIFIER, raw_oid) + encode_value(tag, value))


def encode_value(tag: int, value: Value) -> bytes:
    """One value with its tag; raises InvalidValue or InvalidOid."""
    if tag in ABSENT:
        return bytes((tag, 0))
    if tag == INTEGER or tag in UNSIGNED_MASKS:
        return encode_integer(_checked_integer(tag, value), tag)
    return encode_element(tag, _octets(tag, value))


def value_text(tag: int, value: Wire) -> str:
    """A decoded value for people: numbers, OIDs, addresses, printable ASCII; else ``0x`` and hex."""
    if not isinstance(value, bytes):
        return "" if value is None else str(value)
    if tag == IP_ADDRESS and len(value) == 4:
        return socket.inet_ntoa(value)
    if tag == OBJECT_IDENTIFIER:
        return oid_text(value)
    text = value.decode("ascii", "replace")
    return text if text.isascii() and text.isprintable() else "0x" + value.hex()


def value_number(tag: int, value: Wire) -> float | None:
    """A decoded value as a number: integers, decimal text, floats that net-snmp wraps in Opaque."""
    if isinstance(value, int):
        return float(value)
    if value is None:
        return None
    if tag == OPAQUE and value.startswith(_FLOAT_HEADER) and len(value) == 7:
        return float(struct.unpack(">f", value[3:])[0])
    try:
        return float(value) if tag == OCTET_STRING else None
    except ValueError:
        return None


def _decode_value(tag: int, data: bytes, start: int, stop: int) -> Wire:
    if tag == INTEGER:
        return integer(data, start, stop)
    if tag in ABSENT:
        if start != stop:
            raise MalformedMessage("a value that must be empty is not")
        return None
    if tag == IP_ADDRESS and stop - start != 4:
        raise MalformedMessage("an address is not 4 octets")
    return data[start:stop]


def _checked_integer(tag: int, value: Value) -> int:
    if not isinstance(value, int):
        raise InvalidValue(f"{value!r} is not an integer")
    low, high = (-(2**31), 2**31 - 1) if tag == INTEGER else (0, UNSIGNED_MASKS[tag])
    if not low <= value <= high:
        raise InvalidValue(f"{value} is not between {low} and {high}")
    return int(value)


def _octets(tag: int, value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise InvalidValue(f"{value!r} is not octets or text")
    if tag == OBJECT_IDENTIFIER:
        return encode_oid(value)
    if tag == IP_ADDRESS:
        return _address(value)
    return value.encode()


def _address(text: str) -> bytes:
    try:
        return socket.inet_aton(text)
    except OSError as error:
        raise InvalidValue(f"{text!r} is not an IPv4 address") from error
