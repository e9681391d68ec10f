"""Names, pages and filters of list requests (AIP-122, 132, 158, 160)."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from coldaisle.server.errors import InvalidRequest

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
Item = TypeVar("Item")


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
    if not token.isdigit() or len(token) > 19:
        raise InvalidRequest("page_token", f"{token[:40]!r} is not a token that this server gave")
    return int(token)


def page_of(items: Sequence[Item], size: int, token: str) -> tuple[list[Item], str]:
    """The page and the token of the next one. Tokens are offsets: the order of items must be stable."""
    start = token_number(token)
    end = start + page_size(size)
    return list(items[start:end]), str(end) if end < len(items) else ""


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
