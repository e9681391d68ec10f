"""SNMP messages: the shell of version, community and PDU around varbinds.

Only version 2c is read and written. A reader for version 1 or 3 belongs beside :func:`decode_shell`,
which is the one place that looks at the version.
"""

from collections.abc import Iterable

from msgspec import Struct

from coldaisle.integrations.snmp.ber import (
    Value,
    Varbind,
    encode_element,
    encode_integer,
    encode_varbind,
    read_header,
    read_integer,
    read_varbinds,
)
from coldaisle.integrations.snmp.errors import MalformedMessage
from coldaisle.integrations.snmp.tags import (
    GET,
    GET_BULK,
    GET_NEXT,
    INFORM,
    NULL,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    REPORT,
    RESPONSE,
    SEQUENCE,
    SET,
    TRAP_V2,
)

V2C = 1
MAX_DATAGRAM_BYTES = 65_535
MAX_KEPT_BYTES = 256
"""How much of a malformed message an error keeps."""

FIRST_REQUEST_ID = 2**30
LAST_REQUEST_ID = 2**31 - 1
"""Ids that we choose always take four octets, so that a request is encoded once for all its ids."""

_VERSION = encode_integer(V2C)
_ANY_ID = encode_integer(FIRST_REQUEST_ID)
_NULL = bytes((NULL, 0))
_PDUS = frozenset({GET, GET_NEXT, RESPONSE, SET, GET_BULK, INFORM, TRAP_V2, REPORT})


class Shell(Struct, frozen=True, gc=False):
    """A message before its varbinds, which lie between ``start`` and ``stop`` of the datagram.

    In a GETBULK the two error fields hold non-repeaters and max-repetitions.
    """

    community: bytes
    pdu: int
    request_id: int
    error_status: int
    error_index: int
    start: int
    stop: int

    def __repr__(self) -> str:
        """Without the community, which is a secret."""
        return f"Shell(pdu={self.pdu:#x}, request_id={self.request_id}, error_status={self.error_status})"


class Request(Struct, frozen=True):
    """A request, encoded but for its id: ``head``, four octets, ``tail``. ``oids`` are for error texts."""

    head: bytes
    tail: bytes
    oids: tuple[bytes, ...] = ()

    def with_id(self, request_id: int) -> bytes:
        """The datagram for an id between FIRST_REQUEST_ID and LAST_REQUEST_ID."""
        return self.head + request_id.to_bytes(4) + self.tail

    def __repr__(self) -> str:
        """Without the octets, which hold the community."""
        return f"Request({len(self.head) + len(self.tail) + 4} bytes)"


def decode_shell(data: bytes) -> Shell:
    """Everything of a datagram but its varbinds; raises MalformedMessage."""
    try:
        return _decode_shell(data)
    except IndexError:
        raise MalformedMessage("the message is cut off", data[:MAX_KEPT_BYTES]) from None
    except MalformedMessage as error:
        raise MalformedMessage(error.reason, data[:MAX_KEPT_BYTES]) from None


def decode_varbinds(data: bytes, shell: Shell) -> list[Varbind]:
    """The varbinds of a datagram; raises MalformedMessage."""
    try:
        return read_varbinds(data, shell.start, shell.stop)
    except IndexError:
        raise MalformedMessage("the message is cut off", data[:MAX_KEPT_BYTES]) from None
    except MalformedMessage as error:
        raise MalformedMessage(error.reason, data[:MAX_KEPT_BYTES]) from None


def decode(data: bytes) -> tuple[Shell, list[Varbind]]:
    """A whole datagram; raises MalformedMessage and nothing else, whatever the octets are."""
    shell = decode_shell(data)
    return shell, decode_varbinds(data, shell)


def encode(
    community: bytes, pdu: int, request_id: int, status: int, index: int, varbinds: bytes, version: int = V2C
) -> bytes:
    """A message around encoded varbinds."""
    fields = encode_integer(request_id) + encode_integer(status) + encode_integer(index)
    body = encode_element(pdu, fields + encode_element(SEQUENCE, varbinds))
    shell = encode_integer(version) + encode_element(OCTET_STRING, community) + body
    return encode_element(SEQUENCE, shell)


def encode_varbinds(varbinds: Iterable[tuple[bytes, int, Value]]) -> bytes:
    """Varbinds one after the other; raises InvalidValue."""
    return b"".join(encode_varbind(*varbind) for varbind in varbinds)


def prepare(community: bytes, pdu: int, varbinds: Iterable[tuple[bytes, int, Value]]) -> Request:
    """A request with values, for many ids; raises InvalidValue."""
    rows = tuple(varbinds)
    return _prepare(community, pdu, encode_varbinds(rows), 0, 0, tuple(row[0] for row in rows))


def prepare_read(
    community: bytes, pdu: int, oids: Iterable[bytes], first: int = 0, second: int = 0
) -> Request:
    """A GET, GETNEXT or GETBULK of ``oids``; the numbers are non-repeaters and max-repetitions."""
    rows = tuple(oids)
    octets = [encode_element(SEQUENCE, encode_element(OBJECT_IDENTIFIER, oid) + _NULL) for oid in rows]
    return _prepare(community, pdu, b"".join(octets), first, second, rows)


def _prepare(
    community: bytes, pdu: int, varbinds: bytes, first: int, second: int, oids: tuple[bytes, ...]
) -> Request:
    tail = encode_integer(first) + encode_integer(second) + encode_element(SEQUENCE, varbinds)
    body = encode_element(pdu, _ANY_ID + tail)
    whole = encode_element(SEQUENCE, _VERSION + encode_element(OCTET_STRING, community) + body)
    return Request(whole[: len(whole) - len(tail) - 4], tail, oids)


def _decode_shell(data: bytes) -> Shell:
    at, end = read_header(data, 0, len(data), SEQUENCE)
    version, at = read_integer(data, at, end)
    if version != V2C:
        raise MalformedMessage(f"version field {version} is not {V2C} (version 2c)")
    start, at = read_header(data, at, end, OCTET_STRING)
    community = data[start:at]
    pdu = data[at]
    if pdu not in _PDUS:
        raise MalformedMessage(f"PDU tag {pdu:#04x} is unknown")
    at, end = read_header(data, at, end, pdu)
    request_id, at = read_integer(data, at, end)
    status, at = read_integer(data, at, end)
    index, at = read_integer(data, at, end)
    start, stop = read_header(data, at, end, SEQUENCE)
    return Shell(community, pdu, request_id, status, index, start, stop)
