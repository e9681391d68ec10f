"""``coldaisle backtest``. Only click at import, the rest when it runs."""

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coldaisle.server.store_options import Age, data, key, progress, run, store_key, told

if TYPE_CHECKING:
    from coldaisle.server.backtest import Backtest, Candidate, Span

_NANOSECONDS = 1_000_000_000


class Moment(click.ParamType[int]):
    """A moment as UTC ns: an ISO 8601 time with its zone, or an age such as ``7d``."""

    name = "moment"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See click.ParamType."""
        if isinstance(value, int):
            return value
        if value[:1].isdigit() and value[-1:] in "smhdw":
            return time.time_ns() - Age().convert(value, param, ctx) * _NANOSECONDS
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fail(
                f"{value!r} is no moment: write an age such as 7d, or a time with its zone such as "
                "2026-11-21T06:00:00Z", param, ctx,
            )  # fmt: skip
        return int(moment.timestamp() * _NANOSECONDS)


@click.command()
@data
@key
@click.option("--from", "start", type=Moment(), metavar="MOMENT", help="From here on. [the first event]")
@click.option("--to", "end", type=Moment(), metavar="MOMENT", help="Up to here. [the last event]")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Settings on trial: [detect], [[policies]], as for serve. [those in force]")  # fmt: skip
@click.option("--allow-mixed-versions", "allow_mixed", is_flag=True,
              help="Compare although other versions judged then.")  # fmt: skip
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True)
@told
def backtest(
    path: Path,
    key_file: Path | None,
    start: int | None,
    end: int | None,
    config: Path | None,
    allow_mixed: bool,
    output: str,
) -> None:
    """Replay recorded history through other detection settings, and show what would differ.

    \b
    Which alerts would have opened, cleared or paged, and which runs would have started, beside what did.
    Reads the store's file alone; a server may run beside it. Nothing is written. Models learn from the first
    event on, so that they know at --from what they knew then. Without --config the settings that were in
    force judge again, and nothing should differ.

    \b
    Examples:
      coldaisle backtest --from 7d --config candidate.toml
      coldaisle backtest --from 2026-11-20T00:00:00Z --to 2026-11-21T00:00:00Z -o json
    """
    from coldaisle.server.backtest import BEGINNING, OPEN_END, Span
    from coldaisle.server.backtest_text import backtest_data, backtest_lines

    span = Span(BEGINNING if start is None else start, OPEN_END if end is None else end)
    found = run(_compared(path, key_file, span, _candidate(config), allow_mixed))
    if output == "json":
        import orjson

        click.echo(orjson.dumps(backtest_data(found), option=orjson.OPT_INDENT_2).decode())
        return
    for line in backtest_lines(found):
        click.echo(line)


async def _compared(
    path: Path, key_file: Path | None, span: "Span", candidate: "Candidate", allow_mixed: bool
) -> "Backtest":
    from coldaisle.core.store.archive_history import ArchivedHistory
    from coldaisle.core.store.sqlite import SqliteStore
    from coldaisle.server.backtest import backtest as compare
    from coldaisle.server.startup import model_versions

    async with SqliteStore(path, read_only=True, key=store_key(key_file)) as store:
        history = ArchivedHistory(store)
        return await compare(
            history, span, candidate, model_versions(), progress("replayed"), allow_mixed=allow_mixed
        )


def _candidate(config: Path | None) -> "Candidate":
    """Of the file only what it has: without policies in it, those in force stay."""
    from coldaisle.server.backtest import Candidate
    from coldaisle.server.settings import detector_event, load_settings, policies_event, sections
    from coldaisle.server.startup import model_versions

    if config is None:
        return Candidate()
    settings, present = load_settings(config), sections(config)
    return Candidate(
        detector_event(settings.detect, model_versions()) if "detect" in present else None,
        policies_event(settings.policies) if "policies" in present else None,
    )
