"""One table: which error of ours becomes which gRPC status, with ErrorInfo (AIP-193)."""

import contextlib
from collections.abc import Iterator
from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from coldaisle.core import errors as core
from coldaisle.playbooks import errors as playbooks

DOMAIN = "coldaisle"


class InvalidRequest(core.ColdaisleError):
    """Raised when a field of a request is wrong; correct the named field."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field}: {what}")
        self.field = field
        self.what = what


class NotFound(core.ColdaisleError):
    """Raised when a resource is not there at that moment; list what is."""


class NotAllowed(core.ColdaisleError):
    """Raised when a call brings no valid token; use the file that the server wrote."""


class TooManyOverlays(core.ColdaisleError):
    """Raised when as many silences or maintenances are in force as may be; end some first."""


class TooManyWatchers(core.ColdaisleError):
    """Raised when a server already serves as many streams as it may; close one, or try later."""


# The first line whose class fits counts, so the special ones stand first.
_TABLE: tuple[tuple[type[Exception], StatusCode, str], ...] = (
    (InvalidRequest, StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    (NotFound, StatusCode.NOT_FOUND, "NOT_FOUND"),
    (NotAllowed, StatusCode.UNAUTHENTICATED, "NOT_AUTHENTICATED"),
    (TooManyOverlays, StatusCode.FAILED_PRECONDITION, "TOO_MANY_IN_FORCE"),
    (TooManyWatchers, StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS"),
    (playbooks.StalePlan, StatusCode.FAILED_PRECONDITION, "STALE_PLAN"),
    (playbooks.Expired, StatusCode.FAILED_PRECONDITION, "PLAN_EXPIRED"),
    (playbooks.WrongState, StatusCode.FAILED_PRECONDITION, "WRONG_STATE"),
    (playbooks.DecisionError, StatusCode.INVALID_ARGUMENT, "INVALID_DECISION"),
    (playbooks.ParameterError, StatusCode.INVALID_ARGUMENT, "INVALID_PARAMETER"),
    (playbooks.PlanError, StatusCode.FAILED_PRECONDITION, "NO_PLAN"),
    (core.WrongVersion, StatusCode.ABORTED, "CHANGED_MEANWHILE"),
    (core.DuplicateEvent, StatusCode.ALREADY_EXISTS, "DUPLICATE_EVENT"),
    (core.TooLarge, StatusCode.INVALID_ARGUMENT, "TOO_LARGE"),
    (core.StoreFull, StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL"),
    (core.StoreError, StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"),
    (core.EventError, StatusCode.DATA_LOSS, "EVENT_UNREADABLE"),
    (core.ConfigError, StatusCode.INVALID_ARGUMENT, "INVALID_DOCUMENT"),
    (core.ColdaisleError, StatusCode.INTERNAL, "INTERNAL"),
)


@contextlib.contextmanager
def ungrouped() -> Iterator[None]:
    """Task groups wrap what their tasks raise: where it is all ours, the first of it leaves as itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors = list(_leaves(group))
        first = errors[0]
        if isinstance(first, core.ColdaisleError) and all(isinstance(e, core.ColdaisleError) for e in errors):
            raise first from group
        raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def status_of(error: core.ColdaisleError) -> Status:
    """The rich status of an error; its message says what, where and the next step."""
    code, reason = next((code, reason) for kind, code, reason in _TABLE if isinstance(error, kind))
    number: int = code.value[0]
    status = Status(code=number, message=str(error))
    status.details.append(_packed(ErrorInfo(reason=reason, domain=DOMAIN)))
    if isinstance(error, InvalidRequest):
        violation = BadRequest.FieldViolation(field=error.field, description=error.what)
        status.details.append(_packed(BadRequest(field_violations=[violation])))
    return status


async def abort(context: "grpc.aio.ServicerContext[object, object]", error: core.ColdaisleError) -> NoReturn:
    """End the call with the error's status."""
    status = status_of(error)
    code = next(code for code in StatusCode if code.value[0] == status.code)
    await context.abort(code, str(error), (("grpc-status-details-bin", status.SerializeToString()),))
    raise AssertionError("abort returns")


def _packed(message: ErrorInfo | BadRequest) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
