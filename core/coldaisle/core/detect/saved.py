"""The detector's state as bytes, exactly: msgpack, and numpy's numbers as they lie in memory, little-endian.

Own encoding throughout: nothing that is loaded can name code to run. The state of river's running quantile
is what its own (Rust) type gives, numbers only; it fits one river version, and the schema number says which.
"""

from importlib.metadata import version

import msgspec
import numpy as np
from msgspec import Struct

from coldaisle.core.detect.alerts import AlertsState
from coldaisle.core.detect.entities import EntityState
from coldaisle.core.detect.freshness import FreshnessState
from coldaisle.core.detect.habits import HabitsState
from coldaisle.core.detect.learning import LearningState
from coldaisle.core.detect.neighbours import PlantState
from coldaisle.core.detect.novelty import NoveltyState
from coldaisle.core.detect.overlays import OverlayState
from coldaisle.core.detect.peers import Standing
from coldaisle.core.detect.records import RECORD_BYTES, Records
from coldaisle.core.events.types import DetectorConfigured

REACTION_MEANING = 8
"""Raise it when the detector answers otherwise from the same state."""

RIVER_VERSION = version("river")


class DetectorState(Struct, frozen=True):
    """All that the detector knows. Dicts keep their order: it decides the order of later answers."""

    config: DetectorConfigured
    plant: PlantState
    rates: dict[tuple[str, str], tuple[float, int]]
    series: dict[tuple[str, str], int]
    novelty: bytes
    alerts: AlertsState
    entities: dict[str, EntityState]
    lost: dict[str, str]
    overlays: OverlayState
    freshness: FreshnessState
    learning: LearningState
    peers: dict[str, dict[str, Standing]]
    changes: dict[tuple[str, str, str], list[tuple[int, float]]]
    habits: HabitsState


DEPTH = 3
"""The state, its parts, and their maps."""

decoder = msgspec.msgpack.Decoder(DetectorState)


def pack_novelty(state: NoveltyState, series_count: int) -> bytes:
    """The records of the first ``series_count`` series, as they lie in memory on little-endian machines."""
    return state.records.words(slice(0, series_count)).tobytes()


def unpack_novelty(packed: bytes, series_count: int) -> NoveltyState:
    """The inverse; raises ValueError when records are missing."""
    if len(packed) != series_count * RECORD_BYTES:
        raise ValueError(f"a state of {series_count} series has {series_count * RECORD_BYTES} bytes, "
                         f"not {len(packed)}")  # fmt: skip
    state = NoveltyState()
    state.reserve(series_count)
    state.records.octets[:, :series_count] = Records.of_words(np.frombuffer(packed, np.float32)).octets
    return state
