"""The asking side: get, set and walk, for any number of devices at once."""

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from coldaisle.integrations.snmp.ber import Value, Varbind
from coldaisle.integrations.snmp.errors import ErrorStatus, SnmpTimeout, TooManyRows
from coldaisle.integrations.snmp.exchange import Exchanges, Peer, Reply, Target
from coldaisle.integrations.snmp.message import Request, prepare, prepare_read
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.tags import ABSENT, GET, GET_BULK, GET_NEXT, SET
from coldaisle.integrations.snmp.walk import Column, take_reply

MAX_ROWS_COUNT = 1_000_000
MAX_WALK_SECONDS = 300.0
TOO_BIG = 1


class SnmpClient:
    """Asks any number of devices at once; an async context manager.

    ``seed`` rules the jitter of retries, never the request ids, which nobody shall guess.
    """

    def __init__(self, seed: int = 1) -> None:
        self._exchanges = Exchanges(seed)
        self._repetitions: dict[Peer, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchanges.close()

    @property
    def late_replies_count(self) -> int:
        """Replies that came after their request was given up."""
        return self._exchanges.late_replies_count

    @property
    def malformed_replies_count(self) -> int:
        """Datagrams of known peers that could not be decoded."""
        return self._exchanges.malformed_replies_count

    async def get(
        self, target: Target, oids: Sequence[str], *, deadline_seconds: float | None = None
    ) -> list[Varbind]:
        """The objects, in the order asked; missing ones carry an exception tag. Raises SnmpError."""
        return await self._read(target, GET, oids, 0, 0, deadline_seconds)

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
        """One GETBULK: the object after each of the first OIDs, many after each other. Raises SnmpError."""
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
        rows = ((encode_oid(oid), tag, value) for oid, tag, value in varbinds)
        request = prepare(target.community.encode(), SET, rows)
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
    ) -> list[list[Varbind]]:
        """The objects under each root, walked together. Raises SnmpError.

        tooBig and silence halve the repetitions, down to GETNEXT; what worked is kept for the next walk
        and grows again by one.
        """
        columns = [Column.at(encode_oid(root)) for root in roots]
        peer = (target.host, target.port)
        try:
            async with asyncio.timeout(deadline_seconds):
                while active := [column for column in columns if not column.ended]:
                    take_reply(active, await self._next_rows(target, active))
                    if sum(len(column.rows) for column in columns) > max_rows_count:
                        raise TooManyRows(f"{target!r} has more than {max_rows_count} rows")
        except TimeoutError:
            raise SnmpTimeout(f"{target!r} did not end its walk in {deadline_seconds} s") from None
        self._grow(peer, target.max_repetitions)
        return [column.rows for column in columns]

    async def ask(self, target: Target, request: Request, *, deadline_seconds: float | None = None) -> Reply:
        """Send a prepared request until it is answered. Raises SnmpError."""
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._exchanges.ask(target, request, target.retries)
        except TimeoutError:
            raise SnmpTimeout(f"{target!r} did not answer in {deadline_seconds} s") from None

    async def _read(
        self,
        target: Target,
        pdu: int,
        oids: Sequence[str],
        first: int,
        second: int,
        deadline_seconds: float | None,
    ) -> list[Varbind]:
        request = prepare_read(target.community.encode(), pdu, map(encode_oid, oids), first, second)
        return (await self.ask(target, request, deadline_seconds=deadline_seconds)).varbinds

    async def _next_rows(self, target: Target, columns: list[Column]) -> list[Varbind]:
        """The next reply of a walk; every further try asks for half as much."""
        peer = (target.host, target.port)
        silent_count = 0
        while True:
            repetitions = min(self._repetitions.get(peer, target.max_repetitions), target.max_repetitions)
            pdu = GET_BULK if repetitions > 1 else GET_NEXT
            oids = [column.last for column in columns]
            second = repetitions if pdu == GET_BULK else 0
            request = prepare_read(target.community.encode(), pdu, oids, 0, second)
            try:
                return (await self._exchanges.ask(target, request, 0)).varbinds
            except SnmpTimeout:
                silent_count += 1
                if silent_count > target.retries:
                    raise
            except ErrorStatus as error:
                if error.status != TOO_BIG or repetitions <= 1:
                    raise
            self._repetitions[peer] = max(1, repetitions // 2)

    def _grow(self, peer: Peer, ceiling: int) -> None:
        repetitions = self._repetitions.get(peer)
        if repetitions is None:
            return
        if repetitions + 1 < ceiling:
            self._repetitions[peer] = repetitions + 1
        else:
            del self._repetitions[peer]
