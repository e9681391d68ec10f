"""Requests on their way to one device: how each version turns them into questions."""

from typing import Protocol

from msgspec import Struct

from coldaisle.integrations.snmp.ber import Varbind, read_varbinds
from coldaisle.integrations.snmp.channel import Channel, Endpoint, Reply
from coldaisle.integrations.snmp.message import Request
from coldaisle.integrations.snmp.peers import PeerState
from coldaisle.integrations.snmp.question import CommunityQuestion, Question
from coldaisle.integrations.snmp.target import Target
from coldaisle.integrations.snmp.usm.asking import Discovery, SecureQuestion
from coldaisle.integrations.snmp.usm.engine import RemoteEngine
from coldaisle.integrations.snmp.usm.user import Keys


class Requests(Protocol):
    """What is asked of a device, one request after the other."""

    @property
    def request(self) -> Request:
        """The one to ask now."""

    def read(self, octets: bytes, start: int, stop: int) -> list[Varbind]:
        """The varbinds of its reply, or of none but those that it wants to hand on."""

    def take(self, reply: Reply) -> bool:
        """Whether another follows this reply. May raise SnmpError, which ends it all."""


class Once:
    """A single request."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.read = read_varbinds

    def take(self, reply: Reply) -> bool:
        """Nothing follows."""
        return False


class Asking(Struct, frozen=True):
    """Where requests go, and what is known about there."""

    channel: Channel
    endpoint: Endpoint
    target: Target
    state: PeerState


class CommunityErrand:
    """Requests in version 1 or 2c."""

    def __init__(self, requests: Requests, asking: Asking) -> None:
        self._requests = requests
        self._asking = asking

    def question(self) -> Question:
        """What to ask now."""
        target = self._asking.target
        requests = self._requests
        return CommunityQuestion(target.version, target.community, requests.request, requests.read)

    def take(self, reply: Reply) -> bool:
        """Learn the round trip, and go on while requests follow."""
        if reply.tries_count == 1:
            self._asking.state.note_round_trip(reply.round_trip_seconds)
        else:
            self._asking.state.doubt_round_trip()
        return self._requests.take(reply)


class SecureErrand(CommunityErrand):
    """Requests in version 3, of one user to one engine."""

    def __init__(self, requests: Requests, asking: Asking, keys: Keys, engine: RemoteEngine) -> None:
        super().__init__(requests, asking)
        self._keys = keys
        self._engine = engine

    def question(self) -> Question:
        """What to ask now."""
        requests, context = self._requests, self._asking.target.context
        return SecureQuestion(self._keys, self._engine, context, requests.request, requests.read)


class Discovering:
    """The search for an engine."""

    def __init__(self, discovery: Discovery) -> None:
        self._discovery = discovery

    def question(self) -> Question:
        """Who are you?"""
        return self._discovery

    def take(self, reply: Reply) -> bool:
        """Nothing follows."""
        return False
