"""Every condition's machine, and what becomes of it: alerts opened, escalated, flapping, cleared, judged."""

import hashlib
from collections.abc import Callable

from msgspec import Struct

from coldaisle.core.detect.learning import Learning
from coldaisle.core.detect.machine import AlertMachine, Change, Hysteresis, MachineState
from coldaisle.core.detect.neighbours import Neighbourhood
from coldaisle.core.detect.novelty import NoveltyState
from coldaisle.core.detect.overlays import Overlays
from coldaisle.core.events import id_text
from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Fact
from coldaisle.core.reactor import Reaction

MAX_SIMILAR = 3
STATISTICAL: frozenset[t.AlertKind] = frozenset({"novelty", "entity", "peer", "stuck", "exhaustion"})
"""Kinds that a person may call false: they are about what is usual. A limit holds whatever people say."""

CORROBORATING: frozenset[t.AlertKind] = STATISTICAL | {"limit", "state"}
"""Kinds that bear each other out on linked assets. Silence does not: a lost agent silences all it polled."""

Key = tuple[str, str, str]
"""Asset, metric, and the name of the rule or kind."""


class AlertsState(Struct, frozen=True):
    """All that is known: machines, the open alerts' keys and kinds, the last alerts of each condition."""

    machines: dict[Key, MachineState] = {}
    open: dict[str, tuple[Key, t.AlertKind]] = {}
    earlier: dict[Key, tuple[str, ...]] = {}


class Alerts:
    """The machines of all conditions that ever stirred."""

    def __init__(
        self,
        plant: Neighbourhood,
        overlays: Overlays,
        learning: Learning,
        novelty: NoveltyState,
        state: AlertsState | None = None,
    ) -> None:
        state = state or AlertsState({}, {}, {})
        self._plant, self._overlays, self._learning, self._novelty = plant, overlays, learning, novelty
        self._machines = {key: AlertMachine.of(machine) for key, machine in state.machines.items()}
        self._open, self._earlier = state.open, state.earlier
        self.escalate_related = 0

    def state(self) -> AlertsState:
        """What the constructor takes."""
        machines = {key: machine.saved() for key, machine in self._machines.items()}
        return AlertsState(machines, self._open, self._earlier)

    def known(self, key: Key) -> AlertMachine | None:
        """The machine of a condition that stirred before."""
        return self._machines.get(key)

    def machine(self, key: Key, hysteresis: Hysteresis) -> AlertMachine:
        """The machine of a condition, a new one where it never stirred."""
        machine = self._machines.get(key)
        if machine is None:
            machine = self._machines[key] = AlertMachine(hysteresis)
        return machine

    def earlier(self, key: Key) -> tuple[str, ...]:
        """The last alerts of this condition, newest first."""
        return self._earlier.get(key, ())

    def changed(
        self, change: Change, fact: Fact, key: Key, kind: t.AlertKind,
        describe: Callable[[], tuple[str, t.Evidence]],
    ) -> list[Reaction]:  # fmt: skip
        """What a machine's change says; ``describe`` gives summary and evidence."""
        machine = self._machines[key]
        if change == "flapping":
            return [Reaction(fact, t.AlertFlapping(machine.alert, machine.cycles))]
        summary, evidence = describe()
        if change == "opened":
            machine.open(alert_id(fact, kind, key[1]))
            self._earlier[key] = (machine.alert, *self.earlier(key))[:MAX_SIMILAR]
            self._open[machine.alert] = (key, kind)
            said = self.open(
                fact, key[0], key[1], kind, machine.alert, machine.severity, summary, evidence
            )  # fmt: skip
            machine.severity = "page" if len(said) > 1 else machine.severity
            return said
        if change == "escalated":
            self._plant.no_warning(machine.alert)
            return [Reaction(fact, t.AlertEscalated(machine.alert, machine.severity, summary, evidence))]
        return [self._close(fact, key, f"over: {summary}", evidence.value)]

    def open(
        self, fact: Fact, asset: str, metric: str, kind: t.AlertKind, alert: str, severity: t.Severity,
        summary: str, evidence: t.Evidence,
    ) -> list[Reaction]:  # fmt: skip
        """An alert opened, by whichever way; linked ones may make a page of a warning."""
        self._plant.alert_opened(asset, alert, summary)
        suppressed = self._overlays.suppressing(asset, metric, kind, fact.time)
        body = t.AlertOpened(alert, asset, metric, kind, severity, summary, evidence, suppressed)
        if severity != "warn" or suppressed or kind not in CORROBORATING:
            return [Reaction(fact, body)]
        return [Reaction(fact, body), *self._corroborated(fact, body)]

    def _corroborated(self, fact: Fact, opened: t.AlertOpened) -> list[Reaction]:
        """Each warning counts towards one page: a fault that many feel makes one, not one each."""
        others = self._plant.related_warnings(opened.asset)
        assets = dict.fromkeys(others.values())
        if not self.escalate_related or len(assets) + 1 < self.escalate_related:
            self._plant.warned(opened.asset, opened.alert)
            return []
        for alert in others:
            self._plant.no_warning(alert)
        named = ", ".join(f"{asset} [{alert}]" for alert, asset in others.items())
        summary = f"{opened.summary}; page, for what is linked warns too: {named}"
        return [Reaction(fact, t.AlertEscalated(opened.alert, "page", summary, opened.evidence))]

    def clear(self, fact: Fact, asset: str, alert: str, summary: str, value: float | None) -> Reaction:
        """An alert ended, by whichever way."""
        self._plant.alert_cleared(asset, alert)
        return Reaction(fact, t.AlertCleared(alert, summary, value))

    def judged(self, fact: Fact, feedback: t.FeedbackGiven) -> list[Reaction]:
        """A person judged an alert: what is false or expected is learned, and its alert ends."""
        found = self._open.get(feedback.alert)
        if feedback.verdict == "confirmed":
            self._learning.confirm(feedback.alert)
            return []
        if found is None:
            self._learning.widen(feedback.alert, self._novelty)
            return []
        key, kind = found
        if kind not in STATISTICAL:
            return []
        self._learning.learn(feedback.alert)
        return [self._close(fact, key, f"judged {feedback.verdict}", None)]

    def resume_learning(self, fact: Fact, key: Key, seconds: float) -> list[Reaction]:
        """An alert that nobody judged for long is about a new normal."""
        machine = self._machines[key]
        if not machine.alert or not self._learning.overdue(machine.alert, fact.time, seconds):
            return []
        self._learning.learn(machine.alert)
        self._plant.alert_learned(machine.alert)
        reason = f"open for {seconds / 3_600:g} h without feedback"
        return [Reaction(fact, t.LearningResumed(machine.alert, key[0], key[1], reason))]

    def _close(self, fact: Fact, key: Key, summary: str, value: float | None) -> Reaction:
        alert = self._machines[key].close()
        self._open.pop(alert, None)
        self._learning.excise(alert, self._novelty)
        return self.clear(fact, key[0], alert, summary, value)


def alert_id(fact: Fact, kind: str, metric: str) -> str:
    """The id of an alert: the same whenever the history is replayed."""
    digest = hashlib.sha256(f"{id_text(fact.id)}/{kind}/{metric}".encode()).hexdigest()
    return f"a-{digest[:10]}"
