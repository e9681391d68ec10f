"""What stands in the simulated hall: racks, cooling units, power and switches, drawn from one seed.

The figures are the lab's own. The twin never sees them: it must find the hall out through the devices.
"""

import random
from dataclasses import dataclass

SITE = "site-1"
ROOM = "hall-1"
ROWS = ("a", "b")
SIDES = ("a", "b")
RACKS_A_ROW = 8
CRACS = 4
OUTLETS = 8
"""Outlets of a PDU; server n of a rack hangs on outlet n of both its PDUs."""
PORTS = 18
"""Ports of a switch: one for each rack, one to the other switch, one to the outside."""
PEER_PORT = 17
UPLINK_PORT = 18
SERVER_OUTLET = 1
"""The outlet of the server that tells of itself: one a rack has an agent of its own."""

# Share of what CRAC c blows that rises in zone z. Rows and columns add up to one, so air is neither made nor
# lost. Zones: west and east half of aisle a, then of aisle b; CRAC n stands at the end of zone n.
AIR_SHARES = (
    (0.43, 0.30, 0.15, 0.12),
    (0.30, 0.43, 0.12, 0.15),
    (0.15, 0.12, 0.43, 0.30),
    (0.12, 0.15, 0.30, 0.43),
)


@dataclass(frozen=True, slots=True)
class Rack:
    """A rack and the air that it draws; flows are heat-capacity rates."""

    name: str
    row: str
    zone: int
    idle_watts: float
    busy_watts: float
    utilisation: float
    full_flow_watts_per_kelvin: float
    recirculation: float
    """Share of the intake that comes round from the hot aisle."""
    a_share: float
    """Share of the load on the A side while both sides live."""
    probe_offset_kelvin: float


@dataclass(frozen=True, slots=True)
class Hall:
    """The whole make-up; everything is addressed by its index here."""

    seed: int
    racks: tuple[Rack, ...]
    cracs: tuple[str, ...]
    pdus: tuple[str, ...]
    """Two for each rack, in the order of the racks: A, then B."""
    upses: tuple[str, ...]
    feeds: tuple[str, ...]
    switches: tuple[str, ...]
    servers: tuple[str, ...]
    """One for each rack, in the order of the racks: those that tell of their own CPU, memory and disks."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Everything that answers on the network."""
        return self.cracs + self.pdus + self.upses + self.switches

    @property
    def loggers(self) -> tuple[str, ...]:
        """Everything that logs by itself, day and night."""
        return self.servers + self.switches


def build_hall(seed: int) -> Hall:
    """Return the hall that this seed stands for; equal seeds give equal halls."""
    rng = random.Random(seed)
    racks = tuple(_rack(rng, row, number) for row in ROWS for number in range(1, RACKS_A_ROW + 1))
    return Hall(
        seed=seed,
        racks=racks,
        cracs=tuple(f"crac-{number}" for number in range(1, CRACS + 1)),
        pdus=tuple(f"pdu-{rack.name.removeprefix('rack-')}-{side}" for rack in racks for side in SIDES),
        upses=tuple(f"ups-{side}" for side in SIDES),
        feeds=tuple(f"feed-{side}" for side in SIDES),
        switches=("switch-1", "switch-2"),
        servers=tuple(f"server-{rack.name.removeprefix('rack-')}" for rack in racks),
    )


def _rack(rng: random.Random, row: str, number: int) -> Rack:
    half = 0 if number <= RACKS_A_ROW // 2 else 1
    return Rack(
        name=f"rack-{row}{number:02d}",
        row=f"row-{row}",
        zone=ROWS.index(row) * 2 + half,
        idle_watts=rng.uniform(3000.0, 3400.0),
        busy_watts=rng.uniform(8200.0, 8800.0),
        utilisation=rng.uniform(0.50, 0.60),
        full_flow_watts_per_kelvin=rng.uniform(920.0, 1000.0),
        recirculation=rng.uniform(0.24, 0.31),
        a_share=rng.uniform(0.45, 0.55),
        probe_offset_kelvin=rng.uniform(-0.2, 0.2),
    )
