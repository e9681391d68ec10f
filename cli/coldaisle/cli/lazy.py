"""A click group whose sub-commands are rows of a table: nothing is imported until a command is used."""

import importlib

import click

from coldaisle.cli.errors import CliError

CommandTable = dict[str, tuple[str, str]]
"""Name → (``"package.module:attribute"``, the one line that ``--help`` shows)."""


class LazyGroup(click.Group):
    """Resolves a command on use, so that ``--help`` costs no import and names no sibling package."""

    table: CommandTable

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = self.table.get(cmd_name)
        return resolve(row[0]) if row else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.table.items()])

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> "list[click.shell_completion.CompletionItem]":
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name, help=line)
            for name, (_, line) in self.table.items()
            if name.startswith(incomplete)
        ]


def resolve(target: str) -> click.Command:
    """Import what a row of the table points at."""
    module, _, attribute = target.partition(":")
    try:
        command = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise missing_module(error) from error
    if not isinstance(command, click.Command):
        raise TypeError(f"{target} is not a click command")
    return command


def missing_module(error: ModuleNotFoundError) -> CliError:
    """A command that was installed without what it needs: agents do without the server's parts."""
    return CliError(
        f"this command needs the module {error.name!r}, which is not installed",
        "pip install 'coldaisle[server]'",
    )
