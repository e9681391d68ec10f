"""``coldaisle replay``: the hall as it was."""

from typing import TYPE_CHECKING

import click

from coldaisle.cli import options
from coldaisle.cli.errors import CliError, ExitCode
from coldaisle.cli.moments import AsOf
from coldaisle.cli.settings import Settings

if TYPE_CHECKING:
    from coldaisle.cli.hall import Hall
    from coldaisle.v1.history_pb2 import State


@click.command(short_help="Show the hall as it was at a moment.")
@options.as_of
@click.option(
    "--verify", "expected", default="", metavar="HASH", help="Fail with 8 unless the state is this."
)
@options.output
@click.pass_obj
def replay(settings: Settings, as_of: AsOf | None, expected: str, form: str) -> None:
    """Fold the history up to a moment and show the hall: inlet temperatures, alerts, runs, state hash.

    The hash is equal wherever and whenever the same history is folded.

    \b
    coldaisle replay --as-of -10m
    coldaisle replay --as-of @4711 --verify 9f86d081884c7d65…
    """
    from coldaisle.cli.client import Client, moment_of
    from coldaisle.cli.hall import read_hall
    from coldaisle.cli.output import note
    from coldaisle.v1.history_pb2 import GetStateRequest

    with Client(settings) as client:
        state = client.call(client.history.GetState, GetStateRequest(moment=moment_of(as_of)))
        hall = read_hall(client, moment_of(state.revision or as_of))
    _print(state, hall, form)
    for line in hall.left_out:
        note(line)
    if expected and not state.state_hash.startswith(expected.rstrip("…")):
        raise CliError(
            f"the state at @{state.revision} is {state.state_hash}, not {expected}",
            "compare the histories: coldaisle events --backwards --as-of …",
            ExitCode.DAMAGED,
        )


def _print(state: "State", hall: "Hall", form: str) -> None:
    from coldaisle.cli.hall_text import hall_lines
    from coldaisle.cli.output import colour_allowed, json_text, yaml_text

    match form:
        case "table" | "wide":
            click.echo("\n".join(hall_lines(hall, state, colour=colour_allowed())))
        case "name":
            click.echo(f"@{state.revision}")
        case "yaml":
            click.echo(yaml_text(_document(state, hall)), nl=False)
        case _:
            indent = 2 if form == "json" else None
            click.echo(json_text(_document(state, hall), indent))


def _document(state: "State", hall: "Hall") -> dict[str, object]:
    """The picture as plain values; the resources in it are protobuf JSON."""
    from coldaisle.cli.output import plain

    racks = [{"name": each.name, "row": each.row, "inletCelsius": each.inlet_celsius} for each in hall.racks]
    return {
        "state": plain(state),
        "racks": racks,
        "alerts": [plain(each) for each in hall.alerts],
        "runs": [plain(each) for each in hall.runs],
    }
