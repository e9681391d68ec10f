"""``coldaisle help``: topics that are no command."""

import click

from coldaisle.cli.errors import EXIT_CODE_MEANINGS
from coldaisle.cli.options import FORMS

_MOMENTS = """\
Every read takes --as-of and then answers for that moment of the history:

  2026-11-20T10:42Z   a time (UTC where no zone is given), by when the event was recorded
  -3h, -90s, -2d      so long ago (ms, s, m, h, d, w)
  @4711               the position of an event: everything up to and including it"""

_OUTPUT = f"""\
Every read takes -o: {", ".join(FORMS)}.

Data goes to stdout; notes, progress and questions to stderr. json is protobuf JSON
and stays stable; jsonl is one object a line; name is made for xargs. Machine forms are never coloured;
tables only on a terminal, and not when NO_COLOR is set."""


def _exit_codes() -> str:
    return "\n".join(f"{code.value:>4}  {meaning}" for code, meaning in EXIT_CODE_MEANINGS.items())


TOPICS = {"exit-codes": _exit_codes(), "moments": _MOMENTS, "output": _OUTPUT}


@click.command("help", short_help="Explain a topic, such as exit-codes.")
@click.argument("topic", default="", type=click.Choice(("", *TOPICS)))
@click.pass_context
def help_topic(context: click.Context, topic: str) -> None:
    """Explain a TOPIC: exit-codes, moments or output; without one, show all commands.

    \b
    coldaisle help exit-codes
    """
    click.echo(TOPICS[topic] if topic else context.find_root().get_help())
