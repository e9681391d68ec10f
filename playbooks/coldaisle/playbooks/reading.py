"""YAML text to a checked playbook.

Every reference, bound and default has been checked by then, so that a plan can only fail because of the twin
or of the parameters given.
"""

import hashlib
from functools import lru_cache
from typing import TypeVar

import msgspec

from coldaisle.core.errors import ConfigError
from coldaisle.playbooks.checks import check
from coldaisle.playbooks.language import Document, Parameter, Playbook
from coldaisle.playbooks.source import Path, Source, read_source

MAX_PARSED_PLAYBOOKS = 64
"""Kept, for each is asked for again and again: one of 2 KB costs 10 ms, one of 42 KB more than three seconds,
in which a server does nothing else."""

_Part = TypeVar("_Part", Document, Parameter)


@lru_cache(MAX_PARSED_PLAYBOOKS)
def read_playbook(text: str, name: str = "playbook") -> Playbook:
    """The playbook of a YAML text. Raises ConfigError that names file, line, key, value and remedy."""
    source = read_source(text, name)
    document = _convert(source)
    check(source, document)
    return Playbook(
        id=document.playbook,
        title=document.title,
        description=document.description,
        parameters=document.parameters,
        steps=tuple(document.steps),
        verify=document.verify,
        approval=document.approval,
        revision=hashlib.sha256(text.encode()).hexdigest(),
        text=text,
    )


def _convert(source: Source) -> Document:
    if not isinstance(source.value, dict):
        raise source.fault((), "not a map of keys", "write the keys playbook, title and steps")
    parameters = source.value.get("parameters")
    if isinstance(parameters, dict):  # one by one: inside a map, msgspec does not say at which key
        for name, value in parameters.items():
            _convert_part(source, ("parameters", name), value, Parameter)
    return _convert_part(source, (), source.value, Document)


def _convert_part(source: Source, path: Path, value: object, kind: type[_Part]) -> _Part:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        raise _conversion_fault(source, path, str(error)) from error


def _conversion_fault(source: Source, start: Path, message: str) -> ConfigError:
    """msgspec says ``Expected `str`, got `int` - at `$.steps[0].action```: say it with file and line."""
    what, _, place = message.partition(" - at ")
    path = (*start, *_path(place.strip("`")))
    if "unknown field" in what:
        return source.fault((*path, what.split("`")[1]), "no such key", "remove it or correct its spelling")
    if "missing required field" in what:
        return source.fault(path, f"the key {what.split('`')[1]} is missing", "add it")
    return source.fault(path, what.lower().replace("`", ""), "write a value of that kind")


def _path(place: str) -> Path:
    """``$.steps[0].with[...]`` as a path; ``[...]`` (some key of a map) ends it."""
    path: Path = ()
    for part in place.removeprefix("$").replace("[", ".[").split("."):
        key = part.strip("[]")
        if part.startswith("[") and key.isdigit():
            path = (*path, int(key))
        elif key:
            path = (*path, key)
        elif part == "[":
            break
    return path
