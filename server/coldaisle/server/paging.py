"""Names, pages and filters of list requests (AIP-122, 132, 158, 160)."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from google.protobuf.message import Message
from msgspec import Struct

from coldaisle.server.errors import InvalidRequest

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
MAX_PAGE_BYTES = 2 << 20
"""What the items of one answer take together: half of what a gRPC client admits unless told otherwise."""
MAX_POSITION = (1 << 63) - 1
Key = str | int
Item = TypeVar("Item")
Answer = TypeVar("Answer", bound=Message)
_key_decoder: msgspec.json.Decoder[Key] = msgspec.json.Decoder(Key)


def resource_id(name: str, collection: str, field: str = "name") -> str:
    """The id in ``collection/id``; raises InvalidRequest."""
    prefix, _, identifier = name.partition("/")
    if prefix != collection or not identifier or "/" in identifier:
        raise InvalidRequest(field, f"{name!r} is not a resource name; write {collection}/<id>")
    return identifier


def page_size(asked: int) -> int:
    """The size of a page: the default for 0, at most the maximum."""
    if asked < 0:
        raise InvalidRequest("page_size", f"{asked} is negative; leave it out for {DEFAULT_PAGE_SIZE}")
    return min(asked or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def token_number(token: str) -> int:
    """The number in a page token of ours; 0 for the first page."""
    if not token:
        return 0
    if not (token.isascii() and token.isdigit()) or int(token) > MAX_POSITION:
        raise _foreign(token)
    return int(token)


def page_of(
    items: Sequence[Item],
    size: int,
    token: str,
    key: Callable[[Item], Key],
    message: Callable[[Item], Answer],
) -> tuple[list[Answer], str]:
    """The page as messages, and the token of the next one.

    ``items`` are in rising order of ``key``. A token names the last key that was given, so that items which
    come or go between two pages make nobody see another one twice, or not at all.
    """
    size, after = page_size(size), _key_of(token)
    if after is not None and items and type(after) is not type(key(items[0])):
        raise _foreign(token)
    # the type is that of the items' keys, so they compare
    rest = [item for item in items if after is None or key(item) > after]  # type: ignore[operator]
    page = fitting(message(item) for item in rest[:size])
    return page, _token_of(key(rest[len(page) - 1])) if len(page) < len(rest) else ""


def fitting(messages: Iterable[Answer], max_bytes: int = MAX_PAGE_BYTES) -> list[Answer]:
    """The first messages, as many as fit into one answer; at least one."""
    fit: list[Answer] = []
    for message in messages:
        max_bytes -= message.ByteSize()
        if fit and max_bytes < 0:
            break
        fit.append(message)
    return fit


def _token_of(key: Key) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode()


def _key_of(token: str) -> Key | None:
    if not token:
        return None
    try:
        return _key_decoder.decode(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error):
        raise _foreign(token) from None


def _foreign(token: str) -> InvalidRequest:
    return InvalidRequest("page_token", f"{token[:40]!r} is not a token that this server gave")


class Term(Struct, frozen=True):
    """``field=value`` or, with ``contains``, ``field~value``."""

    field: str
    value: str
    contains: bool


def parse_filter(text: str, fields: Sequence[str]) -> list[Term]:
    """The terms of a filter, which must all hold; raises InvalidRequest that lists the fields."""
    terms: list[Term] = []
    for word in text.split():
        cut = min((at for at in (word.find("="), word.find("~")) if at > 0), default=0)
        field, value = word[:cut], word[cut + 1 :]
        if field not in fields or not value:
            raise InvalidRequest(
                "filter", f"{word!r} is no term; write field=value or field~part, fields: {', '.join(fields)}"
            )
        terms.append(Term(field, value, word[cut] == "~"))
    return terms


def keep(
    items: Sequence[Item], terms: Sequence[Term], values: Mapping[str, Callable[[Item], Sequence[str]]]
) -> list[Item]:
    """The items for which every term holds; ``values`` gives what an item has in a field."""

    def holds(item: Item, term: Term) -> bool:
        found = values[term.field](item)
        return any(term.value in value if term.contains else term.value == value for value in found)

    return [item for item in items if all(holds(item, term) for term in terms)]
