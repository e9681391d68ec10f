"""The hall in the agent's inventory format: every asset with its links, and where each device answers."""

import json
from collections.abc import Iterable, Mapping

from coldaisle.lab.hall import CRACS, OUTLETS, RACKS_A_ROW, ROOM, ROWS, SERVER_OUTLET, SIDES, SITE, Hall

WRITE_COMMUNITY_FILE = "write_community"
NEEDED_CRACS = CRACS - 1

Attributes = Mapping[str, str]
Links = Iterable[tuple[str, str, int]]
"""Asset, redundancy group, and how many of the group are needed."""


def inventory_toml(hall: Hall, ports: Mapping[str, int], host: str = "127.0.0.1") -> str:
    """Return the file; `ports` says on which UDP port each device answers."""
    parts = [
        "# Written by the lab at each start; changes are lost.",
        *_places(),
        *_power(hall),
        *_cooling(hall),
        *_racks(hall),
        *_switches(hall),
        *_servers(hall),
        *(_device(hall, name, f"{host}:{ports[name]}") for name in hall.devices),
    ]
    return "\n\n".join(parts) + "\n"


def _places() -> list[str]:
    rows = [_asset(f"row-{row}", "row", located_in=ROOM) for row in ROWS]
    return [_asset(SITE, "site"), _asset(ROOM, "hall", located_in=SITE), *rows]


def _power(hall: Hall) -> list[str]:
    feeds = [_asset(feed, "feed", located_in=SITE) for feed in hall.feeds]
    rating = {"rated_watts": "120000"}
    upses = [
        _asset(ups, "ups", rating, ROOM, powered_by=[(feed, "feed", 1)])
        for ups, feed in zip(hall.upses, hall.feeds, strict=True)
    ]
    return [*feeds, *upses]


def _cooling(hall: Hall) -> list[str]:
    both = [(feed, "transfer_switch", 1) for feed in hall.feeds]
    rating = {"rated_cooling_watts": "50000"}
    return [_asset(crac, "crac", rating, ROOM, powered_by=both) for crac in hall.cracs]


def _racks(hall: Hall) -> list[str]:
    parts = []
    for index, rack in enumerate(hall.racks):
        pdus = hall.pdus[2 * index : 2 * index + 2]
        for pdu, ups in zip(pdus, hall.upses, strict=True):
            parts.append(_asset(pdu, "pdu", {"phase_amps": "16"}, rack.name, powered_by=[(ups, "ups", 1)]))
        row = ROWS.index(rack.row.removeprefix("row-"))
        half = CRACS // len(ROWS)
        cracs = (*hall.cracs[row * half :], *hall.cracs[: row * half])
        parts.append(
            _asset(
                rack.name,
                "rack",
                {"ashrae_class": "A1", "servers": str(OUTLETS)},
                rack.row,
                powered_by=[(pdu, "feed", 1) for pdu in pdus],
                cooled_by=[(crac, "cooling", NEEDED_CRACS) for crac in cracs],
                connected_to=[(switch, "uplink", 1) for switch in hall.switches],
            )
        )
    return parts


def _servers(hall: Hall) -> list[str]:
    parts = []
    for index, server in enumerate(hall.servers):
        power = [(pdu, "psu", 1) for pdu in hall.pdus[2 * index : 2 * index + 2]]
        outlet = {"outlet": str(SERVER_OUTLET)}
        parts.append(_asset(server, "server", outlet, hall.racks[index].name, powered_by=power))
    return parts


def _switches(hall: Hall) -> list[str]:
    parts = []
    for index, switch in enumerate(hall.switches):
        place = index * RACKS_A_ROW
        pdus = hall.pdus[2 * place : 2 * place + 2]
        others = [(other, "", 1) for other in hall.switches[index + 1 :]]
        power = [(pdu, "feed", 1) for pdu in pdus]
        rack = hall.racks[place].name
        parts.append(_asset(switch, "switch", {}, rack, powered_by=power, connected_to=others))
    return parts


def _asset(
    name: str,
    kind: str,
    attributes: Attributes | None = None,
    located_in: str = "",
    *,
    powered_by: Links = (),
    cooled_by: Links = (),
    connected_to: Links = (),
) -> str:
    lines = ["[[assets]]", f"name = {_quoted(name)}", f"kind = {_quoted(kind)}"]
    if attributes:
        lines.append(f"attributes = {_table(attributes)}")
    if located_in:
        lines.append(f"located_in = {_quoted(located_in)}")
    for key, links in (("powered_by", powered_by), ("cooled_by", cooled_by), ("connected_to", connected_to)):
        if links:
            lines.append(f"{key} = [{', '.join(_link(*link) for link in links)}]")
    return "\n".join(lines)


def _link(asset: str, group: str, need: int) -> str:
    return f"{{ asset = {_quoted(asset)}, group = {_quoted(group)}, need = {need} }}"


def _device(hall: Hall, name: str, address: str) -> str:
    lines = [
        "[[devices]]",
        f"asset = {_quoted(name)}",
        f"address = {_quoted(address)}",
        f"write_community_file = {_quoted(WRITE_COMMUNITY_FILE)}",
    ]
    if name in hall.pdus and hall.pdus.index(name) % len(SIDES) == 0:
        rack = hall.racks[hall.pdus.index(name) // len(SIDES)].name
        measured = {"inlet_temperature_celsius": rack, "inlet_relative_humidity_percent": rack}
        lines.append(f"measures = {_table(measured)}")
    return "\n".join(lines)


def _table(pairs: Attributes) -> str:
    return "{ " + ", ".join(f"{_quoted(key)} = {_quoted(value)}" for key, value in pairs.items()) + " }"


def _quoted(value: str) -> str:
    """A basic string: JSON's escapes are TOML's."""
    return json.dumps(value)
