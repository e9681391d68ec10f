"""``coldaisle agent``: imports click alone until a command runs, so that ``--help`` is quick."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from coldaisle.agent.config import AgentConfig
    from coldaisle.agent.findings import Finding

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
    from coldaisle.agent.memory import share_one_arena
    from coldaisle.agent.uplink import leaves
    from coldaisle.core.errors import ColdaisleError
    from coldaisle.core.logs import configure_logging

    config = _load(path)
    configure_logging(light=True)
    share_one_arena()
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
@click.option("--contact/--no-contact", default=True, help="Ask the server and every device. [contact]")
def check_command(path: Path, contact: bool) -> None:
    """Validate the configuration, say what would be collected, and ask whether server and devices answer.

    Exit code 1 when something is not as it should be.
    """
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
    if contact:
        import asyncio

        from coldaisle.agent.check import contacts

        _tell(asyncio.run(contacts(config)))


@agent.command("doctor")
@_config_option
def doctor_command(path: Path) -> None:
    """Look at what the agent needs here: permissions, limits, clock, disk, spool, and its server.

    Exit code 1 when something is not as it should be.
    """
    import asyncio

    from coldaisle.agent.check import server_finding
    from coldaisle.agent.doctor import machine

    config = _load(path)
    _tell([*machine(config), asyncio.run(server_finding(config))])


def _tell(findings: "list[Finding]") -> None:
    from coldaisle.agent.findings import failures

    for finding in findings:
        click.echo(finding.line)
    if failures(findings):
        raise click.exceptions.Exit(1)


def _load(path: Path) -> "AgentConfig":
    from coldaisle.agent.config import load_config
    from coldaisle.core.errors import ConfigError

    try:
        return load_config(path)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
