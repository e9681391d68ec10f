"""``coldaisle forecast``: what is coming."""

from typing import TYPE_CHECKING

import click

from coldaisle.cli import options
from coldaisle.cli.settings import Settings
from coldaisle.cli.spans import Span
from coldaisle.cli.telling import tell

if TYPE_CHECKING:
    from coldaisle.cli.client import Client
    from coldaisle.v1.forecasts_pb2 import Forecast, Outlook


@click.command(short_help="Tell what a metric will be, when it meets a limit, and how long parts may last.")
@click.argument("asset")
@click.argument("metric", required=False)
@click.option("--limit", type=float, metavar="VALUE", help="Tell when this value will be met.")
@click.option("--horizon", type=Span(), default="1d", show_default=True, help="How far: 1m to 14d.")
@options.output
@click.pass_obj
def forecast(
    settings: Settings, asset: str, metric: str | None, limit: float | None, horizon: int, form: str
) -> None:
    """Tell what METRIC of ASSET will be, from its recorded samples alone.

    Without METRIC: what can be told of the asset, and how long its parts that wear out may last.

    \b
    coldaisle forecast rack-a01
    coldaisle forecast rack-a01 inlet_temperature_celsius --limit 32
    coldaisle forecast nas-1 filesystem_used_ratio --limit 1 --horizon 14d
    """
    from coldaisle.cli.client import Client
    from coldaisle.cli.output import emit

    if metric is None and limit is not None:
        raise click.UsageError("--limit needs a METRIC")
    with Client(settings) as client:
        found: Forecast | Outlook
        if metric is None:
            found = _outlook(client, asset)
            lines, name = _outlook_lines(found), asset
        else:
            found = _forecast(client, asset, metric, limit, horizon)
            lines, name = _forecast_lines(found), metric
    if form in ("table", "wide"):
        tell(lines)
    else:
        emit(form, found, [found], (), lambda _: name)


def _outlook(client: "Client", asset: str) -> "Outlook":
    from coldaisle.cli.words import named
    from coldaisle.v1.forecasts_pb2 import GetOutlookRequest

    return client.call(client.forecasts.GetOutlook, GetOutlookRequest(asset=named("assets", asset)))


def _forecast(client: "Client", asset: str, metric: str, limit: float | None, horizon: int) -> "Forecast":
    from coldaisle.cli.words import named
    from coldaisle.v1.forecasts_pb2 import GetForecastRequest

    request = GetForecastRequest(asset=named("assets", asset), metric=metric, limit=limit)
    request.horizon.seconds = horizon
    return client.call(client.forecasts.GetForecast, request)


def _forecast_lines(found: "Forecast") -> list[str]:
    from coldaisle.cli.picture import picture
    from coldaisle.cli.words import clock, number

    recent = [step.value if step.HasField("value") else None for step in found.recent]
    bands = [
        (point.low if point.HasField("low") else point.value, point.value,
         point.high if point.HasField("high") else point.value)
        for point in found.points
    ]  # fmt: skip
    limit = found.crossing.limit if found.HasField("crossing") else None
    lines = [f"{found.asset.partition('/')[2]} {found.metric}", *picture(recent, bands, limit)]
    last = found.points[-1]
    interval = f" ({number(last.low)} to {number(last.high)})" if last.HasField("low") else ""
    lines.append(f"{clock(last.time)}: {number(last.value)}{interval}, by {last.model}")
    lines.append(_trust(found))
    if limit is not None:
        lines.append(f"{number(limit)}: {found.crossing.sentence}")
    return lines


def _trust(found: "Forecast") -> str:
    """How far the interval is to be believed: its own record."""
    if not found.intervals_said:
        return "no interval was tried so far ahead yet: too little is known"
    share = found.intervals_held / found.intervals_said
    aim = f"{found.coverage:.0%}"
    return f"of {found.intervals_said} earlier intervals so far ahead {share:.0%} held (aim {aim})"


def _outlook_lines(found: "Outlook") -> list[str]:
    lines = [f"{found.asset.partition('/')[2]}: {len(found.metrics)} metrics can be forecast"]
    lines += [f"  {metric}" for metric in found.metrics]
    lines.append(
        f"alerts: {found.alerts_last_30_days} in 30 days, {found.alerts_60_days_before} in the 60 days before"
    )
    if found.lives:
        lines.append("parts that wear out (from their trend; no claim beyond it):")
    return lines + [f"  {each.metric}: {each.sentence}" for each in found.lives]
