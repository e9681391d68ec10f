"""An outage: the server is away, the agent is killed again and again, its disk has an end: no loss unsaid.

Agent and server are the real programs. The host is polled a hundred times as often as by default, so that a
second stands for a quarter of an hour of an ordinary agent; ``COLDAISLE_SOAK=1`` makes the outage ten minutes
long and kills twenty times. What is checked is read from the history's file afterwards.
"""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from coldaisle.core.events import Recorded, decode
from coldaisle.core.events.ids import sequence_of
from coldaisle.core.events.types import GapRecorded, SamplesRecorded
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.integrations.host.collect import host_asset

SOAK = bool(os.environ.get("COLDAISLE_SOAK"))
OUTAGE_SECONDS = 600.0 if SOAK else 6.0
KILLS = 20 if SOAK else 4
POLL_SECONDS = 0.1
WAIT_SECONDS = 60.0
NANOSECONDS = 1e9


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@contextmanager
def coldaisle(folder: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """One of the programs, until the block ends."""
    with (folder / f"{words[0]}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "coldaisle.cli", *words], stdout=log, stderr=log, cwd=folder
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(WAIT_SECONDS)


def wait_until(holds: Callable[[], bool]) -> None:
    """Look again until it holds."""
    until = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


class Site:
    """Where the two programs run, and what they leave behind."""

    def __init__(self, folder: Path, spool: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.telemetry = f"telemetry-{host_asset()}"
        self.config = folder / "agent.toml"
        self.config.write_text(
            f'[agent]\nname = "edge"\nserver = "127.0.0.1:{self.port}"\ntoken_file = "server/token"\n'
            f"[host]\npoll_seconds = {POLL_SECONDS}\n{spool}"
        )

    @contextmanager
    def server(self) -> Iterator["subprocess.Popen[bytes]"]:
        """A server whose token is there."""
        words = ("serve", "--data", "server", "--listen", f"127.0.0.1:{self.port}")
        with coldaisle(self.folder, *words) as process:
            wait_until((self.folder / "server" / "token").exists)
            yield process

    def agent(self) -> AbstractContextManager["subprocess.Popen[bytes]"]:
        return coldaisle(self.folder, "agent", "run", "--config", str(self.config))

    def agent_said(self, words: bytes) -> bool:
        return words in (self.folder / "agent.log").read_bytes()

    @asynccontextmanager
    async def store(self) -> AsyncIterator[SqliteStore]:
        async with SqliteStore(self.folder / "server" / "events.db", read_only=True) as store:
            yield store

    async def history(self) -> list[Recorded]:
        events: list[Recorded] = []
        async with self.store() as store:
            while (page := await store.read_all(after=events[-1].position if events else 0)).events:
                events += page.events
        return [event for event in events if event.actor == "agent/edge"]

    async def until_seen_after(self, moment: int) -> None:
        """Wait until the store holds an observation of the agent that is younger than ``moment`` (UTC ns)."""
        wait_until(lambda: self.agent_said(b"server reached"))  # then there is a store to look into
        async with asyncio.timeout(WAIT_SECONDS + OUTAGE_SECONDS):
            while True:
                async with self.store() as store:
                    newest = await store.read_stream(self.telemetry, backwards=True, limit=1)
                if newest and newest[0].time > moment:
                    return
                await asyncio.sleep(0.2)


def killed_at_random(site: Site, seconds: float, kills: int, seed: int) -> None:
    """Run agents for ``seconds``, each but the last ended by SIGKILL at a moment that the seed says."""
    source = random.Random(seed)
    cuts = sorted(source.uniform(0, seconds) for _ in range(kills))
    began = time.monotonic()
    for cut in [*cuts, seconds]:
        with site.agent() as agent:
            time.sleep(max(0.0, began + cut - time.monotonic()))
            if cut < seconds:
                agent.kill()


@pytest.mark.story
@pytest.mark.timeout(OUTAGE_SECONDS * 2 + 240)
def test_an_outage_with_kills_leaves_each_sample_in_the_store_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.server() as server, site.agent():
        asyncio.run(site.until_seen_after(0))
        server.kill()
    away_since = time.time_ns()
    killed_at_random(site, OUTAGE_SECONDS, KILLS, seed=7)
    away_until = time.time_ns()
    with site.server(), site.agent():
        asyncio.run(site.until_seen_after(away_until))
    events = asyncio.run(site.history())
    numbers = [sequence_of(event.id) for event in events]
    assert max(Counter(event.id for event in events).values()) == 1
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    bodies = [fact.body for event in events if (fact := decode(event)) is not None]
    assert not [body for body in bodies if isinstance(body, GapRecorded)]
    during = [e for e in events if e.type == "SamplesRecorded" and away_since < e.time < away_until]
    assert len(during) > OUTAGE_SECONDS / POLL_SECONDS / 4


@pytest.mark.story
def test_an_outage_over_the_spools_bound_is_a_gap_with_range_and_count(tmp_path: Path) -> None:
    site = Site(tmp_path, "[spool]\nmax_bytes = 65536\n")
    with site.server():
        pass  # makes its token
    with site.agent():
        wait_until(lambda: site.agent_said(b"spool full"))
        full_at = time.time_ns()
        with site.server():
            asyncio.run(site.until_seen_after(full_at))
            # the spool may have dropped more until then, and tells it behind what it holds
            asyncio.run(site.until_seen_after(time.time_ns()))
    events = asyncio.run(site.history())
    numbers = {sequence_of(event.id): event for event in events}
    missing = set(range(1, max(numbers) + 1)) - numbers.keys()
    gaps = [fact.body for e in events if (fact := decode(e)) and isinstance(fact.body, GapRecorded)]
    assert gaps
    assert sum(gap.lost_count for gap in gaps) == len(missing)
    assert {gap.reason for gap in gaps} == {"the spool was full: the oldest was dropped"}
    kept = sorted(e.time for e in events if e.type == SamplesRecorded.__name__)
    for gap in gaps:
        assert gap.since <= gap.until
        assert not [moment for moment in kept if gap.since <= moment <= gap.until]
