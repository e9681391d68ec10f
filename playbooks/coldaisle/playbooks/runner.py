"""Carries approved runs out, each in its own task, and resumes those that an earlier runner left."""

import asyncio
import os
import time
from collections.abc import Callable

from coldaisle.core.store.live import LiveTwin
from coldaisle.core.store.port import EventStore
from coldaisle.core.twin import Twin
from coldaisle.playbooks.actions import Actions
from coldaisle.playbooks.drive import Drive, Means
from coldaisle.playbooks.moves import left_open

MAX_ACTIVE_RUNS = 64
"""Runs under way at once; further ones wait for their turn."""

_ACTIVE_STATES = frozenset({"approved", "running", "verifying"})


class Runner:
    """Follows the twin and drives what is approved.

    ``actor`` names this runner in the history. Give each of several runners its own, and give a restarted
    one its old one: then it resumes its runs at once, and leaves those of others until they fall silent.
    """

    def __init__(
        self,
        store: EventStore,
        live_twin: LiveTwin,
        actions: Actions,
        actor: str = "runner",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._live_twin = live_twin
        self._means = Means(store, live_twin, actions, actor, clock, claim=os.urandom(8).hex())
        self._driven: set[str] = set()
        self._some_wait = False

    async def run(self) -> None:
        """Drive runs until cancelled. The twin must be kept current by somebody else."""
        async with asyncio.TaskGroup() as group:
            while True:
                twin = self._live_twin.current
                self._start_due(group)
                await self._live_twin.beyond(twin.position)

    def _start_due(self, group: asyncio.TaskGroup) -> None:
        due = self._due(self._live_twin.current)
        free = MAX_ACTIVE_RUNS - len(self._driven)
        self._some_wait = len(due) > free
        for run_id in due[:free]:
            self._driven.add(run_id)
            group.create_task(self._drive(run_id, group), name=f"run {run_id}")

    def _due(self, twin: Twin) -> list[str]:
        active = (run.id for run in twin.runs.values() if run.state in _ACTIVE_STATES or left_open(run))
        return [run_id for run_id in active if run_id not in self._driven]

    async def _drive(self, run_id: str, group: asyncio.TaskGroup) -> None:
        try:
            await Drive(self._means, run_id).to_the_end()
        finally:
            self._driven.discard(run_id)
        if self._some_wait:  # its last event came before its turn was free, and may stay the last
            self._start_due(group)
