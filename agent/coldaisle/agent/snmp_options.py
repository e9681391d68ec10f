"""What the commands of ``coldaisle snmp`` share: how a device is spoken to, and how errors are told."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from coldaisle.integrations.snmp.client import SnmpClient
    from coldaisle.integrations.snmp.config import DeviceConfig, UserConfig
    from coldaisle.integrations.snmp.profile import Profile

T = TypeVar("T")
Command = Callable[..., None]
Version = Literal["1", "2c", "3"]

AUTH_PROTOCOLS = ("MD5", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512")
PRIVACY_PROTOCOLS = ("DES", "AES-128", "AES-192", "AES-256")

_ACCESS = (
    click.option(
        "--community-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
        help="File with the community.  [default: public]",
    ),
    click.option("--community-env", metavar="NAME", default="", help="Environment variable with it."),
    click.option("-v", "--version", type=click.Choice(["1", "2c", "3"]), default="2c", show_default=True,
                 help="Of SNMP."),
    click.option("--user", default="", metavar="NAME", help="Of version 3."),
    click.option("--auth", type=click.Choice(AUTH_PROTOCOLS), help="How the user signs."),
    click.option("--auth-phrase-file", default="", type=click.Path(dir_okay=False), metavar="FILE",
                 help="File with the user's phrase to sign."),
    click.option("--auth-phrase-env", default="", metavar="NAME", help="Environment variable with it."),
    click.option("--privacy", type=click.Choice(PRIVACY_PROTOCOLS), help="How the user hides."),
    click.option("--privacy-phrase-file", default="", type=click.Path(dir_okay=False), metavar="FILE",
                 help="File with the user's phrase to hide."),
    click.option("--privacy-phrase-env", default="", metavar="NAME", help="Environment variable with it."),
    click.option("--context", default="", metavar="NAME", help="Of version 3."),
    click.option("--timeout", "timeout_seconds", type=click.FloatRange(0.01, 60), default=1.0,
                 show_default=True, metavar="SECONDS", help="Wait for each try."),
    click.option("--retries", type=click.IntRange(0, 10), default=2, show_default=True,
                 help="Tries after the first."),
)  # fmt: skip

_NAMES = (
    "community_file", "community_env", "timeout_seconds", "retries", "version", "user", "auth",
    "auth_phrase_file", "auth_phrase_env", "privacy", "privacy_phrase_file", "privacy_phrase_env", "context",
)  # fmt: skip
"""What the options give to :func:`device_at`."""

profiles_option = click.option(
    "--profiles", "folder", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="FOLDER",
    help="Your own profiles, over the built-in ones.",
)  # fmt: skip


def access(command: Command) -> Command:
    """Options for how devices are spoken to; the command gets ``reach``, from an address to a device."""

    @wraps(command)
    def with_reach(**options: Any) -> None:  # as click found them
        given = {name: options.pop(name) for name in _NAMES}

        def reach(address: str) -> "DeviceConfig":
            return device_at(address, **given)

        command(reach=reach, **options)

    found: Command = with_reach
    for option in reversed(_ACCESS):
        found = option(found)
    return found


def device_at(
    address: str, community_file: Path | None, community_env: str, timeout_seconds: float, retries: int,
    version: Version, context: str, **user: str | None,
) -> "DeviceConfig":  # fmt: skip
    """The one place that turns the options of :func:`access` into a device."""
    from coldaisle.integrations.snmp.config import DeviceConfig

    file = str(community_file) if community_file else ""
    found = user_with(**user)
    if (found is None) == (version == "3"):
        raise click.UsageError("version 3 needs a --user" if found is None else "a --user needs -v 3")
    return DeviceConfig(
        "", address, timeout_seconds=timeout_seconds, retries=retries, version=version, context=context,
        read_community_file=file, read_community_env=community_env, user=found,
        write_community_file=file, write_community_env=community_env, write_user=found,
    )  # fmt: skip


def user_with(user: str | None, **settings: str | None) -> "UserConfig | None":
    """The user of version 3 that the options name, None without one."""
    import msgspec

    from coldaisle.integrations.snmp.config import UserConfig

    if not user:
        return None
    given = {name: value for name, value in settings.items() if value}
    return msgspec.convert({"name": user, **given}, UserConfig)


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
