"""Replays recorded history through another configuration of detection and policy, and compares the outcome.

The history is folded from its first event, so that the models have learned what they had learned then. What
detection and policy said is left out, and what they say now takes its place; everything else, people's
decisions included, stays as it was.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from coldaisle.core.detect import Detector
from coldaisle.core.errors import ColdaisleError
from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Fact
from coldaisle.core.reactor import Reaction, Reactor, stamp
from coldaisle.core.store import EventStore
from coldaisle.core.store.archive_history import ArchivedHistory
from coldaisle.core.store.live import decode_known
from coldaisle.core.store.replay import up_to
from coldaisle.playbooks import PolicyReactor

MOVED_SECONDS = 3_600.0
"""An alert of the same series and kind that opens within this time of another is that one, moved."""

LATE_SECONDS = 3_600.0
"""How long after the span's end its polls, and the answers to them, may have been recorded."""

_SECOND = 1_000_000_000
BEGINNING, OPEN_END = 0, 1 << 62
"""A span of everything: no event is older, none younger."""
Progress = Callable[[int, int], None]


class MixedVersionsError(ColdaisleError):
    """The history was judged by other versions than those at hand."""


class Candidate(Struct, frozen=True):
    """The configuration on trial; None: what was in force, at each moment."""

    detector: t.DetectorConfigured | None = None
    policies: t.PoliciesConfigured | None = None

    def replaces(self, fact: Fact) -> Fact:
        """The fact as the candidate would have it."""
        if self.detector is not None and isinstance(fact.body, t.DetectorConfigured):
            return replace(fact, body=self.detector)
        if self.policies is not None and isinstance(fact.body, t.PoliciesConfigured):
            return replace(fact, body=self.policies)
        return fact


class AlertSpan(Struct, frozen=True):
    """One alert from its opening on. Times are UTC ns of the causing events; ``cleared`` 0: still open."""

    alert: str
    asset: str
    metric: str
    kind: str
    severity: t.Severity
    summary: str
    opened: int
    cleared: int = 0


class RunStart(Struct, frozen=True):
    """A run that a policy proposed, and why it went no further, if it did not."""

    run: str
    policy: str
    playbook: str
    alert: str
    time: int
    refusal: str = ""


class Outcome(Struct, frozen=True):
    """What detection and policy made of the span."""

    alerts: dict[str, AlertSpan]
    runs: dict[str, RunStart]

    def of_severity(self, severity: t.Severity) -> int:
        """How many alerts reached it."""
        return sum(span.severity == severity for span in self.alerts.values())


class Difference(Struct, frozen=True):
    """One line of the comparison: gained, lost, moved in time, or changed in severity or end."""

    what: Literal["gained", "lost", "moved", "changed"]
    recorded: AlertSpan | None
    tried: AlertSpan | None


class Span(Struct, frozen=True):
    """From ``start`` on, and before ``end``: UTC ns of the sources' clocks."""

    start: int
    end: int

    def holds(self, fact: Fact) -> bool:
        """Whether the fact, or the cause of the answer, lies in it: an answer has the time of its cause."""
        return self.start <= fact.time < self.end


class Backtest(Struct, frozen=True):
    """The comparison over a span. ``series_days`` are those in which polls were recorded."""

    span: Span
    series_days: float
    recorded: Outcome
    tried: Outcome
    differences: tuple[Difference, ...]


async def backtest(
    store: EventStore | ArchivedHistory,
    span: Span,
    candidate: Candidate,
    versions: dict[str, str],
    progress: Progress,
    *,
    allow_mixed: bool = False,
) -> Backtest:
    """Compare what the candidate would have said with what was said, for causes in the span.

    Raises MixedVersionsError when the span was judged by other ``versions`` and ``allow_mixed`` is not given.
    """
    trial = _Trial(span, candidate, {} if allow_mixed else versions)
    end = await store.head()
    position = 0
    while position < end:
        page = up_to(await store.read_all(after=position), end)
        trial.enter(decode_known(page.events))
        position = page.position
        progress(position, end)
        if not page.events or page.events[-1].recorded > span.end + LATE_SECONDS * _SECOND:
            break
    return trial.result()


class _Trial:
    """Both outcomes, as the history goes by."""

    def __init__(self, span: Span, candidate: Candidate, versions: dict[str, str]) -> None:
        self._span = span
        self._candidate = candidate
        self._versions = versions
        self._in_force: t.DetectorConfigured | None = None
        self._detector = Detector()
        self._policy = PolicyReactor()
        self._actors = {f"reactor/{reactor.name}" for reactor in (self._detector, self._policy)}
        self._recorded, self._tried = _Outcome(), _Outcome()
        self._first: dict[tuple[str, str], int] = {}
        self._last: dict[tuple[str, str], int] = {}

    def enter(self, facts: Sequence[Fact]) -> None:
        """Take in a page."""
        given: list[Fact] = []
        for fact in facts:
            if fact.actor in self._actors:
                if self._span.holds(fact):
                    self._recorded.take(fact)
                continue
            self._look_at(fact)
            given.append(self._candidate.replaces(fact))
        alerts = answers(self._detector, given)
        runs = answers(self._policy, _merged(given, alerts))
        for fact in (*alerts, *runs):
            if self._span.holds(fact):
                self._tried.take(fact)

    def result(self) -> Backtest:
        """What came out."""
        days = sum(self._last[key] - first for key, first in self._first.items()) / _SECOND / 86_400
        recorded, tried = self._recorded.outcome(), self._tried.outcome()
        return Backtest(self._span, days, recorded, tried, compare(recorded.alerts, tried.alerts))

    def _look_at(self, fact: Fact) -> None:
        body = fact.body
        if isinstance(body, t.DetectorConfigured):
            self._in_force = body
        if isinstance(body, t.SamplesRecorded) and self._span.holds(fact):
            self._refuse_mixture(fact)
            for metric in body.metrics:
                self._first.setdefault((body.asset, metric), fact.time)
                self._last[body.asset, metric] = fact.time

    def _refuse_mixture(self, fact: Fact) -> None:
        judged_by = self._in_force.versions if self._in_force is not None else {}
        for name, here in self._versions.items():
            if self._in_force is not None and judged_by.get(name) != here:
                raise MixedVersionsError(
                    f"position {fact.position} was judged by {name} {judged_by.get(name, '(not recorded)')}, "
                    f"this is {name} {here}: a difference may come from that alone; start later, use that "
                    "version, or say --allow-mixed-versions"
                )


class _Outcome:
    """Gathers alerts and runs from facts."""

    def __init__(self) -> None:
        self._alerts: dict[str, AlertSpan] = {}
        self._runs: dict[str, RunStart] = {}

    def take(self, fact: Fact) -> None:
        match fact.body:
            case t.AlertOpened(alert, asset, metric, kind, severity, summary):
                self._alerts[alert] = AlertSpan(alert, asset, metric, kind, severity, summary, fact.time)
            case t.AlertEscalated(alert=alert, severity=severity) if alert in self._alerts:
                self._alerts[alert] = replace(self._alerts[alert], severity=severity)
            case t.AlertCleared(alert=alert) if alert in self._alerts:
                self._alerts[alert] = replace(self._alerts[alert], cleared=fact.time)
            case t.RunProposed(run=run, policy=policy, plan=plan, alert=alert):
                self._runs[run] = RunStart(run, policy, plan.playbook, alert, fact.time)
            case t.RunRejected(run=run, reason=reason) if run in self._runs:
                self._runs[run] = replace(self._runs[run], refusal=reason)
            case _:
                pass

    def outcome(self) -> Outcome:
        return Outcome(self._alerts, self._runs)


def answers(reactor: Reactor, facts: Sequence[Fact]) -> list[Fact]:
    """What the reactor says, as facts at the places of their causes, under the ids they are recorded by."""
    reactions = reactor.react(facts)
    events = stamp(reactor.name, reactions)
    return [_fact(reaction, event.id, event.actor) for reaction, event in zip(reactions, events, strict=True)]


def _fact(reaction: Reaction, event_id: bytes, actor: str) -> Fact:
    cause = reaction.cause
    return Fact(
        cause.position, "", -1, event_id, cause.time, cause.recorded,
        actor, cause.correlation_id or cause.id, cause.id, reaction.body,
    )  # fmt: skip


def _merged(facts: Sequence[Fact], alerts: Sequence[Fact]) -> list[Fact]:
    """Each answer after its cause."""
    return sorted((*facts, *alerts), key=lambda fact: fact.position)  # sorted() keeps equals in order


def compare(recorded: dict[str, AlertSpan], tried: dict[str, AlertSpan]) -> tuple[Difference, ...]:
    """What differs, by time of opening: pairs by id first, then the nearest of the same series and kind."""
    lost = {alert: span for alert, span in recorded.items() if alert not in tried}
    found = [
        Difference("changed", span, tried[alert])
        for alert, span in recorded.items()
        if alert in tried and _differs(span, tried[alert])
    ]
    for alert, span in tried.items():
        if alert in recorded:
            continue
        moved = _nearest(span, lost)
        if moved is not None:
            del lost[moved.alert]
        found.append(Difference("gained" if moved is None else "moved", moved, span))
    found += [Difference("lost", span, None) for span in lost.values()]
    return tuple(sorted(found, key=_opening))


def _differs(one: AlertSpan, other: AlertSpan) -> bool:
    return (one.severity, one.cleared, one.summary) != (other.severity, other.cleared, other.summary)


def _nearest(span: AlertSpan, among: dict[str, AlertSpan]) -> AlertSpan | None:
    key = (span.asset, span.metric, span.kind)
    near = [
        other
        for other in among.values()
        if (other.asset, other.metric, other.kind) == key
        and abs(other.opened - span.opened) <= MOVED_SECONDS * _SECOND
    ]
    return min(near, key=lambda other: (abs(other.opened - span.opened), other.alert), default=None)


def _opening(difference: Difference) -> tuple[int, str]:
    span = difference.tried or difference.recorded
    return (span.opened, span.alert) if span is not None else (0, "")
