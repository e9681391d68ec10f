"""The story under ``kill -9`` of server and agent: nothing acknowledged is lost, nothing is there twice.

The story itself must still come to its end and prove itself from the history; then the history is read
from the file, without any of the programs that made it.
"""

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from coldaisle.core.events import Recorded, decode
from coldaisle.core.events import types as t
from coldaisle.core.events.ids import sequence_of
from coldaisle.core.store.sqlite import SqliteStore

SEEDS = range(12) if os.environ.get("COLDAISLE_SOAK") else range(1)
KILLS = 6
LIMIT_SECONDS = 175
FIRST_KILL_SECONDS = 4.0
BETWEEN_KILLS_SECONDS = (2.0, 9.0)
MADE_BY_SERVER = (t.AgentConnected, t.AgentDisconnected)


def coldaisle(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coldaisle.cli", *words],
        capture_output=True, text=True, env=os.environ | environment, timeout=240, check=False,
    )  # fmt: skip


def kill_now_and_then(folder: Path, seed: int, over: threading.Event, killed: list[str]) -> None:
    """Kill the server or the agent, whichever the seed says, at moments that the seed says."""
    source = random.Random(seed)
    over.wait(FIRST_KILL_SECONDS)
    while len(killed) < KILLS and not over.wait(source.uniform(*BETWEEN_KILLS_SECONDS)):
        victim = source.choice(("server", "agent"))
        try:
            os.kill(int((folder / f"{victim}.pid").read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            continue  # it is being started again at this very moment
        killed.append(victim)


async def history(path: Path) -> list[Recorded]:
    events: list[Recorded] = []
    async with SqliteStore(path, read_only=True) as store:
        while (page := await store.read_all(after=events[-1].position if events else 0)).events:
            events += page.events
    return events


def check_each_event_is_there_once(events: list[Recorded]) -> None:
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    assert max(Counter(event.id for event in events).values()) == 1
    versions: Counter[str] = Counter()
    for event in events:
        assert event.version == versions[event.stream]
        versions[event.stream] += 1


def check_the_agent_lost_nothing(events: list[Recorded]) -> None:
    """Its spool numbers what it collects: the numbers run without a hole, each once."""
    numbers = sorted(sequence_of(event.id) for event in events if event.actor == "agent/demo")
    assert len(numbers) > 300
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def check_each_step_was_taken_once(events: list[Recorded]) -> None:
    bodies = [fact.body for event in events if (fact := decode(event)) is not None]
    succeeded = [body.run for body in bodies if isinstance(body, t.RunSucceeded)]
    assert succeeded
    done = Counter((b.run, b.step) for b in bodies if isinstance(b, t.StepSucceeded))
    assert set(done.values()) == {1}
    proposed = Counter(b.alert for b in bodies if isinstance(b, t.RunProposed))
    assert set(proposed.values()) == {1}


@pytest.mark.story
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_story_survives_kill_9_of_server_and_agent(seed: int, tmp_path: Path) -> None:
    killed: list[str] = []
    over = threading.Event()
    killer = threading.Thread(target=kill_now_and_then, args=(tmp_path, seed, over, killed))
    killer.start()
    try:
        told = coldaisle(
            "demo", "--story", "--supervise", "--keep", "--directory", str(tmp_path),
            "--limit-seconds", str(LIMIT_SECONDS),
        )  # fmt: skip
    finally:
        over.set()
        killer.join()
    assert told.returncode == 0, f"killed {killed}\n{told.stdout}\n{told.stderr}"
    assert killed, "the story was over before anything was killed"
    events = asyncio.run(history(tmp_path / "server" / "events.db"))
    check_each_event_is_there_once(events)
    check_the_agent_lost_nothing(events)
    check_each_step_was_taken_once(events)
    state_hash, position = re.findall(r"state hash\s+(\w{64}) at @(\d+)", told.stdout)[0]
    again = [
        coldaisle(
            "verify", "--data", str(tmp_path / "server"), "--to", position, "--expect-hash", state_hash,
            PYTHONHASHSEED=hash_seed,
        )
        for hash_seed in ("1", "2")
    ]  # fmt: skip
    assert [ran.returncode for ran in again] == [0, 0], again[0].stderr
    assert again[0].stdout == again[1].stdout
