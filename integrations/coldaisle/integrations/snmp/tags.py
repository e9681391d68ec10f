"""The tags of values and PDUs on the wire (RFC 2578 section 7.1, RFC 3416 section 3)."""

INTEGER = 0x02
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30
IP_ADDRESS = 0x40
COUNTER32 = 0x41
GAUGE32 = 0x42
TIMETICKS = 0x43
OPAQUE = 0x44
COUNTER64 = 0x46

NO_SUCH_OBJECT = 0x80
NO_SUCH_INSTANCE = 0x81
END_OF_MIB_VIEW = 0x82

GET = 0xA0
GET_NEXT = 0xA1
RESPONSE = 0xA2
SET = 0xA3
TRAP_V1 = 0xA4
GET_BULK = 0xA5
INFORM = 0xA6
TRAP_V2 = 0xA7
REPORT = 0xA8

ABSENT = frozenset({NULL, NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_MIB_VIEW})
"""Tags of varbinds that carry no value."""

UNSIGNED_MASKS = {COUNTER32: 2**32 - 1, GAUGE32: 2**32 - 1, TIMETICKS: 2**32 - 1, COUNTER64: 2**64 - 1}
"""The widths of the unsigned types, as masks: some agents send them negative."""

TYPE_TAGS = {
    "integer": INTEGER,
    "octet_string": OCTET_STRING,
    "object_identifier": OBJECT_IDENTIFIER,
    "ip_address": IP_ADDRESS,
    "counter32": COUNTER32,
    "gauge32": GAUGE32,
    "timeticks": TIMETICKS,
    "opaque": OPAQUE,
    "counter64": COUNTER64,
}
"""The names of wire types in profiles and actions."""
