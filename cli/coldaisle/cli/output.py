"""Answers in the form that was asked for. Data goes to stdout, everything else to stderr.

Nothing here writes colour except ``painted``, and that only to a terminal and never under NO_COLOR.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from coldaisle.cli.telling import one_line, tell

M = TypeVar("M", bound=Message)

_GAP = "  "

# What JSON lets through unescaped and a terminal obeys or hides: DEL and C1, marks that turn text around,
# line separators; and halves of characters, which no encoding takes.
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Column(Generic[M]):
    """A column of a table; ``wide`` ones show only in ``-o wide``."""

    title: str
    text: Callable[[M], str]
    wide: bool = False
    right: bool = False


def plain(message: Message) -> dict[str, Any]:
    """Protobuf JSON as plain values. Any: JSON has no narrower type."""
    found: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    return found


def emit(
    form: str,
    document: Message,
    items: Sequence[M],
    columns: Sequence[Column[M]],
    name: Callable[[M], str],
) -> None:
    """Print an answer: ``document`` whole for json and yaml, its ``items`` one by one for the others."""
    match form:
        case "json":
            click.echo(json_text(plain(document), indent=2))
        case "yaml":
            click.echo(yaml_text(plain(document)), nl=False)
        case "jsonl":
            emit_lines(items)
        case "name":
            for item in items:
                click.echo(one_line(name(item)))
        case _:
            shown = [column for column in columns if form == "wide" or not column.wide]
            width = shutil.get_terminal_size().columns if form == "table" and sys.stdout.isatty() else 0
            for line in table_lines(shown, items):
                click.echo(f"{line[: width - 1]}…" if 0 < width < len(line) else line)


def emit_lines(items: Iterable[Message]) -> None:
    """One JSON object a line, each line out at once."""
    for item in items:
        click.echo(json_text(plain(item), separators=(",", ":")))


def json_text(value: object, indent: int | None = None, separators: tuple[str, str] | None = None) -> str:
    """JSON in which every character can be seen: the others are escaped."""
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def yaml_text(value: object) -> str:
    """YAML of plain values, in the order of the API's fields."""
    import yaml

    # the same text as by SafeDumper in less time, where PyYAML was built with libyaml
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True)
    if _UNSEEN.search(text):
        text = yaml.dump(value, Dumper=dumper, sort_keys=False)  # all that is not ASCII is escaped
    return text


def table_lines(columns: Sequence[Column[M]], items: Sequence[M]) -> list[str]:
    """Header and rows, each column as wide as its widest cell."""
    rows = [[column.title for column in columns]]
    rows += [[one_line(column.text(item)) for column in columns] for item in items]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    return [
        _GAP.join(
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in rows
    ]


def note(text: str) -> None:
    """Something to know that is not data."""
    tell([text], err=True)


def note_position(position: int, form: str) -> None:
    """The position that a table answers for; machine forms carry it themselves."""
    if form in ("table", "wide"):
        note(f"true at @{position}")


def colour_allowed() -> bool:
    """Whether stdout is a terminal that wants colour."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, hex_colour: str, *, colour: bool) -> str:
    """The text in a 24-bit colour where colour is allowed."""
    if not colour:
        return text
    red, green, blue = (int(hex_colour[at : at + 2], 16) for at in (1, 3, 5))
    return click.style(text, fg=(red, green, blue))
