"""The true state of the hall, as an answer and as a picture for a terminal. Pure."""

from coldaisle.lab.control import Answer, CracState, InjectedFault, RackState
from coldaisle.lab.faults import FAULT_KINDS
from coldaisle.lab.hall import ROWS, Hall
from coldaisle.lab.inputs import Inputs
from coldaisle.lab.plant import Plant

CELL = 7
"""Characters of one rack in the picture."""


def state_answer(
    hall: Hall, inputs: Inputs, plant: Plant, speed: float, faults: list[InjectedFault]
) -> Answer:
    """Return everything that is true now."""
    air, power = plant.air, plant.power
    racks = {
        rack.name: RackState(
            round(air.inlet[i], 2), plant.shown_inlet_celsius[i], round(power.rack_watts[i], 1)
        )
        for i, rack in enumerate(hall.racks)
    }
    cracs = {
        name: CracState(
            inputs.setpoint_celsius[i],
            round(air.discharge[i], 2),
            round(air.returned[i], 2),
            round(air.cooling_watts[i], 1),
        )
        for i, name in enumerate(hall.cracs)
    }
    feeds = {feed: inputs.feed_live[i] for i, feed in enumerate(hall.feeds)}
    return Answer("", round(plant.seconds, 1), speed, faults, racks, cracs, feeds)


def picture(answer: Answer) -> str:
    """Return the hall as text: inlets in Celsius by rack, the cooling units, and what is broken."""
    lines = [f"hall-1 after {answer.seconds:.0f} plant seconds, at speed {answer.speed:g}", ""]
    for row in ROWS:
        lines += [*_row(answer, row), ""]
    lines.append("unit     set  supply  return  cooling")
    lines += [
        f"{name:7} {c.setpoint_celsius:4.0f}  {c.supply_celsius:6.1f}  {c.return_celsius:6.1f}"
        f"  {c.cooling_watts / 1000.0:4.1f} kW"
        for name, c in answer.cracs.items()
    ]
    lines += ["", *(_fault(fault) for fault in answer.faults)] if answer.faults else ["", "no faults"]
    return "\n".join(lines)


def _row(answer: Answer, row: str) -> list[str]:
    racks = {name: state for name, state in answer.racks.items() if name.startswith(f"rack-{row}")}
    names = "".join(f"{name.removeprefix('rack-'):>{CELL}}" for name in racks)
    inlets = "".join(f"{state.inlet_celsius:{CELL}.1f}" for state in racks.values())
    watts = "".join(f"{state.power_watts / 1000.0:{CELL}.1f}" for state in racks.values())
    return [f"row-{row} {names}", f"   °C {inlets}", f"   kW {watts}"]


def _fault(fault: InjectedFault) -> str:
    return f"{fault.kind} on {fault.asset}, size {fault.size:g}, since second {fault.since_seconds:.0f}"


def fault_table() -> str:
    """Return the kinds of faults with the assets that they fit."""
    wide, fits = max(map(len, FAULT_KINDS)), max(len(kind.fits) for kind in FAULT_KINDS.values())
    return "\n".join(
        f"{kind.name:{wide}}  {kind.fits:{fits}}  {kind.description}" for kind in FAULT_KINDS.values()
    )
