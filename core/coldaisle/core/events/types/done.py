"""What was done: policies and playbooks, the runs of remedies, refusals, upkeep of the history."""

from typing import Literal

from msgspec import Struct

from coldaisle.core.events.types.judged import AlertKind, Severity

Scalar = bool | int | float | str
Argument = Scalar | None | list[Scalar] | dict[str, Scalar]


class Policy(Struct, frozen=True, gc=False):
    """Which alerts a playbook answers. Empty fields mean any; ``severity`` is the least one.

    Parameters may say ``${asset}``, ``${metric}`` and ``${alert}``: those of the alert. ``observe`` says what
    it would have run, and refuses it at once.
    """

    name: str
    playbook: str
    parameters: dict[str, Scalar] = {}
    kind: AlertKind | Literal[""] = ""
    metric: str = ""
    severity: Severity = "warn"
    asset_kind: str = ""
    cooldown_seconds: float = 1_800.0
    mode: Literal["propose", "observe"] = "propose"


class PoliciesConfigured(Struct, frozen=True, gc=False):
    """The remediation policies in force from here on: these, and no others."""

    policies: tuple[Policy, ...]


class PlaybookPublished(Struct, frozen=True, gc=False):
    """A playbook in force: its source text and the hash that plans refer to."""

    playbook: str
    revision: str
    source: str


class Condition(Struct, frozen=True, gc=False):
    """What must be seen in telemetry: a metric of each asset beyond a bound, for a time."""

    assets: tuple[str, ...]
    metric: str
    below: float | None = None
    above: float | None = None
    for_seconds: float = 0.0
    within_seconds: float = 60.0


class PlannedStep(Struct, frozen=True, gc=False):
    """One step, fully resolved: nothing is left to decide when it runs."""

    id: str
    action: str
    asset: str
    arguments: dict[str, Argument]
    timeout_seconds: float = 30.0


class Plan(Struct, frozen=True, gc=False):
    """Exactly what a run will do. ``hash`` is what an approval is bound to."""

    playbook: str
    revision: str
    parameters: dict[str, Scalar]
    twin_position: int
    steps: tuple[PlannedStep, ...]
    verification: Condition | None
    expires_at: int
    hash: str = ""


class RunProposed(Struct, frozen=True, gc=False):
    """A run waits for approval; ``alert`` and ``policy`` say who asked when it was not a person."""

    run: str
    plan: Plan
    reason: str
    alert: str = ""
    policy: str = ""


class RunApproved(Struct, frozen=True, gc=False):
    """A person approved this very plan."""

    run: str
    plan_hash: str
    note: str = ""


class RunRejected(Struct, frozen=True, gc=False):
    """A person, or the policy itself, rejected the plan; it will not run."""

    run: str
    reason: str


class RunCancelled(Struct, frozen=True, gc=False):
    """A person stopped the run; steps already taken stay taken."""

    run: str
    reason: str


class StepStarted(Struct, frozen=True, gc=False):
    """The runner is about to act. Without an outcome after it, the outcome is unknown."""

    run: str
    step: str
    attempt: int


class StepSucceeded(Struct, frozen=True, gc=False):
    """The device confirmed: ``observed`` was read back, ``undo`` holds the arguments of the inverse."""

    run: str
    step: str
    observed: dict[str, Argument] = {}
    undo: dict[str, Argument] | None = None


class StepFailed(Struct, frozen=True, gc=False):
    """The step did not happen, or its outcome could not be established (``outcome_unknown``)."""

    run: str
    step: str
    reason: str
    outcome_unknown: bool = False


class StepUndone(Struct, frozen=True, gc=False):
    """The inverse of a step was carried out."""

    run: str
    step: str
    observed: dict[str, Argument] = {}


class VerificationStarted(Struct, frozen=True, gc=False):
    """All steps are done; telemetry must now show that they helped."""

    run: str
    since: int


class RunSucceeded(Struct, frozen=True, gc=False):
    """Telemetry shows that the run helped: the values that prove it."""

    run: str
    summary: str
    observed: dict[str, float] = {}


class RunFailed(Struct, frozen=True, gc=False):
    """The run did not reach its aim."""

    run: str
    reason: str
    verification_failed: bool = False


class AccessRefused(Struct, frozen=True, gc=False):
    """A call that would change something was refused."""

    method: str
    reason: str
    address: str = ""


class EventsRemoved(Struct, frozen=True, gc=False):
    """Retention removed old events of a category of streams, up to a position; the chain holds on.

    The category ``$deleted`` stands for events that deletion hid. Totals count from the store's beginning.
    """

    category: str
    position: int
    total_removed_events: int
    total_archived_events: int = 0
