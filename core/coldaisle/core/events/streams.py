"""Which stream an event belongs to: ``category-id``, KurrentDB's convention."""

from coldaisle.core.events import types as t
from coldaisle.core.events.types import AnyEvent


def stream_of(body: AnyEvent) -> str:  # noqa: C901 - a table with an arm for each category
    """The stream of an event: a pure function of its body."""
    match body:
        case t.SamplesRecorded(asset=asset):
            return f"telemetry-{asset}"
        case t.LogLinesRecorded(asset=asset) | t.TrapReceived(asset=asset):
            return f"logs-{asset}"
        case (
            t.AssetObserved(asset=asset)
            | t.AssetLinked(asset=asset)
            | t.AssetRemoved(asset=asset)
            | t.DeviceReached(asset=asset)
            | t.DeviceLost(asset=asset)
        ):
            return f"asset-{asset}"
        case t.AgentStarted(agent=agent) | t.AgentConnected(agent=agent) | t.AgentDisconnected(agent=agent):
            return f"agent-{agent}"
        case t.GapRecorded(source=source) | t.InputRejected(source=source):
            return f"agent-{source}"
        case t.SilenceCreated() | t.SilenceExpired() | t.MaintenanceScheduled() | t.MaintenanceEnded():
            return _overlay_stream(body)
        case (
            t.AlertOpened(alert=alert)
            | t.AlertEscalated(alert=alert)
            | t.AlertCleared(alert=alert)
            | t.AlertAcknowledged(alert=alert)
            | t.AlertFlapping(alert=alert)
            | t.FeedbackGiven(alert=alert)
            | t.LearningResumed(alert=alert)
        ):
            return f"alert-{alert}"
        case t.LogTemplateAdded() | t.LogTemplateGeneralised() | t.LogTemplateRetired():
            return "model-templates"
        case t.DetectorConfigured():
            return "model-detector"
        case t.PlaybookPublished(playbook=playbook):
            return f"playbook-{playbook}"
        case t.PoliciesConfigured():
            return "policy-remediation"
        case t.ServerStarted(host=host):
            return f"server-{host}"
        case t.AccessRefused():
            return "access-api"
        case t.EventsRemoved(category=category):
            return f"retention-{category}"
        case _:
            return f"run-{body.run}"


def _overlay_stream(
    body: t.SilenceCreated | t.SilenceExpired | t.MaintenanceScheduled | t.MaintenanceEnded,
) -> str:
    match body:
        case t.SilenceCreated(silence=silence) | t.SilenceExpired(silence=silence):
            return f"silence-{silence}"
        case t.MaintenanceScheduled(maintenance=work) | t.MaintenanceEnded(maintenance=work):
            return f"maintenance-{work}"
