"""Entry point: the command table, the global options, and errors turned into exit codes."""

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from coldaisle.cli.errors import EXIT_CODE_MEANINGS, CliError, ExitCode, ReaderGone
from coldaisle.cli.lazy import CommandTable, LazyGroup, missing_module
from coldaisle.cli.settings import DEFAULT_SERVER, DEFAULT_TIMEOUT_SECONDS, Settings
from coldaisle.cli.telling import tell
from coldaisle.core.errors import ColdaisleError

COMMANDS: CommandTable = {
    "demo": ("coldaisle.cli.commands.demo:demo", "Run a simulated hall and its twin, live in the terminal."),
    "status": ("coldaisle.cli.commands.status:status", "Show how the system itself is."),
    "get": ("coldaisle.cli.commands.get:get", "List assets, alerts, runs, playbooks, events or agents."),
    "describe": ("coldaisle.cli.commands.describe:describe", "Tell all that is known of one thing."),
    "watch": ("coldaisle.cli.commands.watch:watch", "Follow alerts, events, samples or runs as they happen."),
    "events": ("coldaisle.cli.commands.events:events", "Read the history itself."),
    "alerts": ("coldaisle.cli.commands.alerts:alerts", "List alerts and acknowledge them."),
    "alert": ("coldaisle.cli.commands.alert:alert", "Tell, acknowledge, silence or judge one alert."),
    "silence": ("coldaisle.cli.commands.silence:silence", "Keep alerts quiet for a while."),
    "maintenance": (
        "coldaisle.cli.commands.maintenance:maintenance",
        "Schedule work on assets, so that it alarms nobody.",
    ),
    "detectors": (
        "coldaisle.cli.commands.detectors:detectors",
        "Show how alerts are found: thresholds, versions, what learns and what is held.",
    ),
    "forecast": (
        "coldaisle.cli.commands.forecast:forecast",
        "Tell what a metric will be, when it meets a limit, and how long parts may last.",
    ),
    "replay": ("coldaisle.cli.commands.replay:replay", "Show the hall as it was at a moment."),
    "playbook": ("coldaisle.cli.commands.playbook:playbook", "Propose, approve and follow remedies."),
    "serve": (
        "coldaisle.server.commands:serve",
        "Run the server: history, twin, detection, playbooks and the gRPC API.",
    ),
    "verify": (
        "coldaisle.server.commands:verify",
        "Replay a history from its first event, and hold it against what was recorded.",
    ),
    "backtest": (
        "coldaisle.server.backtest_commands:backtest",
        "Replay recorded history through other detection settings, and show what would differ.",
    ),
    "history": (
        "coldaisle.server.history_commands:history",
        "Prove that the history is what was appended: verify, sign, export, and keep its keys.",
    ),
    "store": (
        "coldaisle.server.store_commands:store",
        "Look after a store's file: back up, check, thin out, archive, copy, salvage.",
    ),
    "agent": ("coldaisle.agent.commands:agent", "Collect from this host and the devices that it can reach."),
    "snmp": (
        "coldaisle.agent.snmp_commands:snmp",
        "Ask devices over SNMP, test profiles, and find devices.",
    ),
    "lab": ("coldaisle.lab.commands:lab", "Run a simulated hall that speaks real protocols."),
    "completion": ("coldaisle.cli.commands.completion:completion", "Print a shell completion script."),
    "help": ("coldaisle.cli.commands.help:help_topic", "Explain a topic, such as exit-codes."),
}

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

EXIT_CODES = "Exit codes: " + " · ".join(
    f"{code.value} {meaning}" for code, meaning in EXIT_CODE_MEANINGS.items()
)


class Coldaisle(LazyGroup):
    """The top of the command line."""

    table = COMMANDS

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Any: commands return what they like."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error  # click would make it a failure


@click.group(cls=Coldaisle, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--server", envvar="COLDAISLE_SERVER", default=DEFAULT_SERVER, show_default=True,
    metavar="HOST:PORT", show_envvar=True, help="The server to ask.",
)  # fmt: skip
@click.option(
    "--token-file", envvar="COLDAISLE_TOKEN_FILE", show_envvar=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the access token.  [default: token in $COLDAISLE_DATA or ./coldaisle-data]",
)  # fmt: skip
@click.option(
    "--tls-ca", envvar="COLDAISLE_TLS_CA", show_envvar=True, type=click.Path(path_type=Path, dir_okay=False),
    help="Certificates to trust; needed for every server that is not on this machine.",
)  # fmt: skip
@click.option(
    "--command-timeout", type=click.FloatRange(min=0.1, max=3600), default=DEFAULT_TIMEOUT_SECONDS,
    show_default=True, metavar="SECONDS", help="Deadline of each call.",
)  # fmt: skip
@click.option("--debug", is_flag=True, help="Show the trace of an error.")
@click.version_option(package_name="coldaisle", prog_name="coldaisle")
@click.pass_context
def cli(
    context: click.Context,
    server: str,
    token_file: Path | None,
    tls_ca: Path | None,
    command_timeout: float,
    debug: bool,
) -> None:
    """The operations twin of a data center: what is happening, what was true, what was done.

    \b
    coldaisle demo                         a hall, its twin and a fault to play with
    coldaisle get assets --filter kind=rack
    coldaisle alerts
    coldaisle replay --as-of -10m
    """
    context.obj = Settings(server, token_file, tls_ca, command_timeout, debug)


def main() -> None:
    """Run the command line and exit."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its errors reach us as exceptions; we say them once
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code. Errors become a cause and a next step on stderr."""
    try:
        result = cli.main(list(arguments), prog_name="coldaisle", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except ReaderGone:
        # nothing more can be said, nor may the interpreter try to at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as error:  # the last boundary of the process: nothing may end in a bare trace
        return _report(error, debug="--debug" in arguments)
    return result if isinstance(result, int) else ExitCode.OK


def _report(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    if isinstance(error, ModuleNotFoundError):
        error = missing_module(error)
    if isinstance(error, CliError):
        _say(str(error), error.next_step)
        return error.exit_code
    if isinstance(error, ColdaisleError):
        _say(str(error), "")
        return ExitCode.FAILED
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        _say(f"there is no room to write: {error}", "make room, or write elsewhere")
        return ExitCode.FAILED
    if isinstance(error, OSError) and error.filename is not None:
        _say(f"{error.filename}: {error.strerror}", "check the path, and what its permissions allow")
        return ExitCode.FAILED
    if isinstance(error, UnicodeEncodeError):
        _say(f"what was given is no text in UTF-8: {error.object!a}", "correct it")
        return ExitCode.USAGE
    _say(f"{type(error).__name__}: {error}", "run it again with --debug before the command, and report it")
    return ExitCode.FAILED


def _say(cause: str, next_step: str) -> None:
    tell(f"error: {cause}".split("\n"), err=True)
    if next_step:
        tell([f"next:  {next_step}"], err=True)
