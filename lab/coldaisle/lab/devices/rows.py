"""How a device writes what it shows: object identifiers in text, each with its wire type and value."""

from coldaisle.integrations.snmp.tags import (
    COUNTER32,
    COUNTER64,
    GAUGE32,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    TIMETICKS,
)

Cell = tuple[int, int | str | bytes]
Rows = dict[str, Cell]

MIB_2 = "1.3.6.1.2.1"
ENTERPRISES = "1.3.6.1.4.1"

NOT_WRITABLE = 17
WRONG_TYPE = 7
WRONG_VALUE = 10
"""The error-status of a refused SET (RFC 3416)."""


def integer(value: float) -> Cell:
    """A signed number, rounded to whole."""
    return INTEGER, round(value)


def gauge(value: float) -> Cell:
    """A level that is never negative."""
    return GAUGE32, max(0, round(value))


def counter32(value: float) -> Cell:
    """A count that starts again at 2^32."""
    return COUNTER32, int(value) % 2**32


def counter64(value: float) -> Cell:
    """A count that does not wrap in a device's life."""
    return COUNTER64, int(value)


def text(value: str) -> Cell:
    """A string for people."""
    return OCTET_STRING, value


def octets(value: bytes) -> Cell:
    """A string of bytes, such as a hardware address."""
    return OCTET_STRING, value


def oid(value: str) -> Cell:
    """A pointer to another object."""
    return OBJECT_IDENTIFIER, value


def uptime(seconds: float) -> Rows:
    """The time since the device started; it starts again after 497 days."""
    return {f"{MIB_2}.1.3.0": (TIMETICKS, int(seconds * 100.0) % 2**32)}


def system(name: str, description: str, object_id: str, location: str) -> Rows:
    """The system group without its clock."""
    return {
        f"{MIB_2}.1.1.0": text(description),
        f"{MIB_2}.1.2.0": oid(object_id),
        f"{MIB_2}.1.4.0": text("operations"),
        f"{MIB_2}.1.5.0": text(name),
        f"{MIB_2}.1.6.0": text(location),
        f"{MIB_2}.1.7.0": integer(72),
    }


def column(base: str, number: int, cells: list[Cell], first: int = 1) -> Rows:
    """One column of a table whose rows are numbered on."""
    return {f"{base}.{number}.{first + index}": cell for index, cell in enumerate(cells)}
