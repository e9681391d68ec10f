"""Refusals in the words that KurrentDB's clients look for: status, text and trailers.

WireRefusal                  ends a call with a status
"""

from grpc import StatusCode

from coldaisle.core.errors import ColdaisleError
from coldaisle.core.store.port import MAX_APPEND_EVENTS


class WireRefusal(ColdaisleError):  # noqa: N818 - named for the situation
    """Raised when a call over the KurrentDB protocol is refused; the text says what to change.

    Clients parse texts and trailers, so both are part of the protocol.
    """

    def __init__(self, code: StatusCode, text: str, /, **trailers: str) -> None:
        super().__init__(text)
        self.code = code
        self.trailers: tuple[tuple[str, str | bytes], ...] = tuple(
            (name.replace("_", "-"), _printable(value)) for name, value in trailers.items()
        )

    def with_details(self, status: bytes) -> "WireRefusal":
        """The same refusal with a serialized google.rpc.Status."""
        self.trailers = (*self.trailers, ("grpc-status-details-bin", status))
        return self


def bad_request(text: str) -> WireRefusal:
    """Something in the request is wrong."""
    return WireRefusal(StatusCode.INVALID_ARGUMENT, text)


def access_denied(text: str) -> WireRefusal:
    """The caller may not do this."""
    return WireRefusal(StatusCode.PERMISSION_DENIED, text, exception="access-denied")


def stream_deleted(stream: str) -> WireRefusal:
    """The stream was deleted for ever."""
    return WireRefusal(
        StatusCode.FAILED_PRECONDITION,
        f"Event stream '{stream}' is deleted.",
        exception="stream-deleted",
        stream_name=stream,
    )


def too_many_events(count: int) -> WireRefusal:
    """An append carries more events than the store takes at once; ``count`` so far."""
    return bad_request(f"an append of {count} events, the bound is {MAX_APPEND_EVENTS}: split it")


def append_too_large(max_bytes: int) -> WireRefusal:
    """An append is over the bound."""
    return WireRefusal(
        StatusCode.INVALID_ARGUMENT,
        f"Maximum Append Size of {max_bytes} Exceeded.",
        exception="maximum-append-size-exceeded",
        maximum_append_size=str(max_bytes),
    )


def wrong_version(stream: str, expected: int, actual: int) -> WireRefusal:
    """Deletion found another version; -1 stands for "no stream"."""
    trailers = {"exception": "wrong-expected-version", "stream_name": stream}
    if actual >= 0:
        trailers["actual_version"] = str(actual)
    return WireRefusal(
        StatusCode.FAILED_PRECONDITION,
        "Deletion failed due to WrongExpectedVersion. "
        f"Stream: {stream}, Expected version: {expected}, Actual version: {actual}",
        expected_version=str(expected),
        **trailers,
    )


def group_refusal(code: StatusCode, what: str, stream: str, group: str, text: str) -> WireRefusal:
    """A refusal about a group of consumers; ``what`` is the protocol's word for it."""
    return WireRefusal(
        code,
        text,
        exception=what,
        stream_name=stream,
        group_name=group,
        reason=text,
    )


def _printable(value: str) -> str:
    """Trailers carry printable ASCII only; with anything else in one, a call would never be answered."""
    return value if value.isascii() and value.isprintable() else value.encode("unicode_escape").decode()
