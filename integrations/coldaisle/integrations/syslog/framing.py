"""Cuts a TCP byte stream into syslog frames, octet-counted or one a line, mixed on one connection. Pure.

RFC 6587: a frame that starts with digits, a space and ``<`` states its length; any other ends at a line
feed. Both are bounded: a false length must neither fill memory nor swallow what follows for long.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

_COUNT = re.compile(rb"(\d{1,9}) ")
_MAYBE_COUNT = re.compile(rb"\d{1,9}( )?\Z")
_MAX_SKIPPED_BYTES = 1_048_576
_MAX_KEPT_BYTES = 512


class Rejected(Struct, frozen=True):
    """A frame that is not passed on; ``raw`` is its beginning. ``fatal``: no frame can be found after it."""

    reason: str
    raw: bytes
    fatal: bool = False


class FrameCutter:
    """Holds the unfinished frame of one connection, at most ``max_frame_bytes`` and one read."""

    def __init__(self, max_frame_bytes: int) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._skip_bytes = 0
        self._skip_line = False

    def feed(self, chunk: bytes) -> Iterator[bytes | Rejected]:
        """The frames that ``chunk`` completes."""
        self._buffer += chunk
        while self._skipped() and self._buffer:
            frame = self._next()
            if frame is None:
                return
            if frame:
                yield frame

    def finish(self) -> Iterator[bytes | Rejected]:
        """What the connection's end leaves: a last line without its line feed, or half a counted frame."""
        left, counted = bytes(self._buffer), self._counted_length() is not None
        self._buffer.clear()
        if left and not self._skip_line and not self._skip_bytes:
            yield Rejected("the connection ended inside a frame", left[:_MAX_KEPT_BYTES]) if counted else left

    def _skipped(self) -> bool:
        """Pass over the rest of a rejected frame; False while more of it is to come."""
        if self._skip_bytes:
            passed = min(self._skip_bytes, len(self._buffer))
            del self._buffer[:passed]
            self._skip_bytes -= passed
        if self._skip_line:
            end = self._buffer.find(b"\n")
            del self._buffer[: end + 1 if end >= 0 else len(self._buffer)]
            self._skip_line = end < 0
        return not self._skip_bytes and not self._skip_line

    def _next(self) -> bytes | Rejected | None:
        while self._buffer.startswith((b"\n", b"\r", b"\0")):
            del self._buffer[:1]
        if _MAYBE_COUNT.match(self._buffer):
            return None
        length = self._counted_length()
        return self._line() if length is None else self._counted(length)

    def _counted_length(self) -> int | None:
        match = _COUNT.match(self._buffer)
        if match is None or self._buffer[match.end() : match.end() + 1] != b"<":
            return None
        return int(match[1])

    def _counted(self, length: int) -> bytes | Rejected | None:
        start = self._buffer.index(b" ") + 1
        if length > self._max_frame_bytes:
            return self._reject_counted(start, length)
        if len(self._buffer) < start + length:
            return None
        frame = bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        return frame

    def _reject_counted(self, start: int, length: int) -> Rejected:
        raw = bytes(self._buffer[:_MAX_KEPT_BYTES])
        reason = f"a frame of {length} bytes is over the bound of {self._max_frame_bytes}"
        self._skip_bytes = min(start + length, _MAX_SKIPPED_BYTES)
        return Rejected(reason, raw, fatal=length > _MAX_SKIPPED_BYTES)

    def _line(self) -> bytes | Rejected | None:
        end = self._buffer.find(b"\n")
        if (end if end >= 0 else len(self._buffer)) > self._max_frame_bytes:
            self._skip_line = True
            raw = bytes(self._buffer[:_MAX_KEPT_BYTES])
            return Rejected(f"a line is over the bound of {self._max_frame_bytes} bytes", raw)
        if end < 0:
            return None
        frame = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return frame
