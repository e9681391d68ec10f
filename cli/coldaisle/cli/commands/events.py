"""``coldaisle events``: the history itself."""

import click

from coldaisle.cli import options
from coldaisle.cli.moments import AsOf
from coldaisle.cli.settings import Settings


@click.command(short_help="Read the history itself.")
@click.option("--stream", "streams", multiple=True, metavar="PREFIX", help="Only streams that start so.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only this type, such as AlertOpened.")
@options.after
@click.option("--backwards", is_flag=True, help="Newest first.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@options.as_of
@options.limit
@options.output
@click.pass_obj
def events(
    settings: Settings,
    streams: tuple[str, ...],
    types: tuple[str, ...],
    after: int,
    backwards: bool,
    follow: bool,
    as_of: AsOf | None,
    limit: int,
    form: str,
) -> None:
    """Read the events in their order: what happened, when, by whom, caused by what.

    \b
    coldaisle events --type RunApproved --type RunRejected -o wide
    coldaisle events --stream run-r-3f2c
    coldaisle events --backwards --limit 20
    coldaisle events --stream alert- -f -o jsonl
    """
    if follow and (backwards or as_of is not None):
        raise click.UsageError("--follow goes forward from now: leave --backwards and --as-of out")
    from coldaisle.cli.client import Client, moment_of
    from coldaisle.cli.following import follow_events
    from coldaisle.cli.reading import event_filter, show_event_list
    from coldaisle.v1.history_pb2 import ListEventsRequest

    terms = [*(f"stream={each}" for each in streams), *(f"type={each}" for each in types)]
    chosen = event_filter(terms)
    request = ListEventsRequest(
        filter=chosen, backwards=backwards, moment=moment_of(as_of), after_revision=after
    )
    with Client(settings) as client:
        if follow:
            follow_events(client, chosen, after, form)
        else:
            show_event_list(client, request, limit, form)
