"""How the assets of a twin hang together: as a networkx graph, and indexed for the questions of a server."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from coldaisle.core.twin.model import Asset, Link

if TYPE_CHECKING:
    from networkx import DiGraph

DEPENDENCY_EDGES = frozenset({"powered_by", "cooled_by", "connected_to", "runs_on", "depends_on"})

Pointing = tuple[Link, str]
"""A link, and the asset that it is of."""


def dependency_graph(assets: Mapping[str, Asset]) -> "DiGraph[str]":
    """Dependencies for networkx's algorithms: an edge ``u -> v`` says that v needs u.

    Containment is no dependency. Edges carry ``kind``, ``group`` and ``need``: half a kilobyte each, so it is
    for analysis. A server asks :class:`Relations`.
    """
    from networkx import DiGraph  # 140 ms: only for those who ask

    graph: DiGraph[str] = DiGraph()
    graph.add_nodes_from(assets)
    for asset in assets.values():
        for link in asset.links:
            if link.edge in DEPENDENCY_EDGES:
                graph.add_edge(link.target, asset.id, kind=link.edge, group=link.group, need=link.need)
    return graph


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
