"""``coldaisle snmp``: ask devices, make profiles and test them. Imports click alone until a command runs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coldaisle.agent.snmp_discover_commands import discover
from coldaisle.agent.snmp_options import access, asked, known_profiles, profiles_option, told
from coldaisle.agent.snmp_profile_commands import profile

if TYPE_CHECKING:
    from coldaisle.integrations.snmp.ber import Value, Varbind
    from coldaisle.integrations.snmp.config import DeviceConfig

Reach = Callable[[str], "DeviceConfig"]

MAX_SHOWN_ROWS_COUNT = 1_000_000
_NUMBERS = ("integer", "counter32", "gauge32", "timeticks", "counter64")


@click.group()
def snmp() -> None:
    """Ask devices over SNMP, test profiles, and find devices."""


snmp.add_command(profile)
snmp.add_command(discover)


@snmp.command()
@click.argument("address")
@click.argument("oid", default="1.3.6.1.2.1")
@access
@click.option("--max-rows", type=click.IntRange(1, MAX_SHOWN_ROWS_COUNT), default=100_000, show_default=True)
@click.option("--recording", is_flag=True, help="Print lines of an .snmprec file instead.")
def walk(address: str, oid: str, reach: Reach, max_rows: int, recording: bool) -> None:
    """Print every object under OID (default: 1.3.6.1.2.1)."""
    from coldaisle.integrations.snmp.config import read_target
    from coldaisle.integrations.snmp.recording import recorded_line

    target = told(lambda: read_target(reach(address)))
    show = recorded_line if recording else varbind_line
    for varbind in asked(lambda client: client.walk(target, oid, max_rows_count=max_rows)):
        click.echo(show(varbind))


@snmp.command()
@click.argument("address")
@click.argument("oids", nargs=-1, required=True, metavar="OID...")
@access
def get(address: str, oids: tuple[str, ...], reach: Reach) -> None:
    """Print objects by their OIDs."""
    from coldaisle.integrations.snmp.config import read_target

    target = told(lambda: read_target(reach(address)))
    for varbind in asked(lambda client: client.get(target, oids)):
        click.echo(varbind_line(varbind))


@snmp.command("set")
@click.argument("address")
@click.argument("oid")
@click.argument("kind", metavar="TYPE")
@click.argument("value")
@access
def set_command(address: str, oid: str, kind: str, value: str, reach: Reach) -> None:
    """Set an object, such as: set pdu-1 1.3.6.1.4.1.318.1.1.26.9.2.4.1.5.1 integer 2.

    The community must allow writing: name it with --community-file or --community-env, or with -v 3 a --user.
    """
    from coldaisle.integrations.snmp.config import write_target
    from coldaisle.integrations.snmp.tags import TYPE_TAGS

    if kind not in TYPE_TAGS:
        raise click.BadParameter(f"{kind!r} is no type; use one of {', '.join(TYPE_TAGS)}", param_hint="TYPE")
    target = told(lambda: write_target(reach(address)))
    if target is None:
        raise click.UsageError("writing needs a community: give --community-file or --community-env")
    row = (oid, TYPE_TAGS[kind], wire_value(kind, value))
    for varbind in asked(lambda client: client.set(target, [row])):
        click.echo(varbind_line(varbind))


@snmp.command()
@click.argument("text", metavar="OID|METRIC")
@profiles_option
def translate(text: str, folder: Path | None) -> None:
    """Tell what the profiles know of an OID, or where a metric is."""
    from coldaisle.integrations.snmp.survey import entries_at

    profiles = known_profiles(folder)
    found = told(lambda: entries_at(profiles, text))
    if not found:
        raise click.ClickException(f"no profile has {text}; compile a MIB to make one that does")
    for name, metric in found:
        click.echo(f"{metric.metric}  {metric.oid}  profile {name}  ({metric.source})")


@snmp.command("compile")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--name", default="", help="Of the profile.  [default: the file's]")
@click.option(
    "--mibs",
    "folders",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    multiple=True,
    metavar="FOLDER",
    help="Where the MIBs are that it imports. Repeatable.",
)
def compile_command(file: Path, name: str, folders: tuple[Path, ...]) -> None:
    """Print the skeleton of a profile made from a MIB of yours; needs pysmi."""
    from coldaisle.integrations.snmp.mib import compile_mib, skeleton

    symbols = told(lambda: compile_mib(file, folders))
    click.echo(skeleton(symbols, file.stem, name or file.stem.lower().replace("-", "_")), nl=False)


def varbind_line(varbind: "Varbind") -> str:
    """``OID = type: value`` for people."""
    from coldaisle.integrations.snmp.ber import value_text
    from coldaisle.integrations.snmp.oid import oid_text
    from coldaisle.integrations.snmp.tags import TYPE_TAGS

    oid, tag, value = varbind
    kinds = {number: kind for kind, number in TYPE_TAGS.items()}
    kind = kinds.get(tag)
    return f"{oid_text(oid)} = " + (f"{kind}: {value_text(tag, value)}" if kind else "absent")


def wire_value(kind: str, text: str) -> "Value":
    """What a person wrote, as its type sends it: ``0x`` and hex for octets that are no text."""
    if kind in _NUMBERS:
        if not text.lstrip("-").isdecimal():
            raise click.BadParameter(f"{text!r} is not a whole number", param_hint="VALUE")
        return int(text)
    if kind in ("octet_string", "opaque") and text.startswith("0x"):
        try:
            return bytes.fromhex(text[2:])
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is not hexadecimal", param_hint="VALUE") from error
    return text
