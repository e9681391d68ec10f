"""The twin: the state that the history adds up to, and the fold that builds it."""

from coldaisle.core.twin.fold import fold
from coldaisle.core.twin.model import ENDED_RUN_STATES, Alert, Asset, Link, Reading, Run, Step, Twin
from coldaisle.core.twin.state_hash import state_hash

__all__ = [
    "ENDED_RUN_STATES",
    "Alert",
    "Asset",
    "Link",
    "Reading",
    "Run",
    "Step",
    "Twin",
    "fold",
    "state_hash",
]
