"""Recordings of devices: the rows that one walked device had, as snmpsim's and net-snmp's files keep them.

``.snmprec`` is ``oid|tag[modifier]|value`` in Latin-1, ``x`` after the tag means hexadecimal, ``:name`` a
variation module: ``numeric`` stands at its initial value, ``writecache`` at its value, others are skipped
and counted. ``.snmpwalk`` is what ``snmpwalk -On`` prints. Either may end in ``.bz2``. Files of millions
of rows exist, so they are read as a stream with a bound.
"""

import bz2
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

from coldaisle.core.errors import ConfigError
from coldaisle.integrations.snmp import tags
from coldaisle.integrations.snmp.ber import Value, Varbind
from coldaisle.integrations.snmp.errors import InvalidOid
from coldaisle.integrations.snmp.oid import encode_oid, oid_text

Row = tuple[str, int, Value]
"""One object: OID, tag, and a value that a responder's Table takes."""

MAX_ROWS_COUNT = 1_000_000
MAX_LINE_BYTES = 1_048_576
MAX_REASON_CHARACTERS = 80
MAX_REASONS = 64

_INTEGERS = frozenset({tags.INTEGER, *tags.UNSIGNED_MASKS})
_WALKED = re.compile(r"(\.?[\d.]+) = (?:([A-Za-z0-9-]+): ?)?(.*)", re.DOTALL)
_WALKED_TAGS = {
    "INTEGER": tags.INTEGER, "STRING": tags.OCTET_STRING, "BITS": tags.OCTET_STRING,
    "Hex-STRING": tags.OCTET_STRING, "OID": tags.OBJECT_IDENTIFIER, "IpAddress": tags.IP_ADDRESS,
    "Counter32": tags.COUNTER32, "Gauge32": tags.GAUGE32,
    "Unsigned32": tags.GAUGE32, "Timeticks": tags.TIMETICKS, "Counter64": tags.COUNTER64,
}  # fmt: skip
_HEXADECIMAL = frozenset({"Hex-STRING", "BITS"})
_OCTET = re.compile(r"(?<!\S)[0-9A-Fa-f]{2}(?!\S)")


@dataclass(slots=True)
class Skipped:
    """Lines that hold no row that we can play, by reason."""

    rows_count: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def note(self, reason: str) -> None:
        """Count a line."""
        self.rows_count += 1
        if reason in self.reasons or len(self.reasons) < MAX_REASONS:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1


def read_rows(path: Path, skipped: Skipped | None = None) -> Iterator[Row]:
    """The rows of a recording, one by one, in the order of the file. Raises ConfigError."""
    noted = Skipped() if skipped is None else skipped
    walked = _is_walk(path)
    parse = parse_walked if walked else parse_recorded
    with _open(path) as file:
        lines = _bounded(file, path)
        for text in _joined(lines, path) if walked else lines:
            try:
                row = parse(text)
            except (ValueError, InvalidOid) as error:
                noted.note(f"{type(error).__name__}: {error}"[:MAX_REASON_CHARACTERS])
            else:
                if row is not None:
                    yield row


def read_table(path: Path, max_rows_count: int = MAX_ROWS_COUNT) -> dict[str, tuple[int, Value]]:
    """The first rows of a recording, ready for a responder's Table. Raises ConfigError."""
    return {oid: (tag, value) for oid, tag, value in islice(read_rows(path), max_rows_count)}


def parse_recorded(line: str) -> Row | None:
    """One line of an ``.snmprec``; None for an empty one or a comment. Raises ValueError."""
    if not line or line.startswith("#"):
        return None
    oid, kind, value = line.split("|", 2)
    kind, _, module = kind.partition(":")
    if module:
        value = _varied(module, value)
    tag = int(kind.removesuffix("x"))
    return oid, tag, _recorded_value(tag, value, hexadecimal=kind.endswith("x"))


def parse_walked(text: str) -> Row | None:
    """One value of ``snmpwalk -On``, which may span lines; None when it tells of no object."""
    found = _WALKED.fullmatch(text)
    if found is None:
        raise ValueError("not OID = TYPE: value")
    oid, kind, value = found[1].removeprefix("."), found[2] or "", found[3]
    if not kind and (value.startswith("No ") or not value):
        return None
    if not kind:
        return oid, tags.OCTET_STRING, value.strip('"').encode()
    if kind not in _WALKED_TAGS:
        raise ValueError(f"unknown type {kind}")
    return oid, _WALKED_TAGS[kind], _walked_value(kind, value)


def recorded_line(varbind: Varbind) -> str:
    """A decoded varbind as a line of an ``.snmprec``; octets that are not plain text in hexadecimal."""
    oid, tag, value = varbind
    if tag == tags.OBJECT_IDENTIFIER and isinstance(value, bytes):
        return f"{oid_text(oid)}|{tag}|{oid_text(value)}"
    if isinstance(value, bytes):
        is_plain = value.isascii() and value.decode("ascii").isprintable() and tag == tags.OCTET_STRING
        return (
            f"{oid_text(oid)}|{tag}|{value.decode()}" if is_plain else f"{oid_text(oid)}|{tag}x|{value.hex()}"
        )
    return f"{oid_text(oid)}|{tag}|{'' if value is None else value}"


def _varied(module: str, value: str) -> str:
    """What a variation module starts with."""
    if module == "writecache":
        return value.partition("value=")[2]
    if module != "numeric":
        raise ValueError(f"the variation module {module} is not known")
    options = dict(part.split("=", 1) for part in value.split(","))
    return str(int(float(options.get("initial") or options.get("offset") or options.get("min") or 0)))


def _recorded_value(tag: int, value: str, *, hexadecimal: bool) -> Value:
    if hexadecimal:
        return bytes.fromhex(value)
    if tag in _INTEGERS:
        return _in_range(tag, int(value))
    if tag == tags.OBJECT_IDENTIFIER:
        encode_oid(value)
        return value
    if tag in tags.ABSENT:
        return None
    return _address(value) if tag == tags.IP_ADDRESS else value.encode("latin-1")


def _address(value: str) -> bytes:
    """An address as numbers with dots, or as its four octets. Raises ValueError."""
    octets = value.encode("latin-1")
    return octets if len(octets) == 4 else bytes(map(int, value.split(".", 3)))


def _in_range(tag: int, number: int) -> int:
    """A number as its type holds it: recordings have counters and gauges that are negative."""
    mask = tags.UNSIGNED_MASKS.get(tag)
    if mask is not None:
        return number & mask
    if not -(2**31) <= number < 2**31:
        raise ValueError("an integer over 32 bits")
    return number


def _walked_value(kind: str, value: str) -> Value:
    tag = _WALKED_TAGS[kind]
    if kind in _HEXADECIMAL:
        return bytes.fromhex("".join(_OCTET.findall(value)))
    if tag in _INTEGERS:
        number = re.search(r"\((-?\d+)\)", value) or re.match(r"(-?\d+)", value)
        if number is None:
            raise ValueError("a number is missing")
        return _in_range(tag, int(number[1]))
    if kind == "STRING":
        return (value[1:-1] if value[:1] == value[-1:] == '"' else value).encode("utf-8", "surrogateescape")
    return value.removeprefix(".").strip()


def _is_walk(path: Path) -> bool:
    name = path.name.removesuffix(".bz2")
    if name.endswith((".snmpwalk", ".walk")):
        return True
    if name.endswith(".snmprec"):
        return False
    raise ConfigError(f"{path}: not a recording; name it .snmprec or .snmpwalk, with or without .bz2")


def _joined(lines: Iterable[str], path: Path) -> Iterator[str]:
    """Values that span lines, whole."""
    parts: list[str] = []
    size = 0
    for line in lines:
        if parts and _WALKED.match(line):
            yield "\n".join(parts)
            parts, size = [], 0
        if parts or line:
            parts.append(line)
            size += len(line) + 1
        if size > MAX_LINE_BYTES:
            raise ConfigError(f"{path}: a value is over {MAX_LINE_BYTES} bytes; did snmpwalk -On print it?")
    if parts:
        yield "\n".join(parts)


def _open(path: Path) -> IO[bytes]:
    try:
        return bz2.open(path) if path.suffix == ".bz2" else path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; check the path") from error


def _read(lines: IO[bytes], path: Path) -> bytes:
    try:
        return lines.readline(MAX_LINE_BYTES + 1)
    except (OSError, EOFError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}; is it whole?") from error


def _bounded(lines: IO[bytes], path: Path) -> Iterator[str]:
    while line := _read(lines, path):
        if len(line) > MAX_LINE_BYTES:
            raise ConfigError(f"{path}: a line is over {MAX_LINE_BYTES} bytes; is it a recording?")
        yield line.decode("latin-1").rstrip("\r\n")
