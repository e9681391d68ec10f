"""The closed union of everything that can happen.

A published type is never edited. Add a field with a default, or add a new type; ``tests/core/events/golden``
holds one file for every version ever published, and each must decode for ever. Names are past tense,
units come last, ids of things are their resource ids (``rack-a01``, not ``assets/rack-a01``). They hold no
cycles, so the garbage collector need not look at them (``gc=False``).
"""

from coldaisle.core.events.types.done import (
    AccessRefused,
    Argument,
    Condition,
    EventsRemoved,
    Plan,
    PlannedStep,
    PlaybookPublished,
    PoliciesConfigured,
    Policy,
    RunApproved,
    RunCancelled,
    RunFailed,
    RunProposed,
    RunRejected,
    RunSucceeded,
    Scalar,
    StepFailed,
    StepStarted,
    StepSucceeded,
    StepUndone,
    VerificationStarted,
)
from coldaisle.core.events.types.judged import (
    AlertAcknowledged,
    AlertCleared,
    AlertEscalated,
    AlertFlapping,
    AlertKind,
    AlertOpened,
    DetectorConfigured,
    Evidence,
    EvidenceDetail,
    FeedbackGiven,
    LearningResumed,
    LimitRule,
    MaintenanceEnded,
    MaintenanceScheduled,
    Severity,
    SilenceCreated,
    SilenceExpired,
    Verdict,
)
from coldaisle.core.events.types.observed import (
    AgentConnected,
    AgentDisconnected,
    AgentStarted,
    AssetLinked,
    AssetObserved,
    AssetRemoved,
    DeviceLost,
    DeviceReached,
    Edge,
    GapRecorded,
    InputRejected,
    LogLine,
    LogLinesRecorded,
    LogTemplateAdded,
    LogTemplateGeneralised,
    LogTemplateRetired,
    Quality,
    SamplesRecorded,
    ServerStarted,
    TrapReceived,
)

__all__ = [
    "AccessRefused",
    "AgentConnected",
    "AgentDisconnected",
    "AgentStarted",
    "AlertAcknowledged",
    "AlertCleared",
    "AlertEscalated",
    "AlertFlapping",
    "AlertKind",
    "AlertOpened",
    "AnyEvent",
    "Argument",
    "AssetLinked",
    "AssetObserved",
    "AssetRemoved",
    "Condition",
    "DetectorConfigured",
    "DeviceLost",
    "DeviceReached",
    "Edge",
    "EventsRemoved",
    "Evidence",
    "EvidenceDetail",
    "FeedbackGiven",
    "GapRecorded",
    "InputRejected",
    "LearningResumed",
    "LimitRule",
    "LogLine",
    "LogLinesRecorded",
    "LogTemplateAdded",
    "LogTemplateGeneralised",
    "LogTemplateRetired",
    "MaintenanceEnded",
    "MaintenanceScheduled",
    "Plan",
    "PlannedStep",
    "PlaybookPublished",
    "PoliciesConfigured",
    "Policy",
    "Quality",
    "RunApproved",
    "RunCancelled",
    "RunFailed",
    "RunProposed",
    "RunRejected",
    "RunSucceeded",
    "SamplesRecorded",
    "Scalar",
    "ServerStarted",
    "Severity",
    "SilenceCreated",
    "SilenceExpired",
    "StepFailed",
    "StepStarted",
    "StepSucceeded",
    "StepUndone",
    "TrapReceived",
    "Verdict",
    "VerificationStarted",
]

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
    | ServerStarted
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
