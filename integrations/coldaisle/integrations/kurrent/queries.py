"""Our filters as the cluster's, which look at types or at stream names, never at both; pure."""

import re
from typing import TypedDict

from msgspec import Struct

from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.port import EventFilter

SYSTEM_PREFIX = "$"
NO_SYSTEM_TYPES = (r"\$.+",)


class Arguments(TypedDict):
    """The client's filter arguments."""

    filter_exclude: tuple[str, ...]
    filter_include: tuple[str, ...]
    filter_by_stream_name: bool
    filter_by_prefix: bool


class Query(Struct, frozen=True):
    """What the cluster sorts out, and what is left to sort out here."""

    only: EventFilter
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    by_prefix: bool = False

    def arguments(self) -> Arguments:
        """For the client's read and subscribe methods."""
        return Arguments(
            filter_exclude=self.exclude,
            filter_include=self.include,
            filter_by_stream_name=self.by_prefix,
            filter_by_prefix=self.by_prefix,
        )

    def admits(self, event: Recorded) -> bool:
        """Whether the event passes the part that the cluster did not look at."""
        return not event.type.startswith(SYSTEM_PREFIX) and self.only.admits(event)


def query_for(only: EventFilter) -> Query:
    """Types first: they are the rarer ones. One pattern, because the client anchors only the whole."""
    if only.types:
        return Query(only, include=(f"({'|'.join(re.escape(name) for name in only.types)})",))
    if only.stream_prefixes:
        return Query(only, include=only.stream_prefixes, by_prefix=True)
    return Query(only, exclude=NO_SYSTEM_TYPES)
