"""Object identifiers: text, BER content octets, and their order.

Inside this package an OID is its BER content octets. Sub-identifiers delimit themselves, so a prefix of
the octets is a prefix of the OID; their order is *not* the order of the octets (16383 is ``FF 7F``,
16384 is ``81 80 00``). Both caches are bounded, because OIDs also come from the network.
"""

from functools import lru_cache

from coldaisle.integrations.snmp.errors import InvalidOid, MalformedMessage

MAX_SUB_IDENTIFIER = 2**32 - 1
MAX_OID_BYTES = 640
"""128 sub-identifiers (RFC 2578 section 3.5) of 32 bits; a datagram has room for far longer ones."""

MAX_CACHED_OIDS = 16_384
_FIRST_LIMIT = MAX_SUB_IDENTIFIER + 80
CONTINUES = bytes(byte & 0x80 for byte in range(256))
"""A translation of content octets to where their sub-identifiers end."""


@lru_cache(maxsize=MAX_CACHED_OIDS)
def encode_oid(text: str) -> bytes:
    """The content octets of ``1.3.6.1``, with or without a leading dot; the empty text is the empty OID.

    Raises InvalidOid.
    """
    if not text:
        return b""
    arcs = _parse(text)
    if len(arcs) < 2 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39):
        raise InvalidOid(f"{text!r} does not begin with two valid arcs")
    return encode_arcs((arcs[0] * 40 + arcs[1], *arcs[2:]))


def encode_arcs(sub_identifiers: tuple[int, ...]) -> bytes:
    """Sub-identifiers, each in base 128 with the high bit set on all octets but its last."""
    octets = bytearray()
    for value in sub_identifiers:
        octets += _base_128(value)
    return bytes(octets)


@lru_cache(maxsize=MAX_CACHED_OIDS)
def oid_text(raw: bytes) -> str:
    """The dotted text of content octets; raises MalformedMessage."""
    return ".".join(map(str, oid_tuple(raw)))


def oid_tuple(raw: bytes) -> tuple[int, ...]:
    """The arcs of content octets, in the order that SNMP compares; raises MalformedMessage."""
    if not raw:
        return ()
    first, *rest = decode_arcs(raw)
    top = min(first // 40, 2)
    return (top, first - 40 * top, *rest)


def decode_arcs(raw: bytes) -> tuple[int, ...]:
    """Sub-identifiers of content octets (the first still holds two arcs); raises MalformedMessage."""
    if len(raw) > MAX_OID_BYTES:
        raise MalformedMessage(f"an OID has over {MAX_OID_BYTES} octets")
    if raw and raw[-1] & 0x80:
        raise MalformedMessage("an OID ends inside a sub-identifier")
    values = []
    value = 0
    for octet in raw:
        if octet < 0x80:
            values.append(value << 7 | octet)
            value = 0
        elif value == 0 and octet == 0x80:
            raise MalformedMessage("an OID has a padded sub-identifier")
        else:
            value = value << 7 | octet & 0x7F
            if value > _FIRST_LIMIT:
                raise MalformedMessage("an OID has a sub-identifier over 32 bits")
    _check_width(values)
    return tuple(values)


def follows(last: bytes, following: bytes) -> bool:
    """Whether ``following`` comes after ``last`` in the order of OIDs; raises MalformedMessage.

    Octets order rightly when each is a sub-identifier of its own, or when sub-identifiers lie at the same
    places; only otherwise both are decoded.
    """
    if last.isascii() and following.isascii():
        return following > last
    if len(last) == len(following) and last.translate(CONTINUES) == following.translate(CONTINUES):
        return following > last
    return decode_arcs(following) > decode_arcs(last)


def _parse(text: str) -> tuple[int, ...]:
    parts = text.removeprefix(".").split(".")
    if not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts):
        raise InvalidOid(f"{text!r} is not numbers with dots")
    arcs = tuple(map(int, parts))
    if max(arcs) > MAX_SUB_IDENTIFIER:
        raise InvalidOid(f"{text!r} has an arc over {MAX_SUB_IDENTIFIER}")
    return arcs


def _base_128(value: int) -> bytes:
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.append(value & 0x7F | 0x80)
    return bytes(reversed(octets))


def _check_width(values: list[int]) -> None:
    if max(values[1:], default=0) > MAX_SUB_IDENTIFIER or max(values[:1], default=0) > _FIRST_LIMIT:
        raise MalformedMessage("an OID has a sub-identifier over 32 bits")
