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
from coldaisle.playbooks.turns import is_active, waits_for

MAX_ACTIVE_RUNS = 64
"""Runs under way at once; further ones wait for their turn."""


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
        self._gone: set[str] = set()  # their events were removed: nobody has to wait for them
        self._some_wait = False

    async def run(self) -> None:
        """Drive runs until cancelled. The twin must be kept current by somebody else."""
        async with asyncio.TaskGroup() as group:
            while True:
                twin = self._live_twin.current
                self._start_due(group)
                await self._live_twin.beyond(twin.position)

    def _start_due(self, group: asyncio.TaskGroup) -> None:
        twin = self._live_twin.current
        self._gone &= twin.runs.keys()
        due = self._due(twin)
        free = MAX_ACTIVE_RUNS - len(self._driven)
        self._some_wait = len(due) > free
        for run_id in due[:free]:
            self._driven.add(run_id)
            group.create_task(self._drive(run_id, group), name=f"run {run_id}")

    def _due(self, twin: Twin) -> list[str]:
        active = [run for run in twin.runs.values() if is_active(run)]
        there = [run for run in active if run.id not in self._gone]
        return [run.id for run in active if run.id not in self._driven and waits_for(run, there) is None]

    async def _drive(self, run_id: str, group: asyncio.TaskGroup) -> None:
        was_gone = run_id in self._gone
        try:
            is_gone = not await Drive(self._means, run_id).to_the_end()
        finally:
            self._driven.discard(run_id)
        (self._gone.add if is_gone else self._gone.discard)(run_id)
        newly_gone = is_gone and not was_gone
        if self._some_wait or newly_gone:  # nothing else may happen that has the runner look again
            self._start_due(group)
