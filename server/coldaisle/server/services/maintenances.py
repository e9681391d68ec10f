"""MaintenanceService: work on assets, during which nobody is bothered and statistics are mute."""

import time
from typing import Any

import grpc

from coldaisle.core.events.types import MaintenanceEnded, MaintenanceScheduled
from coldaisle.core.store import EventStore, Expected, LiveTwin
from coldaisle.core.twin import Twin
from coldaisle.core.twin.graph import Relations
from coldaisle.server.convert import maintenance_message
from coldaisle.server.deciding import check_request_id, checked_text, chosen_id, record, recorded_before
from coldaisle.server.errors import InvalidRequest, NotFound
from coldaisle.server.moments import Moments
from coldaisle.server.overlays import in_force, require_room, told, window
from coldaisle.server.paging import page_of, resource_id
from coldaisle.v1 import maintenances_pb2, maintenances_pb2_grpc

MAX_ASSETS = 5_000
"""Assets of one maintenance: they travel in one event."""


class MaintenanceService(maintenances_pb2_grpc.MaintenanceServiceServicer):
    """See maintenances.proto."""

    def __init__(self, store: EventStore, live: LiveTwin, moments: Moments) -> None:
        self._store = store
        self._live = live
        self._moments = moments

    async def ScheduleMaintenance(  # noqa: N802 - the API's name
        self,
        request: maintenances_pb2.ScheduleMaintenanceRequest,
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> maintenances_pb2.Maintenance:
        """Schedule work; with validate_only answer what it would cover, without a name."""
        check_request_id(request.request_id)
        now, twin = time.time_ns(), await self._moments.now()
        name = chosen_id("m", request.request_id, now)
        if (before := await self._message(name)) is not None:
            return before
        body = _maintenance(request, name, twin, await self._moments.relations(twin), now)
        require_room(twin.maintenances, now, "maintenances")
        if request.validate_only:
            message = maintenance_message(body, twin.position)
            message.name = ""
            return message
        position = await record(self._store, body, request.request_id, now, expected=Expected.NO_STREAM)
        return maintenance_message(body, (await self._live.at_least(position)).position)

    async def ListMaintenances(  # noqa: N802 - the API's name
        self,
        request: maintenances_pb2.ListMaintenancesRequest,
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> maintenances_pb2.ListMaintenancesResponse:
        """Those that go on and those to come at a moment, first to end first."""
        twin = await self._moments.twin(request.moment)
        found = in_force(twin.maintenances, await self._moments.time(request.moment))
        page, next_token = page_of(
            found,
            request.page_size,
            request.page_token,
            key=lambda work: f"{work.ends:020d}/{work.maintenance}",
            message=lambda work: maintenance_message(work, twin.position),
        )
        return maintenances_pb2.ListMaintenancesResponse(
            maintenances=page, next_page_token=next_token, total_size=len(found), revision=twin.position
        )

    async def EndMaintenance(  # noqa: N802 - the API's name
        self, request: maintenances_pb2.EndMaintenanceRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> maintenances_pb2.Maintenance:
        """End work now, or call it off."""
        check_request_id(request.request_id)
        name, now = resource_id(request.name, "maintenances"), time.time_ns()
        body = MaintenanceEnded(name, checked_text(request.reason, "reason"))
        repeated = await recorded_before(self._store, f"maintenance-{name}", request.request_id, type(body))
        if repeated and (before := await self._message(name)) is not None:
            return before
        ending = _current(await self._moments.now(), name, now)
        if not request.validate_only:
            position = await record(self._store, body, request.request_id, now)
            await self._live.at_least(position)
        return maintenance_message(ending, self._live.current.position, max(ending.starts, now))

    async def _message(self, name: str) -> maintenances_pb2.Maintenance | None:
        begun, ended = await told(self._store, f"maintenance-{name}")
        if not isinstance(begun, MaintenanceScheduled):
            return None
        return maintenance_message(begun, self._live.current.position, ended)


def _current(twin: Twin, name: str, now: int) -> MaintenanceScheduled:
    """One that holds or will; raises NotFound."""
    for one in in_force(twin.maintenances, now):
        if one.maintenance == name:
            return one
    raise NotFound(f"maintenances/{name} is not in force: `coldaisle maintenance list` lists what is")


def _maintenance(
    request: maintenances_pb2.ScheduleMaintenanceRequest,
    name: str,
    twin: Twin,
    relations: Relations,
    now: int,
) -> MaintenanceScheduled:
    """The work that is asked for; raises InvalidRequest or NotFound."""
    starts, ends = window(
        request.start_time if request.HasField("start_time") else None,
        request.duration if request.HasField("duration") else None,
        now,
    )
    reason = checked_text(request.reason, "reason", needed=True)
    return MaintenanceScheduled(name, _assets(request, twin, relations), starts, ends, reason)


def _assets(
    request: maintenances_pb2.ScheduleMaintenanceRequest, twin: Twin, relations: Relations
) -> tuple[str, ...]:
    """The named assets in their order, then what depends on them, each once."""
    if not request.assets:
        raise InvalidRequest("assets", "missing; name at least one")
    named = [resource_id(asset, "assets", "assets") for asset in request.assets]
    if unknown := [asset for asset in named if asset not in twin.assets]:
        raise NotFound(
            f"assets/{unknown[0]} is not known at position {twin.position}: `coldaisle get assets` lists all"
        )
    further = relations.dependents(*named) if request.with_dependents else []
    covered = tuple(dict.fromkeys([*named, *further]))
    if len(covered) > MAX_ASSETS:
        raise InvalidRequest("assets", f"{len(covered)} assets, {MAX_ASSETS} allowed; schedule them in parts")
    return covered
