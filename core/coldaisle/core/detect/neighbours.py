"""What the detector knows of the plant: kinds, attributes, links, and which alerts are open where."""

from msgspec import Struct

from coldaisle.core.events import types as t

MAX_UPSTREAM_HOPS = 2
MAX_UPSTREAM_ALERTS = 5


class PlantState(Struct, frozen=True):
    """All that a neighbourhood knows: kinds, attributes, targets and open alerts by asset."""

    kinds: dict[str, str] = {}
    attributes: dict[str, dict[str, str]] = {}
    links: dict[str, dict[str, None]] = {}
    open_alerts: dict[str, dict[str, str]] = {}


class Neighbourhood:
    """A small fold of asset and alert events; enough to say what an asset depends on and how that is."""

    def __init__(self, state: PlantState | None = None) -> None:
        self.state = state or PlantState({}, {}, {}, {})
        self._kinds, self._attributes = self.state.kinds, self.state.attributes
        self._links, self._open = self.state.links, self.state.open_alerts

    def observe(self, body: t.AssetObserved | t.AssetLinked | t.AssetRemoved) -> None:
        """Take in what is known of an asset."""
        match body:
            case t.AssetObserved(asset=asset, kind=kind, attributes=attributes):
                self._kinds[asset], self._attributes[asset] = kind, attributes
            case t.AssetLinked(asset=asset, target=target, edge=edge):
                if edge != "located_in":
                    self._links.setdefault(asset, {})[target] = None
            case t.AssetRemoved(asset=asset):
                for known in (self._kinds, self._attributes, self._links, self._open):
                    known.pop(asset, None)

    def applies(self, rule: t.LimitRule, asset: str, assumed: dict[str, str]) -> bool:
        """Whether the rule is about this asset."""
        if rule.asset_kind and self._kinds.get(asset) != rule.asset_kind:
            return False
        attributes = assumed | self._attributes.get(asset, {})
        return all(attributes.get(name) == value for name, value in rule.where.items())

    def alert_opened(self, asset: str, alert: str, summary: str) -> None:
        """Remember an open alert."""
        self._open.setdefault(asset, {})[alert] = summary

    def alert_cleared(self, asset: str, alert: str) -> None:
        """Forget it again."""
        self._open.get(asset, {}).pop(alert, None)

    def has_open_alert(self, asset: str) -> bool:
        """Whether anything is wrong with the asset now."""
        return bool(self._open.get(asset))

    def upstream(self, asset: str) -> tuple[str, ...]:
        """What is wrong, now, with what this asset depends on: nearest first, each with its alert's id."""
        found: list[str] = []
        ring, seen = [asset], {asset}
        for _ in range(MAX_UPSTREAM_HOPS):
            ring = [target for one in ring for target in self._links.get(one, ()) if target not in seen]
            for target in dict.fromkeys(ring):
                seen.add(target)
                found.extend(f"{summary} [{alert}]" for alert, summary in self._open.get(target, {}).items())
        return tuple(found[:MAX_UPSTREAM_ALERTS])
