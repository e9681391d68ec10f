"""YAML to plain values, each with its line: what people write is bounded, checked and never evaluated.

Refused, because no playbook needs it and each has hurt somebody: tags, anchors and aliases, duplicate
keys, deep nesting, large files. Only null, booleans, numbers, text, lists and maps come out.
"""

from collections.abc import Iterator

import yaml
from msgspec import Struct

from coldaisle.core.errors import ConfigError

MAX_PLAYBOOK_BYTES = 64 * 1024
MAX_DEPTH = 12
MAX_SCALAR_CHARACTERS = 4_000
MAX_SHOWN_CHARACTERS = 60

Path = tuple[str | int, ...]
"""Where a value is: ``("steps", 0, "action")``."""

_PLAIN_TYPES = ("null", "bool", "int", "float")


class _Loader(yaml.SafeLoader):
    """YAML's safe loader without dates, binary, merge keys and sets: text stays text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the attribute PyYAML reads
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in _PLAIN_TYPES]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Source(Struct, frozen=True):
    """A parsed file: its plain value and the line of every part of it."""

    name: str
    value: object
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of the value at ``path``, or of the nearest part that holds it."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def fault(self, path: Path, what: str, remedy: str) -> ConfigError:
        """An error that names file, line, key, value and remedy."""
        return fault(self.name, self.line(path), f"{path_text(path)}{self._shown(path)}: {what}", remedy)

    def _shown(self, path: Path) -> str:
        value = self.value
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                value = None
        if value is None or isinstance(value, dict | list):
            return ""
        text = repr(value)
        return f" = {text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + '…'}"


def fault(name: str, line: int, what: str, remedy: str) -> ConfigError:
    """The error of a place in a file."""
    return ConfigError(f"{name}:{line}: {what}; {remedy}")


def path_text(path: Path) -> str:
    """A path as people write it: ``steps[0].action``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the playbook"


def read_source(text: str, name: str) -> Source:
    """The plain value of a YAML text. Raises ConfigError that names file, line and remedy."""
    size = len(text.encode(errors="replace"))
    if size > MAX_PLAYBOOK_BYTES:
        raise fault(name, 1, f"{size} bytes, at most {MAX_PLAYBOOK_BYTES} are read", "split the playbook")
    try:
        _refuse_dangerous(text, name)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise fault(name, _line(mark), f"not YAML: {what}", "correct the syntax of this line") from error
    if node is None:
        raise fault(name, 1, "the file is empty", "write the keys playbook, title and steps")
    lines: dict[Path, int] = {}
    return Source(name, _plain(node, (), name, lines), lines)


def _line(mark: object) -> int:
    """The line (from 1) of a YAML mark: its stubs know two classes of them."""
    return int(getattr(mark, "line", 0)) + 1


def _refuse_dangerous(text: str, name: str) -> None:
    """Walk the flat event list before anything recursive sees the text."""
    depth = 0
    for event in _events(text):
        line = _line(event.start_mark)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise fault(name, line, "anchors and aliases are not allowed", "write the value out")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise fault(name, line, f"tag {tag!r} is not allowed", "write the plain value")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise fault(name, line, f"nested deeper than {MAX_DEPTH} levels", "flatten this part")


def _events(text: str) -> Iterator[yaml.Event]:
    yield from yaml.parse(text, Loader=_Loader)


def _plain(node: yaml.Node, path: Path, name: str, lines: dict[Path, int]) -> object:
    lines.setdefault(path, _line(node.start_mark))
    match node:
        case yaml.MappingNode():
            return _plain_map(node, path, name, lines)
        case yaml.SequenceNode():
            return [_plain(child, (*path, index), name, lines) for index, child in enumerate(node.value)]
        case _:
            return _plain_scalar(node, path, name)


def _plain_map(node: yaml.MappingNode, path: Path, name: str, lines: dict[Path, int]) -> dict[str, object]:
    plain: dict[str, object] = {}
    for key_node, child in node.value:
        line = _line(key_node.start_mark)
        if not isinstance(key_node, yaml.ScalarNode):
            raise fault(name, line, f"{path_text(path)} has a key that is not text", "use a plain word")
        key = str(key_node.value)  # a key is always text, also when it looks like ``on`` or ``1``
        if key in plain:
            raise fault(name, line, f"{path_text((*path, key))} stands twice", "remove one of them")
        lines[(*path, key)] = line
        plain[key] = _plain(child, (*path, key), name, lines)
    return plain


def _plain_scalar(node: yaml.Node, path: Path, name: str) -> object:
    line = _line(node.start_mark)
    if len(node.value) > MAX_SCALAR_CHARACTERS:
        raise fault(name, line, f"{path_text(path)} is over {MAX_SCALAR_CHARACTERS} characters", "shorten it")
    try:
        value: object = _Loader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise fault(
            name, line, f"{path_text(path)} = {node.value!r} is no value", "quote the text"
        ) from error
    return value
