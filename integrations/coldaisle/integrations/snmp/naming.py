"""How the rows of a table are told apart: by a text that stays when their numbers change. Pure."""

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from coldaisle.integrations.snmp.ber import Varbind
from coldaisle.integrations.snmp.oid import decode_arcs, oid_text
from coldaisle.integrations.snmp.profile import Metric, TableProfile
from coldaisle.integrations.snmp.tags import OBJECT_IDENTIFIER

MAX_LABEL_CHARACTERS = 128
MAX_CACHED_NAMES = 16_384
MAX_ASSET_CHARACTERS = 128
_NOT_IN_ASSETS = re.compile(r"[^A-Za-z0-9._:-]")

Names = dict[bytes, str]


def row_names(table: TableProfile, rows: Mapping[str, Mapping[bytes, Varbind]]) -> Names | None:
    """What the naming columns say for each row: its own text, or the OID of its key.

    None for a table whose rows are told apart by their index.
    """
    if table.key_column:
        return {index: _text(varbind) for index, varbind in rows.get(table.key_column, {}).items()}
    if not table.naming:
        return None
    candidates = [_texts(rows.get(column, {}), column == table.mac_column) for column in table.naming]
    return _distinct(candidates)


def metric_name(table: TableProfile, metric: Metric, row: str) -> str:
    """The full name of a metric in a row: with its label, or bare when the row is its key; else empty."""
    if metric.key:
        return metric.metric if row == metric.key else ""
    return labelled(metric.metric, table.label, row) if row else ""


@lru_cache(maxsize=MAX_CACHED_NAMES)
def labelled(metric: str, label: str, row: str) -> str:
    """A metric's name with one label; devices of a kind share most of theirs."""
    return f'{metric}{{{label}="{_escaped(row)}"}}'


def row_asset(asset: str, name: str) -> str:
    """The id of a part of a device, such as an interface."""
    return _NOT_IN_ASSETS.sub("-", f"{asset}:{name}")[:MAX_ASSET_CHARACTERS]


def index_text(index: bytes) -> str:
    """The index of a row as numbers with dots."""
    return ".".join(map(str, decode_arcs(index)))


def _distinct(candidates: list[Names]) -> Names:
    """For each row the first text that no other row has, else the first with the index behind it."""
    names: Names = {}
    counts = [Counter(texts.values()) for texts in candidates]
    for index in {index: None for texts in candidates for index in texts}:
        texts = [(texts.get(index, ""), count) for texts, count in zip(candidates, counts, strict=True)]
        own = (text for text, count in texts if text and count[text] == 1)
        first = next((text for text, _ in texts if text), "")
        names[index] = next(own, "") or (f"{first}#{index_text(index)}" if first else index_text(index))
    return names


def _texts(column: Mapping[bytes, Varbind], is_mac: bool) -> Names:
    return {index: _mac(varbind) if is_mac else _text(varbind) for index, varbind in column.items()}


def _mac(varbind: Varbind) -> str:
    return varbind[2].hex(":") if isinstance(varbind[2], bytes) else ""


def _text(varbind: Varbind) -> str:
    _, tag, value = varbind
    if isinstance(value, bytes) and tag == OBJECT_IDENTIFIER:
        return oid_text(value)
    text = value.rstrip(b"\0").decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip()[:MAX_LABEL_CHARACTERS]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
