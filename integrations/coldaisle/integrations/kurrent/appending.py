"""Appends to a cluster: by the first protocol version for one stream, by the second for many."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from coldaisle.core.errors import DuplicateEvent, StoreError, StreamTombstoned, TooLarge, WrongVersion
from coldaisle.core.events.envelope import Recorded
from coldaisle.core.events.ids import id_text
from coldaisle.core.store.port import MAX_PAGE_EVENTS, Append, Appended, Expected
from coldaisle.integrations.kurrent.decode import from_wire, to_wire
from coldaisle.integrations.kurrent.link import Link

if TYPE_CHECKING:
    from kurrentdbclient import AsyncKurrentDBClient, StreamState

    from coldaisle.integrations.kurrent.batches import BatchClient, Landed

MAX_V1_APPEND_BYTES = 900_000
"""A cluster takes 1 MiB in a first-version append unless told otherwise; metadata counts too."""
ENVELOPE_BYTES = 300
"""About what the metadata of one event takes."""
MAX_KNOWN_STREAMS = 10_000
"""Streams whose version is remembered."""

Result = TypeVar("Result")


class Appender:
    """Writes to the cluster and finds out where it went."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._versions: dict[str, int] = {}

    async def append(self, appends: Sequence[Append]) -> list[Appended]:
        """The port's ``append_many``."""
        _check_ids(appends)
        merged = _merged(appends)
        if len(merged) == 1 and _size_bytes(merged[0]) <= MAX_V1_APPEND_BYTES:
            results = [await self._append_one(merged[0])]
        else:
            results = await self._append_session(merged)
        by_stream = {append.stream: result for append, result in zip(merged, results, strict=True)}
        return [by_stream[append.stream] for append in appends]

    async def remove(self, stream: str, expected: int | Expected, *, for_ever: bool) -> None:
        """Delete or tombstone a stream."""
        from kurrentdbclient import exceptions as e

        async def work(client: "AsyncKurrentDBClient") -> None:
            method = client.tombstone_stream if for_ever else client.delete_stream
            await method(stream, current_version=state_of(expected), timeout=self._link.timeout_seconds)

        try:
            await self._link.call(work)
        except e.StreamIsDeletedError as error:
            raise StreamTombstoned(stream) from error
        except e.WrongCurrentVersionError as error:
            raise WrongVersion(stream, _shown(expected), _actual(error)) from error
        except e.NotFoundError as error:
            raise WrongVersion(stream, _shown(expected), -1) from error

    async def _append_one(self, append: Append) -> Appended:
        async def work(client: "BatchClient") -> "Landed":
            return await client.append_batch(
                append.stream, append.events, state_of(append.expected), self._link.timeout_seconds
            )

        landed = await self._refusing([append], work)
        appended = Appended(landed.version, landed.position)
        before = self._versions.get(append.stream)
        if before is None or appended.version != before + len(append.events):
            # perhaps a repetition, for which a cluster may name another place than its first time
            appended = await self._located(append, await self._around(landed.position, 1))
        self._remember(append.stream, appended.version)
        return appended

    def _remember(self, stream: str, version: int) -> None:
        if len(self._versions) >= MAX_KNOWN_STREAMS:
            self._versions.clear()
        self._versions[stream] = max(version, self._versions.get(stream, -1))

    async def _append_session(self, appends: Sequence[Append]) -> list[Appended]:
        from kurrentdbclient import NewEvents

        batches = [
            NewEvents(
                stream_name=append.stream,
                events=[to_wire(event) for event in append.events],
                current_version=state_of(append.expected),
            )
            for append in appends
        ]

        async def work(client: "AsyncKurrentDBClient") -> int:
            return await client.multi_append_to_stream(batches, timeout=self._link.timeout_seconds)

        position = await self._refusing(appends, work)
        around = await self._around(position, sum(len(append.events) for append in appends))
        return [await self._located(append, around) for append in appends]

    async def _refusing(
        self, appends: Sequence[Append], work: Callable[["BatchClient"], Awaitable[Result]]
    ) -> Result:
        """What the cluster answers, or the refusal as one of ours."""
        from kurrentdbclient import exceptions as e

        first = appends[0]
        try:
            return await self._link.call(work)
        except e.WrongCurrentVersionError as error:
            refused = next((a for a in appends if a.stream == error.stream_name), first)
            if refused.expected is Expected.ANY:  # then no version can be wrong: part of it is there
                raise DuplicateEvent(
                    f"some of {len(refused.events)} events for {refused.stream!r} are already stored, others "
                    "not: append them as they were, or none"
                ) from error
            raise WrongVersion(refused.stream, _shown(refused.expected), _actual(error)) from error
        except e.StreamIsDeletedError as error:
            raise StreamTombstoned(first.stream) from error
        except e.StreamTombstonedError as error:
            raise StreamTombstoned(error.stream_name or first.stream) from error
        except _too_large() as error:
            raise TooLarge(f"the cluster takes no append of this size ({error}): split it") from error
        except e.KurrentDBClientError as error:
            hint = (
                "; appends of more than one stream need version 25.1" if "UNIMPLEMENTED" in str(error) else ""
            )
            raise StoreError(f"KurrentDB refused an append: {error}{hint}") from error

    async def _around(self, position: int, count: int) -> dict[bytes, Recorded]:
        """The event at a position and ``count - 1`` before it, by id: one append lies together."""

        async def work(client: "AsyncKurrentDBClient") -> list[Recorded]:
            timeout = self._link.timeout_seconds
            last = await client.read_all(
                commit_position=position, limit=1, filter_exclude=(), timeout=timeout
            )
            events = [from_wire(event) async for event in last]
            if count > 1:
                before = await client.read_all(
                    commit_position=position, backwards=True, limit=count, filter_exclude=(), timeout=timeout
                )
                events += [from_wire(event) async for event in before]
            return events

        return {event.id: event for event in await self._link.call(work)}

    async def _located(self, append: Append, around: dict[bytes, Recorded]) -> Appended:
        """Where the last event of an append is; far back when the append was a repetition."""
        last_id = append.events[-1].id
        if last_id in around:
            return Appended(around[last_id].version, around[last_id].position)
        start: int | None = None
        while events := await self._page_back(append.stream, start):
            for event in events:
                if event.id == last_id:
                    return Appended(event.version, event.position)
            start = events[-1].version - 1
            if start < 0:
                break
        raise StoreError(
            f"event {id_text(last_id)} was appended to {append.stream!r}, but is not found there"
        )

    async def _page_back(self, stream: str, start: int | None) -> list[Recorded]:
        async def work(client: "AsyncKurrentDBClient") -> list[Recorded]:
            found = await client.get_stream(
                stream, stream_position=start, backwards=True, limit=MAX_PAGE_EVENTS,
                timeout=self._link.timeout_seconds,
            )  # fmt: skip
            return [from_wire(event) for event in found]

        return await self._link.call(work)


def state_of(expected: int | Expected) -> "int | StreamState":
    """What an append expects, in the client's words."""
    from kurrentdbclient import StreamState

    match expected:
        case Expected.ANY:
            return StreamState.ANY
        case Expected.NO_STREAM | -1:
            return StreamState.NO_STREAM
        case Expected.EXISTS:
            return StreamState.EXISTS
        case _:
            return expected


def _merged(appends: Sequence[Append]) -> list[Append]:
    """One append a stream, in order: a session takes no stream twice."""
    merged: dict[str, Append] = {}
    for append in appends:
        before = merged.get(append.stream)
        if before is None:
            merged[append.stream] = append
        elif append.expected in (Expected.ANY, Expected.EXISTS):
            events = [*before.events, *append.events]
            merged[append.stream] = Append(append.stream, events, before.expected)
        else:
            raise ValueError(f"{append.stream!r} comes twice, with an expectation in the middle: merge them")
    return list(merged.values())


def _check_ids(appends: Sequence[Append]) -> None:
    ids = [event.id for append in appends for event in append.events]
    if len(set(ids)) < len(ids):
        raise DuplicateEvent(f"an append to {appends[0].stream!r} carries one event id twice")


def _size_bytes(append: Append) -> int:
    return sum(len(event.data) + ENVELOPE_BYTES for event in append.events)


def _shown(expected: int | Expected) -> int | str:
    return expected.value if isinstance(expected, Expected) else expected


def _actual(error: object) -> int:
    actual = getattr(error, "actual_version", -1)
    return actual if isinstance(actual, int) else -1


def _too_large() -> tuple[type[Exception], ...]:
    from kurrentdbclient import exceptions as e

    return (
        e.MaximumAppendSizeExceededError,
        e.RecordMaxSizeExceededError,
        e.TransactionMaxSizeExceededError,
    )
