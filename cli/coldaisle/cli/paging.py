"""All pages of a list, merged into one answer."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from coldaisle.cli.client import Client

PAGE_SIZE = 1_000


class PagedRequest(Protocol):
    """A list request, by shape."""

    page_size: int
    page_token: str


class PagedResponse(Protocol):
    """A list response, by shape."""

    next_page_token: str


A = TypeVar("A", bound=Message)


def read_all(
    client: Client, method: Callable[..., A], request: Message, items: str, limit: int
) -> A:  # fmt: skip
    """Up to ``limit`` items; ``items`` is the name of the response's repeated field.

    The page token that is left says whether there is more.
    """
    answer: A | None = None
    while True:
        taken = len(getattr(answer, items)) if answer else 0
        page = client.call(method, _asking(request, answer, min(PAGE_SIZE, limit - taken)))
        more: str = getattr(page, "next_page_token")  # noqa: B009 - every list response has it
        if answer is None:
            answer = page
        else:
            answer.MergeFrom(page)
            setattr(answer, "next_page_token", more)  # noqa: B010 - an empty token does not merge
        if not more or len(getattr(answer, items)) >= limit:
            return answer


def _asking(request: Message, answer: Message | None, page_size: int) -> Message:
    """The request for the next page."""
    asked = type(request)()
    asked.CopyFrom(request)
    setattr(asked, "page_size", page_size)  # noqa: B010 - every list request has it
    if answer is not None:
        setattr(asked, "page_token", getattr(answer, "next_page_token"))  # noqa: B009, B010
    return asked
