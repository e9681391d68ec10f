"""A TOML file to a frozen Struct, with errors that name file, place, value and remedy."""

import re
import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from coldaisle.core.errors import ConfigError

T = TypeVar("T")

_PLACE = re.compile(r" - at `(?:key in |value in )?\$([^`]*)`\Z")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_MAX_SHOWN_CHARACTERS = 80


def read_toml(path: Path, kind: type[T]) -> T:
    """The file's content, checked; raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}; correct that line") from error
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, table)}") from error


def explain(error: msgspec.ValidationError, table: object) -> str:
    """A validation error as ``place = value: what is wrong; remedy``."""
    text = str(error)
    found = _PLACE.search(text)
    place = found[1] if found else ""
    problem = text[: found.start()] if found else text
    value = _value_at(place, table)
    shown = "" if isinstance(value, dict | None) else f" = {value!r:.{_MAX_SHOWN_CHARACTERS}}"
    if problem.startswith("Object contains unknown field"):
        problem, remedy = (
            problem.replace("Object contains unknown field", "unknown key"),
            "remove or correct it",
        )
    elif problem.startswith("Object missing required field"):
        problem, remedy = problem.replace("Object missing required field", "missing key"), "add it"
    else:
        problem, remedy = problem[:1].lower() + problem[1:], "correct the value"
    return f"{place.lstrip('.') or 'top level'}{shown}: {problem}; {remedy}"


def _value_at(place: str, table: object) -> object:
    value = table
    for key, index in _STEP.findall(place):
        try:
            value = value[key] if key else value[int(index)]  # type: ignore[index] # checked by the except
        except (KeyError, IndexError, TypeError):
            return None
    return value
