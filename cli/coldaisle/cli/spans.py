"""Spans of time and moments to come, as they are typed: ``2h``, ``+30m``, ``2026-11-20T22:00Z``."""

import re
from datetime import UTC, datetime, timedelta

import click

_SPAN = re.compile(r"(\d{1,6}(?:\.\d+)?)(m|h|d|w)")
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def span_seconds(text: str) -> int:
    """The seconds of ``90m``, ``12h``, ``7d`` or ``2w``; ValueError says what is accepted."""
    matched = _SPAN.fullmatch(text)
    if matched is None:
        raise ValueError(f"{text!r} is no span: write a number and m, h, d or w, such as 7d")
    return round(float(matched[1]) * _SECONDS[matched[2]])


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC, in which it is where it has no zone; OverflowError outside the years 1 to 9999."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


class Span(click.ParamType[int]):
    """A span of time in seconds."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return span_seconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Start(click.ParamType[datetime]):
    """When something begins: a time, UTC without a zone, or a span from now with ``+``."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        text = str(value)
        try:
            if text.startswith("+"):
                return datetime.now(UTC) + timedelta(seconds=span_seconds(text[1:]))
            return in_utc(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no moment: write +2h or 2026-11-20T22:00Z", param, ctx)
