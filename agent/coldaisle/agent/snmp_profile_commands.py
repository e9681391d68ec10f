"""``coldaisle snmp profile``: which profiles there are, what is in them, and what they give on a device."""

from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coldaisle.agent.snmp_options import access, asked, known_profiles, profiles_option, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from coldaisle.integrations.snmp.client import SnmpClient
    from coldaisle.integrations.snmp.config import DeviceConfig
    from coldaisle.integrations.snmp.profile import Metric, Profile
    from coldaisle.integrations.snmp.survey import Survey
    from coldaisle.integrations.snmp.target import Target

MAX_RECORDED_REPLY_BYTES = 60_000
RECORDED_TIMEOUT_SECONDS = 10.0


@click.group()
def profile() -> None:
    """List profiles, look into one, and hold one against a device."""


@profile.command("list")
@profiles_option
def list_command(folder: Path | None) -> None:
    """Name every profile, its kind and the sysObjectIDs that choose it."""
    for name, found in sorted(known_profiles(folder).items()):
        click.echo(f"{name}  {found.kind}  {' '.join(found.match) or '(by name only)'}")


@profile.command()
@click.argument("name")
@profiles_option
def show(name: str, folder: Path | None) -> None:
    """Print the entries of a profile: metric, OID, unit, source."""
    found = _named(known_profiles(folder), name)
    click.echo(f"profile {found.name}, kind {found.kind}" + "".join(f", extends {x}" for x in found.extends))
    for metric in found.metrics:
        click.echo(_entry_line(metric))


@profile.command("test")
@click.argument("address", required=False)
@access
@click.option(
    "--recording",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Test on a recording (.snmprec, .snmpwalk, either with .bz2) instead of a device.",
)
@click.option("--profile", "name", default="", help="The profile to test.  [default: by sysObjectID]")
@profiles_option
def test_command(
    address: str | None,
    reach: "Callable[[str], DeviceConfig]",
    recording: Path | None,
    name: str,
    folder: Path | None,
) -> None:
    """Show what each entry gives: value, unit, sanity. Fails when something is implausible."""
    if (address is None) == (recording is None):
        raise click.UsageError("give the ADDRESS of a device, or --recording FILE")
    profiles = known_profiles(folder)
    if name:
        _named(profiles, name)
    if recording is not None:
        found = asked(lambda client: _survey_recording(client, recording, profiles, name))
    else:
        found = _survey_device(reach(str(address)), profiles, name)
    for line in survey_lines(found):
        click.echo(line)
    if not found.is_plausible:
        raise click.ClickException("something is implausible: see the lines that say outside or wrong")


def survey_lines(found: "Survey") -> Iterator[str]:
    """A survey for people: a line for each metric, then relations and problems."""
    width = max((len(finding.metric) for finding in found.findings), default=0)
    yield f"profile {found.profile.name}"
    for finding in found.findings:
        value = "-" if finding.value is None else f"{finding.value:.10g}"
        yield f"{finding.metric:<{width}}  {value:>14} {finding.unit:<12} {finding.verdict}"
    yield from found.relations
    yield from (f"problem: {problem}" for problem in found.problems)


def _survey_device(device: "DeviceConfig", profiles: "Mapping[str, Profile]", name: str) -> "Survey":
    from coldaisle.integrations.snmp.config import read_target
    from coldaisle.integrations.snmp.survey import survey

    target = told(lambda: read_target(device))
    return asked(lambda client: survey(client, target, profiles, name))


async def _survey_recording(
    client: "SnmpClient", recording: Path, profiles: "Mapping[str, Profile]", name: str
) -> "Survey":
    from coldaisle.integrations.snmp.survey import survey

    async with _played(recording) as target:
        return await survey(client, target, profiles, name)


@asynccontextmanager
async def _played(recording: Path) -> "AsyncIterator[Target]":
    """A device on loopback that answers as the recording says."""
    from coldaisle.integrations.snmp.recording import read_table
    from coldaisle.integrations.snmp.responder import Responder
    from coldaisle.integrations.snmp.table import Table
    from coldaisle.integrations.snmp.target import Target

    table = Table(read_table(recording))
    async with Responder(table, max_reply_bytes=MAX_RECORDED_REPLY_BYTES) as device:
        yield Target(device.host, device.port, timeout_seconds=RECORDED_TIMEOUT_SECONDS)


def _named(profiles: "Mapping[str, Profile]", name: str) -> "Profile":
    if name not in profiles:
        raise click.ClickException(f"no profile {name!r}; known: {', '.join(sorted(profiles))}")
    return profiles[name]


def _entry_line(metric: "Metric") -> str:
    from coldaisle.integrations.snmp.units import unit_of

    what = ", ".join(f"{state.wire} {state.name}" for state in metric.states) or unit_of(metric.metric) or "-"
    return f"{metric.metric}  {metric.oid}  {what}  ({metric.source})"
