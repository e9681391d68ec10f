"""How the assets of a twin hang together, seen from what is pointed at."""

from collections.abc import Mapping, Sequence

from coldaisle.core.twin.model import Asset, Link

DEPENDENCY_EDGES = frozenset({"powered_by", "cooled_by", "connected_to", "runs_on", "depends_on"})

Pointing = tuple[Link, str]
"""A link, and the asset that it is of."""


class Relations:
    """The assets by name, and what points at each. Costs a look at every link: keep it as long as ``assets``
    is the twin's."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        self.assets = assets
        self.by_name = sorted(assets.values(), key=lambda asset: asset.id)
        self._pointing: dict[str, list[Pointing]] = {}
        for asset in assets.values():
            for link in asset.links:
                self._pointing.setdefault(link.target, []).append((link, asset.id))

    def pointing_at(self, asset: str) -> Sequence[Pointing]:
        """Who relates to the asset, and how, in the order in which they were observed."""
        return self._pointing.get(asset, ())

    def dependents(self, *assets: str) -> list[str]:
        """Everything else that depends on the assets, directly or not, by name.

        Containment is no dependency, and redundancy is not weighed.
        """
        found, ring = set(assets), list(assets)
        while ring:
            ring = [other for asset in ring for other in self._needing(asset) if other not in found]
            found.update(ring)
        return sorted(found.difference(assets))

    def _needing(self, asset: str) -> list[str]:
        return [other for link, other in self.pointing_at(asset) if link.edge in DEPENDENCY_EDGES]
