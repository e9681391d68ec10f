"""Single objects that are asked for beside the first rows of a table, in one GETBULK. Pure.

Its non-repeaters are the objects *before* those that are wanted: what follows them is answered. A device that
takes non-repeaters for columns, or has something else in between, is told by what it answers.
"""

from collections.abc import Iterable

from coldaisle.integrations.snmp.ber import Varbind
from coldaisle.integrations.snmp.channel import Moment, Reply


class Beside:
    """The objects of ``wanted``; ``found`` is what came, ``seen_at`` when the device said it."""

    def __init__(self, wanted: tuple[bytes, ...]) -> None:
        self.wanted = wanted
        self.asked = tuple(map(oid_before, wanted))
        self.found: list[Varbind] = []
        self.seen_at: Moment | None = None

    def take(self, reply: Reply) -> list[Varbind]:
        """Keep the objects of the first reply; returns the rows behind them."""
        self.found = reply.varbinds[: len(self.wanted)]
        self.seen_at = reply.left_at
        return reply.varbinds[len(self.wanted) :]

    @property
    def is_answered(self) -> bool:
        """Whether the wanted objects came, and no others."""
        return tuple(varbind[0] for varbind in self.found) == self.wanted


def can_be_beside(oids: Iterable[bytes]) -> bool:
    """Whether each has an OID that it surely follows: its last sub-identifier takes a single octet."""
    return all(len(oid) > 2 and oid[-2] < 0x80 for oid in oids)


def oid_before(oid: bytes) -> bytes:
    """The OID to ask for what follows; of an object such as ``1.3.6.1.2.1.1.3.0`` that without the last."""
    return oid[:-1] + bytes((oid[-1] - 1,)) if oid[-1] else oid[:-1]
