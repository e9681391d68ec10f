"""Lines for a person. Names and values in them come from devices and are never obeyed by the terminal."""

from collections.abc import Iterable

import click


def one_line(text: str) -> str:
    """The text with a space for each character that cannot be seen: ends of lines, escapes, turned text."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else " " for each in text)


def tell(lines: Iterable[str], *, err: bool = False) -> None:
    """Print lines, each of which stays one."""
    click.echo("\n".join(map(one_line, lines)), err=err)
