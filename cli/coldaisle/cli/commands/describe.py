"""``coldaisle describe``: all that is known of one thing."""

from typing import TYPE_CHECKING

import click

from coldaisle.cli import options
from coldaisle.cli.moments import AsOf
from coldaisle.cli.settings import Settings
from coldaisle.cli.telling import tell

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from coldaisle.cli.client import Client


@click.command(short_help="Tell all that is known of one thing.")
@click.argument("kind", type=click.Choice(("asset", "alert", "run")))
@click.argument("name")
@options.as_of
@options.output
@click.pass_obj
def describe(settings: Settings, kind: str, name: str, as_of: AsOf | None, form: str) -> None:
    """Tell all that is known of the asset, alert or run NAME.

    \b
    coldaisle describe asset rack-a01
    coldaisle describe alert a-3f2c          the evidence, in words and numbers
    coldaisle describe run r-3f2c --as-of -1h
    """
    show(settings, kind, name, as_of, form)


def show(settings: Settings, kind: str, name: str, as_of: AsOf | None, form: str) -> None:
    """Print one thing: told in lines, or whole in a machine's form."""
    from coldaisle.cli.client import Client
    from coldaisle.cli.output import emit

    with Client(settings) as client:
        found, lines = _told(client, kind, name, as_of)
    if form in ("table", "wide"):
        tell(lines)
    else:
        emit(form, found, [found], (), lambda _: name)


def _told(client: "Client", kind: str, name: str, as_of: AsOf | None) -> "tuple[Message, list[str]]":
    """The resource, and the lines that tell it."""
    from coldaisle.cli import describing
    from coldaisle.cli.client import moment_of
    from coldaisle.cli.words import named
    from coldaisle.v1.alerts_pb2 import GetAlertRequest
    from coldaisle.v1.assets_pb2 import GetAssetRequest
    from coldaisle.v1.playbooks_pb2 import GetRunRequest

    moment = moment_of(as_of)
    if kind == "alert":
        alert = client.call(
            client.alerts.GetAlert, GetAlertRequest(name=named("alerts", name), moment=moment)
        )
        return alert, describing.alert_lines(alert)
    if kind == "run":
        run = client.call(client.playbooks.GetRun, GetRunRequest(name=named("runs", name), moment=moment))
        return run, describing.run_lines(run)
    asset = client.call(client.assets.GetAsset, GetAssetRequest(name=named("assets", name), moment=moment))
    at = moment_of(asset.revision) if asset.revision else moment
    open_alerts = [
        client.call(client.alerts.GetAlert, GetAlertRequest(name=each, moment=at))
        for each in asset.open_alerts
    ]
    return asset, describing.asset_lines(asset, open_alerts)
