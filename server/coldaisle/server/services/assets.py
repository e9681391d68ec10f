"""AssetService: what is there, how it hangs together, and its latest values."""

from typing import Any

import grpc

from coldaisle.core.twin import Asset, Twin
from coldaisle.core.twin.graph import Relations
from coldaisle.server.convert import AssetMessages
from coldaisle.server.errors import NotFound
from coldaisle.server.moments import Moments
from coldaisle.server.paging import keep, page_of, parse_filter, resource_id
from coldaisle.v1 import assets_pb2, assets_pb2_grpc

FILTER_FIELDS = ("kind", "name", "located_in", "powered_by", "cooled_by")


class AssetService(assets_pb2_grpc.AssetServiceServicer):
    """See assets.proto."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments

    async def GetAsset(  # noqa: N802 - the API's name
        self, request: assets_pb2.GetAssetRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> assets_pb2.Asset:
        """One asset at a moment."""
        twin = await self._moments.twin(request.moment)
        asset = twin.assets.get(resource_id(request.name, "assets"))
        if asset is None:
            raise NotFound(
                f"{request.name} is not known at position {twin.position}: "
                "`coldaisle get assets` lists what is"
            )
        relations = await self._moments.relations(twin)
        message = AssetMessages(twin, relations).message(asset)
        message.dependents.extend(f"assets/{name}" for name in relations.dependents(asset.id))
        return message

    async def ListAssets(  # noqa: N802 - the API's name
        self, request: assets_pb2.ListAssetsRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> assets_pb2.ListAssetsResponse:
        """Assets by name."""
        twin = await self._moments.twin(request.moment)
        relations = await self._moments.relations(twin)
        found = _filtered(twin, relations, request.filter)
        page, next_token = page_of(
            found,
            request.page_size,
            request.page_token,
            key=lambda asset: asset.id,
            message=AssetMessages(twin, relations).message,
        )
        return assets_pb2.ListAssetsResponse(
            assets=page,
            next_page_token=next_token,
            total_size=len(found),
            revision=twin.position,
        )


def _filtered(twin: Twin, relations: Relations, text: str) -> list[Asset]:
    return keep(
        relations.by_name,
        parse_filter(text, FILTER_FIELDS),
        {
            "kind": lambda asset: (asset.kind,),
            "name": lambda asset: (asset.id,),
            "located_in": lambda asset: twin.targets(asset.id, "located_in"),
            "powered_by": lambda asset: twin.targets(asset.id, "powered_by"),
            "cooled_by": lambda asset: twin.targets(asset.id, "cooled_by"),
        },
    )
