"""Messages of version 3 on the wire (RFC 3412 section 6, RFC 3414 section 2.4).

The place of the authentication code is known from the arithmetic of encoding and decoding; it is never
searched for.
"""

from msgspec import Struct

from coldaisle.integrations.snmp.ber import encode_element, encode_integer, read_header, read_integer
from coldaisle.integrations.snmp.errors import MalformedMessage
from coldaisle.integrations.snmp.message import MAX_KEPT_BYTES, V3, Shell, decode_pdu, opened
from coldaisle.integrations.snmp.tags import OCTET_STRING, SEQUENCE
from coldaisle.integrations.snmp.usm.user import AUTH, PRIVACY, Keys

USM_MODEL = 3
MAX_MESSAGE_BYTES = 65_507
"""What one UDP datagram over IPv4 carries; the size that we offer."""

MIN_MESSAGE_BYTES = 484
MAX_ENGINE_ID_BYTES = 32
MAX_COUNTER = 2**31 - 1

_VERSION = encode_integer(V3)
_MAX_SIZE = encode_integer(MAX_MESSAGE_BYTES)
_MODEL = encode_integer(USM_MODEL)


class SecureShell(Struct, frozen=True, gc=False):
    """A message of version 3 before its scoped PDU, which lies between ``start`` and ``stop``.

    With privacy these bound the encrypted octets. ``mac_start`` to ``mac_stop`` is the authentication code.
    """

    message_id: int
    max_bytes: int
    flags: int
    engine_id: bytes
    boots: int
    time: int
    user: bytes
    mac_start: int
    mac_stop: int
    salt: bytes
    start: int
    stop: int

    @property
    def level(self) -> int:
        """The security level alone."""
        return self.flags & (AUTH | PRIVACY)


class Scoped(Struct, frozen=True, gc=False):
    """A scoped PDU; ``shell`` has no community, and its places are in ``octets``."""

    engine_id: bytes
    context: bytes
    shell: Shell
    octets: bytes


def decode_secure(data: bytes) -> SecureShell:
    """Everything of a datagram but its scoped PDU; raises MalformedMessage."""
    return opened(data, _decode_secure)


def decode_scoped(octets: bytes, start: int, stop: int) -> Scoped:
    """A plain scoped PDU; raises MalformedMessage."""
    try:
        return _decode_scoped(octets, start, stop)
    except IndexError:
        raise MalformedMessage("a scoped PDU is cut off", octets[:MAX_KEPT_BYTES]) from None


def encode_scoped(engine_id: bytes, context: bytes, pdu: bytes) -> bytes:
    """A scoped PDU around an encoded PDU."""
    named = encode_element(OCTET_STRING, engine_id) + encode_element(OCTET_STRING, context)
    return encode_element(SEQUENCE, named + pdu)


def encode_secure(
    keys: Keys, flags: int, engine_id: bytes, boots: int, time: int, message_id: int, scoped: bytes
) -> bytes:
    """A datagram, hidden and signed as ``flags`` say."""
    salt = b""
    if flags & PRIVACY:
        assert keys.cipher is not None
        hidden, salt = keys.cipher.encrypt(boots, time, scoped)
        scoped = encode_element(OCTET_STRING, hidden)
    mac_bytes = keys.mac_bytes if flags & AUTH else 0
    tail = encode_element(OCTET_STRING, salt)
    place = b"".join(
        (
            encode_element(OCTET_STRING, engine_id),
            encode_integer(boots),
            encode_integer(time),
            encode_element(OCTET_STRING, keys.name),
            encode_element(OCTET_STRING, bytes(mac_bytes)),
            tail,
        )
    )
    fields = encode_integer(message_id) + _MAX_SIZE + bytes((OCTET_STRING, 1, flags)) + _MODEL
    security = encode_element(OCTET_STRING, encode_element(SEQUENCE, place))
    whole = encode_element(SEQUENCE, _VERSION + encode_element(SEQUENCE, fields) + security + scoped)
    if not mac_bytes:
        return whole
    stop = len(whole) - len(scoped) - len(tail)
    return whole[: stop - mac_bytes] + keys.mac(whole) + whole[stop:]


def _decode_secure(data: bytes) -> SecureShell:
    at, end = read_header(data, 0, len(data), SEQUENCE)
    version, at = read_integer(data, at, end)
    if version != V3:
        raise MalformedMessage(f"version field {version} is not {V3} (version 3)")
    at, fields_end = read_header(data, at, end, SEQUENCE)
    message_id, max_bytes, flags = _decode_fields(data, at, fields_end)
    at, after = read_header(data, fields_end, end, OCTET_STRING)
    at, inside = read_header(data, at, after, SEQUENCE)
    start, at = read_header(data, at, inside, OCTET_STRING)
    engine_id = data[start:at]
    boots, at = read_integer(data, at, inside)
    time, at = read_integer(data, at, inside)
    name_at, at = read_header(data, at, inside, OCTET_STRING)
    mac_start, mac_stop = read_header(data, at, inside, OCTET_STRING)
    salt_at, salt_end = read_header(data, mac_stop, inside, OCTET_STRING)
    if not 0 <= boots <= MAX_COUNTER or not 0 <= time <= MAX_COUNTER or len(engine_id) > MAX_ENGINE_ID_BYTES:
        raise MalformedMessage("boots, time or engine id are out of range")
    tag = OCTET_STRING if flags & PRIVACY else SEQUENCE
    start, stop = read_header(data, after, end, tag)
    return SecureShell(
        message_id, max_bytes, flags, engine_id, boots, time, data[name_at:at], mac_start, mac_stop,
        data[salt_at:salt_end], start if flags & PRIVACY else after, stop,
    )  # fmt: skip


def _decode_fields(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    message_id, at = read_integer(data, at, end)
    max_bytes, at = read_integer(data, at, end)
    start, at = read_header(data, at, end, OCTET_STRING)
    if at - start != 1:
        raise MalformedMessage("the flags of a message are not one octet")
    model, _ = read_integer(data, at, end)
    if model != USM_MODEL:
        raise MalformedMessage(f"security model {model} is not {USM_MODEL} (users)")
    flags = data[start]
    if flags & PRIVACY and not flags & AUTH:
        raise MalformedMessage("a message has privacy without authentication")
    if not 0 <= message_id <= MAX_COUNTER or not MIN_MESSAGE_BYTES <= max_bytes <= MAX_COUNTER:
        raise MalformedMessage("a message id or largest size is out of range")
    return message_id, max_bytes, flags


def _decode_scoped(octets: bytes, start: int, stop: int) -> Scoped:
    at, end = read_header(octets, start, stop, SEQUENCE)
    engine_at, at = read_header(octets, at, end, OCTET_STRING)
    context_at, context_end = read_header(octets, at, end, OCTET_STRING)
    shell = decode_pdu(octets, context_end, end, V3, b"")
    return Scoped(octets[engine_at:at], octets[context_at:context_end], shell, octets)
