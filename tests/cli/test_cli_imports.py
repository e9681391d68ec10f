"""What the command line costs before it does anything, and that its table tells the truth."""

import importlib.util
import json
import subprocess
import sys

import click
import pytest

from coldaisle.cli.lazy import resolve
from coldaisle.cli.main import COMMANDS

HEAVY = {
    "asyncio", "google.protobuf", "grpc", "mcp", "msgspec", "networkx", "numpy", "orjson", "pydantic",
    "pysnmp", "rich", "river", "structlog", "textual", "yaml",
}  # fmt: skip

OURS = [name for name, (target, _) in COMMANDS.items() if target.startswith("coldaisle.cli.")]


def imported_by(*arguments: str) -> set[str]:
    """The modules that a process holds once the command has ended."""
    program = (
        "import sys, json, io\n"
        "from coldaisle.cli.main import run\n"
        "out, sys.stdout = sys.stdout, io.StringIO()\n"
        f"code = run({list(arguments)!r})\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=out)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stdout)
    assert code == 0, done.stderr
    return set(modules)


def test_help_imports_nothing_heavy():
    assert not imported_by("--help") & HEAVY


@pytest.mark.parametrize("name", OURS)
def test_the_help_of_each_command_of_ours_imports_nothing_heavy(name):
    assert not imported_by(name, "--help") & HEAVY


def test_help_imports_none_of_the_other_programs():
    found = imported_by("--help")
    assert not [
        name for name in found if name.startswith(("coldaisle.server", "coldaisle.agent", "coldaisle.lab"))
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_line_of_the_table_is_the_commands_own_help(name):
    target, line = COMMANDS[name]
    module = target.partition(":")[0]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not part of this build")
    command = resolve(target)
    assert command.get_short_help_str(limit=200).rstrip(".") == line.rstrip(".")


@pytest.mark.parametrize("name", OURS)
def test_each_command_teaches_with_an_example(name):
    command = resolve(COMMANDS[name][0])
    assert f"coldaisle {name}" in (command.help or "")
    for sub in command.commands.values() if isinstance(command, click.Group) else ():
        assert f"coldaisle {name} {sub.name}" in (sub.help or "")
