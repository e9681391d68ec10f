"""``coldaisle snmp discover``: who answers in a range, what they are, and an inventory to start from."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coldaisle.agent.snmp_options import access, asked, known_profiles, profiles_option, told

if TYPE_CHECKING:
    from coldaisle.integrations.snmp.client import SnmpClient
    from coldaisle.integrations.snmp.config import DeviceConfig
    from coldaisle.integrations.snmp.discover import Discovered
    from coldaisle.integrations.snmp.topology import Surroundings

MAX_DESCRIPTION_CHARACTERS = 60

Row = tuple[str, "Discovered", "Surroundings"]


@click.command()
@click.argument("cidr")
@access
@click.option("--port", type=click.IntRange(1, 65_535), default=161, show_default=True)
@click.option("--rate", type=click.FloatRange(0.1, 10_000), default=50.0, show_default=True,
              metavar="PACKETS", help="At most so many requests in a second.")  # fmt: skip
@click.option("--neighbours/--no-neighbours", default=True, show_default=True,
              help="Ask those found for LLDP and CDP neighbours and their parts.")  # fmt: skip
@profiles_option
def discover(
    cidr: str,
    reach: "Callable[[str], DeviceConfig]",
    port: int,
    rate: float,
    neighbours: bool,
    folder: Path | None,
) -> None:
    """Ask every address of CIDR who it is; print a table, and an inventory file for the agent.

    A sweep asks addresses that nobody gave: make sure that you may.
    """
    from coldaisle.integrations.snmp.config import read_target
    from coldaisle.integrations.snmp.discover import asset_names, hosts_in, sweep
    from coldaisle.integrations.snmp.topology import Surroundings, read_surroundings

    profiles = known_profiles(folder)
    targets = told(lambda: [read_target(reach(_address(host, port))) for host in hosts_in(cidr)])

    async def look(client: "SnmpClient") -> list[Row]:
        devices = await sweep(client, targets, profiles, rate)
        around = [
            await read_surroundings(client, device.target) if neighbours else Surroundings()
            for device in devices
        ]
        return list(zip(asset_names(devices), devices, around, strict=True))

    rows = asked(look)
    for line in [*table_lines(rows), *inventory_lines(rows)]:
        click.echo(line)


def table_lines(rows: list[Row]) -> Iterator[str]:
    """The table, as comments, so that the whole output is a file to use."""
    yield f"# {len(rows)} devices answered"
    head = ("asset", "address", "profile", "kind", "description")
    cells = [
        head,
        *((a, d.target.host, d.profile.name, d.profile.kind, d.description[:60]) for a, d, _ in rows),
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head) - 1)]
    for row in cells:
        padded = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        yield "# " + "  ".join([*padded, row[-1]]).rstrip()
    for asset, _, around in rows:
        for neighbour in around.neighbours:
            far_end = f"{neighbour.name} {neighbour.remote_port}"
            yield f"# {asset} {neighbour.port} - {far_end} ({neighbour.source})"


def _cells(asset: str, device: "Discovered") -> tuple[str, ...]:
    shown = device.description[:MAX_DESCRIPTION_CHARACTERS]
    return asset, device.target.host, device.profile.name, device.profile.kind, shown


def inventory_lines(rows: list[Row]) -> Iterator[str]:
    """An inventory file for the agent: assets with their links, and devices with their addresses."""
    names = [asset for asset, _, _ in rows]
    for asset, device, around in rows:
        yield from ("", "[[assets]]", f'name = "{asset}"', f'kind = "{device.profile.kind}"')
        linked = _linked(asset, around, names)
        if linked:
            yield f"connected_to = [{', '.join(linked)}]"
    for asset, device, _ in rows:
        address = _address(device.target.host, device.target.port)
        yield from ("", "[[devices]]", f'asset = "{asset}"', f'address = "{address}"')
        yield f'profile = "{device.profile.name}"'


def _linked(asset: str, around: "Surroundings", names: list[str]) -> list[str]:
    from coldaisle.core.events.types import AssetLinked
    from coldaisle.integrations.snmp.topology import topology_events

    events = topology_events(asset, around, names)
    targets = [event.target for event in events if isinstance(event, AssetLinked) and event.asset == asset]
    return [f'"{target}"' for target in dict.fromkeys(targets)]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
