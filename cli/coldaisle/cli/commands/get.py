"""``coldaisle get``: lists."""

import click

from coldaisle.cli import options
from coldaisle.cli.moments import AsOf
from coldaisle.cli.settings import Settings

COLLECTIONS = ("assets", "alerts", "runs", "playbooks", "events", "agents")


@click.command(short_help="List assets, alerts, runs, playbooks, events or agents.")
@click.argument("collection", type=click.Choice(COLLECTIONS), default="assets")
@click.argument("name", default="")
@options.filters
@options.as_of
@options.limit
@options.output
@click.pass_obj
def get(
    settings: Settings,
    collection: str,
    name: str,
    terms: tuple[str, ...],
    as_of: AsOf | None,
    limit: int,
    form: str,
) -> None:
    """List assets, alerts, runs, playbooks, events or agents; or one of them by NAME.

    \b
    coldaisle get assets --filter kind=rack -o wide
    coldaisle get assets rack-a01 --as-of -3h -o json
    coldaisle get events --filter type=AlertOpened
    """
    from coldaisle.cli.client import Client
    from coldaisle.cli.reading import READS, Query

    with Client(settings) as client:
        READS[collection](client, Query(name, terms, as_of, limit, form))
