"""A run as its stream tells it: what the runner decides from, whatever the twin has taken in so far."""

from msgspec import Struct

from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Fact
from coldaisle.core.store.live import decode_known
from coldaisle.core.store.port import EventStore
from coldaisle.core.twin import Run, Twin, fold

_PEOPLE_SAID = (t.RunProposed, t.RunApproved, t.RunRejected, t.RunCancelled)


class RunHistory(Struct, frozen=True):
    """The facts of a run's stream and the run that they add up to."""

    run: Run
    facts: tuple[Fact, ...]

    @property
    def last(self) -> Fact:
        """The newest fact: what the next one follows from."""
        return self.facts[-1]

    @property
    def correlation_id(self) -> bytes:
        """What ties the run to whatever asked for it."""
        return self.facts[0].correlation_id or self.facts[0].id

    @property
    def approved_hash(self) -> str:
        """The plan's hash that the approval names."""
        hashes = [fact.body.plan_hash for fact in self.facts if isinstance(fact.body, t.RunApproved)]
        return hashes[-1] if hashes else ""

    @property
    def owner(self) -> str:
        """The runner that spoke last; empty when a person did."""
        return "" if isinstance(self.last.body, _PEOPLE_SAID) else self.last.actor

    def start_of(self, step: str) -> Fact:
        """The step's first start."""
        return next(
            fact for fact in self.facts if isinstance(fact.body, t.StepStarted) and fact.body.step == step
        )

    def last_start_of(self, step: str) -> Fact:
        """The start of the step's last attempt."""
        return next(
            fact
            for fact in reversed(self.facts)
            if isinstance(fact.body, t.StepStarted) and fact.body.step == step
        )

    def start_of_verification(self) -> Fact:
        """The event that began the verification."""
        return next(fact for fact in self.facts if isinstance(fact.body, t.VerificationStarted))


async def read_history(store: EventStore, run: str) -> RunHistory | None:
    """The run's history; None without its proposal. A run's events fit one page: its plan is bounded."""
    facts = decode_known(await store.read_stream(f"run-{run}"))
    known = fold(Twin(), facts).runs.get(run)
    return RunHistory(known, tuple(facts)) if known is not None else None
