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
        self._works: dict[str, dict[str, t.MaintenanceScheduled]] = {}  # by asset: every poll asks
        for work in self._maintenances.values():
            self._enter(work)

    def observe(self, body: _Body) -> None:
        """Take in that one began or ended."""
        match body:
            case t.SilenceCreated():
                self._silences[body.silence] = body
                if len(self._silences) > MAX_OVERLAYS:
                    del self._silences[_first_to_end(self._silences)]
            case t.SilenceExpired():
                self._silences.pop(body.silence, None)
            case t.MaintenanceScheduled():
                self._forget(body.maintenance)
                self._maintenances[body.maintenance] = body
                self._enter(body)
                if len(self._maintenances) > MAX_OVERLAYS:
                    self._forget(_first_to_end(self._maintenances))
            case t.MaintenanceEnded():
                self._forget(body.maintenance)

    def maintenance(self, asset: str, time: int) -> str:
        """The id of the work that goes on at this asset, empty for none."""
        for work in self._works.get(asset, {}).values():
            if work.starts <= time < work.ends:
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

    def _enter(self, work: t.MaintenanceScheduled) -> None:
        for asset in work.assets:
            self._works.setdefault(asset, {})[work.maintenance] = work

    def _forget(self, maintenance: str) -> None:
        work = self._maintenances.pop(maintenance, None)
        for asset in dict.fromkeys(work.assets) if work else ():
            del self._works[asset][maintenance]
            if not self._works[asset]:
                del self._works[asset]


def _matches(silence: t.SilenceCreated, asset: str, metric: str, kind: t.AlertKind) -> bool:
    wanted = ((silence.asset, asset), (silence.metric, metric.partition("{")[0]), (silence.kind, kind))
    return all(not name or name == actual for name, actual in wanted)


def _first_to_end(overlays: "dict[str, t.SilenceCreated] | dict[str, t.MaintenanceScheduled]") -> str:
    return min(overlays, key=lambda name: (overlays[name].ends, name))
