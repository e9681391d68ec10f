"""Retention while the server runs: small steps, with rests in which appends have the writer to themselves."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from coldaisle.core.errors import ConfigError, StoreError
from coldaisle.core.store import EventStore
from coldaisle.core.store.live import TWIN_SNAPSHOT
from coldaisle.core.store.reactions import snapshot_name
from coldaisle.core.store.retention import (
    Scavenged,
    bounded,
    retention,
    scavenge,
    set_retention,
)
from coldaisle.core.store.retention_deleted import scavenge_deleted
from coldaisle.core.store.retention_facts import tell_removed
from coldaisle.core.store.retention_marks import mark, number_at
from coldaisle.core.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from coldaisle.server.settings import RetentionSettings

COVERED_BY = (TWIN_SNAPSHOT, snapshot_name("detector"), snapshot_name("policy"))
"""What must have a snapshot of an event before the event may go."""

REST_SECONDS = 0.02
"""Between two removals: with it, upkeep has the writer for a fraction of the time."""

MAX_CLOCK_STEP_SECONDS = 3_600.0
"""How far the clock may go ahead of the time that passed; beyond it, ages cannot be believed."""

ACTOR = "server"
_SECOND = 1_000_000_000
Save = Callable[[], Awaitable[None]]
log = logging.getLogger(__name__)


def clock_offset_seconds() -> float:
    """The clock less the time since the machine's start, sleep included: it changes when the clock is set."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class Removed(Struct, frozen=True):
    """What retention did to a category since the store's beginning."""

    removed_events: int
    archived_events: int


class Retainer:
    """Applies the ages of the settings now and then; ``problem`` says why it could not, and is empty else.

    What it removes needs a snapshot that covers it: ``saves`` make them, where there is something to remove.
    A clock that leaps ahead makes all of the history old: then nothing is removed.
    """

    def __init__(self, store: SqliteStore, settings: "RetentionSettings", saves: Sequence[Save]) -> None:
        self._store = store
        self._settings = settings
        self._saves = saves
        self.totals: dict[str, Removed] = {}
        self.last_pass_seconds = 0.0
        self.problem = ""
        self._first_offset_seconds = clock_offset_seconds()

    async def run(self) -> None:
        """Follow the settings until cancelled."""
        await self._put_in_force()
        while True:
            try:
                await self.once()
                self.problem = ""
            except StoreError as error:  # a full disk, an archive that is away: the next pass tries again
                self.problem = str(error)
                log.warning("retention could not be applied", extra={"error": str(error)})
            await asyncio.sleep(self._settings.every_seconds)

    async def once(self) -> list[Scavenged]:
        """One pass over everything that has an age, told to the history. Raises StoreError."""
        self._check_clock()
        if await self._is_held_back():
            for save in self._saves:
                await save()
        settings = self._settings
        done = await scavenge(
            self._store,
            covered_by=COVERED_BY,
            archive_folder=Path(settings.archive_dir).absolute() if settings.archive_dir else None,
            plain_archive=settings.plain_archive,
            rest_seconds=REST_SECONDS,
        )
        if settings.deleted_streams:
            deleted = await scavenge_deleted(self._store, covered_by=COVERED_BY, rest_seconds=REST_SECONDS)
            done.append(deleted)
        for one in done:
            await tell_removed(self._store, one, ACTOR)
            self.totals[one.category] = await self._total(one.category)
        self.last_pass_seconds = time.time()
        return done

    def _check_clock(self) -> None:
        ahead = clock_offset_seconds() - self._first_offset_seconds
        if ahead > MAX_CLOCK_STEP_SECONDS:
            raise StoreError(
                f"the clock went {ahead / 3_600:.1f} h ahead since the server started, and makes events "
                "as much older: nothing is removed; restart the server when the clock is right"
            )

    async def _put_in_force(self) -> None:
        """The settings win over what the command said while the server was stopped."""
        ages = self._settings.ages_seconds()
        for category in (await retention(self._store)).keys() - ages.keys():
            await set_retention(self._store, category, None)
        for category, seconds in ages.items():
            await set_retention(self._store, category, seconds, even_facts=self._settings.even_facts)

    async def _is_held_back(self) -> bool:
        """Whether something is to go that no snapshot covers."""
        if self._settings.deleted_streams:
            return True
        now = time.time_ns()
        for seconds in self._settings.ages_seconds().values():
            old = await self._store.position_at(now - seconds * _SECOND)
            if (await bounded(self._store, old, COVERED_BY))[1]:
                return True
        return False

    async def _total(self, category: str) -> Removed:
        return await self._store.inspect(
            lambda connection: Removed(
                number_at(connection, mark(category, "removed_events")),
                number_at(connection, mark(category, "archived_events")),
            )
        )


def retainer_for(store: EventStore, settings: "RetentionSettings", saves: Sequence[Save]) -> Retainer | None:
    """The retainer that the settings ask for. Raises ConfigError on a cluster, which has its own."""
    if not settings.is_active:
        return None
    if not isinstance(store, SqliteStore):
        raise ConfigError("[retention] is for the embedded store: set $maxAge and scavenging on the cluster")
    return Retainer(store, settings, saves)
