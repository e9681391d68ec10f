"""A syslog message to a log line. Pure.

RFC 3164 stamps have neither year nor zone, so the receiver's clock is used; RFC 5424 stamps are kept where
an event's time can hold them.
"""

import re
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from coldaisle.core.events.types import LogLine

UNKNOWN_SEVERITY = 5  # RFC 3164 section 4.3.3: a relay gives messages without priority "notice"
_MAX_PRIORITY = 191
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_TIME = (1 << 63) - 1
"""An event's time (UTC ns) has 64 bits; a stamp may name the year 9999."""

_MESSAGE = re.compile(
    r"<(?P<pri>\d{1,3})>(?:"
    # RFC 5424: version, stamp, host, app, process, message id, structured data, message
    r"[1-9]\d{0,2} (?P<stamp>\S{1,64}) (?P<host5>\S{1,255}) (?P<app5>\S{1,48}) \S{1,128} \S{1,32} "
    r'(?P<sd>-|(?:\[(?:[^\]"\\]|\\.|"(?:[^"\\]|\\.)*")*\])+)(?: (?P<text5>.*))?'
    # RFC 3164: stamp, host, tag, message
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?P<host3>[^\s:]{1,255}|[0-9A-Fa-f:.]{2,45}) "
    r"(?:(?P<app3>[^\s:\[]{1,48})(?:\[[^\]\s]{0,32}\])?: ?)?(?P<text3>.*)"
    # a priority and anything
    r"|(?P<rest>.*))\Z",
    re.DOTALL,
)
# C0, DEL, C1, and the characters that reorder or break lines when shown.
_ACTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class Message(Struct, frozen=True):
    """One message: who logged it ("" when it does not say) and the line."""

    hostname: str
    line: LogLine


def parse_message(frame: bytes, received: int) -> Message:
    """Any frame at all; what matches no form is kept whole, as a notice of an unknown host."""
    text = frame.decode("utf-8", "replace").rstrip("\r\n\0")
    match = _MESSAGE.match(text)
    if match is None or int(match["pri"]) > _MAX_PRIORITY:
        return Message("", LogLine(received, UNKNOWN_SEVERITY, "", inert(text)))
    severity = int(match["pri"]) & 7
    if match["stamp"]:
        app, message = _nil(match["app5"]), (match["text5"] or "").removeprefix("\ufeff")
        time = _parse_stamp(match["stamp"], received)
        return Message(_nil(match["host5"]), LogLine(time, severity, inert(app), inert(message)))
    if match["host3"]:
        return Message(
            match["host3"], LogLine(received, severity, inert(match["app3"] or ""), inert(match["text3"]))
        )
    return Message("", LogLine(received, severity, "", inert(match["rest"])))


def inert(text: str) -> str:
    """The text with every control character spelt out, so that no terminal or page obeys it."""
    return _ACTIVE.sub(_spell, text)


def asset_name(hostname: str) -> str:
    """A hostname as an asset id: ``host-`` and lower-case letters, digits and dashes."""
    name = re.sub(r"[^a-z0-9]+", "-", hostname.lower()).strip("-")
    return f"host-{name[:63] or 'unknown'}"


def udp_drops(table: str, inode: int) -> int:
    """How many datagrams the kernel dropped for the socket ``inode``, from ``/proc/net/udp``."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 13 and fields[9] == str(inode):
            return int(fields[12])
    return 0


def _spell(match: re.Match[str]) -> str:
    if match[0] == "\t":
        return " "
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _nil(value: str) -> str:
    return "" if value == "-" else value


def _parse_stamp(stamp: str, received: int) -> int:
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return received
    time = (moment - _EPOCH) // _MICROSECOND * 1000 if moment.tzinfo else received
    return time if 0 <= time <= _MAX_TIME else received
