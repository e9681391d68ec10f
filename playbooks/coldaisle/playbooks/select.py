"""Assets chosen by the twin, and what was left out and why. Pure."""

import re
from collections.abc import Iterable

from msgspec import Struct

from coldaisle.core.twin import Twin
from coldaisle.playbooks.language import Selector, Where


class Selection(Struct, frozen=True):
    """What a selector found: the chosen, and each other candidate with the reason."""

    chosen: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def select(selector: Selector, to: str, twin: Twin) -> Selection:
    """The assets that the selector means, seen from the asset ``to``, in natural order."""
    chosen: list[str] = []
    left_out: list[tuple[str, str]] = []
    alerting = {alert.asset for alert in twin.open_alerts()}
    for asset in sorted(_candidates(selector, to, twin), key=natural_key):
        reason = _reason_against(selector, asset, twin, alerting)
        if reason:
            left_out.append((asset, reason))
        else:
            chosen.append(asset)
    return Selection(tuple(chosen), tuple(left_out))


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts crac-2 before crac-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def readings_of(readings: Iterable[str], metric: str) -> list[str]:
    """The series of a metric: the very name, or the name with any labels."""
    return [name for name in readings if is_series_of(name, metric)]


def is_series_of(name: str, metric: str) -> bool:
    """Whether ``name`` is ``metric``, or ``metric`` with labels."""
    return name == metric or name.startswith(metric + "{")


def _candidates(selector: Selector, to: str, twin: Twin) -> set[str]:
    targets = set(twin.targets(to, selector.related_by))
    if not selector.peers:
        return targets
    return {asset for asset in twin.assets if targets & set(twin.targets(asset, selector.related_by))}


def _reason_against(selector: Selector, asset: str, twin: Twin, alerting: set[str]) -> str:
    """Why a candidate is left out; empty when it is not."""
    known = twin.assets.get(asset)
    if known is None:
        return "not in the twin"
    if selector.kind and known.kind != selector.kind:
        return f"is a {known.kind}, not a {selector.kind}"
    if known.reached is False:
        return "does not answer"
    if selector.skip_alerting and asset in alerting:
        return "has an open alert"
    return _reason_by_reading(selector.where, asset, twin) if selector.where else ""


def _reason_by_reading(where: Where, asset: str, twin: Twin) -> str:
    readings = twin.readings.get(asset, {})
    names = readings_of(readings, where.metric)
    if not names:
        return f"has no reading of {where.metric}"
    for name in names:
        value = readings[name].value
        if where.above is not None and not value > where.above:
            return f"{name} is {value:g}, not above {where.above:g}"
        if where.below is not None and not value < where.below:
            return f"{name} is {value:g}, not below {where.below:g}"
    return ""
