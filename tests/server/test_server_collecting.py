"""What is known of the plant is not walked by the garbage collector."""

import asyncio
import gc

from coldaisle.core.events import encode, new_id
from coldaisle.core.events.types import SamplesRecorded
from coldaisle.core.store import LiveTwin
from coldaisle.core.store.memory import MemoryStore
from coldaisle.core.store.reactions import ReactorRunner
from coldaisle.core.templates import TemplateReactor
from coldaisle.server.collecting import MIN_SERIES, collecting_seldom, set_state_apart

VALUES = 1_000


def is_walked(known: object) -> bool:
    return any(each is known for each in gc.get_objects())


async def test_the_twin_of_a_large_plant_is_no_garbage_to_look_for() -> None:
    store = MemoryStore()
    metrics = tuple(f"m{n}" for n in range(VALUES))
    bodies = [SamplesRecorded(f"rack-{n}", metrics, (1.0,) * VALUES) for n in range(-(-MIN_SERIES // VALUES))]
    await store.append("plant", [encode(body, id=new_id(1), time=1, actor="agent/x") for body in bodies])
    live, reactor = LiveTwin(store), ReactorRunner(store, TemplateReactor())
    with collecting_seldom():
        tasks = [asyncio.ensure_future(work) for work in (live.run(), reactor.run())]
        await live.at_least(len(bodies))
        await reactor.caught_up.wait()
        assert is_walked(live.current)
        apart = asyncio.ensure_future(set_state_apart(live, [reactor]))
        await asyncio.sleep(0)  # nothing is left to wait for
        assert not is_walked(live.current)
        for task in (*tasks, apart):
            task.cancel()
        await asyncio.wait((*tasks, apart))
    assert not gc.get_freeze_count()


def test_what_was_set_before_is_back_afterwards() -> None:
    before = gc.get_threshold()
    with collecting_seldom():
        assert gc.get_threshold() > before
    assert gc.get_threshold() == before
