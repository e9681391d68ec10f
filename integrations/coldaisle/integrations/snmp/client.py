"""The asking side: get, set and walk, for any number of devices at once."""

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from coldaisle.integrations.snmp.ber import Value, Varbind
from coldaisle.integrations.snmp.beside import Beside
from coldaisle.integrations.snmp.channel import Counts, Moment, Reply
from coldaisle.integrations.snmp.errands import Requests
from coldaisle.integrations.snmp.errors import ErrorStatus, InvalidValue, MalformedMessage, SnmpTimeout
from coldaisle.integrations.snmp.exchange import Exchanges
from coldaisle.integrations.snmp.message import V1, Request, prepare, prepare_read
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.peers import Duplicate, KnownPeer
from coldaisle.integrations.snmp.tags import ABSENT, COUNTER64, GET, GET_BULK, GET_NEXT, SET
from coldaisle.integrations.snmp.target import Target
from coldaisle.integrations.snmp.version1 import Missing
from coldaisle.integrations.snmp.walk import Column, Trace, Walk

MAX_ROWS_COUNT = 1_000_000
MAX_UNORDERED_ROWS_COUNT = 50_000
"""The row cap of a walk that may go back: nothing else would end its circles."""

MAX_WALK_SECONDS = 300.0
TOO_BIG = 1


class SnmpClient:
    """Asks any number of devices at once; an async context manager.

    ``seed`` rules the jitter of retries, never the request ids, which nobody shall guess. ``known`` is what
    an earlier client learned and exported; without it each device of version 3 is discovered anew.
    """

    def __init__(self, seed: int = 1, known: Iterable[KnownPeer] = ()) -> None:
        self._exchanges = Exchanges(seed, known)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchanges.close()

    @property
    def counts(self) -> Counts:
        """Replies that were of no use: late, malformed, not authentic."""
        return self._exchanges.counts

    def export(self) -> list[KnownPeer]:
        """What was learned about each device and is worth keeping over a restart."""
        return self._exchanges.peers.export()

    def take_duplicates(self, target: Target | None = None) -> list[Duplicate]:
        """Engine ids found at a second address since this was last asked: at a target, or at any."""
        peers = () if target is None else ((target.host, target.port),)
        return self._exchanges.peers.take_duplicates(*peers)

    async def get(
        self, target: Target, oids: Sequence[str], *, deadline_seconds: float | None = None
    ) -> list[Varbind]:
        """The objects, in the order asked; missing ones carry an exception tag. Raises SnmpError."""
        varbinds = await self._read(target, GET, oids, 0, 0, deadline_seconds)
        if len(varbinds) != len(oids):  # nobody knows which is which
            raise MalformedMessage(f"a reply has {len(varbinds)} objects where {len(oids)} were asked for")
        return varbinds

    async def get_next(
        self, target: Target, oids: Sequence[str], *, deadline_seconds: float | None = None
    ) -> list[Varbind]:
        """The object after each OID. Raises SnmpError."""
        return await self._read(target, GET_NEXT, oids, 0, 0, deadline_seconds)

    async def get_bulk(
        self,
        target: Target,
        columns: Sequence[str],
        non_repeaters: int = 0,
        max_repetitions: int | None = None,
        *,
        deadline_seconds: float | None = None,
    ) -> list[Varbind]:
        """One GETBULK: the object after each of the first OIDs, many after each other. Raises SnmpError.

        A device that cannot be asked so (version 1, or by its settings) gets one GETNEXT.
        """
        if not target.can_bulk:
            return await self.get_next(target, columns, deadline_seconds=deadline_seconds)
        repetitions = target.max_repetitions if max_repetitions is None else max_repetitions
        return await self._read(target, GET_BULK, columns, non_repeaters, repetitions, deadline_seconds)

    async def set(
        self,
        target: Target,
        varbinds: Iterable[tuple[str, int, Value]],
        *,
        deadline_seconds: float | None = None,
    ) -> list[Varbind]:
        """Set objects to (OID, tag, value). Raises ErrorStatus when the device refuses, else SnmpError.

        A retry may set twice; after SnmpTimeout nobody knows, so read the objects back.
        """
        rows = [(encode_oid(oid), tag, value) for oid, tag, value in varbinds]
        if target.version == V1 and any(tag == COUNTER64 for _, tag, _ in rows):
            raise InvalidValue(f"{target!r} is asked with version 1, which has no Counter64")
        request = prepare(SET, rows)
        return (await self.ask(target, request, deadline_seconds=deadline_seconds)).varbinds

    async def walk(
        self,
        target: Target,
        root: str,
        *,
        max_rows_count: int = MAX_ROWS_COUNT,
        deadline_seconds: float = MAX_WALK_SECONDS,
    ) -> list[Varbind]:
        """Every object under ``root``, or ``root`` itself when it is an object. Raises SnmpError."""
        rows = await self.walk_table(
            target, [root], max_rows_count=max_rows_count, deadline_seconds=deadline_seconds
        )
        if rows[0]:
            return rows[0]
        leaf = await self.get(target, [root], deadline_seconds=deadline_seconds)
        return [varbind for varbind in leaf if varbind[1] not in ABSENT]

    async def walk_table(
        self,
        target: Target,
        roots: Sequence[str],
        *,
        max_rows_count: int = MAX_ROWS_COUNT,
        deadline_seconds: float = MAX_WALK_SECONDS,
        expected_rows_count: int = 0,
        trace: Trace | None = None,
        beside: Beside | None = None,
    ) -> list[list[Varbind]]:
        """The objects under each root, walked together. Raises SnmpError.

        Where ``expected_rows_count`` is known, no more is asked for; ``trace`` takes what was asked, and the
        objects of ``beside`` are asked for in the first request.
        tooBig, silence and truncation lower the repetitions, down to GETNEXT; what worked is kept for the
        next walk and grows again by one.
        """
        columns = [Column.at(encode_oid(root), may_go_back=target.allow_nonincreasing) for root in roots]
        if target.allow_nonincreasing:
            max_rows_count = min(max_rows_count, MAX_UNORDERED_ROWS_COUNT)
        state = self._exchanges.peers.state((target.host, target.port))
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._exchanges.meet(target)
                walk = Walk(target, state, columns, max_rows_count, expected_rows_count, beside)
                await self._run(target, walk)
        except TimeoutError:
            raise SnmpTimeout(f"{target!r} did not end its walk in {deadline_seconds} s") from None
        state.grow(target.max_repetitions)
        if trace is not None:
            trace += walk.trace
        return [column.rows for column in columns]

    async def ask(self, target: Target, request: Request, *, deadline_seconds: float | None = None) -> Reply:
        """Send a prepared request until it is answered. Raises SnmpError."""
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._ask(target, request, target.retries)
        except TimeoutError:
            raise SnmpTimeout(f"{target!r} did not answer in {deadline_seconds} s") from None

    async def run(self, target: Target, requests: Requests, *, deadline_seconds: float) -> Reply:
        """Requests one after the other; returns the last reply. Raises SnmpError.

        The search for an engine of version 3, and for the address of a name, have bounds of their own.
        """
        return await self._exchanges.run(target, requests, target.retries, deadline_seconds=deadline_seconds)

    async def _read(
        self,
        target: Target,
        pdu: int,
        oids: Sequence[str],
        first: int,
        second: int,
        deadline_seconds: float | None,
    ) -> list[Varbind]:
        request = prepare_read(pdu, map(encode_oid, oids), first, second)
        return (await self.ask(target, request, deadline_seconds=deadline_seconds)).varbinds

    async def _ask(self, target: Target, request: Request, retries: int, *, is_retry: bool = False) -> Reply:
        """One request; version 1 refuses it whole for one missing object, so the rest is asked again."""
        if target.version != V1 or request.pdu not in (GET, GET_NEXT):
            return await self._exchanges.ask(target, request, retries, is_retry=is_retry)
        missing = Missing(request)
        while missing.left:
            try:
                reply = await self._exchanges.ask(target, missing.request, retries, is_retry=is_retry)
            except ErrorStatus as error:
                missing.drop(error)
            else:
                return missing.completed(reply)
        return missing.nothing(Moment.now())

    async def _run(self, target: Target, walk: Walk) -> None:
        """A walk to its end; every further try asks for half as much."""
        silent_count = 0
        while walk.active:
            replies_count = walk.replies_count
            try:
                await self._walk_on(target, walk, is_retry=silent_count > 0)
            except SnmpTimeout:
                silent_count = silent_count + 1 if walk.replies_count == replies_count else 1
                if silent_count > target.retries:
                    raise
                walk.ask_for_less()
            except ErrorStatus as error:
                if error.status != TOO_BIG or not walk.ask_for_less():
                    raise

    async def _walk_on(self, target: Target, walk: Walk, *, is_retry: bool) -> None:
        """As far as it goes without a fault; version 1 needs a look at each reply."""
        if target.version == V1:
            walk.take(await self._ask(target, walk.request, 0, is_retry=is_retry))
        else:
            await self._exchanges.run(target, walk, 0, is_patient=is_retry)
