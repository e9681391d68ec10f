"""The pure half of a walk: what a reply adds to a column, whether it goes on, and what is asked next."""

from dataclasses import dataclass, field
from operator import lt

from coldaisle.integrations.snmp.ber import Varbind, read_varbinds
from coldaisle.integrations.snmp.beside import Beside
from coldaisle.integrations.snmp.channel import Reply
from coldaisle.integrations.snmp.errors import NonIncreasingOid, TooManyRows
from coldaisle.integrations.snmp.message import Request, prepare_read
from coldaisle.integrations.snmp.oid import CONTINUES, follows, oid_text
from coldaisle.integrations.snmp.peers import PeerState
from coldaisle.integrations.snmp.tags import ABSENT, GET_BULK, GET_NEXT, NULL
from coldaisle.integrations.snmp.target import Target

_ENDS = ABSENT - {NULL}

MAX_MEAN_ROW_BYTES = 256
MIN_WALK_BYTES = 4_194_304
"""A walk may bring this much in any case, and MAX_MEAN_ROW_BYTES for each row that it may have: a row of
text can fill a datagram, and many of those the memory."""

Trace = list[tuple[Request, list[Varbind]]]
"""Requests, each with what was answered, in the order asked."""


@dataclass(slots=True)
class Column:
    """A subtree being walked: its root, the last OID seen, and its rows so far."""

    root: bytes
    last: bytes
    rows: list[Varbind] = field(default_factory=list)
    ended: bool = False
    may_go_back: bool = False

    @classmethod
    def at(cls, root: bytes, *, may_go_back: bool = False) -> "Column":
        """A column whose walk has not begun; with ``may_go_back`` only the caller's row cap ends a circle."""
        return cls(root, root, may_go_back=may_go_back)


class Walk:
    """Columns walked together; ``request`` asks for what follows, as much as the device takes.

    The first one asks for the objects of ``beside`` as well.

    Raises TooManyRows, NonIncreasingOid, MalformedMessage as replies come.
    """

    def __init__(
        self,
        target: Target,
        state: PeerState,
        columns: list[Column],
        max_rows_count: int,
        expected_rows_count: int = 0,
        beside: Beside | None = None,
    ) -> None:
        self.replies_count = 0
        self._beside = beside
        self.read = read_varbinds
        self.trace: Trace = []
        self._expected_rows_count = expected_rows_count
        self.active = columns
        self._columns = columns
        self._target = target
        self._state = state
        self._max_rows_count = max_rows_count
        self._left_bytes = max(MIN_WALK_BYTES, max_rows_count * MAX_MEAN_ROW_BYTES)

    @property
    def repetitions(self) -> int:
        """Rows asked for at once; 1 means GETNEXT.

        Where rows are expected, no more than these and the one that shows that they are all.
        """
        most = self._state.repetitions_for(self._target)
        left = self._expected_rows_count - min(len(column.rows) for column in self.active)
        return min(most, left + 1) if left > 0 else most

    @property
    def request(self) -> Request:
        """What to ask now."""
        self._request = self._next_request()
        return self._request

    def _next_request(self) -> Request:
        singles = self._beside.asked if self._beside is not None and not self.replies_count else ()
        oids = [*singles, *(column.last for column in self.active)]
        repetitions = self.repetitions
        if repetitions > 1:
            return prepare_read(GET_BULK, oids, len(singles), repetitions)
        return prepare_read(GET_NEXT, oids)

    def take(self, reply: Reply) -> bool:
        """Whether the walk goes on after this reply."""
        columns, repetitions = self.active, self.repetitions
        self.trace.append((self._request, reply.varbinds))
        is_first = not self.replies_count
        varbinds = self._beside.take(reply) if self._beside is not None and is_first else reply.varbinds
        take_reply(columns, varbinds)
        self.replies_count += 1
        if sum([len(column.rows) for column in self._columns]) > self._max_rows_count:
            raise TooManyRows(f"{self._target!r} has more than {self._max_rows_count} rows")
        self._left_bytes -= sum([
            len(oid) + (len(value) if isinstance(value, bytes) else 0) for oid, _, value in reply.varbinds
        ])  # fmt: skip
        if self._left_bytes < 0:
            raise TooManyRows(f"{self._target!r} has rows of more than {MAX_MEAN_ROW_BYTES} bytes on average")
        self.active = [column for column in columns if not column.ended]
        if len(varbinds) < repetitions * len(columns) and len(self.active) == len(columns):
            self._state.cut(repetitions, len(varbinds) // len(columns))  # there was room for more
        return bool(self.active)

    def ask_for_less(self) -> bool:
        """After tooBig or silence: whether half as much can be asked for."""
        repetitions = self.repetitions
        self._state.repetitions = max(1, repetitions // 2)
        return repetitions > 1


def take_reply(columns: list[Column], varbinds: list[Varbind]) -> None:
    """Give each column its share of a reply to a GETBULK or GETNEXT of all of them.

    The last repetition may be incomplete. An empty reply ends every column, since asking again would
    bring the same. Raises NonIncreasingOid, MalformedMessage.
    """
    width = len(columns)
    for place, column in enumerate(columns):
        share = varbinds[place::width] if width > 1 else varbinds
        take(column, share)
        if not varbinds:
            column.ended = True


def take(column: Column, varbinds: list[Varbind]) -> None:
    """Append the varbinds that lie in the column; ends it at the first that does not."""
    if _all_fit(column, varbinds):
        column.rows += varbinds
        column.last = varbinds[-1][0]
    else:
        _take_singly(column, varbinds)


def _all_fit(column: Column, varbinds: list[Varbind]) -> bool:
    """Whether all certainly belong to the column, in order: the usual case, told without a loop.

    OIDs of one length whose sub-identifiers lie at the same places order as their octets.
    """
    oids = [varbind[0] for varbind in varbinds]
    if not oids or not oids[0].startswith(column.root) or not oids[-1].startswith(column.root):
        return False
    if len(set(map(len, oids))) > 1 or not _ENDS.isdisjoint([varbind[1] for varbind in varbinds]):
        return False
    shape = b"".join(oids).translate(CONTINUES)
    if shape != shape[: len(oids[0])] * len(oids):
        return False
    return follows(column.last, oids[0]) and all(map(lt, oids, oids[1:]))


def _take_singly(column: Column, varbinds: list[Varbind]) -> None:
    root, last, append = column.root, column.last, column.rows.append
    for varbind in varbinds:
        oid = varbind[0]
        if varbind[1] in _ENDS or not oid.startswith(root):
            column.ended = True
            break
        if not follows(last, oid):
            if not column.may_go_back:
                raise NonIncreasingOid(oid_text(last), oid_text(oid))
            if oid == last:
                column.ended = True  # the device does not move at all
                break
        append(varbind)
        last = oid
    column.last = last
