"""``coldaisle maintenance``: work on assets."""

from datetime import datetime

import click

from coldaisle.cli import options
from coldaisle.cli.moments import AsOf
from coldaisle.cli.settings import Settings


@click.group(short_help="Schedule work on assets, so that it alarms nobody.")
def maintenance() -> None:
    """Schedule work on assets. Meanwhile alerts on them are quiet and statistics mute; limits still open
    alerts. After it, statistics begin anew: what was repaired may measure otherwise.

    \b
    coldaisle maintenance schedule crac-1 --dependents --for 4h --reason "filter change"
    coldaisle maintenance list
    coldaisle maintenance end m-3f2c
    """


@maintenance.command(short_help="Schedule work.")
@click.argument("assets", nargs=-1, required=True)
@click.option("--dependents", is_flag=True, help="Also what depends on them, directly or not.")
@options.window
@options.dry_run
@options.output
@click.pass_obj
def schedule(
    settings: Settings,
    assets: tuple[str, ...],
    dependents: bool,
    seconds: int,
    start: datetime | None,
    reason: str,
    dry_run: bool,
    form: str,
) -> None:
    """Schedule work on ASSETS. With --dry-run: what it would cover.

    \b
    coldaisle maintenance schedule crac-1 --dependents --for 4h --reason "filter change" --dry-run
    coldaisle maintenance schedule pdu-a1 pdu-a2 --start 2026-11-20T22:00Z --for 2h --reason "firmware"
    """
    from coldaisle.cli import judging
    from coldaisle.cli.client import Client

    window = judging.Window(seconds, reason, start, dry_run)
    with Client(settings) as client:
        judging.schedule(client, assets, window, form, with_dependents=dependents)


@maintenance.command("list", short_help="List the work that goes on or is to come.")
@options.as_of
@options.limit
@options.output
@click.pass_obj
def list_work(settings: Settings, as_of: AsOf | None, limit: int, form: str) -> None:
    """List the work that goes on and that is to come, first to end first.

    \b
    coldaisle maintenance list -o wide
    """
    from coldaisle.cli import judging
    from coldaisle.cli.client import Client

    with Client(settings) as client:
        judging.show_work(client, as_of, limit, form)


@maintenance.command(short_help="End work before its time, or call it off.")
@click.argument("name")
@click.option("--reason", default="", help="Why; it is kept in the history.")
@options.dry_run
@options.output
@click.pass_obj
def end(settings: Settings, name: str, reason: str, dry_run: bool, form: str) -> None:
    """End the maintenance NAME now.

    \b
    coldaisle maintenance end m-3f2c --reason "done"
    """
    from coldaisle.cli import judging
    from coldaisle.cli.client import Client

    with Client(settings) as client:
        judging.end_work(client, name, reason, form, dry_run=dry_run)
