"""gRPC errors with their rich details into a cause, a next step and an exit code."""

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from coldaisle.cli.errors import CliError, ExitCode

_EXIT_CODES: dict[grpc.StatusCode, ExitCode] = {
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
    grpc.StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.REFUSED,
    grpc.StatusCode.DATA_LOSS: ExitCode.DAMAGED,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.UNAVAILABLE,
}

_NEXT_STEPS: dict[grpc.StatusCode, str] = {
    grpc.StatusCode.NOT_FOUND: "list what there is: coldaisle get assets (alerts, runs, playbooks)",
    grpc.StatusCode.UNAUTHENTICATED: "name the server's token with --token-file or COLDAISLE_TOKEN_FILE",
    grpc.StatusCode.PERMISSION_DENIED: "ask for a token with the role that this needs",
    grpc.StatusCode.UNAVAILABLE: "start it (coldaisle serve), or name another with --server",
    grpc.StatusCode.DEADLINE_EXCEEDED: "try again, or allow longer with --command-timeout",
    grpc.StatusCode.UNIMPLEMENTED: "use a server and a command line of the same version",
    grpc.StatusCode.OUT_OF_RANGE: "choose a moment within the history: coldaisle status shows its head",
}

# Parts of an ErrorInfo reason that tell a refusal by guard, policy or simulation from other preconditions.
_BLOCKED_REASONS = ("BLOCKED", "GUARD", "POLICY", "COOLDOWN", "SIMULATION", "NO_PLAN")


def failure(error: grpc.RpcError, server: str) -> CliError:
    """What to tell a person about a failed call."""
    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    text = (error.details() if isinstance(error, grpc.Call) else None) or code.name.lower()
    info, violations = _details(error)
    cause, advice = _cause_and_advice(code, text, server)
    cause += "".join(f" ({each})" for each in violations if each.partition("; ")[0] not in cause)
    next_step = info.metadata.get("next_step") or advice or _NEXT_STEPS.get(code, "")
    return CliError(cause, next_step, _exit_code(code, info.reason))


def _cause_and_advice(code: grpc.StatusCode, text: str, server: str) -> tuple[str, str]:
    """The server's own messages end in what to do; those of the transport do not."""
    if code is grpc.StatusCode.UNAVAILABLE:
        return f"no answer from {server}: {text}", ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{server} did not answer in time", ""
    cause, semicolon, advice = text.rpartition("; ")
    return (cause, advice) if semicolon else (text, "")


def _exit_code(code: grpc.StatusCode, reason: str) -> ExitCode:
    if any(part in reason for part in _BLOCKED_REASONS):
        return ExitCode.BLOCKED
    return _EXIT_CODES.get(code, ExitCode.FAILED)


def _details(error: grpc.RpcError) -> tuple[ErrorInfo, list[str]]:
    """The ErrorInfo and the field violations, where the server sent them."""
    info, violations = ErrorInfo(), BadRequest()
    try:
        status = rpc_status.from_call(error) if isinstance(error, grpc.Call) else None
    except (ValueError, DecodeError):
        status = None  # details that contradict the status are worth less than the status
    details: list[Any] = list(status.details) if status else []
    for detail in details:
        detail.Unpack(info)
        detail.Unpack(violations)
    return info, [f"{each.field}: {each.description}" for each in violations.field_violations]
