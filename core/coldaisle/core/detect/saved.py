"""The detector's state as bytes, exactly: msgpack, and numpy's numbers as they lie in memory, little-endian.

Own encoding throughout: nothing that is loaded can name code to run. The state of river's running quantile
is what its own (Rust) type gives, numbers only; it fits one river version, and the schema number says which.
"""

from importlib.metadata import version

import msgspec
import numpy as np
from msgspec import Struct

from coldaisle.core.detect.entities import EntityState
from coldaisle.core.detect.machine import MachineState
from coldaisle.core.detect.neighbours import PlantState
from coldaisle.core.detect.novelty import NoveltyState
from coldaisle.core.events.types import DetectorConfigured

REACTION_MEANING = 2
"""Raise it when the detector answers otherwise from the same state."""

RIVER_VERSION = version("river")


class DetectorState(Struct, frozen=True):
    """All that the detector knows. Dicts keep their order: it decides the order of later answers."""

    config: DetectorConfigured
    plant: PlantState
    rates: dict[tuple[str, str], tuple[float, int]]
    series: dict[tuple[str, str], int]
    novelty: dict[str, bytes]
    machines: dict[tuple[str, str, str], MachineState]
    entities: dict[str, EntityState]
    lost: dict[str, str]


encoder = msgspec.msgpack.Encoder()
decoder = msgspec.msgpack.Decoder(DetectorState)


def pack_novelty(state: NoveltyState, series_count: int) -> dict[str, bytes]:
    """Each array's first ``series_count`` columns, row by row."""
    return {
        name: np.ascontiguousarray(
            array[..., :series_count], dtype=array.dtype.newbyteorder("<")
        ).tobytes()
        for name, array in vars(state).items()
    }  # fmt: skip


def unpack_novelty(packed: dict[str, bytes], series_count: int) -> NoveltyState:
    """The inverse; raises ValueError when an array is missing or of another size."""
    state = NoveltyState()
    if packed.keys() != vars(state).keys():
        raise ValueError(f"saved statistics are {sorted(packed)}, expected {sorted(vars(state))}")
    state.reserve(series_count)
    for name, array in vars(state).items():
        flat = np.frombuffer(packed[name], array.dtype.newbyteorder("<"))
        array[..., :series_count] = flat.reshape((*array.shape[:-1], series_count))
    return state
