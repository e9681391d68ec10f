"""A top-of-row switch: IF-MIB with running counters, its chassis in ENTITY-MIB, its peer in LLDP-MIB."""

from coldaisle.integrations.snmp.tags import TIMETICKS
from coldaisle.lab.devices.rows import (
    ENTERPRISES,
    MIB_2,
    Rows,
    column,
    counter32,
    counter64,
    gauge,
    integer,
    octets,
    system,
    text,
)
from coldaisle.lab.hall import PEER_PORT, PORTS, UPLINK_PORT, Hall
from coldaisle.lab.inputs import Inputs
from coldaisle.lab.network import BYTES_A_PACKET, link_up
from coldaisle.lab.plant import Plant

OBJECT_ID = f"{ENTERPRISES}.30065.1.3011.7150.3282.52"
IF_NUMBER, IF, IFX = f"{MIB_2}.2.1.0", f"{MIB_2}.2.2.1", f"{MIB_2}.31.1.1.1"
ENTITY = f"{MIB_2}.47.1.1.1.1"
LLDP_LOCAL, LLDP_REMOTE = "1.0.8802.1.1.2.1.3.7.1", "1.0.8802.1.1.2.1.4.1.1"
ADMIN_STATUS = f"{IF}.7"
UP, DOWN = 1, 2
ETHERNET = 6
PORT_MEGABITS = 10_000
CHASSIS_BY_MAC, PORT_BY_NAME = 4, 5
"""LLDP's subtypes of the identifiers that we use."""
CHASSIS_CLASS = 3


def fixed(hall: Hall, index: int) -> Rows:
    """What never changes."""
    name = hall.switches[index]
    return {
        **system(name, "Arista Networks EOS version 4.28.3M running on DCS-7150S-52-CL", OBJECT_ID, "hall-1"),
        IF_NUMBER: integer(PORTS),
        **column(IF, 1, [integer(n) for n in range(1, PORTS + 1)]),
        **column(IF, 2, [text(_port_name(n)) for n in range(1, PORTS + 1)]),
        **column(IF, 3, [integer(ETHERNET)] * PORTS),
        **column(IF, 4, [integer(9214)] * PORTS),
        **column(IF, 5, [gauge(2**32 - 1)] * PORTS),
        **column(IF, 6, [octets(_mac(index, n)) for n in range(1, PORTS + 1)]),
        **column(IF, 9, [(TIMETICKS, 0)] * PORTS),
        **column(IFX, 1, [text(_port_name(n)) for n in range(1, PORTS + 1)]),
        **column(IFX, 15, [gauge(PORT_MEGABITS)] * PORTS),
        **column(IFX, 18, [text(_peer(hall, index, n)) for n in range(1, PORTS + 1)]),
        **column(IFX, 19, [(TIMETICKS, 0)] * PORTS),
        f"{ENTITY}.2.1": text("52-port SFP+ 10GigE 1U"),
        f"{ENTITY}.4.1": integer(0),
        f"{ENTITY}.5.1": integer(CHASSIS_CLASS),
        f"{ENTITY}.7.1": text("chassis"),
        f"{ENTITY}.11.1": text(f"JPE{hall.seed:04d}{index:04d}"),
        f"{ENTITY}.13.1": text("DCS-7150S-52-CL"),
        **column(LLDP_LOCAL, 2, [integer(PORT_BY_NAME)] * PORTS),
        **column(LLDP_LOCAL, 3, [text(_port_name(n)) for n in range(1, PORTS + 1)]),
        **column(LLDP_LOCAL, 4, [text(_peer(hall, index, n)) for n in range(1, PORTS + 1)]),
    }


def changing(hall: Hall, inputs: Inputs, plant: Plant, index: int) -> Rows:
    """What moves with the plant; the neighbour only while the link to it is up."""
    first = index * PORTS
    ports = range(first, first + PORTS)
    net = plant.network
    carried_in, carried_out = net.in_octets[first : first + PORTS], net.out_octets[first : first + PORTS]
    status = [integer(UP if link_up(inputs, port) else DOWN) for port in ports]
    return {
        **column(IF, 7, [integer(UP if inputs.port_enabled[port] else DOWN) for port in ports]),
        **column(IF, 8, status),
        **column(IF, 10, [counter32(each) for each in carried_in]),
        **column(IF, 11, [counter32(each / BYTES_A_PACKET) for each in carried_in]),
        **column(IF, 13, [counter32(0)] * PORTS),
        **column(IF, 14, [counter32(net.in_errors[port]) for port in ports]),
        **column(IF, 16, [counter32(each) for each in carried_out]),
        **column(IF, 17, [counter32(each / BYTES_A_PACKET) for each in carried_out]),
        **column(IF, 19, [counter32(0)] * PORTS),
        **column(IF, 20, [counter32(0)] * PORTS),
        **column(IFX, 6, [counter64(each) for each in carried_in]),
        **column(IFX, 7, [counter64(each / BYTES_A_PACKET) for each in carried_in]),
        **column(IFX, 10, [counter64(each) for each in carried_out]),
        **column(IFX, 11, [counter64(each / BYTES_A_PACKET) for each in carried_out]),
        **(_neighbour(hall, index) if link_up(inputs, first + PEER_PORT - 1) else {}),
    }


def _neighbour(hall: Hall, index: int) -> Rows:
    other = 1 - index
    row = f"0.{PEER_PORT}.1"
    return {
        f"{LLDP_REMOTE}.4.{row}": integer(CHASSIS_BY_MAC),
        f"{LLDP_REMOTE}.5.{row}": octets(_mac(other, 0)),
        f"{LLDP_REMOTE}.6.{row}": integer(PORT_BY_NAME),
        f"{LLDP_REMOTE}.7.{row}": text(_port_name(PEER_PORT)),
        f"{LLDP_REMOTE}.8.{row}": text(_peer(hall, other, PEER_PORT)),
        f"{LLDP_REMOTE}.9.{row}": text(hall.switches[other]),
        f"{LLDP_REMOTE}.10.{row}": text("Arista Networks EOS"),
    }


def _port_name(number: int) -> str:
    return f"Ethernet{number}"


def _mac(switch: int, number: int) -> bytes:
    """A locally administered address."""
    return bytes((0x02, 0xC0, 0x1D, 0xA1, switch, number))


def _peer(hall: Hall, index: int, number: int) -> str:
    if number == PEER_PORT:
        return hall.switches[1 - index]
    return "uplink" if number == UPLINK_PORT else hall.racks[number - 1].name
