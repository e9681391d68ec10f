"""Who may call: a token made at first start, and the one place where a call is let in or turned away.

Health and reflection are open to anyone who reaches the port. Refused calls that would change something
are events. Errors of ours leave here as rich statuses; others end the call as gRPC does and are logged.
"""

import contextlib
import contextvars
import hmac
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from coldaisle.core.errors import ChainKeyUnusable, ColdaisleError, ConfigError
from coldaisle.core.events import encode, new_id, stream_of
from coldaisle.core.events.types import AccessRefused
from coldaisle.core.store import EventStore
from coldaisle.core.store.chain_keys import write_whole
from coldaisle.server.errors import NotAllowed, abort

OPEN_PREFIXES = ("/grpc.health.", "/grpc.reflection.")
READING_VERBS = ("Get", "List", "Watch")
MAX_USER_CHARACTERS = 64
TOKEN_BYTES = 32
MAX_RECORDED_REFUSALS_PER_MINUTE = 30
MAX_METHOD_CHARACTERS = 200

actor: contextvars.ContextVar[str] = contextvars.ContextVar("actor", default="user/unknown")
"""Who makes the present call: what its events name as their actor."""

log = logging.getLogger(__name__)


def load_token(path: Path) -> str:
    """The token in the file; makes one, readable by its owner only, when there is none."""
    try:
        if not path.exists():
            write_whole(path, f"{secrets.token_urlsafe(TOKEN_BYTES)}\n".encode())
        token = path.read_text().strip()
    except ChainKeyUnusable as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; make it readable for the server") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} holds no token; delete it, and a new one will be made") from error
    if not token:
        raise ConfigError(f"{path} is empty; delete it and start again, a new token will be made")
    return token


# The stubs describe handlers of the synchronous kind only; an interceptor passes them on unseen.
Handler = Any
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]
Context = grpc.aio.ServicerContext[Any, Any]


class _Refusals:
    """Says which refusals are recorded, so that nobody fills the history by knocking."""

    def __init__(self) -> None:
        self._minute = -1
        self._count = 0
        self._left_out = 0

    def admits(self, now_seconds: float) -> bool:
        """Whether one more may be recorded in this minute; counts it either way."""
        minute = int(now_seconds // 60)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        admitted = self._count <= MAX_RECORDED_REFUSALS_PER_MINUTE
        self._left_out += not admitted
        return admitted

    def take_left_out(self) -> int:
        """How many were left out since this was last asked."""
        left_out, self._left_out = self._left_out, 0
        return left_out


class Guard(grpc.aio.ServerInterceptor):
    """Lets calls in by token, names their actor, and translates errors."""

    def __init__(self, token: str, store: EventStore) -> None:
        self._expected = f"Bearer {token}"
        self._store = store
        self._refusals = _Refusals()

    async def intercept_service(
        self, continuation: Continuation, details: grpc.HandlerCallDetails
    ) -> Handler:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(details)
        method = details.method
        if handler is None or method.startswith(OPEN_PREFIXES):
            return handler
        if handler.request_streaming:
            return self._duplex(handler, method)
        if handler.response_streaming:
            return self._streaming(handler, method)
        return self._unary(handler, method)

    def _unary(self, handler: Handler, method: str) -> Handler:
        async def guarded(request: object, context: Context) -> object:
            try:
                await self._let_in(method, context)
                return await handler.unary_unary(request, context)
            except ColdaisleError as error:
                await abort(context, error)

        return grpc.unary_unary_rpc_method_handler(
            guarded, handler.request_deserializer, handler.response_serializer
        )

    def _streaming(self, handler: Handler, method: str) -> Handler:
        async def guarded(request: object, context: Context) -> AsyncIterator[object]:
            try:
                await self._let_in(method, context)
                async with contextlib.aclosing(handler.unary_stream(request, context)) as responses:
                    async for response in responses:
                        yield response
            except ColdaisleError as error:
                await abort(context, error)

        return grpc.unary_stream_rpc_method_handler(
            guarded, handler.request_deserializer, handler.response_serializer
        )

    def _duplex(self, handler: Handler, method: str) -> Handler:
        async def guarded(requests: AsyncIterator[object], context: Context) -> None:
            try:
                await self._let_in(method, context)
                await handler.stream_stream(requests, context)
            except ColdaisleError as error:
                await abort(context, error)

        return grpc.stream_stream_rpc_method_handler(
            guarded, handler.request_deserializer, handler.response_serializer
        )

    async def _let_in(self, method: str, context: Context) -> None:
        metadata = dict(context.invocation_metadata() or ())
        given = str(metadata.get("authorization", ""))
        if hmac.compare_digest(given.encode(), self._expected.encode()):
            actor.set(f"user/{_clean(str(metadata.get('coldaisle-user', 'operator')))}")
            return
        reason = "no token" if not given else "wrong token"
        if not method.rpartition("/")[2].startswith(READING_VERBS):
            await self._record_refusal(method, reason, context.peer())
        raise NotAllowed(
            f"{reason}: send 'authorization: Bearer <token>' with the token that the server keeps in its "
            "data folder (coldaisle --token-file, or COLDAISLE_TOKEN_FILE)"
        )

    async def _record_refusal(self, method: str, reason: str, address: str) -> None:
        if not self._refusals.admits(time.monotonic()):
            return
        left_out = self._refusals.take_left_out()
        if left_out:
            reason += f"; {left_out} refusals before this one were not recorded"
        body = AccessRefused(method[:MAX_METHOD_CHARACTERS], reason, address)
        now = time.time_ns()
        event = encode(body, id=new_id(now), time=now, actor="user/unknown")
        try:
            await self._store.append(stream_of(body), [event])
        except ColdaisleError as error:
            log.warning("a refusal could not be recorded", extra={"error": str(error)})


def _clean(user: str) -> str:
    """A name that cannot break a line or a column, whatever a client sends."""
    return "".join(c for c in user if c.isalnum() or c in "._-@")[:MAX_USER_CHARACTERS] or "operator"
