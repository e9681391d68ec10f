"""What the detector knows of the plant: kinds, attributes, links, and which alerts are open where."""

from msgspec import Struct

from coldaisle.core.events import types as t

MAX_UPSTREAM_HOPS = 2
MAX_UPSTREAM_ALERTS = 5
MAX_UPSTREAM_CHARACTERS = 500
"""Of an alert's summary where another one names it: it names others itself, which may name this one."""


class PlantState(Struct, frozen=True):
    """All that a neighbourhood knows: kinds, attributes, targets, open alerts and places by asset.

    ``learned`` are open alerts that no longer keep their asset's models from learning. ``warnings`` are open
    ones, each with its asset, that somebody hears and that made no page yet.
    """

    kinds: dict[str, str] = {}
    attributes: dict[str, dict[str, str]] = {}
    links: dict[str, dict[str, None]] = {}
    open_alerts: dict[str, dict[str, str]] = {}
    places: dict[str, str] = {}
    learned: dict[str, None] = {}
    warnings: dict[str, str] = {}


class Neighbourhood:
    """A small fold of asset and alert events; enough to say what an asset depends on and how that is."""

    def __init__(self, state: PlantState | None = None) -> None:
        self.state = state or PlantState({}, {}, {}, {}, {}, {}, {})
        self._kinds, self._attributes = self.state.kinds, self.state.attributes
        self._links, self._open = self.state.links, self.state.open_alerts
        self._places = self.state.places
        self._linked_from: dict[str, dict[str, None]] = {}
        for asset, targets in self._links.items():
            for target in targets:
                self._linked_from.setdefault(target, {})[asset] = None
        self._warned: dict[str, dict[str, int]] = {}  # by asset, each with its place among all
        self._warned_count = 0
        for alert, asset in self.state.warnings.items():
            self._place_warning(asset, alert)
        self._groups: dict[tuple[str, str], dict[str, None]] = {}
        for asset in tuple(self._places):
            self._join(asset)

    def observe(self, body: t.AssetObserved | t.AssetLinked | t.AssetRemoved) -> None:
        """Take in what is known of an asset."""
        match body:
            case t.AssetObserved(asset=asset, kind=kind, attributes=attributes):
                self._leave(asset)
                self._kinds[asset], self._attributes[asset] = kind, attributes
                self._join(asset)
            case t.AssetLinked(asset=asset, target=target, edge=edge):
                if edge != "located_in":
                    self._links.setdefault(asset, {})[target] = None
                    self._linked_from.setdefault(target, {})[asset] = None
                    return
                self._leave(asset)
                self._places[asset] = target
                self._join(asset)
            case t.AssetRemoved(asset=asset):
                self._leave(asset)
                for target in self._links.get(asset, ()):
                    self._linked_from[target].pop(asset, None)
                for known in (self._kinds, self._attributes, self._links, self._open, self._places):
                    known.pop(asset, None)

    def peers(self, asset: str) -> dict[str, None]:
        """The assets of the same kind in the same place, with this one, in the order they were found."""
        return self._groups.get(self._group(asset), {})

    def attributes(self, asset: str) -> dict[str, str]:
        """What the asset says of itself."""
        return self._attributes.get(asset, {})

    def kind(self, asset: str) -> str:
        """The asset's kind, empty where nobody said."""
        return self._kinds.get(asset, "")

    def applies(self, rule: t.LimitRule, asset: str, assumed: dict[str, str]) -> bool:
        """Whether the rule is about this asset."""
        if rule.asset_kind and self._kinds.get(asset) != rule.asset_kind:
            return False
        attributes = assumed | self._attributes.get(asset, {})
        return all(attributes.get(name) == value for name, value in rule.where.items())

    def alert_opened(self, asset: str, alert: str, summary: str) -> None:
        """Remember an open alert."""
        self._open.setdefault(asset, {})[alert] = summary[:MAX_UPSTREAM_CHARACTERS]

    def alert_cleared(self, asset: str, alert: str) -> None:
        """Forget it again."""
        self._open.get(asset, {}).pop(alert, None)
        self.state.learned.pop(alert, None)
        self.no_warning(alert)

    def warned(self, asset: str, alert: str) -> None:
        """The open alert is a warning."""
        self.state.warnings[alert] = asset
        self._place_warning(asset, alert)

    def no_warning(self, alert: str) -> None:
        """It made a page, or it ended: it counts no more."""
        asset = self.state.warnings.pop(alert, None)
        if asset is not None:
            self._warned[asset].pop(alert)

    def related_warnings(self, asset: str) -> dict[str, str]:
        """Warnings on assets linked directly to this one, either way: alert to asset, oldest first."""
        linked = self._links.get(asset, {}) | self._linked_from.get(asset, {})
        found = [
            (place, alert, other) for other in linked for alert, place in self._warned.get(other, {}).items()
        ]
        return {alert: other for _, alert, other in sorted(found)}

    def alert_learned(self, alert: str) -> None:
        """The open alert is about a new normal."""
        self.state.learned[alert] = None

    def has_open_alert(self, asset: str) -> bool:
        """Whether anything is wrong with the asset now that is not to be learned."""
        return any(alert not in self.state.learned for alert in self._open.get(asset, ()))

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

    def _place_warning(self, asset: str, alert: str) -> None:
        self._warned_count += 1
        self._warned.setdefault(asset, {})[alert] = self._warned_count

    def _group(self, asset: str) -> tuple[str, str]:
        return self._kinds.get(asset, ""), self._places.get(asset, "")

    def _join(self, asset: str) -> None:
        if asset in self._places:
            self._places[asset] = self._places.pop(asset)  # in the order in which groups are made again
            self._groups.setdefault(self._group(asset), {})[asset] = None

    def _leave(self, asset: str) -> None:
        self._groups.get(self._group(asset), {}).pop(asset, None)
