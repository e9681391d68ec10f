"""Replays: every event of a history in order, given to a step and dropped."""

from collections.abc import Iterator
from typing import Protocol

from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.port import MAX_PAGE_EVENTS, Page, Step


class Paged(Protocol):
    """A history that is read by pages."""

    async def read_all(self, *, after: int = 0, limit: int = MAX_PAGE_EVENTS) -> Page:
        """See EventStore."""
        ...


async def replay_page(history: Paged, step: Step, after: int, end: int) -> int:
    """``EventStore.replay`` of what has pages only: the next page."""
    if after >= end:
        return after
    page = up_to(await history.read_all(after=after, limit=min(MAX_PAGE_EVENTS, end - after)), end)
    run_step(step, iter(page.events))
    return page.position


def run_step(step: Step, events: Iterator[Recorded]) -> None:
    """Raises RuntimeError when the step leaves events: they would be lost to it."""
    step(events)
    if next(events, None) is not None:
        raise RuntimeError("a replay's step left events; it must take all of them")


def up_to(page: Page, position: int) -> Page:
    """The page without what lies beyond: where events were removed, a page reaches further than it counts."""
    if page.position <= position:
        return page
    return Page([event for event in page.events if event.position <= position], position, caught_up=False)
