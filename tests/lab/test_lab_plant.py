"""The plant alone: energy closes, runs repeat, and the failure of a CRAC goes the way the story needs."""

from dataclasses import replace

import pytest

from coldaisle.lab.air import stored_joules
from coldaisle.lab.hall import AIR_SHARES, OUTLETS, Hall, build_hall
from coldaisle.lab.inputs import Inputs, healthy, replaced
from coldaisle.lab.load import rack_demand
from coldaisle.lab.plant import Plant, first_plant, step
from coldaisle.lab.power import BATTERY_JOULES

TEN_SECONDS = 10.0
HEALTHY = healthy(build_hall(1))
OFF = float("inf")
ALL_ON = (0.0,) * OUTLETS
FIRST_OFF = (OFF, *ALL_ON[1:])


@pytest.fixture(scope="module")
def hall() -> Hall:
    return build_hall(1)


@pytest.fixture(scope="module")
def rested(hall: Hall) -> Plant:
    return first_plant(hall)


def without_crac(hall: Hall, index: int) -> Inputs:
    working = healthy(hall)
    return replace(working, compressor=replaced(working.compressor, index, 0.0))


def seconds_until(
    hall: Hall, inputs: Inputs, plant: Plant, reached: float, *, above: bool
) -> tuple[float, Plant]:
    """Run until the hottest probe shown is above (or all are below) the limit; fail after an hour."""
    start = plant.seconds
    while plant.seconds - start < 3600.0:
        plant = step(hall, inputs, plant, TEN_SECONDS)
        hottest = max(plant.shown_inlet_celsius)
        if (hottest > reached) if above else (hottest < reached):
            return plant.seconds - start, plant
    raise AssertionError(f"hottest inlet still {hottest} after an hour")


def test_air_shares_neither_make_nor_lose_air() -> None:
    assert all(sum(row) == pytest.approx(1.0) for row in AIR_SHARES)
    assert all(sum(column) == pytest.approx(1.0) for column in zip(*AIR_SHARES, strict=True))


@pytest.mark.parametrize(
    "inputs",
    [
        HEALTHY,
        replace(HEALTHY, compressor=(0.0, 1.0, 1.0, 1.0)),
        replace(HEALTHY, airflow=(0.0, 1.0, 0.4, 1.0)),
        replace(HEALTHY, setpoint_celsius=(12.0, 25.0, 18.0, 18.0)),
        replace(HEALTHY, feed_live=(False, False)),
    ],
    ids=["healthy", "compressor", "fans", "set-points", "dark"],
)
def test_energy_is_conserved(hall: Hall, rested: Plant, inputs: Inputs) -> None:
    """What came in and did not go out is what the masses hold more."""
    after = step(hall, inputs, rested, 1800.0)
    came = after.air.heat_in - rested.air.heat_in
    gone = after.air.heat_out - rested.air.heat_out
    held = stored_joules(after.air) - stored_joules(rested.air)
    assert abs(came - gone - held) < 1e-7 * came


def test_equal_seeds_give_equal_runs_and_others_do_not(hall: Hall, rested: Plant) -> None:
    again = build_hall(1)
    assert again == hall
    assert step(again, healthy(again), first_plant(again), 600.0) == step(hall, healthy(hall), rested, 600.0)
    assert first_plant(build_hall(2)).air != rested.air


def test_a_healthy_hall_stays_cool_through_a_day_and_does_not_swing(hall: Hall, rested: Plant) -> None:
    plant, supplies = rested, []
    for _ in range(24):
        plant = step(hall, healthy(hall), plant, 3600.0)
        assert min(plant.shown_inlet_celsius) > 21.0
        assert max(plant.shown_inlet_celsius) < 24.5
        supplies.append(plant.air.seen_discharge[0])
    assert max(supplies) - min(supplies) < 0.3


@pytest.mark.parametrize(("seed", "crac"), [(1, 0), (2, 1), (3, 0)])
def test_a_dead_compressor_heats_row_a_and_lower_set_points_bring_it_back(seed: int, crac: int) -> None:
    hall = build_hall(seed)
    broken = without_crac(hall, crac)
    rise, plant = seconds_until(hall, broken, first_plant(hall), 27.0, above=True)
    assert 240.0 <= rise <= 480.0
    plant = step(hall, broken, plant, 1200.0)
    row_a = plant.shown_inlet_celsius[:8]
    assert sum(celsius > 27.0 for celsius in row_a) >= 3
    assert 28.5 < max(row_a) < 31.0
    helped = replace(broken, setpoint_celsius=tuple(18.0 if c == crac else 14.0 for c in range(4)))
    fall, plant = seconds_until(hall, helped, plant, 26.5, above=False)
    assert 300.0 <= fall <= 690.0
    assert max(step(hall, helped, plant, 3600.0).shown_inlet_celsius) < 26.7


def test_early_help_keeps_the_peak_low(hall: Hall, rested: Plant) -> None:
    broken = without_crac(hall, 0)
    _, plant = seconds_until(hall, broken, rested, 27.0, above=True)
    helped = replace(broken, setpoint_celsius=(18.0, 14.0, 14.0, 14.0))
    fall, plant = seconds_until(hall, helped, plant, 26.5, above=False)
    assert fall < 600.0
    assert max(step(hall, helped, plant, 1200.0).shown_inlet_celsius) < 26.5


def test_a_stopped_fan_heats_its_zone(hall: Hall, rested: Plant) -> None:
    stopped = replace(healthy(hall), airflow=(1.0, 1.0, 0.0, 1.0))
    after = step(hall, stopped, rested, 1200.0)
    assert max(after.shown_inlet_celsius[8:12]) > max(rested.shown_inlet_celsius[8:12]) + 2.0


def test_a_stuck_probe_repeats_itself_while_the_air_warms(hall: Hall, rested: Plant) -> None:
    stuck = replace(without_crac(hall, 0), stuck_probes=frozenset({0}))
    after = step(hall, stuck, rested, 900.0)
    assert after.shown_inlet_celsius[0] == rested.shown_inlet_celsius[0]
    assert after.air.inlet[0] > rested.air.inlet[0] + 2.0


def test_a_lost_feed_drains_the_battery_and_then_moves_the_load(hall: Hall, rested: Plant) -> None:
    lost = replace(healthy(hall), feed_live=(False, True))
    soon = step(hall, lost, rested, 60.0)
    assert soon.power.side_live == (True, True)
    assert soon.power.battery_joules[0] < BATTERY_JOULES
    later = step(hall, lost, soon, 1800.0)
    assert later.power.side_live == (False, True)
    assert all(watts == 0.0 for watts in later.power.pdu_watts[0::2])
    assert sum(later.power.pdu_watts[1::2]) == pytest.approx(sum(rack_demand(hall, later.seconds - 10.0)))
    back = step(hall, healthy(hall), later, 60.0)
    assert back.power.side_live == (True, True)


def test_an_outlet_switched_off_moves_its_server_to_the_other_side(hall: Hall, rested: Plant) -> None:
    off_a = replace(healthy(hall), outlet_off_until=replaced((ALL_ON,) * 32, 0, FIRST_OFF))
    before, after = step(hall, healthy(hall), rested, 10.0), step(hall, off_a, rested, 10.0)
    assert after.power.pdu_watts[0] < before.power.pdu_watts[0]
    assert after.power.rack_watts[0] == pytest.approx(before.power.rack_watts[0])


def test_a_server_dark_on_both_sides_asks_for_nothing(hall: Hall, rested: Plant) -> None:
    dark = (FIRST_OFF,) * 2 + (ALL_ON,) * 30
    after = step(hall, replace(healthy(hall), outlet_off_until=dark), rested, 10.0)
    demand = rack_demand(hall, rested.seconds)[0]
    assert after.power.rack_watts[0] == pytest.approx(demand * 7 / 8)


def test_an_outlet_that_reboots_comes_back_by_itself(hall: Hall, rested: Plant) -> None:
    until = rested.seconds + 10.0
    reboot = replaced((ALL_ON,) * 32, 0, (until,) * OUTLETS)
    inputs = replace(healthy(hall), outlet_off_until=reboot)
    during = step(hall, inputs, rested, 10.0)
    assert during.power.pdu_watts[0] == 0.0
    assert step(hall, inputs, during, 10.0).power.pdu_watts[0] > 1000.0


def test_counters_run_with_the_load_and_errors_come_only_from_a_fault(hall: Hall, rested: Plant) -> None:
    bad = replace(
        healthy(hall), port_error_ratio=replaced((0.0,) * 36, 4, 0.01), port_intact=(False,) + (True,) * 35
    )
    after = step(hall, bad, rested, 60.0)
    assert after.network.in_octets[0] == rested.network.in_octets[0]
    assert after.network.in_octets[4] > rested.network.in_octets[4] + 1e6
    assert after.network.in_errors[4] > 100.0
    assert sum(after.network.in_errors) == after.network.in_errors[4]
