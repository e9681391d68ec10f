"""Replays a store's file in this process and holds it against what it recorded.

Nothing of the running server takes part: the history is folded and judged again from its first event, and
every answer of the reactors must be there, byte for byte, under the same id.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from coldaisle.core.detect import Detector
from coldaisle.core.events import NewEvent, Recorded
from coldaisle.core.reactor import Reactor, stamp
from coldaisle.core.store import MAX_PAGE_EVENTS, EventStore
from coldaisle.core.store.archive_history import ArchivedHistory
from coldaisle.core.store.cipher import StoreKey
from coldaisle.core.store.live import advance, decode_known
from coldaisle.core.store.replay import up_to
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.templates import TemplateReactor
from coldaisle.core.twin import Twin, state_hash
from coldaisle.playbooks import PolicyReactor

MAX_FAULTS = 20
Progress = Callable[[int, int], None]


class Verdict(Struct, frozen=True):
    """What a replay found. ``faults`` says, in a line each, what differs; empty: nothing."""

    position: int
    state_hash: str
    answers: dict[str, int]
    open_alerts: tuple[str, ...]
    faults: tuple[str, ...]


async def verify_file(
    path: Path, position: int | None, progress: Progress, key: StoreKey | None = None
) -> Verdict:
    """Replay the file up to ``position`` (None: its head)."""
    async with SqliteStore(path, read_only=True, key=key) as store:
        end = await store.head() if position is None else position
        return await verify(ArchivedHistory(store), end, progress)


async def verify(store: EventStore | ArchivedHistory, end: int, progress: Progress) -> Verdict:
    """Fold and judge again, page by page; memory grows with open answers, not with the history."""
    replayed = 0
    twin = Twin()
    reactors: tuple[Reactor, ...] = (TemplateReactor(), Detector(), PolicyReactor())
    ledger = _Ledger()
    while twin.position < end:
        page = await store.read_all(after=twin.position, limit=min(MAX_PAGE_EVENTS, end - twin.position))
        page = up_to(page, end)
        twin = advance(twin, page)
        if not page.events:
            break
        replayed += len(page.events)
        ledger.enter(page.events, reactors)
        progress(twin.position, end)
    settled = (
        {r.name: await store.load_checkpoint(r.name) for r in reactors} if end == await store.head() else {}
    )
    faults = ledger.close(settled)
    if replayed < twin.position:
        faults.insert(0, f"{twin.position - replayed} events were removed and are in no archive known here")
    return Verdict(
        twin.position,
        state_hash(twin),
        ledger.answers,
        tuple(alert.id for alert in twin.open_alerts()),
        tuple(faults[:MAX_FAULTS]),
    )


class _Ledger:
    """What the reactors said when it happened, against what they say now; equal entries leave at once."""

    def __init__(self) -> None:
        self.answers: dict[str, int] = {}
        self._recorded: dict[bytes, Recorded] = {}
        self._derived: dict[bytes, tuple[str, int, NewEvent]] = {}
        self._faults: list[str] = []

    def enter(self, events: Sequence[Recorded], reactors: Sequence[Reactor]) -> None:
        """Take in a page, and what each reactor answers to it."""
        facts = decode_known(events)
        for reactor in reactors:
            reactions = reactor.react(facts)
            for reaction, event in zip(reactions, stamp(reactor.name, reactions), strict=True):
                self._derived[event.id] = (reactor.name, reaction.cause.position, event)
            self.answers[reactor.name] = self.answers.get(reactor.name, 0) + len(reactions)
        actors = {f"reactor/{reactor.name}" for reactor in reactors}
        self._recorded |= {event.id: event for event in events if event.actor in actors}
        for event_id in sorted(self._recorded.keys() & self._derived.keys()):
            self._compare(self._recorded.pop(event_id), self._derived.pop(event_id)[2])

    def close(self, settled: Mapping[str, int]) -> list[str]:
        """Every difference; an answer may be missing while its reactor had not got so far (``settled``)."""
        for event in self._recorded.values():
            self._faults.append(f"position {event.position}: {event.type}: a replay does not say this")
        for name, position, derived in self._derived.values():
            if position <= settled.get(name, 0):
                self._faults.append(
                    f"{name} answers {derived.type} to position {position}: it is not in the history"
                )
        return self._faults

    def _compare(self, recorded: Recorded, derived: NewEvent) -> None:
        if (recorded.data, recorded.causation_id) != (derived.data, derived.causation_id):
            self._faults.append(f"position {recorded.position}: {recorded.type}: a replay says otherwise")
