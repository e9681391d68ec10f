"""YAML text to a checked playbook.

Every reference, bound and default has been checked by then, so that a plan can only fail because of the twin
or of the parameters given.
"""

import hashlib

import msgspec

from coldaisle.core.errors import ConfigError
from coldaisle.playbooks.checks import check
from coldaisle.playbooks.language import Document, Playbook
from coldaisle.playbooks.source import Path, Source, read_source


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
    try:
        return msgspec.convert(source.value, Document)
    except (msgspec.ValidationError, OverflowError) as error:
        raise _conversion_fault(source, str(error)) from error


def _conversion_fault(source: Source, message: str) -> ConfigError:
    """msgspec says ``Expected `str`, got `int` - at `$.steps[0].action```: say it with file and line."""
    what, _, place = message.partition(" - at ")
    path = _path(place.strip("`"), source.value)
    if "unknown field" in what:
        return source.fault((*path, what.split("`")[1]), "no such key", "remove it or correct its spelling")
    if "missing required field" in what:
        return source.fault(path, f"the key {what.split('`')[1]} is missing", "add it")
    return source.fault(path, what.lower().replace("`", ""), "write a value of that kind")


def _path(place: str, value: object) -> Path:
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
