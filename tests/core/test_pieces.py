"""States are saved in pieces, to the bytes that one call would give."""

import msgspec
import pytest

from coldaisle.core.pieces import encode_in_pieces
from coldaisle.core.twin import Asset, Twin
from coldaisle.core.twin.model import Reading


def twin_of(assets: int) -> Twin:
    reading = {"inlet_celsius": Reading(22.5, 1, 2), "power_watts": Reading(300.0, 1, 2)}
    names = [f"rack-{n}" for n in range(assets)]
    return Twin(
        7, {name: Asset(name, attributes={"ä": "ö"}) for name in names}, dict.fromkeys(names, reading)
    )


class Part(msgspec.Struct):
    """A struct within a struct, with a map by pairs."""

    places: dict[tuple[str, str], float]


class Whole(msgspec.Struct):
    """Every kind of field that a state has."""

    part: Part
    packed: bytes
    names: tuple[str, ...]
    missing: dict[str, int] | None = None


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize(
    "state",
    [
        *(twin_of(count) for count in (0, 1, 15, 16, 300)),
        Whole(Part({("a", "b"): 1.0, ("a", "c"): 2.0}), b"\0\xff", ("x", "y")),
        Part({("a", str(n)): float(n) for n in range(70_000)}),
    ],
    ids=["empty", "one", "fifteen", "sixteen", "hundreds", "parts", "thousands"],
)
def test_the_bytes_are_those_of_one_call(state: msgspec.Struct, depth: int) -> None:
    assert encode_in_pieces(state, depth) == msgspec.msgpack.encode(state)


def test_the_interpreter_passes_by_at_each_entry(count_steps) -> None:
    """Where other threads, and the event loop, get their turn."""
    assert count_steps(lambda: encode_in_pieces(twin_of(500), 2)) > 1_000
