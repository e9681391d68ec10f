"""The examples in the help of every command are commands that the parser takes."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from coldaisle.cli.main import cli
from coldaisle.playbooks.builtin import builtin_playbooks

MAX_DEPTH_COMMANDS = 4


def all_commands(command: click.Command, context: click.Context, depth: int = 0) -> Iterator[click.Command]:
    yield command
    assert depth < MAX_DEPTH_COMMANDS
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from all_commands(found, context, depth + 1)


def examples() -> list[str]:
    """Each line of a help text that shows a command, without what a shell does with its output."""
    texts = [each.help or "" for each in all_commands(cli, click.Context(cli))]
    lines = {line.strip() for text in texts for line in text.splitlines()}
    shown = {re.split(r" {2,}| [|>] ", line)[0] for line in lines if line.startswith("coldaisle ")}
    return sorted(shown)


def parsed(example: str) -> click.Context:
    """The example as the parser understands it; nothing is run."""
    command: click.Command = cli
    context = click.Context(cli)
    words = shlex.split(example)[1:]
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        if found is None:
            break  # an option of the group
        command, words = found, words[1:]
    return command.make_context(command.name, words)


@pytest.mark.parametrize("example", examples())
def test_an_example_in_a_help_text_is_taken(example, monkeypatch):
    monkeypatch.setenv("CLUSTER_URL", "kurrentdb://127.0.0.1:2113")
    try:
        parsed(example)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) or "there is no" not in error.message:
            raise  # it is not for want of the file that the example names


@pytest.mark.parametrize("example", [each for each in examples() if " playbook run " in each])
def test_an_example_of_a_run_names_parameters_that_its_playbook_has(example):
    given = parsed(example).params
    known = {each.id: each.parameters for each in builtin_playbooks()}[given["name"]]
    assert {each.partition("=")[0] for each in given["parameters"]} <= set(known)
