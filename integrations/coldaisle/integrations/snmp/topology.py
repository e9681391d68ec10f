"""What a device says of its surroundings: neighbours by LLDP and CDP, and its parts.

Pure, but for :func:`read_surroundings`. ``lldpRemLocalPortNum`` need not be an ifIndex: it is resolved
through the table of local ports.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from coldaisle.core.events.types import AssetLinked, AssetObserved
from coldaisle.integrations.snmp.ber import Varbind
from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.decode import Columns, columns_of
from coldaisle.integrations.snmp.discover import as_asset
from coldaisle.integrations.snmp.errors import MalformedMessage, SnmpError
from coldaisle.integrations.snmp.naming import row_asset
from coldaisle.integrations.snmp.oid import decode_arcs, encode_arcs
from coldaisle.integrations.snmp.target import Target

LLDP_REMOTE = "1.0.8802.1.1.2.1.4.1.1"
LLDP_LOCAL_PORT = "1.0.8802.1.1.2.1.3.7.1"
CDP = "1.3.6.1.4.1.9.9.23.1.2.1.1"
IF_NAME = "1.3.6.1.2.1.31.1.1.1.1"
IF_MAC = "1.3.6.1.2.1.2.2.1.6"
ENTITY = "1.3.6.1.2.1.47.1.1.1.1"

TABLES: tuple[tuple[str, ...], ...] = (
    tuple(f"{LLDP_REMOTE}.{column}" for column in (5, 7, 8, 9)),
    tuple(f"{LLDP_LOCAL_PORT}.{column}" for column in (2, 3, 4)),
    tuple(f"{CDP}.{column}" for column in (6, 7)),
    (IF_NAME,), (IF_MAC,),
    tuple(f"{ENTITY}.{column}" for column in (2, 4, 5, 7, 11, 13)),
)  # fmt: skip
"""LLDP-MIB, CISCO-CDP-MIB, RFC 2863, RFC 6933.

Not the addresses behind its ports: nothing asks for them, and they can be more rows than all else together.
"""

MAX_ROWS_COUNT = 50_000
PART_KINDS = {3: "chassis", 6: "power_supply", 7: "fan", 9: "module", 11: "stack"}
"""Classes of entPhysicalClass that are parts one can hold (RFC 6933)."""

MAC_TEXT_CHARACTERS = 17
MAX_INDEX_DIGITS = 10
MAC_SUBTYPE = 3
"""The LldpPortIdSubtype that is a MAC address."""

TopologyEvent = AssetLinked | AssetObserved
Bearers = Mapping[str, Mapping[int, None]]
"""The indexes of the interfaces that bear a MAC address, in the order of their table."""


class Neighbour(Struct, frozen=True):
    """Who is at the other end of a port, and who says so: lldp or cdp."""

    port: str
    name: str
    remote_port: str
    source: str


class Part(Struct, frozen=True):
    """A part of a device; ``parent`` is the index of the part that holds it, 0 for none."""

    index: int
    parent: int
    kind: str
    name: str
    description: str
    serial: str
    model: str


class Surroundings(Struct, frozen=True):
    """All that a device says."""

    neighbours: tuple[Neighbour, ...] = ()
    parts: tuple[Part, ...] = ()


async def read_surroundings(client: SnmpClient, target: Target) -> Surroundings:
    """Ask for all of it; a table that a device does not answer is taken for empty. Raises SnmpError never."""
    rows: dict[str, Mapping[bytes, Varbind]] = {}
    for table in TABLES:
        try:
            walked = await client.walk_table(target, table, max_rows_count=MAX_ROWS_COUNT)
        except SnmpError:
            continue
        rows.update(columns_of(table, walked))
    return surroundings(rows)


def surroundings(rows: Columns) -> Surroundings:
    """What the walked columns say."""
    return Surroundings((*_lldp(rows), *_cdp(rows)), tuple(_parts(rows)))


def topology_events(asset: str, found: Surroundings, known: Iterable[str]) -> list[TopologyEvent]:
    """Links to those neighbours that are known assets, and the parts that have a serial number."""
    names = {as_asset(name): name for name in known}
    targets = {(names.get(as_asset(n.name), ""), n.source) for n in found.neighbours}
    links = [
        AssetLinked(asset, "connected_to", target, source=source)
        for target, source in sorted(targets)
        if target not in ("", asset)
    ]
    serial = [part for part in found.parts if part.serial]
    return [*links, *(event for part in serial for event in _part_events(asset, part))]


def _part_events(asset: str, part: Part) -> tuple[AssetObserved, AssetLinked]:
    name = row_asset(asset, part.name or str(part.index))
    attributes = {"serial": part.serial, "model": part.model, "description": part.description}
    said = {key: value for key, value in attributes.items() if value}
    return AssetObserved(name, part.kind, said, "snmp"), AssetLinked(name, "located_in", asset, source="snmp")


def _indexed(
    rows: Columns, column: str, least_arcs_count: int = 1
) -> Iterator[tuple[tuple[int, ...], bytes, Varbind]]:
    """The rows of a column by their index, whole and in octets; without those whose index cannot be one."""
    for index, row in rows.get(column, {}).items():
        arcs = _arcs(index)
        if len(arcs) >= least_arcs_count:
            yield arcs, index, row


def _arcs(index: bytes) -> tuple[int, ...]:
    try:
        return decode_arcs(index)
    except MalformedMessage:
        return ()


def _lldp(rows: Columns) -> Iterable[Neighbour]:
    bearers = _bearers(rows)
    for arcs, index, name in _indexed(rows, f"{LLDP_REMOTE}.9", 2):
        described = _text(rows.get(f"{LLDP_REMOTE}.8", {}).get(index))
        remote = _text(rows.get(f"{LLDP_REMOTE}.7", {}).get(index)) or described
        yield Neighbour(_local_port(rows, arcs[1], bearers), _text(name), remote, "lldp")


def _bearers(rows: Columns) -> Bearers:
    found: defaultdict[str, dict[int, None]] = defaultdict(dict)
    for arcs, _, mac in _indexed(rows, IF_MAC):
        found[_text_of_mac(mac)][arcs[0]] = None
    return found


def _local_port(rows: Columns, number: int, bearers: Bearers) -> str:
    """The name of a local port; only without the table of local ports its number means an ifIndex.

    Devices identify a port by name, by MAC address or by a number of theirs, which then is an ifIndex.
    """
    said = _cell(rows, f"{LLDP_LOCAL_PORT}.3", number)
    if said is None:
        return _if_name(rows, number)
    kind = _cell(rows, f"{LLDP_LOCAL_PORT}.2", number)
    text = _text_of_mac(said) if kind is not None and kind[2] == MAC_SUBTYPE else ""
    text = text if len(text) == MAC_TEXT_CHARACTERS else _text(said)
    bearing = bearers.get(text.lower(), {})
    if bearing:  # a bundle and its member share an address: the number decides
        return _if_name(rows, number if number in bearing else next(iter(bearing)))
    if text.isdecimal() and len(text) <= MAX_INDEX_DIGITS:
        return _if_name(rows, int(text))
    return text or _text(_cell(rows, f"{LLDP_LOCAL_PORT}.4", number))


def _cdp(rows: Columns) -> Iterable[Neighbour]:
    for arcs, index, name in _indexed(rows, f"{CDP}.6"):
        remote = _text(rows.get(f"{CDP}.7", {}).get(index))
        yield Neighbour(_if_name(rows, arcs[0]), _text(name), remote, "cdp")


def _parts(rows: Columns) -> Iterable[Part]:
    for arcs, index, kind in _indexed(rows, f"{ENTITY}.5"):
        if kind[2] not in PART_KINDS:
            continue
        parent = rows.get(f"{ENTITY}.4", {}).get(index)
        texts = {column: _text(rows.get(f"{ENTITY}.{column}", {}).get(index)) for column in (2, 7, 11, 13)}
        yield Part(
            arcs[0],
            parent[2] if parent is not None and isinstance(parent[2], int) else 0,
            PART_KINDS[kind[2]], texts[7], texts[2], texts[11], texts[13],
        )  # fmt: skip


def _if_name(rows: Columns, number: int) -> str:
    return _text(_cell(rows, IF_NAME, number)) or str(number)


def _cell(rows: Columns, column: str, number: int) -> Varbind | None:
    return rows.get(column, {}).get(encode_arcs((number,)))


def _text_of_mac(row: Varbind) -> str:
    return row[2].hex(":") if isinstance(row[2], bytes) else ""


def _text(row: Varbind | None) -> str:
    """Text, or hexadecimal with colons for octets that are none, as MAC addresses."""
    if row is None or not isinstance(row[2], bytes):
        return ""
    octets = row[2].rstrip(b"\0")
    text = octets.decode("utf-8", "replace").strip()
    return text if text.isprintable() and "\ufffd" not in text else row[2].hex(":")
