"""Requests of any content: each call is answered, and none meets an error that nobody thought of."""

import os
import random
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from coldaisle.core.events import NewEvent
from coldaisle.core.store.sqlite import SqliteStore

SEEDS = 300 if os.environ.get("COLDAISLE_SOAK") else 20
CALLS = 40
ANSWER_SECONDS = 10.0
LISTEN_SECONDS = 0.2
SERVICES = (
    "event_store.client.streams.Streams",
    "event_store.client.persistent_subscriptions.PersistentSubscriptions",
    "event_store.client.gossip.Gossip",
    "kurrentdb.protocol.v2.streams.StreamsService",
)
TEXTS = (
    "", "asset-a", "$all", "$$asset-a", "a" * 3_000, "é\0\n", "application/json", "^(a+)+$", "[",
    "^(?!(A$|B$))",
)  # fmt: skip
BYTES = (b"", b"asset-a", b"\xff\xfe", b"$$asset-a", b'{"a":1}', b"{", b"x" * 5_000, b'{"$maxCount":-1}')
NUMBERS = (0, 1, 2, 5, 99, 1_000, (1 << 31) - 1, (1 << 63) - 1, (1 << 64) - 1, -1, -(1 << 63))
WIDTHS = {
    FieldDescriptor.TYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_SINT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_ENUM: (0, 99),
    FieldDescriptor.TYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_UINT64: (0, (1 << 64) - 1),
    FieldDescriptor.TYPE_BOOL: (0, 1),
}
ANY_WIDTH = (-(1 << 63), (1 << 63) - 1)


def value(source: random.Random, field: FieldDescriptor) -> Any:
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return source.choice(TEXTS)
        case FieldDescriptor.TYPE_BYTES:
            return source.choice(BYTES)
        case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
            return source.choice((0.0, -1.5, float("inf"), float("nan")))
        case _:
            low, high = WIDTHS.get(field.type, ANY_WIDTH)
            return source.choice([number for number in NUMBERS if low <= number <= high])


def chosen(source: random.Random, message: Message) -> Iterator[FieldDescriptor]:
    """Most fields, and of each group of alternatives one, or none."""
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is None and source.random() < 0.7:
            yield field
    for group in message.DESCRIPTOR.oneofs:
        if source.random() < 0.9:
            yield source.choice(group.fields)


def fill(source: random.Random, message: Any) -> Any:
    for field in chosen(source, message):
        held = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is None:
                held[source.choice(("type", "content-type", "x"))] = source.choice(TEXTS)
        elif field.message_type is not None:
            for _ in range(source.randint(0, 3) if hasattr(held, "add") else 1):
                part = held.add() if hasattr(held, "add") else held
                part.SetInParent()
                fill(source, part)
        elif hasattr(held, "extend") and not isinstance(held, (str, bytes)):
            held.extend(value(source, field) for _ in range(source.randint(0, 3)))
        else:
            setattr(message, field.name, value(source, field))
    return message


def methods() -> list[MethodDescriptor]:
    pool = descriptor_pool.Default()
    return [method for name in SERVICES for method in pool.FindServiceByName(name).methods]


async def called(channel: grpc.aio.Channel, method: MethodDescriptor, source: random.Random) -> None:
    """What goes on for ever, as a subscription may, is listened to for a while. Raises AioRpcError."""
    request, response = map(message_factory.GetMessageClass, (method.input_type, method.output_type))
    shape = [
        "stream" if streaming else "unary" for streaming in (method.client_streaming, method.server_streaming)
    ]
    call = getattr(channel, "_".join(shape))(
        f"/{method.containing_service.full_name}/{method.name}",
        request.SerializeToString,
        response.FromString,
    )
    count = source.randint(1, 3) if method.client_streaming else 1
    requests = [fill(source, request()) for _ in range(count)]
    sent = iter(requests) if method.client_streaming else requests[0]
    if not method.server_streaming:
        await call(sent, timeout=ANSWER_SECONDS)
        return
    try:
        async for _ in call(sent, timeout=LISTEN_SECONDS):
            pass
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise


async def refused(channel: grpc.aio.Channel, method: MethodDescriptor, source: random.Random) -> str:
    """Method, status and text of a call that is refused; nothing when it is not."""
    try:
        await called(channel, method, source)
    except grpc.aio.AioRpcError as error:
        return f"{method.name} {error.code().name} {error.details()}"
    return ""


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_any_request_is_answered(seed: int, store: SqliteStore, port: int) -> None:
    source = random.Random(seed)
    await store.append("asset-a", [NewEvent(n.to_bytes(16), "T", 1, n, "me", b'{"n":1}') for n in range(30)])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(CALLS):
            refusal = await refused(channel, source.choice(methods()), source)
            assert "Unexpected <class" not in refusal
            assert "DEADLINE_EXCEEDED" not in refusal
    await store.append("after-all", [NewEvent(b"z" * 16, "T", 1, 1, "me", b"{}")])
