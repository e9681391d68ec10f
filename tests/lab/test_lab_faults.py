"""What the faults do that are not of the air: power supplies, leaks, storms; and what units do not notice."""

from itertools import pairwise

import pytest

from coldaisle.lab.devices import changing_rows, crac, pdu
from coldaisle.lab.faults import WORST_STORM_LINES_A_SECOND, Fault, under
from coldaisle.lab.hall import Hall, build_hall
from coldaisle.lab.inputs import healthy
from coldaisle.lab.logs import lines_between
from coldaisle.lab.notices import notice_of
from coldaisle.lab.plant import Plant, first_plant, step
from coldaisle.lab.servers import MEMORY_BYTES, RESERVE_BYTES, used_bytes
from coldaisle.lab.telling import MAX_LINES_A_STEP, lines_of

HOUR = 3600.0


@pytest.fixture(scope="module")
def hall() -> Hall:
    return build_hall(1)


@pytest.fixture(scope="module")
def rested(hall: Hall) -> Plant:
    return first_plant(hall)


def outlet_watts(hall: Hall, plant: Plant, device: str, outlet: int, *faults: Fault) -> float:
    inputs = under(hall, healthy(hall), faults)
    rows = changing_rows(hall, inputs, step(hall, inputs, plant, 10.0), device)
    value = rows[f"{pdu.OUTLET_METER}.7.{outlet}"][1]
    assert isinstance(value, int)
    return float(value)


def test_a_dead_power_supply_leaves_its_outlet_idle_and_its_twin_takes_over(
    hall: Hall, rested: Plant
) -> None:
    fault = Fault("psu_failure", "pdu-a05-a:3")
    before = [outlet_watts(hall, rested, f"pdu-a05-{side}", 3) for side in "ab"]
    after = [outlet_watts(hall, rested, f"pdu-a05-{side}", 3, fault) for side in "ab"]
    assert after[0] == 0.0
    assert after[1] == pytest.approx(sum(before), rel=0.1)
    other = outlet_watts(hall, rested, "pdu-a05-a", 4, fault)
    assert other == outlet_watts(hall, rested, "pdu-a05-a", 4)


def test_a_failing_power_supply_costs_the_rack_nothing(hall: Hall, rested: Plant) -> None:
    inputs = under(hall, healthy(hall), [Fault("psu_failure", "pdu-b02-b:8", 0.6)])
    well, ill = step(hall, healthy(hall), rested, 10.0), step(hall, inputs, rested, 10.0)
    assert ill.power.rack_watts == pytest.approx(well.power.rack_watts)
    assert (
        ill.power.pdu_watts[hall.pdus.index("pdu-b02-b")] < well.power.pdu_watts[hall.pdus.index("pdu-b02-b")]
    )


def test_a_leak_takes_memory_at_its_rate_and_a_restart_gives_it_back(hall: Hall, rested: Plant) -> None:
    index = hall.servers.index("server-b01")
    inputs = under(hall, healthy(hall), [Fault("memory_leak", "server-b01", 0.5)])
    later = step(hall, inputs, rested, HOUR)
    assert later.servers.leaked_bytes[index] == pytest.approx(4 * 2**30)
    assert sum(later.servers.leaked_bytes) == later.servers.leaked_bytes[index]
    cured = step(hall, healthy(hall), later, 10.0)
    assert cured.servers.leaked_bytes[index] == 0.0


def test_a_full_server_ends_the_leaking_process(hall: Hall, rested: Plant) -> None:
    inputs = under(hall, healthy(hall), [Fault("memory_leak", "server-a01", 1.0)])
    plant, used = rested, []
    for _ in range(9):
        plant = step(hall, inputs, plant, HOUR / 2.0)
        used.append(used_bytes(hall, plant.servers, 0, plant.seconds))
    assert max(used) <= MEMORY_BYTES - RESERVE_BYTES / 2.0
    assert any(after < before - 8 * 2**30 for before, after in pairwise(used))


def test_lines_are_the_same_wherever_a_span_is_cut(hall: Hall) -> None:
    inputs = under(hall, healthy(hall), [Fault("log_storm", "switch-2", 0.1)])
    whole = list(lines_between(hall, inputs, "switch-2", 0.0, 600.0))
    cuts = [0.0, 7.5, 10.0, 333.3, 600.0]
    parts = [
        said
        for since, until in pairwise(cuts)
        for said in lines_between(hall, inputs, "switch-2", since, until)
    ]
    assert sorted(parts, key=lambda said: said.seconds) == sorted(whole, key=lambda said: said.seconds)


def test_a_storm_is_many_times_the_daily_chatter(hall: Hall) -> None:
    stormy = under(hall, healthy(hall), [Fault("log_storm", "server-a01")])
    usual = list(lines_between(hall, healthy(hall), "server-a01", 0.0, HOUR))
    loud = list(lines_between(hall, stormy, "server-a01", 0.0, HOUR))
    assert 50 < len(usual) < 250
    assert len(loud) - len(usual) == WORST_STORM_LINES_A_SECOND * HOUR
    assert len({said.notice.tag for said in usual}) > 4


def test_an_accelerated_storm_is_bounded(hall: Hall) -> None:
    inputs = under(hall, healthy(hall), [Fault("log_storm", "server-a01")])
    lines = [notice.device for notice in lines_of(hall, inputs, 0.0, 600.0)]
    assert lines.count("server-a01") == MAX_LINES_A_STEP
    assert 0 < lines.count("server-a02") < MAX_LINES_A_STEP


@pytest.mark.parametrize(
    ("kind", "size", "noticed"),
    [
        ("clogged_filter", 0.4, False),
        ("clogged_filter", 0.9, True),
        ("fan_failure", 0.3, False),
        ("fan_failure", 1.0, True),
        ("compressor_failure", 0.3, False),
        ("compressor_failure", 1.0, True),
    ],
)
def test_a_unit_notices_by_itself_only_what_is_grave(
    hall: Hall, rested: Plant, kind: str, size: float, noticed: bool
) -> None:
    fault = Fault(kind, "crac-2", size)
    rows = changing_rows(hall, under(hall, healthy(hall), [fault]), rested, "crac-2")
    assert (rows[f"{crac.STATE}.8.0"][1] == crac.ON) is noticed
    assert (notice_of(fault, cleared=False) is not None) is noticed


def test_a_filter_does_not_slow_the_fan(hall: Hall, rested: Plant) -> None:
    def percent(fault: Fault) -> int:
        rows = changing_rows(hall, under(hall, healthy(hall), [fault]), rested, "crac-3")
        value = rows[f"{crac.STATE}.16.0"][1]
        assert isinstance(value, int)
        return value

    assert percent(Fault("clogged_filter", "crac-3", 0.8)) == 85
    assert percent(Fault("fan_failure", "crac-3", 0.4)) == 51
