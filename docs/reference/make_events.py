"""Writes ``events.md`` from the event types: run it after a type was added."""

import re
import typing
from pathlib import Path

import msgspec

from coldaisle.core.events import stream_of
from coldaisle.core.events.codec import EVENT_TYPES, SCHEMAS, parse_body

GOLDEN = Path(__file__).parents[2] / "tests" / "core" / "events" / "golden"
HEAD = """# Events

Every type that the history can hold. An event's envelope has `position`, `stream`, `version`, `id`, `type`,
`schema`, `time` (UTC ns, the source's clock; the server's where that one is more than a minute ahead of it),
`recorded` (UTC ns, the store's), `actor`, `correlation_id` and
`causation_id`; the body below is JSON. Published types are only ever added to; one that a reader does not
know is passed over.
"""


def type_text(kind: object) -> str:
    """An annotation as a reader would say it."""
    if isinstance(kind, type) and not typing.get_args(kind):
        return kind.__name__
    return re.sub(r"coldaisle\.core\.events\.types\.\w+\.|typing\.", "", str(kind))


def section(name: str, kind: type[msgspec.Struct]) -> str:
    """One type: what it says, where it goes, its fields."""
    category = stream_of(parse_body(name, (GOLDEN / f"{name}.v1.json").read_bytes())).split("-")[0]
    rows = [
        f"| `{field.encode_name}` | {type_text(field.type).replace('|', chr(92) + '|')} |"
        for field in msgspec.structs.fields(kind)
    ]
    text = " ".join(line.strip() for line in (kind.__doc__ or "").strip().splitlines() if line.strip())
    head = f"### {name}\n\n{text.replace('``', '`')}\n\nStream `{category}-…`, schema {SCHEMAS[name]}.\n"
    return "\n".join([head, "| field | type |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    sections = [section(name, kind) for name, kind in EVENT_TYPES.items()]
    (Path(__file__).parent / "events.md").write_text("\n".join([HEAD, *sections]))
