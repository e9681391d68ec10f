"""``coldaisle alerts``: what is wrong, and taking notice of it."""

import click

from coldaisle.cli import options
from coldaisle.cli.moments import AsOf
from coldaisle.cli.settings import Settings


@click.group(invoke_without_command=True, short_help="List alerts and acknowledge them.")
@click.option("--all", "everything", is_flag=True, help="Cleared ones too.")
@options.filters
@options.as_of
@options.limit
@options.output
@click.pass_context
def alerts(
    context: click.Context,
    everything: bool,
    terms: tuple[str, ...],
    as_of: AsOf | None,
    limit: int,
    form: str,
) -> None:
    """List the open alerts, or acknowledge one.

    \b
    coldaisle alerts --filter severity=page
    coldaisle alerts --all --as-of -1d
    coldaisle alerts ack a-3f2c --note "on my way"
    """
    if context.invoked_subcommand is not None:
        return
    from coldaisle.cli.client import Client
    from coldaisle.cli.reading import Query, show_alerts

    terms = terms if everything else (*terms, "state=open")
    with Client(context.obj) as client:
        show_alerts(client, Query("", terms, as_of, limit, form))


@alerts.command(short_help="Acknowledge an alert.")
@click.argument("name")
@click.option("--note", default="", help="Why, or what you do about it; it is kept in the history.")
@options.dry_run
@options.output
@click.pass_obj
def ack(settings: Settings, name: str, note: str, dry_run: bool, form: str) -> None:
    """Acknowledge the alert NAME: someone took notice.

    \b
    coldaisle alerts ack a-3f2c --note "on my way"
    """
    from coldaisle.cli import judging
    from coldaisle.cli.client import Client

    with Client(settings) as client:
        judging.acknowledge(client, name, note, form, dry_run=dry_run)
