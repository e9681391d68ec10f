"""``coldaisle alert``: one alert, told and answered."""

from datetime import datetime

import click

from coldaisle.cli import options
from coldaisle.cli.moments import AsOf
from coldaisle.cli.settings import Settings


@click.group(short_help="Tell, acknowledge, silence or judge one alert.")
def alert() -> None:
    """Tell one alert with its evidence, take notice of it, silence it, or say what it was.

    \b
    coldaisle alert describe a-3f2c                      why it opened, and what would have been quiet
    coldaisle alert ack a-3f2c --note "on my way"
    coldaisle alert silence a-3f2c --for 4h --reason "known, part ordered"
    coldaisle alert feedback a-3f2c false --note "a test"
    """


@alert.command(short_help="Tell all that is known of an alert.")
@click.argument("name")
@options.as_of
@options.output
@click.pass_obj
def describe(settings: Settings, name: str, as_of: AsOf | None, form: str) -> None:
    """Tell all that is known of the alert NAME: the evidence in words and numbers; whole with -o json.

    \b
    coldaisle alert describe a-3f2c
    coldaisle alert describe a-3f2c -o json | jq -r .evidenceJson | jq .detail
    """
    from coldaisle.cli.commands.describe import show

    show(settings, "alert", name, as_of, form)


@alert.command(short_help="Acknowledge an alert.")
@click.argument("name")
@click.option("--note", default="", help="Why, or what you do about it; it is kept in the history.")
@options.dry_run
@options.output
@click.pass_obj
def ack(settings: Settings, name: str, note: str, dry_run: bool, form: str) -> None:
    """Acknowledge the alert NAME: someone took notice.

    \b
    coldaisle alert ack a-3f2c --note "on my way"
    """
    from coldaisle.cli import judging
    from coldaisle.cli.client import Client

    with Client(settings) as client:
        judging.acknowledge(client, name, note, form, dry_run=dry_run)


@alert.command(short_help="Keep alerts such as this one quiet for a while.")
@click.argument("name")
@options.window
@options.dry_run
@options.output
@click.pass_obj
def silence(
    settings: Settings, name: str, seconds: int, start: datetime | None, reason: str, dry_run: bool, form: str
) -> None:
    """Silence the asset, metric and kind of the alert NAME.

    Alerts that open meanwhile are recorded, and marked as quiet; NAME itself stays as it is.

    \b
    coldaisle alert silence a-3f2c --for 4h --reason "known, part ordered"
    """
    from coldaisle.cli import judging
    from coldaisle.cli.client import Client

    with Client(settings) as client:
        judging.silence_alert(client, name, judging.Window(seconds, reason, start, dry_run), form)


@alert.command(short_help="Say whether an alert was a true one.")
@click.argument("name")
@click.argument("verdict", type=click.Choice(("confirmed", "false", "expected")))
@click.option("--note", default="", help="What it was; it is kept in the history.")
@options.dry_run
@options.output
@click.pass_obj
def feedback(settings: Settings, name: str, verdict: str, note: str, dry_run: bool, form: str) -> None:
    """Say what the alert NAME was. The detector learns from it, and a replay learns the same.

    \b
    confirmed   something was wrong: what happened is never taken for normal
    false       nothing was wrong: it is normal from now on, and a statistical alert ends
    expected    it was meant to happen: learned as well, though right to be noticed

    \b
    coldaisle alert feedback a-3f2c confirmed --note "fan 3 replaced"
    coldaisle alert feedback a-3f2c expected --note "monthly generator test"
    """
    from coldaisle.cli import judging
    from coldaisle.cli.client import Client

    with Client(settings) as client:
        judging.judge(client, name, verdict, note, form, dry_run=dry_run)
