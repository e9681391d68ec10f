"""The twin at the moment a request asks for: now, at a position, or at a time."""

import asyncio
from collections import OrderedDict
from time import time_ns

from google.protobuf.timestamp_pb2 import Timestamp

from coldaisle.core.store import EventStore, LiveTwin, twin_at
from coldaisle.core.store.live import History
from coldaisle.core.store.snapshots import Snapshots
from coldaisle.core.twin import Twin
from coldaisle.core.twin.graph import Relations
from coldaisle.server.errors import InvalidRequest
from coldaisle.v1 import common_pb2

MAX_KEPT_TWINS = 8
MAX_NANOSECONDS = (1 << 63) - 1


class Moments:
    """Answers reads; keeps the last few past twins, because people look around in one moment."""

    def __init__(
        self,
        store: EventStore,
        live: LiveTwin,
        history: History | None = None,
        snapshots: Snapshots | None = None,
    ) -> None:
        self._store = store
        self._live = live
        self._history = history or store  # with what was archived, where there is an archive
        self._snapshots = snapshots
        self._kept: OrderedDict[int, Twin] = OrderedDict()
        self._folding = asyncio.Lock()
        self._relations = Relations({})
        self._relating = asyncio.Lock()

    async def twin(self, moment: common_pb2.Moment) -> Twin:
        """The twin at this moment; folds the history when it is in the past.

        One at a time: each is a whole twin in memory, and who comes meanwhile often wants the same.
        """
        position = await self.position(moment)
        if position is None:
            return await self.now()
        if position == self._live.current.position:
            return self._live.current
        if position not in self._kept:
            async with self._folding:
                if position not in self._kept:
                    self._kept[position] = await twin_at(self._history, position, self._snapshots)
        self._kept.move_to_end(position)
        while len(self._kept) > MAX_KEPT_TWINS:
            self._kept.popitem(last=False)
        return self._kept[position]

    async def now(self) -> Twin:
        """The twin with everything that was on disk when this was asked: who wrote reads it."""
        return await self._live.at_least(await self._store.head())

    async def relations(self, twin: Twin) -> Relations:
        """How the twin's assets hang together; found in a thread, and kept until they change."""
        async with self._relating:
            if self._relations.assets is not twin.assets:
                self._relations = await asyncio.to_thread(Relations, twin.assets)
            return self._relations

    async def position(self, moment: common_pb2.Moment) -> int | None:
        """The position that the moment names; None for now."""
        match moment.WhichOneof("at"):
            case "as_of_revision":
                head = await self._store.head()
                if moment.as_of_revision > head:
                    raise InvalidRequest(
                        "moment.as_of_revision", f"{moment.as_of_revision} is beyond the head, {head}"
                    )
                return int(moment.as_of_revision)
            case "as_of_time":
                return await self._store.position_at(nanoseconds(moment.as_of_time, "moment.as_of_time"))
            case _:
                return None

    async def time(self, moment: common_pb2.Moment) -> int:
        """The time that the moment names, UTC ns; of a position, when the store recorded its event."""
        match moment.WhichOneof("at"):
            case "as_of_revision":
                page = await self._history.read_all(after=max(0, int(moment.as_of_revision) - 1), limit=1)
                return page.events[0].recorded if page.events else 0
            case "as_of_time":
                return nanoseconds(moment.as_of_time, "moment.as_of_time")
            case _:
                return time_ns()


def nanoseconds(moment: Timestamp, field: str) -> int:
    """UTC nanoseconds of a moment in a request; raises InvalidRequest where they leave 64 bits."""
    time = moment.seconds * 1_000_000_000 + moment.nanos
    if abs(time) > MAX_NANOSECONDS:
        raise InvalidRequest(field, f"{moment.seconds} s since 1970 is out of range")
    return time
