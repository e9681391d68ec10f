"""The lab and the device profiles mean the same objects: what a profile reads, the device of its kind has."""

import pytest

from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.profile import Metric, Profile, profile_for
from coldaisle.integrations.snmp.profile_files import built_in_profiles
from coldaisle.integrations.snmp.tags import TYPE_TAGS
from coldaisle.lab.devices import changing_rows, fixed_rows, pdu
from coldaisle.lab.devices.controls import change
from coldaisle.lab.devices.rows import NOT_WRITABLE, Rows
from coldaisle.lab.hall import Hall, build_hall
from coldaisle.lab.inputs import healthy
from coldaisle.lab.plant import Plant, first_plant

KINDS = {"crac-1": "liebert_crac", "pdu-a01-a": "apc_rpdu2", "ups-b": "ups", "switch-2": "arista"}
OBJECTS = {"crac-1": 8, "pdu-a01-a": 7, "ups-b": 15, "switch-2": 10}
"""How many entries of its profile each device has at least."""


@pytest.fixture(scope="module")
def hall() -> Hall:
    return build_hall(1)


@pytest.fixture(scope="module")
def rested(hall: Hall) -> Plant:
    return first_plant(hall)


def rows_of(hall: Hall, plant: Plant, device: str) -> Rows:
    clock: Rows = {"1.3.6.1.2.1.1.3.0": (TYPE_TAGS["timeticks"], 0)}
    return clock | fixed_rows(hall, device) | changing_rows(hall, healthy(hall), plant, device)


def found_profile(rows: Rows) -> Profile:
    return profile_for(encode_oid(str(rows["1.3.6.1.2.1.1.2.0"][1])), built_in_profiles())


def tag_of(rows: Rows, metric: Metric, *, is_column: bool) -> int | None:
    oid = next(
        (oid for oid in rows if (oid.startswith(f"{metric.oid}.") if is_column else oid == metric.oid)), None
    )
    return None if oid is None else rows[oid][0]


@pytest.mark.parametrize(("device", "profile"), KINDS.items())
def test_a_device_is_recognised_by_its_object_id(
    hall: Hall, rested: Plant, device: str, profile: str
) -> None:
    assert found_profile(rows_of(hall, rested, device)).name == profile


@pytest.mark.parametrize(("device", "count"), OBJECTS.items())
def test_a_device_has_objects_of_its_profile_in_their_wire_types(
    hall: Hall, rested: Plant, device: str, count: int
) -> None:
    """A profile knows more than a device of the lab has; what it has, it has rightly."""
    rows = rows_of(hall, rested, device)
    profile = found_profile(rows)
    columns = [metric for table in profile.tables for metric in table.metrics]
    found = [(metric, tag_of(rows, metric, is_column=False)) for metric in profile.objects]
    found += [(metric, tag_of(rows, metric, is_column=True)) for metric in columns]
    present = [(metric, tag) for metric, tag in found if tag is not None]
    assert len(present) >= count
    for metric, tag in present:
        assert tag == TYPE_TAGS[metric.type], metric


@pytest.mark.parametrize("device", KINDS)
def test_what_a_profile_calls_writable_takes_its_own_value(hall: Hall, rested: Plant, device: str) -> None:
    rows = rows_of(hall, rested, device)
    for table in found_profile(rows).tables:
        for metric in (metric for metric in table.metrics if metric.writable):
            oid = f"{metric.write_oid or metric.oid}.1"
            tag, value = rows[oid]
            answer = change(hall, healthy(hall), device, oid, tag, value, 0.0)
            assert answer != NOT_WRITABLE, metric
            assert not isinstance(answer, int), metric


def test_the_profile_reads_the_outlets_of_a_healthy_pdu_as_on(hall: Hall, rested: Plant) -> None:
    rows = rows_of(hall, rested, "pdu-a01-a")
    metrics = [metric for table in found_profile(rows).tables for metric in table.metrics]
    states = next(metric.states for metric in metrics if metric.metric == "outlet_state")
    assert next(state.name for state in states if state.wire == rows[f"{pdu.OUTLET_STATUS}.5.1"][1]) == "on"


@pytest.mark.parametrize(
    ("key", "expected"), [("supply_temperature_celsius", 18), ("return_temperature_celsius", 29)]
)
def test_the_sensor_naming_column_leads_to_the_right_temperature(
    hall: Hall, rested: Plant, key: str, expected: int
) -> None:
    rows = rows_of(hall, rested, "crac-1")
    table = found_profile(rows).tables[0]
    metric = next(metric for metric in table.metrics if metric.metric == key)
    naming = next(
        oid for oid in rows if oid.startswith(f"{table.key_column}.") and rows[oid][1] == metric.key
    )
    assert rows[f"{metric.oid}.{naming.rpartition('.')[2]}"][1] == expected
