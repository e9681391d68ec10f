"""What the inventory says, as events. Pure."""

from collections.abc import Iterable, Iterator

from coldaisle.agent.settings import AssetSettings, Link, Links
from coldaisle.core.events.codec import encode_body
from coldaisle.core.events.types import AssetLinked, AssetObserved, Edge

_SOURCE = "inventory"


def inventory_events(assets: Iterable[AssetSettings]) -> list[AssetObserved | AssetLinked]:
    """Every asset, then every link: a link never comes before both of its ends."""
    known = list(assets)
    observed = [AssetObserved(asset.name, asset.kind, asset.attributes, _SOURCE) for asset in known]
    return [*observed, *(link for asset in known for link in _linked(asset))]


def inventory_news(
    before: Iterable[AssetSettings], now: Iterable[AssetSettings]
) -> list[AssetObserved | AssetLinked]:
    """What an inventory says now and did not say before; compared as bytes, since attributes have no hash."""
    known = {encode_body(body) for body in inventory_events(before)}
    return [body for body in inventory_events(now) if encode_body(body) not in known]


def links_of(asset: AssetSettings) -> Iterator[tuple[Edge, Link]]:
    """The relations of one asset; a plain name is a link without redundancy."""
    if asset.located_in:
        yield "located_in", Link(asset.located_in)
    stated: list[tuple[Edge, Links]] = [
        ("powered_by", asset.powered_by),
        ("cooled_by", asset.cooled_by),
        ("connected_to", asset.connected_to),
        ("runs_on", asset.runs_on),
        ("depends_on", asset.depends_on),
    ]
    for edge, links in stated:
        for link in links:
            yield edge, link if isinstance(link, Link) else Link(link)


def _linked(asset: AssetSettings) -> Iterator[AssetLinked]:
    for edge, link in links_of(asset):
        yield AssetLinked(asset.name, edge, link.asset, link.group, link.need, _SOURCE)
