"""``coldaisle watch``: what happens, as it happens."""

import click

from coldaisle.cli import options
from coldaisle.cli.settings import Settings


@click.command(short_help="Follow alerts, events, samples or runs as they happen.")
@click.argument("what", type=click.Choice(("alerts", "events", "samples", "runs")))
@click.argument("name", default="")
@options.after
@options.output
@click.pass_obj
def watch(settings: Settings, what: str, name: str, after: int, form: str) -> None:
    """Follow what happens until Ctrl-C. NAME narrows it: an asset for samples, a run for runs.

    A lost connection is opened again by itself, and nothing between is missed.

    \b
    coldaisle watch alerts
    coldaisle watch samples rack-a01 -o jsonl
    coldaisle watch runs r-3f2c
    """
    from coldaisle.cli import following
    from coldaisle.cli.client import Client
    from coldaisle.v1.history_pb2 import EventFilter

    with Client(settings) as client:
        match what:
            case "alerts":
                following.follow_alerts(client, after, form)
            case "samples":
                following.follow_samples(client, name, after, form)
            case "runs" if name:
                following.follow_run(client, name, form)
            case "runs":
                following.follow_events(client, EventFilter(stream_prefixes=["run-"]), after, form)
            case _:
                following.follow_events(client, EventFilter(), after, form)
