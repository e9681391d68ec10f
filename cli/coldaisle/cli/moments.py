"""The moment that a read answers for: ``2026-11-20T10:42Z``, ``-3h`` or ``@4711``."""

import re
from datetime import UTC, datetime, timedelta

import click

from coldaisle.cli.spans import in_utc

AsOf = int | datetime
"""A position of the history, or a time with its zone."""

_RELATIVE = re.compile(r"-(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
MAX_POSITION = 2**63 - 1


def parse_as_of(text: str, now: datetime) -> AsOf:
    """The moment that ``text`` means; a time without a zone is UTC. ValueError says what is accepted."""
    if text.startswith("@"):
        return parse_position(text)
    if text.startswith("-"):
        return _relative(text, now)
    try:
        return in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no moment: write 2026-11-20T10:42Z, -3h or @4711") from error


def parse_position(text: str) -> int:
    """The position that ``@4711`` names; ValueError says what is accepted."""
    digits = text[1:]
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19 or int(digits) > MAX_POSITION:
        raise ValueError(f"{text!r} is no position: write @ and a whole number, such as @4711")
    return int(digits)


def _relative(text: str, now: datetime) -> datetime:
    matched = _RELATIVE.fullmatch(text)
    if matched is None:
        raise ValueError(
            f"{text!r} is no moment: write - with a number and ms, s, m, h, d or w, such as -90s"
        )
    try:
        return now - timedelta(seconds=float(matched[1]) * _SECONDS[matched[2]])
    except OverflowError as error:
        raise ValueError(f"{text!r} lies before the beginning of time") from error


class AsOfType(click.ParamType[AsOf]):
    """The type of ``--as-of``."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> AsOf:
        if not isinstance(value, str):
            assert isinstance(value, int | datetime)
            return value
        try:
            return parse_as_of(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)
