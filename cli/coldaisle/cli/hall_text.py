"""The hall as lines of text, for ``replay`` and for a demo without a terminal."""

from coldaisle.cli.columns import ALERTS, RUNS
from coldaisle.cli.hall import LEGEND, Cooling, Hall, RackSpot, degrees, ramp_colour, symbol
from coldaisle.cli.output import painted, table_lines
from coldaisle.cli.telling import one_line
from coldaisle.cli.words import short
from coldaisle.v1.history_pb2 import State

_ROW_WIDTH = 8


def hall_lines(hall: Hall, state: State, *, colour: bool) -> list[str]:
    """The map, the cooling, what was wrong and what was being done, and the hash of it all."""
    alerts = table_lines([each for each in ALERTS if not each.wide], hall.alerts) if hall.alerts else ["none"]
    runs = table_lines([each for each in RUNS if not each.wide], hall.runs) if hall.runs else ["none"]
    return [
        *map_lines(hall, colour=colour),
        "",
        *(cooling_line(each) for each in hall.cooling),
        "",
        "Open alerts",
        *(f"  {line}" for line in alerts),
        "",
        "Runs",
        *(f"  {line}" for line in runs),
        "",
        f"position    @{state.revision}",
        f"state hash  {state.state_hash}",
        f"contents    {state.asset_count} assets, {state.link_count} links, {state.series_count} series",
    ]


def map_lines(hall: Hall, *, colour: bool) -> list[str]:
    """The racks by row: names above, inlet temperatures below."""
    lines = []
    for row, racks in hall.rows().items():
        names = "".join(f"{_place(rack, row):>8}" for rack in racks)
        values = "".join(_cell(rack, colour=colour) for rack in racks)
        lines += [one_line(f"{short(row):<{_ROW_WIDTH}}{names}"), f"{'':<{_ROW_WIDTH}}{values}"]
    return [*lines, LEGEND] if lines else ["no racks are known"]


def _place(rack: RackSpot, row: str) -> str:
    """The rack's own part of its name: ``a01`` of ``rack-a01``."""
    return rack.name.removeprefix("rack-")[-7:]


def _cell(rack: RackSpot, *, colour: bool) -> str:
    text = f"{degrees(rack.inlet_celsius):>7}{symbol(rack.inlet_celsius)}"
    if rack.inlet_celsius is None:
        return text
    return painted(text, ramp_colour(rack.inlet_celsius), colour=colour)


def cooling_line(unit: Cooling) -> str:
    """A cooling unit on one line."""
    share = f"{unit.cooling_percent:3.0f}" if unit.cooling_percent is not None else "  ?"
    lost = "" if unit.reached else "  DOES NOT ANSWER"
    return (
        f"{one_line(unit.name):<10} supply {degrees(unit.supply_celsius)} °C   "
        f"set-point {degrees(unit.setpoint_celsius)} °C   cooling {share} %{lost}"
    )
