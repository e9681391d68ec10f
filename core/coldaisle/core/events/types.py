"""The closed union of everything that can happen.

A published type is never edited. Add a field with a default, or add a new type; ``tests/core/events/golden``
holds one file for every version ever published, and each must decode for ever. Names are past tense,
units come last, ids of things are their resource ids (``rack-a01``, not ``assets/rack-a01``). They hold no
cycles, so the garbage collector need not look at them (``gc=False``).
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

Scalar = bool | int | float | str
Argument = Scalar | None | list[Scalar] | dict[str, Scalar]

Quality = Literal["good", "partial"]
Severity = Literal["warn", "page"]
AlertKind = Literal[
    "limit", "state", "novelty", "entity", "unreachable", "no_data", "peer", "stuck", "exhaustion"
]
Verdict = Literal["confirmed", "false", "expected"]
Edge = Literal["located_in", "powered_by", "cooled_by", "connected_to", "runs_on", "depends_on", "measures"]


# --- assets and their relations -------------------------------------------------------------------------


class AssetObserved(Struct, frozen=True, gc=False):
    """A source saw an asset, with these attributes; later observations replace them."""

    asset: str
    kind: str
    attributes: dict[str, str] = {}
    source: str = ""


class AssetLinked(Struct, frozen=True, gc=False):
    """``asset`` relates to ``target``: it is located in, powered by, cooled by … the target.

    ``group`` and ``need`` state redundancy: of the links in one group, ``need`` must be up.
    """

    asset: str
    edge: Edge
    target: str
    group: str = ""
    need: int = 1
    source: str = ""


class AssetRemoved(Struct, frozen=True, gc=False):
    """An asset left the data center."""

    asset: str
    reason: str = ""


class DeviceReached(Struct, frozen=True, gc=False):
    """A device answers (again)."""

    asset: str
    address: str
    agent: str


class DeviceLost(Struct, frozen=True, gc=False):
    """A device stopped answering."""

    asset: str
    address: str
    agent: str
    reason: str


# --- observations -----------------------------------------------------------------------------------------


class SamplesRecorded(Struct, frozen=True, gc=False):
    """The values of one asset at one moment, in columns; None where a value was not available.

    Metric names follow Prometheus and OpenTelemetry, unit last: ``inlet_temperature_celsius``,
    ``if_in_octets_total{interface="eth0"}``.
    """

    asset: str
    metrics: tuple[str, ...]
    values: tuple[float | None, ...]
    quality: Quality = "good"


class LogLine(Struct, frozen=True, gc=False):
    """One line; ``severity`` is syslog's number, 0 (emergency) to 7 (debug); ``time`` is UTC ns."""

    time: int
    severity: int
    app: str
    message: str


class LogLinesRecorded(Struct, frozen=True, gc=False):
    """Lines that an asset logged."""

    asset: str
    lines: tuple[LogLine, ...]
    source: str = ""


class LogTemplateAdded(Struct, frozen=True, gc=False):
    """A kind of line was seen for the first time, on ``asset``; ``text`` has ``<*>`` for what varies."""

    template: str
    program: str
    text: str
    asset: str
    severity: int
    example: str = ""


class LogTemplateGeneralised(Struct, frozen=True, gc=False):
    """A line fits a template but for a word: ``text`` has a wildcard more from here on."""

    template: str
    text: str


class LogTemplateRetired(Struct, frozen=True, gc=False):
    """A template is followed no longer; a line like it founds another one."""

    template: str
    reason: str


class TrapReceived(Struct, frozen=True, gc=False):
    """An SNMP notification: its trap OID and its varbinds as (OID, value text)."""

    asset: str
    trap_oid: str
    varbinds: tuple[tuple[str, str], ...] = ()
    source_address: str = ""


class GapRecorded(Struct, frozen=True, gc=False):
    """Observations were lost between two moments (UTC ns): what, how many and why."""

    source: str
    since: int
    until: int
    lost_count: int
    reason: str


class InputRejected(Struct, frozen=True, gc=False):
    """Something arrived that could not be understood; ``raw`` keeps it, cut at the stated bound."""

    source: str
    reason: str
    raw: str


# --- agents -----------------------------------------------------------------------------------------------


class AgentStarted(Struct, frozen=True, gc=False):
    """An agent process began to collect."""

    agent: str
    host: str
    agent_version: str
    collectors: tuple[str, ...] = ()


class AgentConnected(Struct, frozen=True, gc=False):
    """An agent opened its stream to the server."""

    agent: str
    address: str


class AgentDisconnected(Struct, frozen=True, gc=False):
    """An agent's stream ended."""

    agent: str
    reason: str


# --- judgement --------------------------------------------------------------------------------------------


class LimitRule(Struct, frozen=True, gc=False):
    """A limit on a metric: of a data sheet, an ASHRAE class or a state enumeration.

    A value above ``warn_above``/``page_above`` or below ``warn_below``/``page_below`` breaks it.
    ``metric`` is the name without labels; ``asset_kind`` empty means every kind; ``where`` names attributes
    that the asset must have. It is over once the value is inside by ``clear_margin``. With ``per_seconds``
    it is not the value that is held against the limits, but how much it changed in that time.
    """

    name: str
    metric: str
    asset_kind: str = ""
    warn_above: float | None = None
    page_above: float | None = None
    warn_below: float | None = None
    page_below: float | None = None
    clear_margin: float = 0.0
    kind: Literal["limit", "state"] = "limit"
    where: dict[str, str] = {}
    source: str = ""
    per_seconds: float | UnsetType = UNSET


class DetectorConfigured(Struct, frozen=True, gc=False):
    """The detector configuration in force from here on. Versions matter: models depend on them.

    ``assumed_attributes`` stand in for what an asset does not say of itself, such as its ASHRAE class.
    What came later is off at 0, so that old histories mean what they meant: silence of a source for
    ``stale_seconds`` is an alert; an open alert that nobody judged is learned after ``learn_after_seconds``;
    ``flap_cycles`` raisings in an hour make one flapping alert; ``peer_deviations`` from the others of its
    kind in the same place make an alert; warnings on ``escalate_related`` assets that are linked make a page.
    """

    limits: tuple[LimitRule, ...]
    raise_count: int = 3
    raise_window: int = 5
    clear_count: int = 3
    novelty_warn_score: float = 0.54
    novelty_page_score: float = 0.214
    entity_warn_factor: float = 1.5
    warmup_seconds: float = 86_400.0
    warmup_samples: int = 30
    assumed_attributes: dict[str, str] = {}
    seed: int = 1
    versions: dict[str, str] = {}
    stale_seconds: float = 0.0
    learn_after_seconds: float = 0.0
    flap_cycles: int = 0
    peer_deviations: float = 0.0
    escalate_related: int = 0


class EvidenceDetail(Struct, frozen=True, gc=False):
    """What it takes to check an alert by hand; times in UTC ns.

    ``low`` to ``high`` is the range that the value had since ``known_since``, ``exceedance`` how far outside
    in units of it. At ``quiet_at`` and closer to the range there would have been no alert. ``weights`` go
    with the evidence's shares. ``similar`` are earlier alerts of the same kind, ``moved`` metrics of the
    same asset that surprised at the same time, both most telling first.
    """

    low: float
    high: float
    known_since: int
    exceedance: float
    quiet_at: float
    usual: float | None = None
    weights: tuple[tuple[str, float], ...] = ()
    similar: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    versions: dict[str, str] = {}


class Evidence(Struct, frozen=True, gc=False):
    """Why an alert holds: the statistic, how far, since when, against what."""

    statistic: str
    value: float
    threshold: float
    reference: str
    since: int
    samples: tuple[tuple[int, float], ...] = ()
    novelty_score: float | None = None
    novelty_shares: tuple[tuple[str, float], ...] = ()
    entity_score: float | None = None
    entity_shares: tuple[tuple[str, float], ...] = ()
    upstream: tuple[str, ...] = ()
    cause_position: int = 0
    detail: EvidenceDetail | UnsetType = UNSET


class AlertOpened(Struct, frozen=True, gc=False):
    """A condition became true and held; ``summary`` is the one line for a person.

    ``suppressed_by`` names the silence or maintenance under which nobody is to be bothered with it.
    """

    alert: str
    asset: str
    metric: str
    kind: AlertKind
    severity: Severity
    summary: str
    evidence: Evidence
    suppressed_by: str = ""


class AlertEscalated(Struct, frozen=True, gc=False):
    """An open alert became worse."""

    alert: str
    severity: Severity
    summary: str
    evidence: Evidence


class AlertCleared(Struct, frozen=True, gc=False):
    """The condition ended and stayed away."""

    alert: str
    summary: str
    value: float | None = None


class AlertAcknowledged(Struct, frozen=True, gc=False):
    """A person took notice."""

    alert: str
    note: str = ""


class AlertFlapping(Struct, frozen=True, gc=False):
    """The condition came and went; the alert stays open until it stays away. ``cycles`` in the last hour."""

    alert: str
    cycles: int


class FeedbackGiven(Struct, frozen=True, gc=False):
    """A person judged an alert: a true one, a false one, or one of something that was meant to happen."""

    alert: str
    verdict: Verdict
    note: str = ""


class LearningResumed(Struct, frozen=True, gc=False):
    """Nobody judged an open alert for long: what it is about is learned as the new normal from here on."""

    alert: str
    asset: str
    metric: str
    reason: str


class SilenceCreated(Struct, frozen=True, gc=False):
    """Nobody is to be bothered by matching alerts for a while; empty fields match all. Times in UTC ns."""

    silence: str
    starts: int
    ends: int
    asset: str = ""
    metric: str = ""
    kind: AlertKind | Literal[""] = ""
    reason: str = ""


class SilenceExpired(Struct, frozen=True, gc=False):
    """A silence was ended by hand, before its time."""

    silence: str
    reason: str = ""


class MaintenanceScheduled(Struct, frozen=True, gc=False):
    """Work on these assets: alerts on them bother nobody, and statistics begin anew after it. UTC ns."""

    maintenance: str
    assets: tuple[str, ...]
    starts: int
    ends: int
    reason: str = ""


class MaintenanceEnded(Struct, frozen=True, gc=False):
    """Work ended, or was called off, before its time."""

    maintenance: str
    reason: str = ""


# --- remedies ---------------------------------------------------------------------------------------------


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


# --- access -----------------------------------------------------------------------------------------------


class AccessRefused(Struct, frozen=True, gc=False):
    """A call that would change something was refused."""

    method: str
    reason: str
    address: str = ""


# --- upkeep -----------------------------------------------------------------------------------------------


class EventsRemoved(Struct, frozen=True, gc=False):
    """Retention removed old events of a category of streams, up to a position; their digests stay.

    The category ``$deleted`` stands for events that deletion hid. Totals count from the store's beginning.
    """

    category: str
    position: int
    total_removed_events: int
    total_archived_events: int = 0


AnyEvent = (
    AssetObserved
    | AssetLinked
    | AssetRemoved
    | DeviceReached
    | DeviceLost
    | SamplesRecorded
    | LogLinesRecorded
    | LogTemplateAdded
    | LogTemplateGeneralised
    | LogTemplateRetired
    | TrapReceived
    | GapRecorded
    | InputRejected
    | AgentStarted
    | AgentConnected
    | AgentDisconnected
    | DetectorConfigured
    | AlertOpened
    | AlertEscalated
    | AlertCleared
    | AlertAcknowledged
    | AlertFlapping
    | FeedbackGiven
    | LearningResumed
    | SilenceCreated
    | SilenceExpired
    | MaintenanceScheduled
    | MaintenanceEnded
    | PoliciesConfigured
    | PlaybookPublished
    | RunProposed
    | RunApproved
    | RunRejected
    | RunCancelled
    | StepStarted
    | StepSucceeded
    | StepFailed
    | StepUndone
    | VerificationStarted
    | RunSucceeded
    | RunFailed
    | AccessRefused
    | EventsRemoved
)
