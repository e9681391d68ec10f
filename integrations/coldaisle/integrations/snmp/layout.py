"""Reads the numbers of a reply whose octets lie where those of an earlier one lay, without parsing it. Pure.

A device answers the same question with the same OIDs in the same order, poll after poll; only numbers
change, and their lengths hardly ever. So the reply is taken as one great number: under a mask that hides the
numbers it must equal the earlier reply, and then every number is found at the place where it was.
"""

import struct
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from operator import and_

from msgspec import Struct

from coldaisle.integrations.snmp.ber import Varbind, read_header
from coldaisle.integrations.snmp.tags import INTEGER, OBJECT_IDENTIFIER, SEQUENCE, UNSIGNED_MASKS

_WORD_OCTETS = 8
_SIGN = 0x80
_ANY = -1
"""The width of INTEGER: as wide as it comes."""

NUMBERS = frozenset({INTEGER, *UNSIGNED_MASKS})
"""The tags of values that are numbers."""


class Layout(Struct, frozen=True, weakref=True):
    """Where everything lies in the varbinds of a reply of ``size`` octets.

    Each number that is wanted is the end of an eight-octet word; ``own`` are the masks of its own octets.
    Those in ``signed`` have a sign: their place, its bit, and the width of their type.
    """

    size: int
    mask: int
    expected: int
    words: struct.Struct
    own: tuple[int, ...]
    signed: tuple[tuple[int, int, int], ...]

    def numbers(self, octets: bytes) -> list[int] | None:
        """The wanted numbers; None when something else differs than the numbers."""
        if len(octets) != self.size or int.from_bytes(octets) & self.mask != self.expected:
            return None
        found = list(map(and_, self.words.unpack(octets), self.own))
        for place, sign, width in self.signed:
            found[place] = (found[place] ^ sign) - sign & width
        return found


def layout_of(
    octets: bytes, varbinds: list[Varbind], wanted: Collection[int], fixed: Collection[int]
) -> Layout | None:
    """The layout of a reply that was decoded; None for one that cannot be read so.

    The values at the places in ``wanted`` are read, those in ``fixed`` must not change, and what the
    others say does not matter.
    """
    spans = list(_value_spans(octets))
    words = [(spans[place][1] - _WORD_OCTETS, spans[place][1]) for place in wanted]
    overlap = any(following[0] < word[1] for word, following in pairwise([(0, 0), *words]))
    if overlap or any(varbinds[place][1] not in NUMBERS for place in wanted):
        return None
    mask = bytearray(b"\xff" * len(octets))
    for place, (start, stop) in enumerate(spans):
        if place not in fixed:
            mask[start:stop] = bytes(stop - start)
    signed = []
    for number, place in enumerate(wanted):
        tag, (start, stop) = varbinds[place][1], spans[place]
        if tag == INTEGER or octets[start] & _SIGN:
            signed.append((number, _own(start, stop) + 1 >> 1, UNSIGNED_MASKS.get(tag, _ANY)))
        else:
            mask[start] = _SIGN  # others begin with it only where a device sends them wrong
    own = tuple(_own(*spans[place]) for place in wanted)
    whole = int.from_bytes(mask)
    expected = int.from_bytes(octets) & whole
    return Layout(len(octets), whole, expected, _words(words, len(octets)), own, tuple(signed))


def _own(start: int, stop: int) -> int:
    return (1 << 8 * min(stop - start, _WORD_OCTETS)) - 1


def _words(words: Iterable[tuple[int, int]], size: int) -> struct.Struct:
    """A format that skips to each word."""
    parts, at = [">"], 0
    for start, stop in words:
        parts.append(f"{start - at}xQ")
        at = stop
    return struct.Struct("".join([*parts, f"{size - at}x"]))


def _value_spans(octets: bytes) -> Iterator[tuple[int, int]]:
    """Where the content of each varbind's value begins and stops, in varbinds known to be well formed."""
    at = 0
    while at < len(octets):
        at, stop = read_header(octets, at, len(octets), SEQUENCE)
        _, at = read_header(octets, at, stop, OBJECT_IDENTIFIER)
        yield read_header(octets, at, stop, octets[at])
        at = stop
