"""The lab is a fair opponent: it shares no code with the twin that is tested against it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import coldaisle.lab

SOURCE = Path(next(iter(coldaisle.lab.__path__)))
ALLOWED = ("coldaisle.lab", "coldaisle.core.errors", "coldaisle.integrations.snmp")
STANDS_IN_FOR_AN_AGENT = {
    "recording.py": ("coldaisle.core.events", "coldaisle.integrations.host", "coldaisle.integrations.syslog"),
    "history.py": ("coldaisle.core.events", "coldaisle.core.store.port"),
}
"""The recorder speaks of events as an agent does; neither twin nor detection is among what it may know."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_lab_imports_nothing_of_the_twin() -> None:
    strange = [
        f"{path.name}: {name}"
        for path in SOURCE.rglob("*.py")
        for name in imported(path)
        if name.startswith("coldaisle")
        and not name.startswith((*ALLOWED, *STANDS_IN_FOR_AN_AGENT.get(path.name, ())))
    ]
    assert strange == []


def test_the_plant_does_not_know_that_it_is_recorded() -> None:
    """Only the recorder imports what stands in for an agent."""
    users = {
        path.name
        for path in SOURCE.rglob("*.py")
        for name in imported(path)
        if name in ("coldaisle.lab.recording", "coldaisle.lab.history")
    }
    assert users == set()


def test_functions_stay_short() -> None:
    """No function of the plant grows past what a reader can hold."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 70, f"{path.name}: {node.name}"
