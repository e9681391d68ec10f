"""Reactors that share a history, over the wire: pinned streams, redelivery, retries, parking."""

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

pytest.importorskip("kurrentdbclient")

from kurrentdbclient import AsyncKurrentDBClient

from coldaisle.core.errors import StoreError
from coldaisle.core.events import NewEvent, Recorded
from coldaisle.core.store import Append, EventFilter
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.integrations.kurrent import GroupConsumer, GroupOptions, KurrentConfig, Park, Retry
from coldaisle.server.kurrent import KurrentSettings, kurrent_server

WAIT_SECONDS = 20.0
STREAMS = 16
EVENTS = 25
TELEMETRY = EventFilter(stream_prefixes=("telemetry-",))

CHILD = """
import asyncio, sys
from coldaisle.core.store import EventFilter
from coldaisle.integrations.kurrent import GroupConsumer, GroupOptions, KurrentConfig

async def hold(event):
    print(event.position, flush=True)
    await asyncio.Event().wait()

async def main(uri):
    options = GroupOptions("reactors", EventFilter(stream_prefixes=("telemetry-",)))
    async with GroupConsumer(KurrentConfig(uri), options) as consumer:
        await consumer.run(hold)

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "events.db") as opened:
        yield opened


@pytest.fixture
async def config(store: SqliteStore) -> AsyncIterator[KurrentConfig]:
    async with kurrent_server(store, "127.0.0.1", 0, KurrentSettings(allow_writes=True)) as port:
        yield KurrentConfig(f"kdb://127.0.0.1:{port}?Tls=false")


def new(number: int) -> NewEvent:
    return NewEvent(number.to_bytes(16), "Test", 1, number, "tester", b"{}")


async def fill(store: SqliteStore, events: int = EVENTS) -> None:
    for version in range(events):
        numbers = [1 + version * (STREAMS + 1) + n for n in range(STREAMS + 1)]
        names = [*(f"telemetry-{chr(97 + n)}" for n in range(STREAMS)), "run-other"]
        await store.append_many([Append(name, [new(n)]) for name, n in zip(names, numbers, strict=True)])


class Watch:
    """Handlers that note what they got, and a word when enough came."""

    def __init__(self, enough: int) -> None:
        self.got: dict[str, list[Recorded]] = defaultdict(list)
        self.enough = asyncio.Event()
        self._rest = enough

    def handler(self, name: str):  # type: ignore[no-untyped-def]  # a closure
        async def handle(event: Recorded) -> None:
            self.got[name].append(event)
            self._rest -= 1
            if self._rest <= 0:
                self.enough.set()

        return handle


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():  # noqa: ASYNC110 - what is waited for is on the other side of the wire
            await asyncio.sleep(0.02)


async def joined(config: KurrentConfig, count: int) -> None:
    """Until so many consumers are in the group."""
    async with AsyncKurrentDBClient(config.uri) as client:

        async def all_there() -> bool:
            return len((await client.get_subscription_info("reactors")).connections) >= count

        await until(all_there)


async def test_each_stream_is_handled_by_one_consumer_in_order(
    store: SqliteStore, config: KurrentConfig
) -> None:
    options = GroupOptions("reactors", TELEMETRY)
    watch = Watch(STREAMS * EVENTS)
    async with GroupConsumer(config, options) as one, GroupConsumer(config, options) as two:
        running = [
            asyncio.ensure_future(consumer.run(watch.handler(name)))
            for name, consumer in (("one", one), ("two", two))
        ]
        await joined(config, 2)
        await fill(store)
        async with asyncio.timeout(WAIT_SECONDS):
            await watch.enough.wait()
        for task in running:
            task.cancel()
        await asyncio.wait(running)
    streams = {name: {event.stream for event in events} for name, events in watch.got.items()}
    assert streams["one"].isdisjoint(streams["two"])
    assert len(streams["one"]) + len(streams["two"]) == STREAMS
    for events in watch.got.values():
        for stream in {event.stream for event in events}:
            assert [e.version for e in events if e.stream == stream] == list(range(EVENTS))


async def test_what_a_killed_consumer_held_goes_to_the_other(
    store: SqliteStore, config: KurrentConfig
) -> None:
    watch = Watch(STREAMS * EVENTS)
    async with GroupConsumer(config, GroupOptions("reactors", TELEMETRY)) as survivor:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, config.uri, stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        running = asyncio.ensure_future(survivor.run(watch.handler("survivor")))
        await joined(config, 2)
        await fill(store)
        async with asyncio.timeout(WAIT_SECONDS):
            held = int(await child.stdout.readline())
            child.kill()
            await child.wait()
            await watch.enough.wait()
        running.cancel()
        await asyncio.wait([running])
    counts = Counter(event.position for event in watch.got["survivor"])
    wanted = {e.position for e in (await store.read_all(only=TELEMETRY)).events}
    assert held in counts
    assert set(counts) == wanted


async def test_a_handler_may_retry_and_park_and_parked_events_are_replayed(
    store: SqliteStore, config: KurrentConfig
) -> None:
    await fill(store, 1)
    tries: Counter[str] = Counter()
    everything, again = asyncio.Event(), asyncio.Event()

    async def handle(event: Recorded) -> None:
        tries[event.stream] += 1
        if event.stream == "telemetry-a" and tries[event.stream] < 3:
            raise Retry
        if event.stream == "telemetry-b":
            if tries[event.stream] == 1:
                raise Park("not today")
            again.set()
        if tries["telemetry-a"] == 3 and len(tries) == STREAMS:
            everything.set()

    async with GroupConsumer(config, GroupOptions("reactors", TELEMETRY)) as consumer:
        running = asyncio.ensure_future(consumer.run(handle))
        async with asyncio.timeout(WAIT_SECONDS), AsyncKurrentDBClient(config.uri) as client:
            await everything.wait()

            async def one_is_parked() -> bool:
                return (await client.get_subscription_info("reactors")).parked_message_count == 1

            await until(one_is_parked)
            await consumer.replay_parked()
            await again.wait()
        running.cancel()
        await asyncio.wait([running])
    assert tries["telemetry-a"] == 3
    assert "run-other" not in tries


async def test_a_handler_that_fails_gives_the_event_back(store: SqliteStore, config: KurrentConfig) -> None:
    await fill(store, 1)
    watch = Watch(STREAMS)

    async def fail(_: Recorded) -> None:
        raise ZeroDivisionError

    async with GroupConsumer(config, GroupOptions("reactors", TELEMETRY)) as first:
        with pytest.raises(ZeroDivisionError):
            await first.run(fail)
    async with GroupConsumer(config, GroupOptions("reactors", TELEMETRY)) as second:
        running = asyncio.ensure_future(second.run(watch.handler("second")))
        async with asyncio.timeout(WAIT_SECONDS):
            await watch.enough.wait()
        running.cancel()
        await asyncio.wait([running])
    assert len({event.stream for event in watch.got["second"]}) == STREAMS


async def test_a_group_that_would_mix_streams_is_refused(config: KurrentConfig) -> None:
    async with AsyncKurrentDBClient(config.uri) as client:
        await client.create_subscription_to_all("reactors", consumer_strategy="RoundRobin")
    with pytest.raises(StoreError, match="would not keep their order"):
        await GroupConsumer(config, GroupOptions("reactors")).__aenter__()
