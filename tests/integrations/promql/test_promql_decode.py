"""Answers of the query API to samples."""

import msgspec
import pytest

from coldaisle.core.errors import EventError
from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import SamplesRecorded
from coldaisle.integrations.promql.config import PromqlQuery
from coldaisle.integrations.promql.decode import Reading, group, parse_answer, public_address

AT = 1_700_000_000.123
AT_NS = 1_700_000_000_123_000_000


def series(value: str, **labels: str) -> dict[str, object]:
    return {"metric": labels, "value": [AT, value]}


def test_the_labels_that_name_no_asset_stay_with_the_metric() -> None:
    query = PromqlQuery("cpu_utilization_ratio", "q", asset_label="instance")
    [reading] = parse_answer(query, [series("0.5", instance="vm-1", zone='a"b', __name__="x")])
    assert reading == Reading("vm-1", 'cpu_utilization_ratio{zone="a\\"b"}', AT_NS, 0.5)


def test_a_series_without_the_asset_label_is_left_out() -> None:
    query = PromqlQuery("m", "q", asset_label="instance")
    assert parse_answer(query, [series("1", job="x")]) == []


def test_a_scalar_is_one_reading() -> None:
    assert parse_answer(PromqlQuery("m", "q", asset="site"), [AT, "42"]) == [
        Reading("site", "m", AT_NS, 42.0)
    ]


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_what_is_no_number_is_no_value(value: str) -> None:
    [reading] = parse_answer(PromqlQuery("m", "q", asset="site"), [series(value)])
    assert reading.value is None


@pytest.mark.parametrize(
    "answer", [None, {"a": 1}, [{"metric": {}, "values": []}], [series("word")], [1, 2, 3]]
)
def test_anything_else_is_refused(answer: object) -> None:
    with pytest.raises(EventError, match="instant vector"):
        parse_answer(PromqlQuery("m", "q", asset="site"), answer)


def test_readings_become_one_event_per_asset() -> None:
    found = list(group([Reading("a", "m", 1, 1.0), Reading("b", "m", 2, None), Reading("a", "n", 3, 2.0)]))
    assert found == [
        Observation(3, SamplesRecorded("a", ("m", "n"), (1.0, 2.0))),
        Observation(2, SamplesRecorded("b", ("m",), (None,))),
    ]


def test_credentials_do_not_reach_the_history() -> None:
    assert public_address("https://user:secret@prom:9090/x?token=y") == "https://prom:9090/x"


def test_a_query_needs_one_way_to_name_its_asset() -> None:
    with pytest.raises(msgspec.ValidationError, match="exactly one of asset and asset_label"):
        msgspec.convert({"metric": "m", "query": "q"}, PromqlQuery)


def test_many_series_with_long_labels_are_cut_into_events_that_are_not_rejected() -> None:
    readings = [Reading("site", f'm{{pod="{number:0>300}"}}', AT_NS, 1.0) for number in range(5_000)]
    bodies = [observation.body for observation in group(readings)]
    assert max(len(msgspec.json.encode(body)) for body in bodies) < 2**20
    assert [name for body in bodies if isinstance(body, SamplesRecorded) for name in body.metrics] == [
        reading.metric for reading in readings
    ]
