"""The values that pass between the runner of a playbook and whoever carries an action out."""

from typing import Literal

from msgspec import Struct

from coldaisle.core.events.types import Argument

Verb = Literal["perform", "probe", "undo"]
"""``probe`` asks whether an earlier ``perform`` of the same arguments took effect, and changes nothing."""

Outcome = Literal["done", "not_done", "unknown"]


class ActionRequest(Struct, frozen=True):
    """One action on one asset. ``id`` is the same for every attempt at the same step of the same run."""

    id: str
    verb: Verb
    action: str
    asset: str
    arguments: dict[str, Argument]
    timeout_seconds: float = 30.0


class ActionResult(Struct, frozen=True):
    """What became of it.

    ``done``: it holds, ``observed`` was read back. ``not_done``: it certainly does not hold, ``reason``
    says why. ``unknown``: nobody can tell. ``undo`` holds the arguments that reverse it, None without.
    """

    outcome: Outcome
    reason: str = ""
    observed: dict[str, Argument] = {}
    undo: dict[str, Argument] | None = None
