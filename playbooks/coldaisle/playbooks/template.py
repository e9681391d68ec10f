"""``${name}`` in a playbook: a parameter's value is put in its place. Nothing is ever evaluated.

A text that is one reference only keeps the parameter's type; inside a longer text the value becomes text.
"""

import re
from collections.abc import Mapping

from coldaisle.core.events.types import Scalar

_REFERENCE = re.compile(r"\$\{([^}]*)\}")

_WHOLE_LIMIT = 2**53
"""Above this a number has no exact whole form in JSON's doubles."""


def references(value: object) -> list[str]:
    """Every name that the value refers to, in order, through lists and maps."""
    match value:
        case str():
            return _REFERENCE.findall(value)
        case list() | tuple():
            return [name for part in value for name in references(part)]
        case dict():
            return [name for part in value.values() for name in references(part)]
        case _:
            return []


def fill_scalar(value: Scalar, parameters: Mapping[str, Scalar]) -> Scalar:
    """The value with its references replaced. KeyError for a name without a value."""
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return parameters[whole[1]]
    return _REFERENCE.sub(lambda found: scalar_text(parameters[found[1]]), value)


def fill_text(value: str, parameters: Mapping[str, Scalar]) -> str:
    """As :func:`fill_scalar`, always text."""
    return scalar_text(fill_scalar(value, parameters))


def scalar_text(value: Scalar) -> str:
    """A value as people write it in a playbook."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(whole_number(value))


def whole_number(value: Scalar) -> Scalar:
    """14.0 as 14: equal parameters give equal plans, whatever wire they came over."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE_LIMIT:
        return int(value)
    return value
