"""Segment files: events that left the store, compressed, still readable by position and by any zstd tool.

A segment is a run of zstd frames of 256 events each, a JSON object a line, then a skippable frame with an
index of where each block begins::

    zstd -dc telemetry-000000000001.jsonl.zst | jq -c '[.position, .stream, (.data | fromjson)]'

A file is complete or not there: it is written under another name, synced, then renamed. Compression takes
the extra ``archive`` (zstandard), imported when the first segment is written or read.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec
from msgspec import Struct

from coldaisle.core.errors import ArchiveAltered, StoreError, StoreUnreadable
from coldaisle.core.events.envelope import Recorded

if TYPE_CHECKING:
    from types import ModuleType

    from zstandard import ZstdDecompressor

BLOCK_EVENTS = 256
MAX_SEGMENT_EVENTS = 65_536
MAX_SEGMENT_BYTES = 64 << 20
"""Bytes of payload after which a segment is closed: what the writing of one may hold in memory."""

BLOCK_REST_SECONDS = 0.001
SYNC_BYTES = 1 << 20
"""Bytes of a segment that are brought to the disk at a time."""

MAX_BLOCK_BYTES = 1 << 30
COMPRESSION_LEVEL = 3
_SKIPPABLE = b"\x50\x2a\x4d\x18"
_TRAILER = b"CASEG001"
_SKIPPABLE_HEADER_BYTES = 8
_FOOTER_BYTES = 4 + len(_TRAILER)


class Segment(Struct, frozen=True):
    """A segment file as the store knows it."""

    first_position: int
    last_position: int
    events: int
    file: str
    sha256: bytes


class _Line(Struct, frozen=True, omit_defaults=True):
    """One event in a segment. ``data`` is the payload's exact text; ``data_base64`` stands in for it where
    the payload is no text."""

    position: int
    stream: str
    version: int
    id: str
    type: str
    schema: int
    time: int
    recorded: int
    actor: str
    data: str | None = None
    data_base64: bytes | None = None
    correlation_id: str | None = None
    causation_id: str | None = None


class _Index(Struct, frozen=True):
    """First position and file offset of each block, and where the last one ends."""

    blocks: list[tuple[int, int]]
    last_position: int
    end: int


_line_encoder = msgspec.json.Encoder()
_line_decoder = msgspec.json.Decoder(_Line)
_index_decoder = msgspec.json.Decoder(_Index)


def segment_name(category: str, first_position: int) -> str:
    """Named by its first position alone, so that a repeated attempt replaces the earlier one."""
    return f"{category}-{first_position:012d}.jsonl.zst"


def write_segment(folder: Path, category: str, events: Sequence[Recorded]) -> Segment:
    """Write events (in order of position, at least one) to a new file, on disk when this returns.

    For a thread: it takes its time, so that those go first that appends wait for.
    """
    compressor = _zstandard().ZstdCompressor(level=COMPRESSION_LEVEL, write_checksum=True)
    name = segment_name(category, events[0].position)
    blocks: list[tuple[int, int]] = []
    with _arriving(folder, name) as file:
        for start in range(0, len(events), BLOCK_EVENTS):
            block = events[start : start + BLOCK_EVENTS]
            blocks.append((block[0].position, file.size))
            lines = b"".join(_line_encoder.encode(_line(event)) + b"\n" for event in block)
            file.add(compressor.compress(lines))
            time.sleep(BLOCK_REST_SECONDS)
        file.add(_footer(_Index(blocks, events[-1].position, file.size)))
    return Segment(events[0].position, events[-1].position, len(events), name, file.digest())


class _Growing:
    """A file that goes to the disk bit by bit: all at once would hold up appends to the store."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._synced = 0
        self.size = 0

    def add(self, part: bytes) -> None:
        self._file.write(part)
        self._hash.update(part)
        self.size += len(part)
        if self.size - self._synced >= SYNC_BYTES:
            self.sync()

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = self.size

    def digest(self) -> bytes:
        return self._hash.digest()


class SegmentReader:
    """Reads one segment file from any position, for several threads at once.

    The file's digest is compared when it is opened.
    """

    def __init__(self, folder: Path, segment: Segment) -> None:
        self._path = folder / segment.file
        try:
            whole = self._path.read_bytes()
        except OSError as error:
            raise StoreUnreadable(
                f"events {segment.first_position} to {segment.last_position} are archived in {self._path}, "
                f"which cannot be read ({error.strerror}): bring the file back, or name the archive's folder"
            ) from error
        if hashlib.sha256(whole).digest() != segment.sha256:
            raise ArchiveAltered(
                f"{self._path} is not the file that was archived (another SHA-256): restore it from a copy"
            )
        self._index = _read_index(whole, self._path)
        blocks, last = self._index.blocks, self._index.last_position
        places = [0, *(offset for _, offset in blocks), self._index.end, len(whole)]
        listed = (segment.first_position, segment.last_position)
        if not blocks or (blocks[0][0], last) != listed or places != sorted(places):
            raise self._altered()

    def events(self, after: int) -> Iterator[Recorded]:
        """The events with a position above ``after``, in order; a block is read when it is reached."""
        starts = [*self._index.blocks, (self._index.last_position + 1, self._index.end)]
        decompressor = _zstandard().ZstdDecompressor()  # one for each thread: sharing it ends the process
        with self._path.open("rb") as file:
            for (due, offset), (next_position, end) in pairwise(starts):
                if next_position <= after + 1:
                    continue
                file.seek(offset)
                frame = file.read(end - offset)
                for event in self._block(frame, decompressor):
                    if not due <= event.position < next_position:
                        raise self._altered()
                    due = event.position + 1
                    if event.position > after:
                        yield event

    def _block(self, frame: bytes, decompressor: "ZstdDecompressor") -> list[Recorded]:
        try:
            lines = decompressor.decompress(frame, max_output_size=MAX_BLOCK_BYTES).splitlines()
            return [_recorded(_line_decoder.decode(line)) for line in lines]
        except (_zstandard().ZstdError, ValueError) as error:
            raise self._altered() from error

    def _altered(self) -> ArchiveAltered:
        """Where the list of segments, an index and the events disagree, pages would differ by their size."""
        return ArchiveAltered(
            f"{self._path} holds other positions, or in another order, than its index and the store say: it "
            "was altered, restore a copy of both"
        )


def zstd_is_installed() -> bool:
    """Whether segments can be written and read here."""
    try:
        _zstandard()
    except StoreError:
        return False
    return True


def _zstandard() -> "ModuleType":
    try:
        import zstandard
    except ImportError as error:
        raise StoreError("archives need the module zstandard: pip install 'coldaisle[archive]'") from error
    return zstandard


def _line(event: Recorded) -> _Line:
    text = raw = None
    try:
        text = event.data.decode()
    except UnicodeDecodeError:
        raw = event.data
    return _Line(
        event.position, event.stream, event.version, event.id.hex(), event.type, event.schema, event.time,
        event.recorded, event.actor, text, raw, _hex(event.correlation_id), _hex(event.causation_id),
    )  # fmt: skip


def _recorded(line: _Line) -> Recorded:
    data = line.data.encode() if line.data is not None else line.data_base64 or b""
    return Recorded(
        line.position, line.stream, line.version, bytes.fromhex(line.id), line.type, line.schema, line.time,
        line.recorded, line.actor, data, _unhex(line.correlation_id), _unhex(line.causation_id),
    )  # fmt: skip


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _unhex(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _footer(index: _Index) -> bytes:
    payload = _line_encoder.encode(index)
    payload += len(payload).to_bytes(4, "little") + _TRAILER
    return _SKIPPABLE + len(payload).to_bytes(4, "little") + payload


def _read_index(whole: bytes, path: Path) -> _Index:
    size = int.from_bytes(whole[-_FOOTER_BYTES : -len(_TRAILER)], "little")
    if not whole.endswith(_TRAILER) or size > len(whole) - _FOOTER_BYTES - _SKIPPABLE_HEADER_BYTES:
        raise _no_segment(path)
    try:
        return _index_decoder.decode(whole[-_FOOTER_BYTES - size : -_FOOTER_BYTES])
    except msgspec.DecodeError as error:
        raise _no_segment(path) from error


def _no_segment(path: Path) -> StoreUnreadable:
    return StoreUnreadable(f"{path} is no segment of a Coldaisle archive: name the archive's folder")


@contextlib.contextmanager
def _arriving(folder: Path, name: str) -> Iterator[_Growing]:
    """The file under its name, whole, on disk, or not at all."""
    partial = folder / f".{name}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            growing = _Growing(file)
            yield growing
            growing.sync()
        partial.rename(folder / name)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        with contextlib.suppress(OSError):  # the folder itself may be what is wrong
            partial.unlink()
        raise StoreError(
            f"{folder / name} cannot be written ({error.strerror}): nothing was removed from the store"
        ) from error
