"""Messages of versions 1 and 2c: the shell of version, community and PDU around varbinds.

Version 3 lies in :mod:`coldaisle.integrations.snmp.usm`; its PDUs are read here too.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

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

V1, V2C, V3 = 0, 1, 3
"""What the version field says."""

MAX_DATAGRAM_BYTES = 65_535
MAX_KEPT_BYTES = 256
"""How much of a malformed message an error keeps."""

FIRST_REQUEST_ID = 2**30
LAST_REQUEST_ID = 2**31 - 1
"""Ids that we choose always take four octets, so that a request is encoded once for all its ids."""

MAX_CACHED_HEADS = 1_024

_VERSIONS = {version: encode_integer(version) for version in (V1, V2C)}
_ID_HEADER = b"\x02\x04"
_NULL = bytes((NULL, 0))
_PDUS = frozenset({GET, GET_NEXT, RESPONSE, SET, GET_BULK, INFORM, TRAP_V2, REPORT})


_Decoded = TypeVar("_Decoded")


class Shell(Struct, frozen=True, gc=False):
    """A message before its varbinds, which lie between ``start`` and ``stop`` of the datagram.

    In a GETBULK the two error fields hold non-repeaters and max-repetitions.
    """

    version: int
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
    """A request for any version and any id: the PDU's tag, and what follows its id.

    ``oids`` are what is asked for, in order.
    """

    pdu: int
    tail: bytes
    oids: tuple[bytes, ...] = ()

    def with_id(self, request_id: int) -> bytes:
        """The PDU for an id between FIRST_REQUEST_ID and LAST_REQUEST_ID."""
        return encode_element(self.pdu, _ID_HEADER + request_id.to_bytes(4) + self.tail)

    def message(self, version: int, community: bytes, request_id: int) -> bytes:
        """The same in a message of version 1 or 2c."""
        head = _message_head(version, community, self.pdu, len(self.tail))
        return head + request_id.to_bytes(4) + self.tail


@lru_cache(maxsize=MAX_CACHED_HEADS)
def _message_head(version: int, community: bytes, pdu: int, tail_bytes: int) -> bytes:
    """What stands before the id of a request with so much behind it."""
    whole = encode_community(version, community, Request(pdu, bytes(tail_bytes)).with_id(FIRST_REQUEST_ID))
    return whole[: -4 - tail_bytes]


def opened(data: bytes, decoder: Callable[[bytes], _Decoded]) -> _Decoded:
    """What a decoder makes of a datagram; raises MalformedMessage, which keeps its first octets."""
    try:
        return decoder(data)
    except IndexError:
        raise MalformedMessage("the message is cut off", data[:MAX_KEPT_BYTES]) from None
    except MalformedMessage as error:
        raise MalformedMessage(error.reason, data[:MAX_KEPT_BYTES]) from None


def version_of(data: bytes) -> int:
    """The version field of a datagram, whatever it is; raises MalformedMessage."""
    return opened(data, _version_of)


def decode_shell(data: bytes) -> Shell:
    """Everything of a datagram of version 1 or 2c but its varbinds; raises MalformedMessage."""
    return opened(data, _decode_shell)


def decode_varbinds(data: bytes, shell: Shell) -> list[Varbind]:
    """The varbinds of a datagram; raises MalformedMessage."""
    return opened(data, lambda octets: read_varbinds(octets, shell.start, shell.stop))


def decode(data: bytes) -> tuple[Shell, list[Varbind]]:
    """A whole datagram; raises MalformedMessage and nothing else, whatever the octets are."""
    shell = decode_shell(data)
    return shell, decode_varbinds(data, shell)


def decode_pdu(data: bytes, at: int, end: int, version: int, community: bytes) -> Shell:
    """The PDU at a place; raises MalformedMessage or, when it is cut off, IndexError."""
    pdu = data[at]
    if pdu not in _PDUS:
        raise MalformedMessage(f"PDU tag {pdu:#04x} is unknown")
    at, end = read_header(data, at, end, pdu)
    request_id, at = read_integer(data, at, end)
    status, at = read_integer(data, at, end)
    index, at = read_integer(data, at, end)
    start, stop = read_header(data, at, end, SEQUENCE)
    return Shell(version, community, pdu, request_id, status, index, start, stop)


def encode(
    community: bytes, pdu: int, request_id: int, status: int, index: int, varbinds: bytes, version: int = V2C
) -> bytes:
    """A message of version 1 or 2c around encoded varbinds."""
    return encode_community(version, community, encode_pdu(pdu, request_id, status, index, varbinds))


def encode_pdu(pdu: int, request_id: int, status: int, index: int, varbinds: bytes) -> bytes:
    """A PDU around encoded varbinds."""
    fields = encode_integer(request_id) + encode_integer(status) + encode_integer(index)
    return encode_element(pdu, fields + encode_element(SEQUENCE, varbinds))


def encode_community(version: int, community: bytes, pdu: bytes) -> bytes:
    """A message of version 1 or 2c around an encoded PDU."""
    return encode_element(SEQUENCE, _VERSIONS[version] + encode_element(OCTET_STRING, community) + pdu)


def encode_varbinds(varbinds: Iterable[tuple[bytes, int, Value]]) -> bytes:
    """Varbinds one after the other; raises InvalidValue."""
    return b"".join(encode_varbind(*varbind) for varbind in varbinds)


def prepare(pdu: int, varbinds: Iterable[tuple[bytes, int, Value]]) -> Request:
    """A request with values, for many ids; raises InvalidValue."""
    rows = tuple(varbinds)
    return _prepare(pdu, encode_varbinds(rows), 0, 0, tuple(row[0] for row in rows))


def prepare_read(pdu: int, oids: Iterable[bytes], first: int = 0, second: int = 0) -> Request:
    """A GET, GETNEXT or GETBULK of ``oids``; the numbers are non-repeaters and max-repetitions."""
    rows = tuple(oids)
    octets = [encode_element(SEQUENCE, encode_element(OBJECT_IDENTIFIER, oid) + _NULL) for oid in rows]
    return _prepare(pdu, b"".join(octets), first, second, rows)


def _prepare(pdu: int, varbinds: bytes, first: int, second: int, oids: tuple[bytes, ...]) -> Request:
    tail = encode_integer(first) + encode_integer(second) + encode_element(SEQUENCE, varbinds)
    return Request(pdu, tail, oids)


def open_message(data: bytes) -> tuple[int, int, int]:
    """Version, and where what follows it lies; raises MalformedMessage or IndexError."""
    at, end = read_header(data, 0, len(data), SEQUENCE)
    version, at = read_integer(data, at, end)
    return version, at, end


def decode_community(data: bytes, version: int, at: int, end: int) -> Shell:
    """The rest of a message of version 1 or 2c; raises MalformedMessage or IndexError."""
    community, at = read_community(data, version, at, end)
    return decode_pdu(data, at, end, version, community)


def read_community(data: bytes, version: int, at: int, end: int) -> tuple[bytes, int]:
    """The community, and where the PDU begins; raises MalformedMessage or IndexError."""
    if version not in (V1, V2C):
        raise MalformedMessage(f"version field {version} is none of {V1} and {V2C} (versions 1 and 2c)")
    start, at = read_header(data, at, end, OCTET_STRING)
    return data[start:at], at


def _version_of(data: bytes) -> int:
    return open_message(data)[0]


def _decode_shell(data: bytes) -> Shell:
    return decode_community(data, *open_message(data))
