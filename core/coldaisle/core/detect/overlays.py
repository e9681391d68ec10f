"""Silences and maintenance: who is not to be bothered, and what is not to be judged by statistics."""

from msgspec import Struct

from coldaisle.core.events import types as t

MAX_OVERLAYS = 1_000
"""Silences, and maintenances, remembered at once; of more, those that end first are forgotten."""

_Body = t.SilenceCreated | t.SilenceExpired | t.MaintenanceScheduled | t.MaintenanceEnded


class OverlayState(Struct, frozen=True):
    """All that overlays know. ``worked`` are the assets last polled during maintenance."""

    silences: dict[str, t.SilenceCreated] = {}
    maintenances: dict[str, t.MaintenanceScheduled] = {}
    worked: dict[str, None] = {}


class Overlays:
    """A small fold of silences and maintenances; times are those of the facts."""

    def __init__(self, state: OverlayState | None = None) -> None:
        self.state = state or OverlayState({}, {}, {})
        self._silences, self._maintenances = self.state.silences, self.state.maintenances

    def observe(self, body: _Body) -> None:
        """Take in that one began or ended."""
        match body:
            case t.SilenceCreated():
                self._silences[body.silence] = body
                _bound(self._silences)
            case t.SilenceExpired():
                self._silences.pop(body.silence, None)
            case t.MaintenanceScheduled():
                self._maintenances[body.maintenance] = body
                _bound(self._maintenances)
            case t.MaintenanceEnded():
                self._maintenances.pop(body.maintenance, None)

    def maintenance(self, asset: str, time: int) -> str:
        """The id of the work that goes on at this asset, empty for none."""
        for work in self._maintenances.values():
            if work.starts <= time < work.ends and asset in work.assets:
                return work.maintenance
        return ""

    def suppressing(self, asset: str, metric: str, kind: t.AlertKind, time: int) -> str:
        """The id of the silence or maintenance under which such an alert bothers nobody, or empty."""
        for silence in self._silences.values():
            if silence.starts <= time < silence.ends and _matches(silence, asset, metric, kind):
                return silence.silence
        return self.maintenance(asset, time)

    def is_worked_on(self, asset: str, time: int) -> tuple[bool, bool]:
        """Whether work goes on at the asset, and whether it ended since the last time this was asked."""
        if not self._maintenances and not self.state.worked:
            return False, False
        if self.maintenance(asset, time):
            self.state.worked[asset] = None
            return True, False
        return False, self.state.worked.pop(asset, 0) is None


def _matches(silence: t.SilenceCreated, asset: str, metric: str, kind: t.AlertKind) -> bool:
    wanted = ((silence.asset, asset), (silence.metric, metric.partition("{")[0]), (silence.kind, kind))
    return all(not name or name == actual for name, actual in wanted)


def _bound(overlays: "dict[str, t.SilenceCreated] | dict[str, t.MaintenanceScheduled]") -> None:
    if len(overlays) > MAX_OVERLAYS:
        del overlays[min(overlays, key=lambda name: (overlays[name].ends, name))]
