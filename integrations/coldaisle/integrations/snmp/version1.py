"""What version 1 lacks: exceptions for single objects (RFC 3584 section 4.4). Pure.

One missing object fails the whole request with noSuchName; the object named is dropped and the rest asked
again, so that callers see the exceptions of version 2 in its place.
"""

from coldaisle.integrations.snmp.ber import Varbind
from coldaisle.integrations.snmp.channel import Moment, Reply
from coldaisle.integrations.snmp.errors import ErrorStatus
from coldaisle.integrations.snmp.message import Request, prepare_read
from coldaisle.integrations.snmp.tags import END_OF_MIB_VIEW, GET, NO_SUCH_INSTANCE

NO_SUCH_NAME = 2


class Missing:
    """A GET or GETNEXT that shrinks by each object that the device does not have."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._pdu = request.pdu
        self._asked = request.oids
        self.left = list(range(len(request.oids)))
        self._tag = NO_SUCH_INSTANCE if request.pdu == GET else END_OF_MIB_VIEW

    def drop(self, error: ErrorStatus) -> None:
        """Leave out the object that an error names; raises any other error."""
        if error.status != NO_SUCH_NAME or not 0 < error.index <= len(self.left):
            raise error
        del self.left[error.index - 1]
        self.request = prepare_read(self._pdu, [self._asked[place] for place in self.left])

    def completed(self, reply: Reply) -> Reply:
        """The reply with an exception in the place of each object that was left out."""
        if len(self.left) == len(self._asked):
            return reply
        found = dict(zip(self.left, reply.varbinds, strict=False))
        varbinds = [found.get(place) or self._absent(place) for place in range(len(self._asked))]
        return Reply(varbinds, reply.received_at, reply.round_trip_seconds, reply.tries_count)

    def nothing(self, received_at: Moment) -> Reply:
        """The reply when the device has none of the objects."""
        return Reply([self._absent(place) for place in range(len(self._asked))], received_at, 0.0)

    def _absent(self, place: int) -> Varbind:
        return self._asked[place], self._tag, None
