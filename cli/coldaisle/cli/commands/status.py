"""``coldaisle status``: how the system itself is."""

import click

from coldaisle.cli import options
from coldaisle.cli.errors import ExitCode
from coldaisle.cli.settings import Settings
from coldaisle.cli.telling import tell


@click.command(short_help="Show how the system itself is.")
@options.output
@click.pass_obj
def status(settings: Settings, form: str) -> int:
    """Show the server, its agents and reactors, and what needs a person.

    Exits with 1 when there are problems.

    \b
    coldaisle status
    coldaisle status -o json | jq .position
    """
    from coldaisle.cli.client import Client
    from coldaisle.cli.describing import status_lines
    from coldaisle.cli.output import emit
    from coldaisle.v1.system_pb2 import GetStatusRequest

    with Client(settings) as client:
        found = client.call(client.system.GetStatus, GetStatusRequest())
    if form in ("table", "wide"):
        tell(status_lines(found, settings.server))
    else:
        emit(form, found, [found], (), lambda each: settings.server)
    return ExitCode.OK if found.healthy else ExitCode.FAILED
