"""Carries out the action ``notify``.

A webhook has no way to ask whether it took a message: the request's id travels as ``Idempotency-Key``,
and once a byte is sent every failure leaves the outcome unknown.
"""

import asyncio
import contextlib
import http.client
import logging
import socket

from coldaisle.core.actions import ActionRequest, ActionResult
from coldaisle.core.errors import ConfigError
from coldaisle.integrations.notify.config import LogArguments, WebhookArguments
from coldaisle.integrations.notify.decode import Target, answered, body, parse_arguments, parse_target

logger = logging.getLogger(__name__)

_MAX_ANSWER_BYTES = 65_536


class NotifyActions:
    """Sends notifications; holds nothing between two of them."""

    async def carry_out(self, request: ActionRequest) -> ActionResult:
        """Perform or probe one notification; what was said cannot be undone."""
        try:
            arguments = parse_arguments(request.arguments)
            match request.verb:
                case "perform":
                    return await self._perform(request, arguments)
                case "probe":
                    return _probe(arguments)
                case "undo":
                    return ActionResult("not_done", "a notification cannot be taken back")
        except ConfigError as error:
            return ActionResult("not_done", str(error))

    async def _perform(
        self, request: ActionRequest, arguments: LogArguments | WebhookArguments
    ) -> ActionResult:
        if isinstance(arguments, LogArguments):
            logger.info("notification", extra={"request": request.id, "text": arguments.message})
            return ActionResult("done")
        target, posting = parse_target(arguments.url), _Posting()
        try:
            # The socket's timeout bounds each wait, this one the whole.
            async with asyncio.timeout(request.timeout_seconds + 1):
                return await asyncio.to_thread(posting.post, target, request, body(request, arguments))
        except TimeoutError:
            return ActionResult("unknown", f"no answer within {request.timeout_seconds:.3g} s")
        finally:
            posting.cut()


def _probe(arguments: LogArguments | WebhookArguments) -> ActionResult:
    if isinstance(arguments, WebhookArguments):
        return ActionResult("unknown", "a webhook cannot be asked what it received")
    return ActionResult("done")


class _Posting:
    """One request, made in a thread; ``cut`` ends its waiting: a webhook that drips its answer would not."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def post(self, target: Target, request: ActionRequest, payload: bytes) -> ActionResult:
        kind = http.client.HTTPSConnection if target.secure else http.client.HTTPConnection
        try:
            connection = kind(target.host, target.port, timeout=request.timeout_seconds)
        except http.client.InvalidURL as error:
            return ActionResult("not_done", f"notify: {error}")
        try:
            connection.connect()
        except (OSError, UnicodeError) as error:
            return ActionResult("not_done", f"cannot connect to {target.host}: {error}")
        self._socket = connection.sock  # the connection forgets it once the answer has begun
        try:
            return _exchange(connection, target, request.id, payload)
        finally:
            connection.close()

    def cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _exchange(
    connection: http.client.HTTPConnection, target: Target, request_id: str, payload: bytes
) -> ActionResult:
    headers = {"Content-Type": "application/json", "Idempotency-Key": request_id, "User-Agent": "coldaisle"}
    try:
        connection.request("POST", target.path, payload, headers)
        response = connection.getresponse()
        response.read(_MAX_ANSWER_BYTES)
    except (http.client.InvalidURL, ValueError) as error:  # refused before the first byte left
        return ActionResult("not_done", f"notify: {error}")
    except TimeoutError:
        return ActionResult("unknown", f"{target.host} took the message and did not answer in time")
    except (OSError, http.client.HTTPException) as error:
        return ActionResult("unknown", f"{target.host} broke off after the message was sent: {error!r}")
    return answered(response.status)
