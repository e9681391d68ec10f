"""What the commands of ``coldaisle snmp`` share: how a device is spoken to, and how errors are told."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from coldaisle.integrations.snmp.client import SnmpClient
    from coldaisle.integrations.snmp.config import DeviceConfig
    from coldaisle.integrations.snmp.profile import Profile

T = TypeVar("T")
Command = Callable[..., None]

_ACCESS = (
    click.option(
        "--community-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
        help="File with the community.  [default: public]",
    ),
    click.option("--community-env", metavar="NAME", default="", help="Environment variable with it."),
    click.option("--timeout", "timeout_seconds", type=click.FloatRange(0.01, 60), default=1.0,
                 show_default=True, metavar="SECONDS", help="Wait for each try."),
    click.option("--retries", type=click.IntRange(0, 10), default=2, show_default=True,
                 help="Tries after the first."),
)  # fmt: skip

profiles_option = click.option(
    "--profiles", "folder", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="FOLDER",
    help="Your own profiles, over the built-in ones.",
)  # fmt: skip


def access(command: Command) -> Command:
    """Options for how devices are spoken to; the command gets ``reach``, from an address to a device."""

    @wraps(command)
    def with_reach(
        community_file: Path | None,
        community_env: str,
        timeout_seconds: float,
        retries: int,
        **rest: object,
    ) -> None:
        def reach(address: str) -> "DeviceConfig":
            return device_at(address, community_file, community_env, timeout_seconds, retries)

        command(reach=reach, **rest)

    found: Command = with_reach
    for option in reversed(_ACCESS):
        found = option(found)
    return found


def device_at(
    address: str, community_file: Path | None, community_env: str, timeout_seconds: float, retries: int
) -> "DeviceConfig":
    """The one place that turns the options of :func:`access` into a device."""
    from coldaisle.integrations.snmp.config import DeviceConfig

    file = str(community_file) if community_file else ""
    return DeviceConfig(
        "", address, timeout_seconds=timeout_seconds, retries=retries,
        read_community_file=file, read_community_env=community_env,
        write_community_file=file, write_community_env=community_env,
    )  # fmt: skip


def asked(question: "Callable[[SnmpClient], Awaitable[T]]") -> T:
    """The answer to a question that a client asks; errors become one line."""
    import asyncio

    from coldaisle.integrations.snmp.client import SnmpClient

    async def ask() -> T:
        async with SnmpClient() as client:
            return await question(client)

    return told(lambda: asyncio.run(ask()))


def told(work: Callable[[], T]) -> T:
    """The result of some work; our own errors become the one line of a command."""
    from coldaisle.core.errors import ColdaisleError

    try:
        return work()
    except ColdaisleError as error:
        raise click.ClickException(str(error)) from error


def known_profiles(folder: Path | None) -> "Mapping[str, Profile]":
    """The built-in profiles, and those of a folder over them."""
    from coldaisle.integrations.snmp.profile_files import built_in_profiles, profiles_in

    return told(lambda: profiles_in(folder) if folder else built_in_profiles())
