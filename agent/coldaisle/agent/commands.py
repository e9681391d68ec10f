"""``coldaisle agent``: imports click alone until a command runs, so that ``--help`` is quick."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from coldaisle.agent.config import AgentConfig

_config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The agent's TOML file.",
)


@click.group()
def agent() -> None:
    """Collect from this host and the devices that it can reach."""


@agent.command("run")
@_config_option
def run_command(path: Path) -> None:
    """Collect and send until told to stop."""
    import asyncio

    from coldaisle.agent.main import run
    from coldaisle.agent.uplink import leaves
    from coldaisle.core.errors import ColdaisleError
    from coldaisle.core.logs import configure_logging

    config = _load(path)
    configure_logging(light=True)
    try:
        asyncio.run(run(config))
    except ColdaisleError as error:
        raise click.ClickException(str(error)) from error
    except BaseExceptionGroup as group:
        errors = leaves(group)
        if not all(isinstance(error, ColdaisleError) for error in errors):
            raise
        raise click.ClickException("; ".join(map(str, errors))) from group


@agent.command("check")
@_config_option
def check_command(path: Path) -> None:
    """Validate the configuration and print what would be collected."""
    from coldaisle.agent.collectors import collectors_of, describe
    from coldaisle.core.errors import ColdaisleError

    config = _load(path)
    try:
        collectors_of(config)
    except ColdaisleError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"agent {config.agent.name} reports to {config.agent.server}")
    for line in describe(config):
        click.echo(f"  {line}")


def _load(path: Path) -> "AgentConfig":
    from coldaisle.agent.config import load_config
    from coldaisle.core.errors import ConfigError

    try:
        return load_config(path)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
