"""One screen of the live view, as lines: readable on 80x24, and more of it where there is room."""

import sys
from collections.abc import Sequence

from rich.text import Text

from coldaisle.cli.columns import severity
from coldaisle.cli.demo.show import Frame
from coldaisle.cli.demo.site import FAULT
from coldaisle.cli.hall import LEGEND, Cooling, Hall, HostLoad, RackSpot, degrees, ramp_colour, symbol
from coldaisle.cli.telling import one_line
from coldaisle.cli.words import short
from coldaisle.v1.alerts_pb2 import Alert

OK, WARN, CRITICAL, UNKNOWN = "#4C9BE8", "#F6C344", "#FF5A36", "#7C8794"
TITLE, FAINT = "bold", "dim"
ROOMY_HEIGHT = 32
MAX_WAITING = 2


def screen(frame: Frame, width: int, height: int) -> list[Text]:
    """Exactly as many lines as fit; alerts take what room the others leave."""
    above = [_head(frame), Text(), *_map(frame.hall, width), *_machines(frame.hall, width, height)]
    gap = [Text()] if height >= ROOMY_HEIGHT else []
    below = [*gap, *_waiting(frame), *gap, *_try(frame)]
    room = height - len(above) - len(below)
    lines = [*above, *_alerts(frame.hall, max(room, 2)), *below][:height]
    for line in lines:
        line.plain = one_line(line.plain)  # rich lets escape sequences through
        line.truncate(width, overflow="ellipsis")
        line.no_wrap = True
    return lines


def _head(frame: Frame) -> Text:
    line = Text("coldaisle", style=TITLE)
    line.append(
        f"   @{frame.hall.position}   {frame.events_per_second:.0f} events/s   "
        f"plant {frame.site.speed:g}x   up {frame.up_seconds:.0f} s"
    )
    if frame.trouble:
        line.append(f"   ✕ {frame.trouble}", style=CRITICAL)
    return line


def _map(hall: Hall, width: int) -> list[Text]:
    lines = []
    for row, racks in hall.rows().items():
        cell = min(max((width - 8) // max(len(racks), 1), 6), 10)
        names, values = Text(f"{short(row):<8}", style=FAINT), Text(" " * 8)
        for rack in racks:
            names.append(f"{rack.name.removeprefix('rack-'):>{cell - 1}} ")
            values.append(
                f"{degrees(rack.inlet_celsius):>{cell - 1}}{symbol(rack.inlet_celsius)}", _ramp(rack)
            )
        lines += [names, values]
    return [*lines, Text(LEGEND, style=FAINT)] if lines else [Text("waiting for the first readings …")]


def _ramp(rack: RackSpot) -> str:
    return ramp_colour(rack.inlet_celsius) if rack.inlet_celsius is not None else UNKNOWN


def _machines(hall: Hall, width: int, height: int) -> list[Text]:
    units = [_cooling(unit) for unit in hall.cooling]
    if height < ROOMY_HEIGHT:  # two beside each other
        units = [_beside(units[at : at + 2], width // 2) for at in range(0, len(units), 2)]
    return [Text(), *units, *(_host(host) for host in hall.hosts)]


def _beside(lines: Sequence[Text], width: int) -> Text:
    joined = Text()
    for line in lines:
        line.truncate(width - 1)
        joined.append_text(line).append(" " * (width - line.cell_len))
    return joined


def _cooling(unit: Cooling) -> Text:
    share = f"{unit.cooling_percent:3.0f}" if unit.cooling_percent is not None else "  ?"
    sign, style = ("●", OK) if unit.reached and unit.cooling_percent != 0 else ("✕", CRITICAL)
    line = Text(f"{sign} ", style=style)
    supply, setpoint = degrees(unit.supply_celsius).strip(), degrees(unit.setpoint_celsius).strip()
    return line.append(f"{unit.name} {supply} °C (set {setpoint}) cool {share} %", style="default")


def _host(host: HostLoad) -> Text:
    line = Text("● ", style=OK).append(f"{host.name} (this machine)", style="default")
    if host.cpu_percent is not None:
        line.append(f"  CPU {host.cpu_percent:.0f} %", style="default")
    if host.memory_percent is not None:
        line.append(f"  memory {host.memory_percent:.0f} %", style="default")
    if host.celsius is not None:
        line.append(f"  {host.celsius:.0f} °C", style="default")
    return line


def _alerts(hall: Hall, room: int) -> list[Text]:
    title = Text("Open alerts", style=TITLE)
    lines = [Text(), title] if room > 3 else [title]
    if not hall.alerts:
        return [*lines, Text("● none", style=OK)]
    shown = [_alert(alert) for alert in reversed(hall.alerts)]
    left = max(room - len(lines), 1)
    if len(shown) > left:
        shown = [
            *shown[: left - 1],
            Text(f"  … and {len(shown) - left + 1} more: coldaisle alerts", style=FAINT),
        ]
    return [*lines, *shown]


def _alert(alert: Alert) -> Text:
    paging = alert.severity == Alert.SEVERITY_PAGE
    line = Text("✕ " if paging else "▲ ", style=CRITICAL if paging else WARN)
    asset = short(alert.asset)
    about = "" if alert.summary.startswith(asset) else f"{asset}: "
    return line.append(f"{severity(alert)} {about}{alert.summary}", style="default")


def _waiting(frame: Frame) -> list[Text]:
    runs = frame.hall.waiting()
    if not runs:
        return []
    lines = [Text("Waiting for your approval", style=f"{TITLE} {WARN}")]
    for run in runs[:MAX_WAITING]:
        lines.append(Text(f"▲ {short(run.plan.playbook)}: coldaisle playbook approve {short(run.name)}"))
    return lines


def _try(frame: Frame) -> list[Text]:
    kind, asset = FAULT
    lines = [
        f"  export COLDAISLE_SERVER={frame.site.server}",
        f"  export COLDAISLE_LAB={frame.site.hall}",
        f"  export COLDAISLE_TOKEN_FILE={frame.site.token_file}",
        f"  coldaisle lab fault {kind} {asset}      then watch the inlets",
        "  coldaisle alerts    coldaisle replay --as-of -1m    Ctrl-C here stops all",
    ]
    title = Text("In another terminal", style=TITLE)
    if sys.prefix != sys.base_prefix:  # the commands below are in a virtual environment
        title.append(f"   . {sys.prefix}/bin/activate", style="default")
    return [title, *(Text(line, style="default") for line in lines)]
