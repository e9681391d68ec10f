"""Services as tables: the methods that an object has are served, all others are unimplemented.

Every call passes the gate first, and every error of ours leaves here as a status.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc import StatusCode

from coldaisle.core.errors import ColdaisleError, StoreError, StoreFull, TooLarge
from coldaisle.server.kurrent.access import Gate, caller
from coldaisle.server.kurrent.errors import WireRefusal

# The stubs describe handlers of the synchronous kind only; requests are as the descriptor says.
Handler = Any
Context = grpc.aio.ServicerContext[Any, Any]


def served_methods(service: ServiceDescriptor, implementation: object) -> list[MethodDescriptor]:
    """The methods of a service that are implemented."""
    return [method for method in service.methods if hasattr(implementation, method.name)]


def service_handler(service: ServiceDescriptor, implementation: object, gate: Gate) -> grpc.GenericRpcHandler:
    """What a gRPC server is given to serve the implementation."""
    handlers = {
        method.name: _handler(method, getattr(implementation, method.name), gate)
        for method in served_methods(service, implementation)
    }
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _handler(method: MethodDescriptor, behaviour: Handler, gate: Gate) -> Handler:
    make = getattr(
        grpc,
        f"{'stream' if method.client_streaming else 'unary'}_"
        f"{'stream' if method.server_streaming else 'unary'}_rpc_method_handler",
    )
    guard = _streaming if method.server_streaming else _single
    return make(
        guard(behaviour, method.containing_service.full_name, gate),
        request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
        response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
    )


def _single(behaviour: Handler, service: str, gate: Gate) -> Handler:
    async def guarded(request: object, context: Context) -> object:
        try:
            await _let_in(gate, service, context)
            return await behaviour(request)
        except ColdaisleError as error:
            await _abort(context, error)

    return guarded


def _streaming(behaviour: Handler, service: str, gate: Gate) -> Handler:
    async def guarded(request: object, context: Context) -> AsyncIterator[object]:
        try:
            await _let_in(gate, service, context)
            async with contextlib.aclosing(behaviour(request)) as responses:
                async for response in responses:
                    yield response
        except ColdaisleError as error:
            await _abort(context, error)

    return guarded


async def _let_in(gate: Gate, service: str, context: Context) -> None:
    metadata = dict(context.invocation_metadata() or ())
    caller.set(await gate.let_in(service, str(metadata.get("authorization", ""))))


async def _abort(context: Context, error: ColdaisleError) -> NoReturn:
    refusal = error if isinstance(error, WireRefusal) else WireRefusal(_code(error), str(error))
    await context.abort(refusal.code, str(refusal), refusal.trailers)
    raise AssertionError("abort returns")


def _code(error: ColdaisleError) -> StatusCode:
    match error:
        case StoreFull():
            return StatusCode.RESOURCE_EXHAUSTED
        case TooLarge():
            return StatusCode.INVALID_ARGUMENT
        case StoreError():
            return StatusCode.UNAVAILABLE
        case _:
            return StatusCode.INVALID_ARGUMENT
