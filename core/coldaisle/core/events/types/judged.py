"""What was thought of it: detection and its settings, alerts, what people say of them, silences."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

Severity = Literal["warn", "page"]
AlertKind = Literal[
    "limit", "state", "novelty", "entity", "unreachable", "no_data", "peer", "stuck", "exhaustion"
]
Verdict = Literal["confirmed", "false", "expected"]


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
