"""The live view: read, draw, wait; on a terminal as one screen, elsewhere as plain lines."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import click

from coldaisle.cli.client import Client
from coldaisle.cli.demo.children import Children
from coldaisle.cli.demo.site import Site
from coldaisle.cli.errors import CliError, ExitCode
from coldaisle.cli.hall import Hall, picture, read_hall
from coldaisle.cli.words import short
from coldaisle.v1.common_pb2 import Moment

FRAME_SECONDS = 1.0
LINE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Frame:
    """What one picture shows; ``trouble`` is empty while the server answers."""

    site: Site
    hall: Hall
    events_per_second: float
    up_seconds: float
    trouble: str = ""


EMPTY = picture(0, (), (), ())


def frames(site: Site, children: Children, interval_seconds: float) -> Iterator[Frame]:
    """A picture each interval, for ever; a server that is away for a moment is trouble, not the end."""
    started = time.monotonic()
    with Client(site.settings()) as client:
        hall, seen, rate = EMPTY, started, 0.0
        while True:
            children.check()
            now, trouble = time.monotonic(), ""
            try:
                fresh = read_hall(client, Moment())
                rate = (fresh.position - hall.position) / max(now - seen, 0.001) if hall.position else 0.0
                hall, seen = fresh, now
            except CliError as error:
                if error.exit_code is not ExitCode.UNAVAILABLE:
                    raise
                trouble = str(error)
            yield Frame(site, hall, max(rate, 0.0), now - started, trouble)
            time.sleep(interval_seconds)


def show_plain(site: Site, children: Children, seconds: float | None) -> int:
    """A line every few seconds; fails when no rack's inlet was ever seen."""
    observed = False
    for frame in frames(site, children, LINE_SECONDS):
        click.echo(plain_line(frame))
        observed = observed or any(rack.inlet_celsius is not None for rack in frame.hall.racks)
        if seconds is not None and frame.up_seconds >= seconds:
            break
    return ExitCode.OK if observed else ExitCode.FAILED


def plain_line(frame: Frame) -> str:
    """A picture on one line."""
    hall = frame.hall
    inlets = [rack.inlet_celsius for rack in hall.racks if rack.inlet_celsius is not None]
    warmest = f"{min(inlets):.1f} to {max(inlets):.1f} °C" if inlets else "not seen yet"
    waiting = ", ".join(short(run.name) for run in hall.waiting())
    parts = [
        f"@{hall.position}",
        f"{frame.events_per_second:.0f} events/s",
        f"{len(inlets)}/{len(hall.racks)} racks, inlets {warmest}",
        f"{len(hall.alerts)} open alerts",
        f"waiting for approval: {waiting}" if waiting else "",
        *hall.left_out,
        frame.trouble,
    ]
    return f"+{frame.up_seconds:.0f}s  " + "  ".join(part for part in parts if part)


def show_live(site: Site, children: Children) -> int:
    """One screen until Ctrl-C."""
    from rich.console import Console, Group
    from rich.live import Live

    from coldaisle.cli.demo.view import screen

    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for frame in frames(site, children, FRAME_SECONDS):
            width, height = console.size
            live.update(Group(*screen(frame, width, height)), refresh=True)
    return ExitCode.OK
