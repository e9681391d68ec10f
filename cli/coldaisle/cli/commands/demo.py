"""``coldaisle demo``: everything at once, on this machine, in one terminal."""

from pathlib import Path

import click

MAX_SPEED = 600
"""The lab's own bound."""


@click.command(short_help="Run a simulated hall and its twin, live in the terminal.")
@click.option(
    "--directory", type=click.Path(path_type=Path, file_okay=False),
    help="Where to keep the data.  [default: a temporary one]",
)  # fmt: skip
@click.option(
    "--speed", type=click.FloatRange(min=0.1, max=MAX_SPEED), default=20.0, show_default=True,
    help="Plant seconds in a real second.",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Leave the data and the logs behind.")
@click.option(
    "--headless", type=click.FloatRange(min=1), metavar="SECONDS",
    help="Print plain lines and stop after so long.",
)  # fmt: skip
@click.option("--story", is_flag=True, help="Break a cooling unit and see it remedied, unattended.")
@click.option(
    "--limit-seconds", type=click.FloatRange(min=1), default=180.0, show_default=True,
    help="How long the story may take.",
)  # fmt: skip
@click.option("--supervise", is_flag=True, help="Start the server or the agent again when it dies.")
def demo(
    directory: Path | None,
    speed: float,
    keep: bool,
    headless: float | None,
    story: bool,
    limit_seconds: float,
    supervise: bool,
) -> int:
    """Run a simulated hall, the server and an agent, and show the twin live. Ctrl-C stops all of it.

    With --story a cooling unit breaks, the twin notices, a remedy is proposed, approved, carried out and
    verified by telemetry; it exits with 0 only if the history shows every step.

    \b
    coldaisle demo
    coldaisle demo --story --directory /tmp/story --keep
    """
    from coldaisle.cli.demo.run import Wishes, run_demo

    wishes = Wishes(directory, speed, keep, headless, story, limit_seconds, supervise)
    return run_demo(wishes)
