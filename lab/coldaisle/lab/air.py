"""The thermal side: two masses a rack, four pairs of aisle zones, a plenum cell and a valve for each CRAC.

Explicit steps of one second, far below the shortest time constant. Heat that leaves one mass in a step
enters another in the same step, and the books (`heat_in`, `heat_out`) count what crosses the wall, so energy
closes to rounding. Good for minutes and hours of a hall; not for the first seconds after a door opens.
"""

from dataclasses import dataclass

from coldaisle.lab.hall import AIR_SHARES, CRACS, Hall
from coldaisle.lab.inputs import Inputs

ZONES = len(AIR_SHARES)

CHIP_JOULES_PER_KELVIN = 14_000.0
CHASSIS_JOULES_PER_KELVIN = 40_000.0
COLD_JOULES_PER_KELVIN = 140_000.0
HOT_JOULES_PER_KELVIN = 160_000.0
PLENUM_JOULES_PER_KELVIN = 180_000.0

CHIP_WATTS_PER_KELVIN = 230.0
CHASSIS_EFFECTIVENESS = 0.72
FAN_LOWEST, FAN_PER_KELVIN, FAN_IDLE_CHIP_CELSIUS = 0.45, 0.012, 47.0
FAN_LAG_SECONDS = 40.0

CRAC_FLOW_WATTS_PER_KELVIN = 2_600.0
CRAC_FAN_SPEED = 0.85
CRAC_FAN_WATTS = 1_500.0
COMPRESSOR_WATTS = 50_000.0
COIL_EFFECTIVENESS = 0.85
EVAPORATOR_CELSIUS = 5.0

VALVE_LAG_SECONDS = 25.0
DISCHARGE_LAG_SECONDS = 10.0
RETURN_LAG_SECONDS = 20.0
PROBE_LAG_SECONDS = 30.0
GAIN_PER_KELVIN = 0.015
INTEGRAL_SECONDS = 35.0

LEAK_SHARE = (0.16, 0.17, 0.15, 0.17)
"""Per zone, hot air that seeps through blanking gaps into the cold aisle, as a share of the tiles' flow."""
NEIGHBOUR_WATTS_PER_KELVIN = 350.0
"""Exchange between the two halves of a hot aisle."""
PLENUM_MIXING_WATTS_PER_KELVIN = 150.0
ENVELOPE_WATTS_PER_KELVIN = 60.0
OUTSIDE_CELSIUS = 24.0


@dataclass(frozen=True, slots=True)
class Air:
    """Temperatures in Celsius, and what has crossed the wall since the start, in joules."""

    chip: tuple[float, ...]
    chassis: tuple[float, ...]
    fan: tuple[float, ...]
    inlet: tuple[float, ...]
    probe: tuple[float, ...]
    cold: tuple[float, ...]
    hot: tuple[float, ...]
    plenum: tuple[float, ...]
    returned: tuple[float, ...]
    discharge: tuple[float, ...]
    seen_return: tuple[float, ...]
    seen_discharge: tuple[float, ...]
    valve: tuple[float, ...]
    integral: tuple[float, ...]
    cooling_watts: tuple[float, ...]
    heat_in: float = 0.0
    heat_out: float = 0.0


def first_air(hall: Hall) -> Air:
    """Return a plausible hall; it needs half an hour to come to rest."""
    racks = len(hall.racks)
    return Air(
        chip=(52.0,) * racks,
        chassis=(35.0,) * racks,
        fan=(0.6,) * racks,
        inlet=(22.0,) * racks,
        probe=(22.0,) * racks,
        cold=(19.5,) * ZONES,
        hot=(30.0,) * ZONES,
        plenum=(18.0,) * CRACS,
        returned=(30.0,) * CRACS,
        discharge=(18.0,) * CRACS,
        seen_return=(30.0,) * CRACS,
        seen_discharge=(18.0,) * CRACS,
        valve=(0.5,) * CRACS,
        integral=(0.5,) * CRACS,
        cooling_watts=(25_000.0,) * CRACS,
    )


def stored_joules(air: Air) -> float:
    """Return the heat that the hall holds, counted from 0 Celsius."""
    return (
        CHIP_JOULES_PER_KELVIN * sum(air.chip)
        + CHASSIS_JOULES_PER_KELVIN * sum(air.chassis)
        + COLD_JOULES_PER_KELVIN * sum(air.cold)
        + HOT_JOULES_PER_KELVIN * sum(air.hot)
        + PLENUM_JOULES_PER_KELVIN * sum(air.plenum)
    )


def advance_air(hall: Hall, inputs: Inputs, air: Air, rack_watts: tuple[float, ...], dt: float) -> Air:
    """Return the air after `dt` seconds (one at most) with these watts in the racks."""
    unit = _units(inputs, air, dt)
    zones = _Zones(air, unit.flow)
    chip, chassis, fan, inlet, probe = [], [], [], [], []
    for index, rack in enumerate(hall.racks):
        zone, beta = rack.zone, rack.recirculation
        flow = rack.full_flow_watts_per_kelvin * air.fan[index]
        intake = air.cold[zone] + beta * (air.hot[zone] - air.cold[zone])
        taken = CHASSIS_EFFECTIVENESS * flow * (air.chassis[index] - intake)
        conducted = CHIP_WATTS_PER_KELVIN * (air.chip[index] - air.chassis[index])
        zones.draw(zone, flow, beta, intake + taken / flow)
        chip.append(air.chip[index] + dt * (rack_watts[index] - conducted) / CHIP_JOULES_PER_KELVIN)
        chassis.append(air.chassis[index] + dt * (conducted - taken) / CHASSIS_JOULES_PER_KELVIN)
        fan.append(_lagged(air.fan[index], _fan_wanted(air.chip[index]), dt, FAN_LAG_SECONDS))
        inlet.append(intake)
        probe.append(_lagged(air.probe[index], intake + rack.probe_offset_kelvin, dt, PROBE_LAG_SECONDS))
    cold, hot, envelope = zones.advance(dt)
    return Air(
        chip=tuple(chip),
        chassis=tuple(chassis),
        fan=tuple(fan),
        inlet=tuple(inlet),
        probe=tuple(probe),
        cold=cold,
        hot=hot,
        plenum=unit.plenum,
        returned=unit.returned,
        discharge=unit.discharge,
        seen_return=_all_lagged(air.seen_return, unit.returned, dt, RETURN_LAG_SECONDS),
        seen_discharge=_all_lagged(air.seen_discharge, unit.discharge, dt, DISCHARGE_LAG_SECONDS),
        valve=unit.valve,
        integral=unit.integral,
        cooling_watts=unit.cooling,
        heat_in=air.heat_in + dt * (sum(rack_watts) + unit.fan_watts + envelope),
        heat_out=air.heat_out + dt * sum(unit.cooling),
    )


def _fan_wanted(chip_celsius: float) -> float:
    """Return the speed that the server's own control asks for."""
    return min(1.0, max(FAN_LOWEST, FAN_LOWEST + FAN_PER_KELVIN * (chip_celsius - FAN_IDLE_CHIP_CELSIUS)))


def _lagged(value: float, wanted: float, dt: float, lag_seconds: float) -> float:
    return value + (wanted - value) * dt / lag_seconds


def _all_lagged(
    values: tuple[float, ...], wanted: tuple[float, ...], dt: float, lag: float
) -> tuple[float, ...]:
    return tuple(_lagged(value, goal, dt, lag) for value, goal in zip(values, wanted, strict=True))


class _Zones:
    """The aisles during one step: racks draw from them, the plenum blows into them."""

    def __init__(self, air: Air, flow: tuple[float, ...]) -> None:
        self.air = air
        self.supply = [sum(flow[c] * AIR_SHARES[c][z] for c in range(CRACS)) for z in range(ZONES)]
        self.blown = [
            sum(flow[c] * AIR_SHARES[c][z] * air.plenum[c] for c in range(CRACS)) for z in range(ZONES)
        ]
        self.demand = [0.0] * ZONES
        self.recirculated = [0.0] * ZONES
        self.exhaust = [0.0] * ZONES

    def draw(self, zone: int, flow: float, beta: float, outlet_celsius: float) -> None:
        self.demand[zone] += (1.0 - beta) * flow
        self.recirculated[zone] += beta * flow
        self.exhaust[zone] += flow * outlet_celsius

    def advance(self, dt: float) -> tuple[tuple[float, ...], tuple[float, ...], float]:
        """Return both aisles' temperatures a step on, and the watts that came through the walls."""
        cold, hot = list(self.air.cold), list(self.air.hot)
        envelope = 0.0
        for zone in range(ZONES):
            into_cold, into_hot, wall = self._watts(zone)
            cold[zone] += dt * into_cold / COLD_JOULES_PER_KELVIN
            hot[zone] += dt * into_hot / HOT_JOULES_PER_KELVIN
            envelope += wall
        return tuple(cold), tuple(hot), envelope

    def _watts(self, zone: int) -> tuple[float, float, float]:
        """Return the watts into the cold side, into the hot side, and the wall's part of the latter."""
        cold, hot = self.air.cold[zone], self.air.hot[zone]
        supply, demand = self.supply[zone], self.demand[zone]
        bypass, shortfall = max(0.0, supply - demand), max(0.0, demand - supply)
        leak = LEAK_SHARE[zone] * supply * (hot - cold)
        wall = ENVELOPE_WATTS_PER_KELVIN * (OUTSIDE_CELSIUS - hot)
        neighbour = NEIGHBOUR_WATTS_PER_KELVIN * (self.air.hot[zone ^ 1] - hot)
        into_cold = self.blown[zone] + shortfall * hot - (demand + bypass) * cold + leak
        into_hot = (
            self.exhaust[zone]
            + bypass * cold
            - (self.recirculated[zone] + shortfall + supply) * hot
            - leak
            + neighbour
            + wall
        )
        return into_cold, into_hot, wall


@dataclass(frozen=True, slots=True)
class _Units:
    """The CRACs and their plenum cells after one step."""

    flow: tuple[float, ...]
    plenum: tuple[float, ...]
    returned: tuple[float, ...]
    discharge: tuple[float, ...]
    valve: tuple[float, ...]
    integral: tuple[float, ...]
    cooling: tuple[float, ...]
    fan_watts: float


def _units(inputs: Inputs, air: Air, dt: float) -> _Units:
    running = any(inputs.feed_live)
    flow = tuple(CRAC_FLOW_WATTS_PER_KELVIN * CRAC_FAN_SPEED * a * running for a in inputs.airflow)
    returned = tuple(sum(AIR_SHARES[c][z] * air.hot[z] for z in range(ZONES)) for c in range(CRACS))
    mean_plenum = sum(air.plenum) / CRACS
    plenum, discharge, valve, integral, cooling, fan_watts = [], [], [], [], [], 0.0
    for c in range(CRACS):
        fan = CRAC_FAN_WATTS if flow[c] > 0.0 else 0.0
        capacity = min(
            air.valve[c] * COMPRESSOR_WATTS * inputs.compressor[c],
            COIL_EFFECTIVENESS * flow[c] * max(0.0, returned[c] - EVAPORATOR_CELSIUS),
        )
        blown = returned[c] - (capacity - fan) / flow[c] if flow[c] > 0.0 else air.plenum[c]
        into = flow[c] * (blown - air.plenum[c]) + PLENUM_MIXING_WATTS_PER_KELVIN * (
            mean_plenum - air.plenum[c]
        )
        plenum.append(air.plenum[c] + dt * into / PLENUM_JOULES_PER_KELVIN)
        locked = inputs.compressor[c] <= 0.0 or flow[c] <= 0.0
        wanted, held = _control(air.seen_discharge[c] - inputs.setpoint_celsius[c], air.integral[c], dt)
        valve.append(_lagged(air.valve[c], 0.0 if locked else wanted, dt, VALVE_LAG_SECONDS))
        integral.append(0.0 if locked else held)
        discharge.append(blown)
        cooling.append(capacity)
        fan_watts += fan
    return _Units(
        flow=flow,
        plenum=tuple(plenum),
        returned=returned,
        discharge=tuple(discharge),
        valve=tuple(valve),
        integral=tuple(integral),
        cooling=tuple(cooling),
        fan_watts=fan_watts,
    )


def _control(error_kelvin: float, integral: float, dt: float) -> tuple[float, float]:
    """Return the valve position that a PI controller asks for, and its integral; both stay in 0 to 1."""
    held = min(1.0, max(0.0, integral + GAIN_PER_KELVIN * error_kelvin * dt / INTEGRAL_SECONDS))
    return min(1.0, max(0.0, held + GAIN_PER_KELVIN * error_kelvin)), held
