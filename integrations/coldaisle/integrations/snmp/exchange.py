"""Requests and their replies, of any version, over one UDP socket per address family.

A device may have a socket of its own. Version 3 finds a device's engine and follows its clock here: what a
report can mend (an unknown engine, a lost clock) is mended and asked again, a bounded number of times.
"""

import asyncio
import random
import secrets
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from typing import cast

from coldaisle.integrations.snmp.channel import Channel, Counts, Endpoint, Reply, Waits
from coldaisle.integrations.snmp.errands import (
    Asking,
    CommunityErrand,
    Discovering,
    Once,
    Requests,
    SecureErrand,
)
from coldaisle.integrations.snmp.errors import (
    AddressUnusable,
    InvalidValue,
    NotAuthentic,
    SecurityReport,
    SnmpTimeout,
    SocketUnavailable,
    TooManySockets,
)
from coldaisle.integrations.snmp.message import FIRST_REQUEST_ID, LAST_REQUEST_ID, V3, Request
from coldaisle.integrations.snmp.peers import KnownPeer, Peer, Peers, PeerState
from coldaisle.integrations.snmp.sockets import Datagrams
from coldaisle.integrations.snmp.tags import SET
from coldaisle.integrations.snmp.target import Target
from coldaisle.integrations.snmp.usm.asking import Discovery
from coldaisle.integrations.snmp.usm.engine import RemoteEngine
from coldaisle.integrations.snmp.usm.reports import NOT_IN_TIME, UNKNOWN_ENGINE
from coldaisle.integrations.snmp.usm.user import User, keys_of

MAX_CACHED_ADDRESSES = 10_000
MAX_RESOLVING_THREADS = 4
"""Of our own: a resolver that hangs would take all those by which others write to disk."""

MAX_OWN_SOCKETS = 512
MAX_RECOVERIES = 2
"""How often one request mends engine or clock: an engine replaced while its clock was wrong needs both."""

JITTER_SHARE = 0.25
"""How much longer a later try may wait at random, as a share of the timeout."""

_AddressInfo = tuple[int, int, int, str, tuple[str | int | bytes, ...]]


class Exchanges:
    """All requests under way. ``seed`` rules the jitter, never the ids, which nobody shall guess."""

    def __init__(self, seed: int, known: Iterable[KnownPeer] = ()) -> None:
        self.counts = Counts()
        self.peers = Peers(known)
        self._jitter = random.Random(seed)
        self._last_id = FIRST_REQUEST_ID + secrets.randbelow(LAST_REQUEST_ID - FIRST_REQUEST_ID)
        self._channels: dict[int | tuple[int, Peer], Channel] = {}
        """By address family; those of a device of its own by its address, too."""
        self._endpoints: dict[Peer, tuple[int, Endpoint]] = {}
        self._silent: set[Peer] = set()
        """Those of the endpoints that did not answer last: a name may mean another address by now."""
        self._resolver = ThreadPoolExecutor(MAX_RESOLVING_THREADS, "snmp-names")

    async def close(self) -> None:
        """Close the sockets; what is under way times out."""
        self._resolver.shutdown(wait=False, cancel_futures=True)
        for channel in self._channels.values():
            channel.transport.close()
        self._channels.clear()
        await asyncio.sleep(0)  # the loop closes the sockets in its next turn

    async def ask(self, target: Target, request: Request, retries: int, *, is_retry: bool = False) -> Reply:
        """One request and its reply. Raises SnmpError.

        The first try waits as long as the device usually takes; a SET, which a second try might carry out
        twice, and a request that is itself a retry wait the whole timeout.
        """
        return await self.run(target, Once(request), retries, is_patient=request.pdu == SET or is_retry)

    async def run(
        self,
        target: Target,
        requests: Requests,
        retries: int,
        *,
        is_patient: bool = False,
        deadline_seconds: float = inf,
    ) -> Reply:
        """Requests one after the other; returns the last reply. Raises SnmpError.

        The deadline does not count the search for an engine.
        """
        asking = await self._asking(target)
        waits = self._waits(asking, retries, is_patient, deadline_seconds)
        try:
            if target.version == V3:
                reply = await self._run_secure(asking, requests, waits)
            else:
                reply = await asking.channel.run(CommunityErrand(requests, asking), asking.endpoint, waits)
        except (SnmpTimeout, asyncio.CancelledError):  # a deadline cancels
            self._silent.add((target.host, target.port))
            raise
        self._silent.discard((target.host, target.port))
        return reply

    async def meet(self, target: Target) -> None:
        """Find the engine of a device of version 3 before it is asked. Raises SnmpError."""
        if target.version == V3 and self.peers.state((target.host, target.port)).engine is None:
            await self._discover(await self._asking(target))

    async def _asking(self, target: Target) -> Asking:
        peer = (target.host, target.port)
        known = self._endpoints.get(peer)
        family, endpoint = await self._resolve(target) if known is None or peer in self._silent else known
        key = (family, peer) if target.has_own_socket or target.answers_from_elsewhere else family
        channel = self._channels.get(key) or self._open(key, family, target.answers_from_elsewhere)
        return Asking(channel, endpoint, target, self.peers.state(peer))

    async def _run_secure(self, asking: Asking, requests: Requests, waits: Waits) -> Reply:
        user = _user(asking.target)
        for is_last in [False] * MAX_RECOVERIES + [True]:
            engine = asking.state.engine or await self._discover(asking)
            errand = SecureErrand(requests, asking, keys_of(user, engine.id), engine)
            try:
                return await asking.channel.run(errand, asking.endpoint, waits)
            except SecurityReport as report:
                if is_last or report.name not in (NOT_IN_TIME, UNKNOWN_ENGINE):
                    raise SecurityReport(report.name, repr(asking.target)) from report
                self._mend(asking.state, engine, report)
        raise AssertionError("the last try returns or raises")

    def _mend(self, state: PeerState, engine: RemoteEngine, report: SecurityReport) -> None:
        """A report on the time has set the clock; all else needs a discovery."""
        if not report.is_mended and state.engine is engine:
            state.engine = None

    async def _discover(self, asking: Asking) -> RemoteEngine:
        """The engine of a device, asked for once however many requests wait for it."""
        async with asking.state.discovering:
            if asking.state.engine is not None:
                return asking.state.engine
            discovery = Discovery()
            waits = self._waits(asking, asking.target.retries, True)
            await asking.channel.run(Discovering(discovery), asking.endpoint, waits)
            if discovery.engine is None:
                raise NotAuthentic(f"{asking.target!r} told no engine id")
            self.peers.learn_engine((asking.target.host, asking.target.port), discovery.engine)
            return discovery.engine

    def _waits(self, asking: Asking, retries: int, is_patient: bool, deadline_seconds: float = inf) -> Waits:
        timeout = asking.target.timeout_seconds
        first = timeout if is_patient else asking.state.first_wait_seconds(timeout)
        later = [timeout * (1 + JITTER_SHARE * self._jitter.random()) for _ in range(retries)]
        return Waits((first, *later), asking.target, deadline_seconds)

    def _take_id(self) -> int:
        self._last_id = self._last_id + 1 if self._last_id < LAST_REQUEST_ID else FIRST_REQUEST_ID
        return self._last_id

    def _open(self, key: int | tuple[int, Peer], family: int, anywhere: bool) -> Channel:
        if len(self._channels) >= MAX_OWN_SOCKETS:
            self._close_idle()
        channel = Channel(self.counts, self._take_id, anywhere)
        try:
            channel.connection_made(Datagrams(channel, family))
        except OSError as error:
            raise SocketUnavailable(f"the system gives no socket: {error.strerror}") from error
        self._channels[key] = channel
        return channel

    def _close_idle(self) -> None:
        """Close the oldest socket of a device that is not asked now: it may be one that is asked no more."""
        own = (key for key, channel in self._channels.items() if isinstance(key, tuple) and channel.is_idle)
        idle = next(own, None)
        if idle is None:
            raise TooManySockets(f"more than {MAX_OWN_SOCKETS} devices want a socket of their own at once")
        self._channels.pop(idle).transport.close()

    async def _resolve(self, target: Target) -> tuple[int, Endpoint]:
        """Where a target is by now; where it was, while its name does not resolve."""
        peer = (target.host, target.port)
        known = self._endpoints.get(peer)
        try:
            resolved = await self._look_up(target)
        except AddressUnusable:
            if known is None:
                raise
            return known
        if known is None and len(self._endpoints) >= MAX_CACHED_ADDRESSES:
            self._endpoints.clear()
            self._silent.clear()
        self._endpoints[peer] = resolved
        return resolved

    async def _look_up(self, target: Target) -> tuple[int, Endpoint]:
        try:
            found = _numeric(target) or await self._resolved(target)
        except (OSError, TimeoutError, UnicodeError) as error:  # the last: a label that is empty or too long
            raise AddressUnusable(f"{target.host!r} does not resolve to an address: {error}") from error
        # an IPv4 or IPv6 entry has a text host and a port, unlike the socket types that the hint excludes
        return int(found[0][0]), cast(Endpoint, found[0][4])

    async def _resolved(self, target: Target) -> Sequence[_AddressInfo]:
        look = partial(socket.getaddrinfo, target.host, target.port, type=socket.SOCK_DGRAM)
        async with asyncio.timeout(target.timeout_seconds * (target.retries + 1)):
            return await asyncio.get_running_loop().run_in_executor(self._resolver, look)


def _user(target: Target) -> User:
    if target.user is None:
        raise InvalidValue(f"{target!r} is asked with version 3 and needs a user")
    return target.user


def _numeric(target: Target) -> Sequence[_AddressInfo]:
    """An address that needs no resolver, and so no thread; empty for a name."""
    try:
        return socket.getaddrinfo(
            target.host, target.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
    except socket.gaierror:
        return []
