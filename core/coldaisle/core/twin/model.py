"""The twin: what the history adds up to at one position. Plain values, equal for equal histories."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

from coldaisle.core.events.types import (
    AlertKind,
    Argument,
    Edge,
    Evidence,
    MaintenanceScheduled,
    Plan,
    Severity,
    SilenceCreated,
    Verdict,
)

RunState = Literal[
    "proposed", "approved", "running", "verifying", "succeeded", "failed", "rejected", "cancelled", "unknown"
]
StepState = Literal["waiting", "started", "succeeded", "failed", "unknown", "undone"]

ENDED_RUN_STATES: frozenset[RunState] = frozenset({"succeeded", "failed", "rejected", "cancelled", "unknown"})


class Reading(Struct, frozen=True):
    """The latest value of a metric; ``time`` in UTC ns, ``position`` of the event that brought it."""

    value: float
    time: int
    position: int


class Link(Struct, frozen=True, order=True):
    """A relation to ``target``. ``group`` and ``need`` state redundancy (see AssetLinked)."""

    edge: Edge
    target: str
    group: str = ""
    need: int = 1
    source: str = ""


class Asset(Struct, frozen=True):
    """A thing in the data center. ``reached`` is None for what nobody polls."""

    id: str
    kind: str = "unknown"
    attributes: dict[str, str] = {}
    source: str = ""
    links: tuple[Link, ...] = ()
    reached: bool | None = None
    reached_reason: str = ""


class Alert(Struct, frozen=True):
    """An alert and where it stands; times in UTC ns.

    What came later is unset, and then absent from the twin's JSON: old histories keep their state hash.
    """

    id: str
    asset: str
    metric: str
    kind: AlertKind
    severity: Severity
    summary: str
    evidence: Evidence
    opened: int
    opened_position: int
    cleared: int | None = None
    acknowledged: bool = False
    revision: int = 0
    suppressed_by: str | UnsetType = UNSET
    feedback: Verdict | UnsetType = UNSET
    flapping: bool | UnsetType = UNSET
    learned: bool | UnsetType = UNSET


class Step(Struct, frozen=True):
    """How far a step of a run is; ``undo`` holds the arguments of its inverse."""

    id: str
    state: StepState = "waiting"
    attempt: int = 0
    reason: str = ""
    observed: dict[str, Argument] = {}
    undo: dict[str, Argument] | None = None
    position: int = 0


class Run(Struct, frozen=True):
    """A run of a playbook and where it stands. ``proposed_time`` and ``verifying_since`` in UTC ns.

    ``version`` is the run stream's version: the expected version of whoever decides next.
    """

    id: str
    plan: Plan
    reason: str
    alert: str
    policy: str
    state: RunState
    steps: tuple[Step, ...]
    proposed_time: int
    proposed_position: int
    proposer: str
    version: int
    approver: str = ""
    verifying_since: int | None = None
    outcome: str = ""
    revision: int = 0

    def step(self, step_id: str) -> Step:
        """The step of this id; KeyError when the plan has none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)


class Agent(Struct, frozen=True):
    """A collecting process; ``seen`` is the store's time of its last word, UTC ns."""

    id: str
    connected: bool = False
    seen: int = 0
    host: str = ""
    version: str = ""


class Playbook(Struct, frozen=True):
    """A playbook in force."""

    id: str
    revision: str
    source: str


class Twin(Struct, frozen=True):
    """Everything that is true at ``position``. Never change one in place: fold gives a new one."""

    position: int = 0
    assets: dict[str, Asset] = field(default_factory=dict)
    readings: dict[str, dict[str, Reading]] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    playbooks: dict[str, Playbook] = field(default_factory=dict)
    silences: dict[str, SilenceCreated] | UnsetType = UNSET
    maintenances: dict[str, MaintenanceScheduled] | UnsetType = UNSET

    def targets(self, asset: str, edge: Edge) -> list[str]:
        """What ``asset`` relates to by ``edge``, in the order in which the links were observed."""
        known = self.assets.get(asset)
        return [link.target for link in known.links if link.edge == edge] if known else []

    def open_alerts(self) -> list[Alert]:
        """Alerts that have not cleared, oldest first."""
        return sorted(
            (alert for alert in self.alerts.values() if alert.cleared is None),
            key=lambda alert: alert.opened_position,
        )

    def series_count(self) -> int:
        """How many metrics of how many assets have a reading."""
        return sum(len(metrics) for metrics in self.readings.values())
