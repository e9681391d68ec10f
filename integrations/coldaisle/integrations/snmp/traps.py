"""Notifications as octets: traps of version 1, traps and informs of version 2c, traps of version 3.

Traps of version 1 are mapped to the form of version 2 (RFC 3584 section 3.1): the address that the trap
names as its agent and its enterprise follow as varbinds, and nothing of the original is left out but the
community.
"""

import socket
from collections.abc import Iterable

from msgspec import Struct

from coldaisle.integrations.snmp.ber import (
    Value,
    Varbind,
    encode_element,
    encode_integer,
    encode_value,
    integer,
    read_header,
    read_integer,
    read_varbinds,
)
from coldaisle.integrations.snmp.errors import InvalidValue, MalformedMessage
from coldaisle.integrations.snmp.message import (
    V1,
    Request,
    Shell,
    encode,
    encode_community,
    encode_pdu,
    encode_varbinds,
    open_message,
    opened,
    prepare,
    read_community,
)
from coldaisle.integrations.snmp.oid import decode_arcs, encode_arcs, encode_oid
from coldaisle.integrations.snmp.tags import (
    COUNTER64,
    INFORM,
    IP_ADDRESS,
    OBJECT_IDENTIFIER,
    SEQUENCE,
    TIMETICKS,
    TRAP_V1,
    TRAP_V2,
)
from coldaisle.integrations.snmp.usm.engine import LocalEngine
from coldaisle.integrations.snmp.usm.message import encode_scoped, encode_secure
from coldaisle.integrations.snmp.usm.user import User, keys_of

SYS_UP_TIME = encode_oid("1.3.6.1.2.1.1.3.0")
SNMP_TRAP_OID = encode_oid("1.3.6.1.6.3.1.1.4.1.0")
SNMP_TRAP_ENTERPRISE = encode_oid("1.3.6.1.6.3.1.1.4.3.0")
SNMP_TRAP_ADDRESS = encode_oid("1.3.6.1.6.3.18.1.3.0")
STANDARD_TRAPS = encode_oid("1.3.6.1.6.3.1.1.5")
ENTERPRISE_SPECIFIC = 6
MAX_SPECIFIC = 2**31 - 1

Rows = Iterable[tuple[str, int, Value]]
"""Varbinds to send as (OID, tag, value)."""


class Notice(Struct, frozen=True):
    """A notification: its trap OID, every other varbind, and the address that a version 1 trap names."""

    trap_oid: bytes
    varbinds: list[Varbind]
    agent_address: str = ""


def encode_trap_v2(
    community: str, uptime_centiseconds: int, trap_oid: str, varbinds: Rows = (), request_id: int = 1
) -> bytes:
    """An SNMPv2-Trap datagram. Raises InvalidOid or InvalidValue."""
    rows = _notification(uptime_centiseconds, trap_oid, varbinds)
    return encode(community.encode(), TRAP_V2, request_id, 0, 0, encode_varbinds(rows))


def encode_inform(
    community: str, uptime_centiseconds: int, trap_oid: str, varbinds: Rows = (), request_id: int = 1
) -> bytes:
    """An InformRequest datagram: a trap that is answered with a RESPONSE of the same ``request_id``."""
    rows = _notification(uptime_centiseconds, trap_oid, varbinds)
    return encode(community.encode(), INFORM, request_id, 0, 0, encode_varbinds(rows))


def prepare_inform(uptime_centiseconds: int, trap_oid: str, varbinds: Rows = ()) -> Request:
    """An inform for ``SnmpClient.ask``, which sends it in version 2c or 3 until it is acknowledged."""
    return prepare(INFORM, _notification(uptime_centiseconds, trap_oid, varbinds))


def encode_trap_v3(
    user: User, engine: LocalEngine, uptime_centiseconds: int, trap_oid: str, varbinds: Rows = ()
) -> bytes:
    """A trap of version 3, for which the engine of the *sender* counts. Raises InvalidOid or InvalidValue."""
    rows = encode_varbinds(_notification(uptime_centiseconds, trap_oid, varbinds))
    scoped = encode_scoped(engine.id, b"", encode_pdu(TRAP_V2, 1, 0, 0, rows))
    keys = keys_of(user, engine.id)
    return encode_secure(keys, keys.level, engine.id, engine.boots, engine.time, 1, scoped)


def encode_trap_v1(
    community: str,
    uptime_centiseconds: int,
    trap_oid: str,
    varbinds: Rows = (),
    agent_address: str = "0.0.0.0",
) -> bytes:
    """A trap of version 1 (RFC 3584 section 3.2). Raises InvalidOid or InvalidValue, as for a Counter64."""
    enterprise, generic, specific = _names_v1(encode_oid(trap_oid))
    rows = [(encode_oid(oid), tag, value) for oid, tag, value in varbinds]
    if any(tag == COUNTER64 for _, tag, _ in rows):
        raise InvalidValue("a trap of version 1 cannot carry a Counter64")
    fields = (
        encode_element(OBJECT_IDENTIFIER, enterprise),
        encode_value(IP_ADDRESS, agent_address),
        encode_integer(generic),
        encode_integer(specific),
        encode_value(TIMETICKS, uptime_centiseconds),
        encode_element(SEQUENCE, encode_varbinds(rows)),
    )
    return encode_community(V1, community.encode(), encode_element(TRAP_V1, b"".join(fields)))


def decode_trap_v1(data: bytes) -> Notice:
    """A datagram with a trap of version 1; raises MalformedMessage."""
    return opened(data, _decode_trap_v1)


def notice_of(shell: Shell, octets: bytes) -> Notice:
    """A trap or inform of version 2c or 3 whose shell is read; raises MalformedMessage."""
    if shell.pdu not in (TRAP_V2, INFORM):
        raise MalformedMessage(f"PDU tag {shell.pdu:#04x} is no notification")
    varbinds = opened(octets, lambda data: read_varbinds(data, shell.start, shell.stop))
    for place, (oid, tag, value) in enumerate(varbinds):
        if oid == SNMP_TRAP_OID and tag == OBJECT_IDENTIFIER and isinstance(value, bytes):
            return Notice(value, varbinds[:place] + varbinds[place + 1 :])
    raise MalformedMessage("a notification has no trap OID")


def _notification(uptime_centiseconds: int, trap_oid: str, varbinds: Rows) -> list[tuple[bytes, int, Value]]:
    rows: list[tuple[bytes, int, Value]] = [
        (SYS_UP_TIME, TIMETICKS, uptime_centiseconds),
        (SNMP_TRAP_OID, OBJECT_IDENTIFIER, trap_oid),
    ]
    rows += ((encode_oid(oid), tag, value) for oid, tag, value in varbinds)
    return rows


def _names_v1(trap_oid: bytes) -> tuple[bytes, int, int]:
    """Enterprise, generic and specific trap of a trap OID."""
    arcs = decode_arcs(trap_oid)
    if trap_oid.startswith(STANDARD_TRAPS) and len(arcs) == 9 and 0 < arcs[-1] <= ENTERPRISE_SPECIFIC:
        return STANDARD_TRAPS, arcs[-1] - 1, 0
    if len(arcs) < 3 or arcs[-1] > MAX_SPECIFIC:
        raise InvalidValue("a trap OID has no specific trap of version 1")
    enterprise = arcs[:-2] if arcs[-2] == 0 else arcs[:-1]
    return encode_arcs(enterprise), ENTERPRISE_SPECIFIC, arcs[-1]


def _decode_trap_v1(data: bytes) -> Notice:
    version, at, end = open_message(data)
    _, at = read_community(data, version, at, end)
    at, end = read_header(data, at, end, TRAP_V1)
    if version != V1:
        raise MalformedMessage("a trap of version 1 in a message of another")
    start, at = read_header(data, at, end, OBJECT_IDENTIFIER)
    enterprise = data[start:at]
    start, at = read_header(data, at, end, IP_ADDRESS)
    if at - start != 4:
        raise MalformedMessage("an address is not 4 octets")
    address = data[start:at]
    generic, at = read_integer(data, at, end)
    specific, at = read_integer(data, at, end)
    start, at = read_header(data, at, end, TIMETICKS)
    uptime = integer(data, start, at) & 0xFFFF_FFFF
    rows = read_varbinds(data, *read_header(data, at, end, SEQUENCE))
    named = {row[0] for row in rows}
    extra: list[Varbind] = [
        (SNMP_TRAP_ADDRESS, IP_ADDRESS, address),
        (SNMP_TRAP_ENTERPRISE, OBJECT_IDENTIFIER, enterprise),
    ]
    varbinds = [(SYS_UP_TIME, TIMETICKS, uptime), *rows, *(row for row in extra if row[0] not in named)]
    return Notice(_trap_oid(enterprise, generic, specific), varbinds, socket.inet_ntoa(address))


def _trap_oid(enterprise: bytes, generic: int, specific: int) -> bytes:
    if 0 <= generic < ENTERPRISE_SPECIFIC:
        return STANDARD_TRAPS + encode_arcs((generic + 1,))
    if generic != ENTERPRISE_SPECIFIC or not 0 <= specific <= MAX_SPECIFIC:
        raise MalformedMessage("a trap of version 1 has an unknown generic or specific number")
    return enterprise + encode_arcs((0, specific))
