"""SilenceService: which alerts bother nobody for a while."""

import time
from typing import Any, Literal, get_args

import grpc

from coldaisle.core.events.types import AlertKind, SilenceCreated, SilenceExpired
from coldaisle.core.store import EventStore, Expected, LiveTwin
from coldaisle.core.twin import Twin
from coldaisle.server.convert import silence_message
from coldaisle.server.deciding import check_request_id, checked_text, chosen_id, record, recorded_before
from coldaisle.server.errors import InvalidRequest, NotFound
from coldaisle.server.moments import Moments
from coldaisle.server.overlays import in_force, require_room, told, window
from coldaisle.server.paging import page_of, resource_id
from coldaisle.v1 import silences_pb2, silences_pb2_grpc

KINDS: tuple[AlertKind, ...] = get_args(AlertKind)


class SilenceService(silences_pb2_grpc.SilenceServiceServicer):
    """See silences.proto."""

    def __init__(self, store: EventStore, live: LiveTwin, moments: Moments) -> None:
        self._store = store
        self._live = live
        self._moments = moments

    async def CreateSilence(  # noqa: N802 - the API's name
        self, request: silences_pb2.CreateSilenceRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> silences_pb2.Silence:
        """Silence what fits; with validate_only answer what it would be, without a name."""
        check_request_id(request.request_id)
        now, twin = time.time_ns(), await self._moments.now()
        name = chosen_id("s", request.request_id, now)
        if (before := await self._message(name)) is not None:
            return before
        body = _silence(request, name, twin, now)
        require_room(twin.silences, now, "silences")
        if request.validate_only:
            message = silence_message(body, twin.position)
            message.name = ""
            return message
        position = await record(self._store, body, request.request_id, now, expected=Expected.NO_STREAM)
        return silence_message(body, (await self._live.at_least(position)).position)

    async def ListSilences(  # noqa: N802 - the API's name
        self, request: silences_pb2.ListSilencesRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> silences_pb2.ListSilencesResponse:
        """Those in force and to come at a moment, first to end first."""
        twin = await self._moments.twin(request.moment)
        found = in_force(twin.silences, await self._moments.time(request.moment))
        page, next_token = page_of(
            found,
            request.page_size,
            request.page_token,
            key=lambda silence: f"{silence.ends:020d}/{silence.silence}",
            message=lambda silence: silence_message(silence, twin.position),
        )
        return silences_pb2.ListSilencesResponse(
            silences=page, next_page_token=next_token, total_size=len(found), revision=twin.position
        )

    async def ExpireSilence(  # noqa: N802 - the API's name
        self, request: silences_pb2.ExpireSilenceRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> silences_pb2.Silence:
        """End a silence now."""
        check_request_id(request.request_id)
        name, now = resource_id(request.name, "silences"), time.time_ns()
        body = SilenceExpired(name, checked_text(request.reason, "reason"))
        repeated = await recorded_before(self._store, f"silence-{name}", request.request_id, type(body))
        if repeated and (before := await self._message(name)) is not None:
            return before
        ending = _current(await self._moments.now(), name, now)
        if not request.validate_only:
            position = await record(self._store, body, request.request_id, now)
            await self._live.at_least(position)
        return silence_message(ending, self._live.current.position, max(ending.starts, now))

    async def _message(self, name: str) -> silences_pb2.Silence | None:
        begun, ended = await told(self._store, f"silence-{name}")
        if not isinstance(begun, SilenceCreated):
            return None
        return silence_message(begun, self._live.current.position, ended)


def _current(twin: Twin, name: str, now: int) -> SilenceCreated:
    """One that holds or will; raises NotFound."""
    for one in in_force(twin.silences, now):
        if one.silence == name:
            return one
    raise NotFound(f"silences/{name} is not in force: `coldaisle silence list` lists what is")


def _silence(
    request: silences_pb2.CreateSilenceRequest, name: str, twin: Twin, now: int
) -> SilenceCreated:  # fmt: skip
    """The silence that is asked for; raises InvalidRequest or NotFound."""
    matcher = request.matcher
    if not (matcher.asset or matcher.metric or matcher.kind):
        raise InvalidRequest("matcher", "empty, it would silence everything; name asset, metric or kind")
    starts, ends = window(
        request.start_time if request.HasField("start_time") else None,
        request.duration if request.HasField("duration") else None,
        now,
    )
    return SilenceCreated(
        name, starts, ends, _asset(matcher.asset, twin), _metric(matcher.metric), _kind(matcher.kind),
        checked_text(request.reason, "reason", needed=True),
    )  # fmt: skip


def _asset(name: str, twin: Twin) -> str:
    if not name:
        return ""
    asset = resource_id(name, "assets", "matcher.asset")
    if asset not in twin.assets:
        raise NotFound(f"{name} is not known at position {twin.position}: `coldaisle get assets` lists them")
    return asset


def _metric(name: str) -> str:
    if "{" in name:
        raise InvalidRequest("matcher.metric", f"{name[:60]!r} has labels; a silence is of all of them")
    return checked_text(name, "matcher.metric")


def _kind(name: str) -> AlertKind | Literal[""]:
    if name and name not in KINDS:
        raise InvalidRequest("matcher.kind", f"{name[:60]!r} is no kind; one of {', '.join(KINDS)}")
    return name
