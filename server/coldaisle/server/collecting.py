"""Keeps the garbage collector from walking all that is known of the plant, while everything stands still.

A full collection looks at every object that might be part of a cycle: with 20,000 assets that took two and a
half seconds. It freed nothing, for what is known lives as long as the plant and leaves by reference counts.
So full collections are seldom, and the state is set apart from them when it is there, and again when it has
grown. Each time may keep the cycles that are under way then for ever: it is done some dozen times.
"""

import asyncio
import contextlib
import gc
from collections.abc import Iterator, Sequence

from coldaisle.core.store import LiveTwin
from coldaisle.core.store.reactions import ReactorRunner

THRESHOLDS = (10_000, 10, 100)
"""New objects, collections of the young, and of the middle-aged, before the next older ones are looked at."""
MIN_SERIES = 10_000
GROWTH = 1.25
LOOK_EVERY_SECONDS = 60.0


@contextlib.contextmanager
def collecting_seldom() -> Iterator[None]:
    """Full collections are seldom as long as the block runs; what was set apart comes back at its end."""
    before = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def set_state_apart(live: LiveTwin, reactors: Sequence[ReactorRunner]) -> None:
    """Once the reactors are up with the history, and whenever the plant has grown, until cancelled."""
    for reactor in reactors:
        await reactor.caught_up.wait()
    known = MIN_SERIES / GROWTH
    while True:
        count = live.current.series_count()
        if count >= GROWTH * known:
            gc.freeze()
            known = count
        await asyncio.sleep(LOOK_EVERY_SECONDS)
