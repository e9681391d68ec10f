"""`coldaisle lab`: run the simulated hall, break it, and look at what is true in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from coldaisle.lab.control import Answer, Request
    from coldaisle.lab.simulator import LabSettings

DEFAULT_DIRECTORY = "lab-data"
DEFAULT_PORT = 16_100

_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DIRECTORY,
    envvar="COLDAISLE_LAB",
    show_envvar=True,
    show_default=True,
    help="Where the lab keeps its files and its control socket.",
)


def _host_port(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """Read HOST:PORT of a listener on UDP."""
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise click.BadParameter(f"{value!r} is not HOST:PORT; write for example 127.0.0.1:1514")
    return host, int(port)


@click.group()
def lab() -> None:
    """Run a simulated hall that speaks real protocols."""


@lab.command()
@_directory
@click.option(
    "--port",
    type=click.IntRange(0, 65_000),
    default=DEFAULT_PORT,
    show_default=True,
    help="UDP port of the first device; the others follow. 0 takes free ports.",
)
@click.option("--speed", type=float, default=1.0, show_default=True, help="Plant seconds in a real second.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which hall: equal seeds, equal halls.")
@click.option(
    "--syslog", metavar="HOST:PORT", callback=_host_port, help="Where devices send syslog lines, over UDP."
)
@click.option(
    "--traps", metavar="HOST:PORT", callback=_host_port, help="Where devices send SNMP traps, over UDP."
)
def run(
    directory: Path,
    port: int,
    speed: float,
    seed: int,
    syslog: tuple[str, int] | None,
    traps: tuple[str, int] | None,
) -> None:
    """Run the hall until it is interrupted."""
    import asyncio

    from coldaisle.core.errors import ColdaisleError
    from coldaisle.lab.simulator import LabSettings

    settings = LabSettings(directory, port, speed, seed, syslog, traps)
    try:
        asyncio.run(_run(settings))
    except ColdaisleError as error:
        raise click.ClickException(str(error)) from error


async def _run(settings: LabSettings) -> None:
    import asyncio
    import signal

    from coldaisle.lab.simulator import Lab

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Lab(settings) as running:
        ports = sorted(running.ports.values())
        click.echo(
            f"lab ready: {len(ports)} devices on 127.0.0.1:{ports[0]}-{ports[-1]},"
            f" speed {settings.speed:g}, files in {settings.directory}"
        )
        await stopped.wait()


@lab.command()
@click.argument("kind")
@click.argument("asset")
@click.option("--size", type=float, default=1.0, show_default=True, help="How bad, above 0 and up to 1.")
@click.option("--clear", is_flag=True, help="Repair instead of break.")
@_directory
def fault(kind: str, asset: str, size: float, clear: bool, directory: Path) -> None:
    """Break something, such as `compressor_failure crac-1`, or repair it with --clear."""
    from coldaisle.lab.control import Clear, Inject

    _asked(directory, Clear(kind, asset) if clear else Inject(kind, asset, size))
    click.echo(f"{kind} cleared on {asset}" if clear else f"{kind} injected on {asset}, size {size:g}")


@lab.command()
def faults() -> None:
    """List the faults that can be injected."""
    from coldaisle.lab.report import fault_table

    click.echo(fault_table())


@lab.command()
@_directory
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def state(directory: Path, output: str) -> None:
    """Show what is true in the hall, which no monitoring sees."""
    from coldaisle.lab.control import AskState
    from coldaisle.lab.report import picture

    answer = _asked(directory, AskState())
    if output == "json":
        import msgspec

        click.echo(msgspec.json.encode(answer).decode())
    else:
        click.echo(picture(answer))


def _asked(directory: Path, request: Request) -> Answer:
    from coldaisle.core.errors import ColdaisleError
    from coldaisle.lab.control import ask

    try:
        return ask(directory, request)
    except ColdaisleError as error:
        raise click.ClickException(str(error)) from error
