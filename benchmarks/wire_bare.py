"""The least server that can take appends over gRPC: it knows one call, and its answers' headers by heart.

No header is read, nothing is authorised, nothing is bounded: it only takes HTTP/2's frames apart (RFC 9113),
does with a batch what our server does with its events, and answers. What a client reaches with it is the
most that any server written in Python could give that client over this store.
"""

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator

from kurrentdbclient.protos.v1.streams_pb2 import BatchAppendReq, BatchAppendResp

from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.server.kurrent.batches import Unfinished
from coldaisle.server.kurrent.events import to_store

PREFACE_BYTES = 24
FRAME_HEADER_BYTES = 9
MESSAGE_HEADER_BYTES = 5
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
ACKNOWLEDGED, END_HEADERS = 1, 4
WINDOW_BYTES = 1 << 30
# SETTINGS_MAX_FRAME_SIZE and SETTINGS_INITIAL_WINDOW_SIZE: a batch comes in one piece, and never waits
GENEROUS = struct.pack(">HIHI", 5, 1 << 20, 4, 8 << 20)
# RFC 7541: ":status: 200" from the static table, then a literal
ANSWER_HEADERS = b"\x88\x00\x0ccontent-type\x10application/grpc"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


class BareServer(asyncio.Protocol):
    """One connection."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._unread = b""
        self._skip_bytes = PREFACE_BYTES
        self._messages: dict[int, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        window = struct.pack(">I", WINDOW_BYTES)
        transport.write(frame(SETTINGS, 0, 0, GENEROUS) + frame(WINDOW_UPDATE, 0, 0, window))

    def data_received(self, data: bytes) -> None:
        unread, at = self._unread + data, self._skip_bytes
        while len(unread) >= at + FRAME_HEADER_BYTES:
            end = at + FRAME_HEADER_BYTES + int.from_bytes(unread[at : at + 3])
            if len(unread) < end:
                break
            stream = int.from_bytes(unread[at + 5 : at + 9])
            self._take(unread[at + 3], unread[at + 4], stream, unread[at + FRAME_HEADER_BYTES : end])
            at = end
        self._unread, self._skip_bytes = unread[at:], max(0, at - len(unread))

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == HEADERS:
            self._messages[stream] = []
        elif kind == DATA and stream in self._messages:
            parts = self._messages[stream]
            parts.append(payload)
            whole = b"".join(parts)
            if len(whole) >= MESSAGE_HEADER_BYTES + int.from_bytes(whole[1:MESSAGE_HEADER_BYTES]):
                del self._messages[stream]
                task = asyncio.ensure_future(self._append(stream, whole[MESSAGE_HEADER_BYTES:]))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        elif kind in (SETTINGS, PING) and not flags & ACKNOWLEDGED:
            self._transport.write(frame(kind, ACKNOWLEDGED, 0, payload if kind == PING else b""))

    async def _append(self, stream: int, message: bytes) -> None:
        request, batch = BatchAppendReq.FromString(message), Unfinished()
        batch.add(request)
        now = time.time_ns()
        done = await self._store.append("bare", [to_store(event, now, "bench") for event in batch.events])
        success = BatchAppendResp.Success(current_revision=done.version)
        answer = BatchAppendResp(success=success, correlation_id=request.correlation_id).SerializeToString()
        body = b"\0" + len(answer).to_bytes(4) + answer
        self._transport.write(
            frame(HEADERS, END_HEADERS, stream, ANSWER_HEADERS) + frame(DATA, 0, stream, body)
        )


@contextlib.asynccontextmanager
async def bare_server(store: SqliteStore) -> AsyncIterator[int]:
    """Serves as long as the block runs; gives the port."""
    server = await asyncio.get_running_loop().create_server(lambda: BareServer(store), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
