"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from coldaisle.cli.moments import MAX_POSITION, AsOfType
from coldaisle.cli.spans import Span, Start

FORMS = ("table", "wide", "json", "jsonl", "yaml", "name")
DEFAULT_LIMIT = 1_000

# Any: a click decorator takes and returns a function of whatever parameters the command has.
F = TypeVar("F", bound=Callable[..., Any])


def output(function: F) -> F:
    """``-o``: the form of the answer."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(FORMS), default="table", show_default=True,
        help="Form of the answer; json is protobuf JSON and stays stable.",
    )(function)  # fmt: skip


def as_of(function: F) -> F:
    """``--as-of``: the moment that a read answers for."""
    return click.option(
        "--as-of", "as_of", type=AsOfType(), metavar="MOMENT",
        help="Answer for this moment: 2026-11-20T10:42Z, -3h or @4711 (a position).",
    )(function)  # fmt: skip


def after(function: F) -> F:
    """``--after``: the position that a read begins behind."""
    return click.option(
        "--after", type=click.IntRange(0, MAX_POSITION), default=0, metavar="POSITION",
        help="Only what came later.",
    )(function)  # fmt: skip


def limit(function: F) -> F:
    """``--limit``: when to stop paging."""
    return click.option(
        "--limit", type=click.IntRange(min=1), default=DEFAULT_LIMIT, show_default=True,
        help="Stop after this many.",
    )(function)  # fmt: skip


def filters(function: F) -> F:
    """``--filter``: terms that must all hold."""
    return click.option(
        "--filter", "terms", multiple=True, metavar="TERM",
        help="Only what fits, such as kind=rack or state=open; may be repeated.",
    )(function)  # fmt: skip


def dry_run(function: F) -> F:
    """``--dry-run``: check and answer, record nothing."""
    return click.option("--dry-run", is_flag=True, help="Check and show, but change nothing.")(function)


def window(function: F) -> F:
    """``--for``, ``--start`` and ``--reason``: when something holds, and why."""
    start_help = "From when: +2h or 2026-11-20T22:00Z.  [default: now]"
    for option in (
        click.option("--reason", required=True, help="Why; it is kept in the history."),
        click.option("--start", type=Start(), metavar="MOMENT", help=start_help),
        click.option(
            "--for", "seconds", type=Span(), required=True, metavar="SPAN", help="How long: 90m, 4h, 7d."
        ),
    ):
        function = option(function)
    return function
