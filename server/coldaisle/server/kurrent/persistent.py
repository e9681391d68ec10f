"""The service PersistentSubscriptions: groups as messages."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from kurrentdbclient.protos.v1 import persistent_pb2, shared_pb2

from coldaisle.core.errors import ColdaisleError
from coldaisle.core.store import EventStore
from coldaisle.server.kurrent.access import caller, require_writing
from coldaisle.server.kurrent.errors import bad_request, stream_deleted
from coldaisle.server.kurrent.group_messages import config_of, info_message
from coldaisle.server.kurrent.groups import ALL, Group, Seat
from coldaisle.server.kurrent.ledger import Delivery
from coldaisle.server.kurrent.messages import id_bytes, read_event, stream_name
from coldaisle.server.kurrent.registry import Registry
from coldaisle.server.kurrent.windows import state_of

Response = persistent_pb2.ReadResp
Nack = persistent_pb2.ReadReq.Nack
Named = (
    persistent_pb2.ReadReq.Options
    | persistent_pb2.DeleteReq.Options
    | persistent_pb2.GetInfoReq.Options
    | persistent_pb2.ReplayParkedReq.Options
)


class PersistentService:
    """PersistentSubscriptions, over the groups of a store. Method names are the protocol's."""

    def __init__(self, store: EventStore, groups: Registry) -> None:
        self._store = store
        self._groups = groups

    async def Create(self, request: persistent_pb2.CreateReq) -> persistent_pb2.CreateResp:  # noqa: N802
        """A new group."""
        require_writing()
        config = config_of(request.options)
        if config.stream != ALL and (await state_of(self._store, config.stream)).tombstoned:
            raise stream_deleted(config.stream)
        await self._groups.create(config)
        return persistent_pb2.CreateResp()

    async def Update(self, request: persistent_pb2.UpdateReq) -> persistent_pb2.UpdateResp:  # noqa: N802
        """A group changed; it begins anew."""
        require_writing()
        await self._groups.update(config_of(request.options))
        return persistent_pb2.UpdateResp()

    async def Delete(self, request: persistent_pb2.DeleteReq) -> persistent_pb2.DeleteResp:  # noqa: N802
        """A group removed."""
        require_writing()
        await self._groups.delete(_source(request.options), request.options.group_name)
        return persistent_pb2.DeleteResp()

    async def GetInfo(self, request: persistent_pb2.GetInfoReq) -> persistent_pb2.GetInfoResp:  # noqa: N802
        """How a group stands."""
        group = self._find(request.options)
        return persistent_pb2.GetInfoResp(subscription_info=info_message(group))

    async def List(self, request: persistent_pb2.ListReq) -> persistent_pb2.ListResp:  # noqa: N802
        """How the groups on a stream stand, or all."""
        options = request.options
        stream: str | None = None
        if options.WhichOneof("list_option") == "list_for_stream":
            one = options.list_for_stream
            stream = ALL if one.WhichOneof("stream_option") == "all" else stream_name(one.stream)
        return persistent_pb2.ListResp(
            subscriptions=[info_message(group) for group in self._groups.on(stream)]
        )

    async def ReplayParked(  # noqa: N802
        self, request: persistent_pb2.ReplayParkedReq
    ) -> persistent_pb2.ReplayParkedResp:
        """Parked events once more."""
        require_writing()
        options = request.options
        limited = options.WhichOneof("stop_at_option") == "stop_at"
        await self._find(options).replay_parked(max(0, options.stop_at) if limited else None)
        return persistent_pb2.ReplayParkedResp()

    async def RestartSubsystem(self, _: shared_pb2.Empty) -> shared_pb2.Empty:  # noqa: N802
        """All groups stopped and started."""
        require_writing()
        await self._groups.restart()
        return shared_pb2.Empty()

    async def Read(self, requests: AsyncIterator[persistent_pb2.ReadReq]) -> AsyncIterator[Response]:  # noqa: N802
        """Be one of a group's consumers: events out, answers in."""
        asked = aiter(requests)
        first = await anext(asked, None)
        if first is None or first.WhichOneof("content") != "options":
            raise bad_request("a consumer starts with its options")
        group = self._find(first.options)
        structured = first.options.uuid_option.WhichOneof("content") == "structured"
        seat = group.join(caller.get().name, first.options.buffer_size)
        hearing = asyncio.ensure_future(_hear(asked, group, seat))
        try:
            confirmed = f"{group.config.stream}::{group.config.name}"  # clients compare it
            confirmation = Response.SubscriptionConfirmation(subscription_id=confirmed)
            yield Response(subscription_confirmation=confirmation)
            async for delivery in seat.deliveries():
                yield _response(delivery, structured)
        finally:
            hearing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hearing
            await group.leave(seat)

    def _find(self, options: Named) -> Group:
        return self._groups.find(_source(options), options.group_name)


async def _hear(requests: AsyncIterator[persistent_pb2.ReadReq], group: Group, seat: Seat) -> None:
    """Take answers until the client has no more to say; then its seat is closed."""
    try:
        async for request in requests:
            match request.WhichOneof("content"):
                case "ack":
                    await group.acknowledge(seat, [id_bytes(one) for one in request.ack.ids])
                case "nack":
                    await _refused(group, seat, request.nack)
                case _:
                    raise bad_request("options come once, at the start")
    except ColdaisleError as error:
        seat.outbox.put_nowait(bad_request(str(error)))
    finally:
        seat.outbox.put_nowait(None)


async def _refused(group: Group, seat: Seat, nack: Nack) -> None:
    ids = [id_bytes(one) for one in nack.ids]
    match nack.action:
        case Nack.Park:
            await group.refuse(seat, ids, park=True, reason=nack.reason)
        case Nack.Skip:
            await group.acknowledge(seat, ids)
        case Nack.Stop:
            seat.outbox.put_nowait(None)
        case _:
            await group.refuse(seat, ids, park=False, reason=nack.reason)


def _response(delivery: Delivery, structured: bool) -> Response:
    event = read_event(Response.ReadEvent, delivery.event, structured)
    event.retry_count = delivery.retries
    return Response(event=event)


def _source(options: Named) -> str:
    return ALL if options.WhichOneof("stream_option") == "all" else stream_name(options.stream_identifier)
