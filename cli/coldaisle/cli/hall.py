"""The hall at one moment: racks by row with inlet temperatures, cooling units, hosts, alerts, runs.

Pure but for ``read_hall``. ``replay`` and ``demo`` both draw this picture.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from coldaisle.cli.client import Client
from coldaisle.cli.columns import location
from coldaisle.cli.paging import read_all
from coldaisle.cli.words import short
from coldaisle.v1.alerts_pb2 import Alert, ListAlertsRequest
from coldaisle.v1.assets_pb2 import Asset, ListAssetsRequest
from coldaisle.v1.common_pb2 import Moment
from coldaisle.v1.playbooks_pb2 import ListRunsRequest, Run

INLET_METRIC = "inlet_temperature_celsius"
MAX_ASSETS = 50_000
MAX_ALERTS = 10_000
MAX_RUNS = 100

RAMP = (
    (15.0, "#2C4A9A"),
    (18.0, "#5B8FC9"),
    (22.5, "#E9E5D6"),
    (27.0, "#F2B25C"),
    (32.0, "#D55E00"),
    (35.0, "#7A1F0B"),
)
"""Colour of an inlet temperature, °C; fixed, never scaled to what is there."""

_BANDS = ((15.0, "v"), (18.0, "-"), (27.0000001, " "), (32.0000001, "^"))
TOO_HOT = "!"
LEGEND = "°C at the inlet:  v <15   - 15..18   18..27 recommended   ^ 27..32   ! >32"


@dataclass(frozen=True, slots=True)
class RackSpot:
    """A rack in its row; None where its inlet is not known."""

    name: str
    row: str
    inlet_celsius: float | None


@dataclass(frozen=True, slots=True)
class Cooling:
    """A cooling unit; None where a value is not known."""

    name: str
    reached: bool
    supply_celsius: float | None
    setpoint_celsius: float | None
    cooling_percent: float | None


@dataclass(frozen=True, slots=True)
class HostLoad:
    """A machine that an agent looks at from inside."""

    name: str
    cpu_percent: float | None
    memory_percent: float | None
    celsius: float | None


@dataclass(frozen=True, slots=True)
class Hall:
    """The picture, true at ``position``; ``left_out`` says what a bound kept out of it."""

    position: int
    racks: tuple[RackSpot, ...]
    cooling: tuple[Cooling, ...]
    hosts: tuple[HostLoad, ...]
    alerts: tuple[Alert, ...]
    runs: tuple[Run, ...]
    left_out: tuple[str, ...] = ()

    def rows(self) -> dict[str, list[RackSpot]]:
        """Racks by row, both in the order of their names."""
        found: dict[str, list[RackSpot]] = {}
        for rack in sorted(self.racks, key=lambda each: (each.row, each.name)):
            found.setdefault(rack.row, []).append(rack)
        return found

    def waiting(self) -> list[Run]:
        """Runs that wait for approval."""
        return [run for run in self.runs if run.state == Run.STATE_PROPOSED]


def read_hall(client: Client, moment: Moment) -> Hall:
    """Ask for everything in the picture, as of one moment."""
    assets = read_all(
        client, client.assets.ListAssets, ListAssetsRequest(moment=moment), "assets", MAX_ASSETS
    )
    at = Moment(as_of_revision=assets.revision) if assets.revision else moment
    alerts = read_all(
        client, client.alerts.ListAlerts,
        ListAlertsRequest(moment=at, filter="state=open"), "alerts", MAX_ALERTS,
    )  # fmt: skip
    runs = read_all(client, client.playbooks.ListRuns, ListRunsRequest(moment=at), "runs", MAX_RUNS)
    hall = picture(assets.revision, assets.assets, alerts.alerts, runs.runs)
    counts = {
        "assets": (len(assets.assets), assets.total_size),
        "open alerts": (len(alerts.alerts), alerts.total_size),
        "runs": (len(runs.runs), runs.total_size),
    }
    return replace(hall, left_out=_left_out(counts))


def _left_out(counts: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    """A line for each kind of which there is more than is shown."""
    return tuple(
        f"only {shown} of {total} {kind} are shown"
        for kind, (shown, total) in counts.items()
        if shown < total
    )


def picture(position: int, assets: Iterable[Asset], alerts: Iterable[Alert], runs: Iterable[Run]) -> Hall:
    """The hall that these resources show."""
    known = sorted(assets, key=lambda each: _natural(each.name))
    return Hall(
        position,
        tuple(_rack(each) for each in known if each.kind == "rack"),
        tuple(_cooling(each) for each in known if each.kind in ("crac", "crah")),
        tuple(_host(each) for each in known if each.kind == "host"),
        tuple(alerts),
        tuple(runs),
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """``crac-2`` before ``crac-10``."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _rack(asset: Asset) -> RackSpot:
    return RackSpot(short(asset.name), location(asset), _hottest(asset, (INLET_METRIC,)))


def _cooling(asset: Asset) -> Cooling:
    return Cooling(
        short(asset.name),
        asset.reachability != Asset.REACHABILITY_LOST,
        _reading(asset, "supply", "celsius"),
        _reading(asset, "setpoint", "celsius"),
        _percent(asset, ("cooling",)),
    )


def _host(asset: Asset) -> HostLoad:
    return HostLoad(
        short(asset.name),
        _percent(asset, ("cpu_utilization",)),
        _percent(asset, ("memory_used",)),
        _hottest(asset, ("temperature_celsius",)),
    )


def bare(metric: str) -> str:
    """The metric without its labels."""
    return metric.partition("{")[0]


def _hottest(asset: Asset, metrics: Sequence[str]) -> float | None:
    return max((each.value for each in asset.readings if bare(each.metric) in metrics), default=None)


def _reading(asset: Asset, *parts: str) -> float | None:
    """The first reading whose name holds all parts: vendors' profiles name them a little differently."""
    for each in asset.readings:
        name = bare(each.metric)
        if all(part in name for part in parts) and ("setpoint" in parts or "setpoint" not in name):
            return each.value
    return None


def _percent(asset: Asset, parts: tuple[str, ...]) -> float | None:
    ratio = _reading(asset, *parts, "ratio")
    return ratio * 100.0 if ratio is not None else _reading(asset, *parts, "percent")


def symbol(celsius: float | None) -> str:
    """The band of an inlet temperature as a character: colour is never the only sign."""
    if celsius is None:
        return "?"
    return next((mark for below, mark in _BANDS if celsius < below), TOO_HOT)


def ramp_colour(celsius: float) -> str:
    """The colour of an inlet temperature, between the two nearest stops."""
    if celsius <= RAMP[0][0]:
        return RAMP[0][1]
    for (low, low_colour), (high, high_colour) in itertools.pairwise(RAMP):
        if celsius <= high:
            return _between(low_colour, high_colour, (celsius - low) / (high - low))
    return RAMP[-1][1]


def _between(first: str, second: str, share: float) -> str:
    ends = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (first, second)]
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in zip(*ends, strict=True))


def degrees(celsius: float | None) -> str:
    """A temperature in four characters."""
    return f"{celsius:4.1f}" if celsius is not None else "   ?"
