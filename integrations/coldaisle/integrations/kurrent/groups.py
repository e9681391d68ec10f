"""Sharing the work of a reactor among processes: a consumer of one of the cluster's persistent subscriptions.

A group reads ``$all`` for everybody in it and is pinned: the events of one stream go to one consumer, in
order, as long as the consumers stay the same and nothing is retried. When one leaves, what it had not
answered goes to the others. Delivery is at least once: what a handler does must bear repetition.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from coldaisle.core.errors import StoreError
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.port import EVERYTHING, EventFilter
from coldaisle.integrations.kurrent.config import KurrentConfig
from coldaisle.integrations.kurrent.decode import from_wire
from coldaisle.integrations.kurrent.link import Link
from coldaisle.integrations.kurrent.queries import Query, query_for

if TYPE_CHECKING:
    from kurrentdbclient import AsyncKurrentDBClient
    from kurrentdbclient.common import AbstractAsyncPersistentSubscription
    from kurrentdbclient.events import RecordedEvent

PINNED: Final = "Pinned"
log = logging.getLogger(__name__)


class Retry(Exception):  # noqa: N818 - what a handler asks for, as StopIteration is
    """Raised by a handler to have the event again, which parks it after ``max_retries``."""


class Park(Exception):  # noqa: N818 - as above
    """Raised by a handler to put the event aside, where an operator can replay it."""


class GroupOptions(Struct, frozen=True):
    """A group. ``after`` is the position behind which it begins.

    A consumer holds ``max_held_events`` at most, and answers each within ``answer_seconds`` of getting it,
    the time behind others included; else it is another's. ``max_consumers`` 0 is any number.
    """

    name: str
    only: EventFilter = EVERYTHING
    after: int = 0
    max_retries: Annotated[int, Meta(ge=0)] = 10
    max_held_events: Annotated[int, Meta(ge=1)] = 150
    answer_seconds: Annotated[float, Meta(gt=0)] = 30.0
    max_consumers: Annotated[int, Meta(ge=0)] = 0


Handler = Callable[[Recorded], Awaitable[None]]


class GroupConsumer:
    """One consumer of a group, which it makes when it is not there. An async context manager."""

    def __init__(self, config: KurrentConfig, options: GroupOptions) -> None:
        self._link = Link(config)
        self._options = options
        self._query = query_for(options.only)

    async def __aenter__(self) -> "GroupConsumer":
        await self._link.open()
        try:
            await self._link.call(self._make)
        except BaseException:
            await self._link.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._link.close()

    async def run(self, handle: Handler) -> None:
        """Handle events until cancelled, one after the other; each is answered when its handler is done.

        Raises what a handler raises, other than Retry and Park: the event is then another consumer's.
        """
        while True:
            await self._link.call(lambda client: self._follow(client, handle))

    async def replay_parked(self) -> None:
        """Deliver once more what handlers put aside."""
        timeout = self._link.timeout_seconds
        await self._link.call(lambda client: client.replay_parked_events(self._options.name, timeout=timeout))

    async def _make(self, client: "AsyncKurrentDBClient") -> None:
        from kurrentdbclient.exceptions import AlreadyExistsError

        options = self._options
        try:
            await client.create_subscription_to_all(
                options.name, commit_position=options.after, consumer_strategy=PINNED,
                max_retry_count=options.max_retries, message_timeout=options.answer_seconds,
                max_subscriber_count=options.max_consumers, timeout=self._link.timeout_seconds,
                filter_include=_patterns(self._query), filter_exclude=self._query.exclude,
                filter_by_stream_name=self._query.by_prefix,
            )  # fmt: skip
        except AlreadyExistsError:
            await self._require_pinned(client)

    async def _require_pinned(self, client: "AsyncKurrentDBClient") -> None:
        found = await client.get_subscription_info(self._options.name, timeout=self._link.timeout_seconds)
        if found.consumer_strategy != PINNED:
            raise StoreError(
                f"the group {self._options.name!r} is there, with the strategy {found.consumer_strategy}: "
                "streams would not keep their order; delete it, or name another group"
            )

    async def _follow(self, client: "AsyncKurrentDBClient", handle: Handler) -> None:
        """Until the connection ends; an error is raised only where no event came since it was made."""
        from kurrentdbclient.exceptions import KurrentDBClientError

        subscription = await client.read_subscription_to_all(
            self._options.name, event_buffer_size=self._options.max_held_events
        )
        answered = False
        try:
            async for event in subscription:
                await self._answer(subscription, event, handle)
                answered = True
        except KurrentDBClientError:
            if not answered:
                raise
        finally:
            await subscription.stop()

    async def _answer(
        self,
        subscription: "AbstractAsyncPersistentSubscription",
        event: "RecordedEvent",
        handle: Handler,
    ) -> None:
        recorded = from_wire(event)
        try:
            if recorded.position > self._options.after and self._query.admits(recorded):
                await handle(recorded)
        except Retry:
            await subscription.nack(event, "retry")
        except Park as reason:
            log.warning("an event was parked", extra={"position": recorded.position, "reason": str(reason)})
            await subscription.nack(event, "park")
        else:
            await subscription.ack(event)


def _patterns(query: Query) -> tuple[str, ...]:
    """Groups know no prefixes, only expressions; one, because the client anchors only the whole."""
    if not query.by_prefix:
        return query.include
    return (f"({'|'.join(map(re.escape, query.include))}).*",)
