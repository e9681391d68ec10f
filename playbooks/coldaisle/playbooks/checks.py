"""The rules that a playbook's types cannot state: names, references, bounds. First fault wins."""

import math
import re
from collections.abc import Callable, Iterable

from coldaisle.core.events.types import Scalar
from coldaisle.playbooks.language import (
    EACH,
    MAX_PARAMETERS,
    MAX_SECONDS,
    MAX_STEPS,
    WAIT_UNTIL,
    Document,
    Parameter,
    PlaybookStep,
    Selector,
    Verify,
)
from coldaisle.playbooks.source import Path, Source
from coldaisle.playbooks.template import references

MAX_TEXT_CHARACTERS = 500

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_PARAMETER_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")
_WAIT_KEYS = {"metric", "below", "above", "for_seconds", "within_seconds"}


def check(source: Source, document: Document) -> None:
    """Raises ConfigError at the first rule that the document breaks."""
    _check_name(source, ("playbook",), document.playbook)
    _require(source, ("title",), bool(document.title.strip()), "empty", "say in a line what it is for")
    _require(source, ("steps",), bool(document.steps), "no steps", "add one")
    _at_most(source, ("steps",), len(document.steps), MAX_STEPS)
    _at_most(source, ("parameters",), len(document.parameters), MAX_PARAMETERS)
    for name, parameter in document.parameters.items():
        _check_parameter(source, name, parameter)
    known = set(document.parameters)
    for index, step in enumerate(document.steps):
        _check_step(source, ("steps", index), step, known)
    _check_unique(source, [step.id for step in document.steps])
    if document.verify is not None:
        _check_verify(source, document.verify, known)
    _check_seconds(source, ("approval", "expires_seconds"), document.approval.expires_seconds, least=1)


def value_fault(parameter: Parameter, value: Scalar) -> str | None:
    """What is wrong with a value of this parameter, or None. Whether an asset exists is the twin's to say."""
    if not _has_type(parameter, value):
        return f"not of type {parameter.type}"
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
        return f"longer than {MAX_TEXT_CHARACTERS} characters"
    if parameter.choices and value not in parameter.choices:
        return f"not one of {', '.join(map(str, parameter.choices))}"
    if isinstance(value, str | bool):
        return None
    if parameter.minimum is not None and value < parameter.minimum:
        return f"below the minimum {parameter.minimum:g}"
    if parameter.maximum is not None and value > parameter.maximum:
        return f"above the maximum {parameter.maximum:g}"
    return None


_TYPE_TESTS: dict[str, Callable[[Scalar], bool]] = {
    "asset": lambda value: isinstance(value, str) and bool(value),
    "text": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: not isinstance(value, bool | str) and math.isfinite(value) and abs(value) <= 1e15,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 10**15,
}


def _has_type(parameter: Parameter, value: Scalar) -> bool:
    return _TYPE_TESTS[parameter.type](value)


def _require(source: Source, path: Path, holds: bool, what: str, remedy: str) -> None:
    if not holds:
        raise source.fault(path, what, remedy)


def _at_most(source: Source, path: Path, count: int, most: int) -> None:
    _require(source, path, count <= most, f"{count} entries, at most {most}", "split the playbook")


def _check_name(source: Source, path: Path, name: str) -> None:
    fits = _NAME.fullmatch(name) is not None
    _require(source, path, fits, "not a name", "use lower-case letters, digits and hyphens, a letter first")


def _check_parameter(source: Source, name: str, parameter: Parameter) -> None:
    path = ("parameters", name)
    fits = _PARAMETER_NAME.fullmatch(name) is not None and name != EACH
    remedy = f"use lower-case letters, digits and underscores, and not {EACH!r}"
    _require(source, path, fits, "not a parameter's name", remedy)
    bounded = parameter.minimum is not None or parameter.maximum is not None
    numeric = parameter.type in ("number", "integer")
    _require(source, path, numeric or not bounded, f"type {parameter.type} has no bounds", "remove them")
    _require(source, path, parameter.type == "asset" or not parameter.kind, "kind is for assets", "remove it")
    for value in parameter.choices if parameter.default is None else (parameter.default, *parameter.choices):
        what = value_fault(parameter, value)
        _require(source, (*path, "default"), what is None, f"{value!r} is {what}", "correct it")


def _check_step(source: Source, path: Path, step: PlaybookStep, known: set[str]) -> None:
    _check_name(source, (*path, "id"), step.id)
    is_action = _ACTION.fullmatch(step.action) is not None
    _require(
        source, (*path, "action"), is_action, "not an action", "write it as system.verb, for example snmp.set"
    )
    one_target = not (step.asset and step.for_each)
    _require(source, path, one_target, "both asset and for_each", "keep the one that says where to act")
    inside = known | {EACH} if step.for_each else known
    _check_references(source, (*path, "with"), step.arguments, inside)
    _check_references(source, (*path, "asset"), step.asset, known)
    _check_finite(source, (*path, "with"), step.arguments.values())
    if step.for_each is not None:
        _check_selector(source, (*path, "for_each"), step.for_each, known)
    _check_seconds(source, (*path, "timeout_seconds"), step.timeout_seconds)
    if step.action == WAIT_UNTIL:
        _check_wait(source, path, step)


def _check_wait(source: Source, path: Path, step: PlaybookStep) -> None:
    targeted = bool(step.asset or step.for_each)
    _require(source, path, targeted, "wait_until has no asset", "name it in asset or for_each")
    for key in step.arguments:
        _require(source, (*path, "with", key), key in _WAIT_KEYS, "no such key", f"use {sorted(_WAIT_KEYS)}")
    bound = {"below", "above"} & set(step.arguments)
    complete = "metric" in step.arguments and bool(bound)
    _require(source, (*path, "with"), complete, "no condition", "give metric, and below or above")


def _check_verify(source: Source, verify: Verify, known: set[str]) -> None:
    path: Path = ("verify",)
    bounded = verify.below is not None or verify.above is not None
    _require(source, path, bounded, "no bound", "give below or above")
    _check_finite(source, path, [verify.below, verify.above])
    _check_seconds(source, (*path, "for_seconds"), verify.for_seconds, least=0)
    _check_seconds(source, (*path, "within_seconds"), verify.within_seconds)
    possible = verify.for_seconds < verify.within_seconds
    _require(source, (*path, "within_seconds"), possible, "not longer than for_seconds", "give it more time")
    if isinstance(verify.assets, Selector):
        _check_selector(source, (*path, "assets"), verify.assets, known)
    else:
        _require(source, (*path, "assets"), bool(verify.assets), "empty", "name an asset or select some")
        _check_references(source, (*path, "assets"), verify.assets, known)


def _check_selector(source: Source, path: Path, selector: Selector, known: set[str]) -> None:
    _require(source, (*path, "to"), bool(selector.to), "empty", "name the asset to start from")
    _check_references(source, (*path, "to"), selector.to, known)
    _require(source, (*path, "at_least"), selector.at_least >= 1, "not above zero", "write 1 or more")
    where = selector.where
    if where is not None:
        bounded = where.above is not None or where.below is not None
        _require(source, (*path, "where"), bounded, "no bound", "give above or below")
        _check_finite(source, (*path, "where"), [where.above, where.below])


def _check_references(source: Source, path: Path, value: object, known: set[str]) -> None:
    for name in references(value):
        remedy = f"use one of: {', '.join(sorted(known)) or 'none is declared'}"
        _require(source, path, name in known, f"${{{name}}} names no parameter", remedy)


def _check_finite(source: Source, path: Path, values: Iterable[object]) -> None:
    for value in values:
        parts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else [value]
        for part in parts:
            finite = not isinstance(part, int | float) or abs(part) <= 1e15
            _require(source, path, finite, f"{part!r} is out of range", "write a finite number")


def _check_seconds(source: Source, path: Path, seconds: float, least: float = 0.001) -> None:
    fits = least <= seconds <= MAX_SECONDS
    _require(source, path, fits, "out of range", f"write {least:g} to {MAX_SECONDS:g} seconds")


def _check_unique(source: Source, ids: list[str]) -> None:
    for index, step_id in enumerate(ids):
        first = ids.index(step_id)
        path = ("steps", index, "id")
        _require(source, path, first == index, f"also the id of step {first + 1}", "give each its own")
