"""``coldaisle silence``: alerts that bother nobody for a while."""

from datetime import datetime

import click

from coldaisle.cli import options
from coldaisle.cli.moments import AsOf
from coldaisle.cli.settings import Settings


@click.group(short_help="Keep alerts quiet for a while.")
def silence() -> None:
    """Keep alerts quiet for a while. They open all the same, are recorded, and start no remedy.

    \b
    coldaisle silence add --asset rack-a01 --for 2h --reason "rewiring"
    coldaisle silence list
    coldaisle silence expire s-3f2c
    """


@silence.command(short_help="Silence what fits.")
@click.option("--asset", default="", metavar="NAME", help="Only alerts on this asset.")
@click.option("--metric", default="", metavar="NAME", help="Only of this metric, whatever its labels.")
@click.option("--kind", default="", help="Only of this kind: limit, novelty, unreachable…")
@options.window
@options.dry_run
@options.output
@click.pass_obj
def add(
    settings: Settings,
    asset: str,
    metric: str,
    kind: str,
    seconds: int,
    start: datetime | None,
    reason: str,
    dry_run: bool,
    form: str,
) -> None:
    """Silence alerts that fit all of what is given; at least one must be.

    \b
    coldaisle silence add --asset rack-a01 --for 2h --reason "rewiring"
    coldaisle silence add --kind novelty --start +8h --for 1h --reason "load test"
    """
    from coldaisle.cli import judging
    from coldaisle.cli.client import Client
    from coldaisle.cli.words import named
    from coldaisle.v1.silences_pb2 import Matcher

    matcher = Matcher(asset=named("assets", asset) if asset else "", metric=metric, kind=kind)
    with Client(settings) as client:
        judging.create_silence(client, matcher, judging.Window(seconds, reason, start, dry_run), form)


@silence.command("list", short_help="List the silences in force and to come.")
@options.as_of
@options.limit
@options.output
@click.pass_obj
def list_silences(settings: Settings, as_of: AsOf | None, limit: int, form: str) -> None:
    """List the silences in force and to come, first to end first.

    \b
    coldaisle silence list
    coldaisle silence list --as-of -1d
    """
    from coldaisle.cli import judging
    from coldaisle.cli.client import Client

    with Client(settings) as client:
        judging.show_silences(client, as_of, limit, form)


@silence.command(short_help="End a silence before its time.")
@click.argument("name")
@click.option("--reason", default="", help="Why; it is kept in the history.")
@options.dry_run
@options.output
@click.pass_obj
def expire(settings: Settings, name: str, reason: str, dry_run: bool, form: str) -> None:
    """End the silence NAME now.

    \b
    coldaisle silence expire s-3f2c --reason "rewired"
    """
    from coldaisle.cli import judging
    from coldaisle.cli.client import Client

    with Client(settings) as client:
        judging.expire_silence(client, name, reason, form, dry_run=dry_run)
