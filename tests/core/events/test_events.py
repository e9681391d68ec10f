"""The closed union: every type encodes, decodes for ever, and knows its stream."""

import json
import os
import typing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldaisle.core.errors import EventError
from coldaisle.core.events import (
    Recorded,
    decode,
    derived_id,
    encode_body,
    id_text,
    parse_body,
    parse_id,
    sequenced_id,
    stream_of,
)
from coldaisle.core.events.codec import EVENT_TYPES, SCHEMAS
from coldaisle.core.events.ids import new_id, sequence_of
from coldaisle.core.events.types import AnyEvent, SamplesRecorded

GOLDEN = Path(__file__).parent / "golden"


def _example(kind: object, depth: int = 0) -> object:
    """A plain value of a type, from its annotation: golden files are made with it, once."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {f.name: _example(f.type, depth + 1) for f in msgspec.structs.fields(kind)}
    if origin is typing.Literal:
        return arguments[0]
    if origin is tuple:
        inner = arguments[:1] if arguments[-1] is Ellipsis else arguments
        return [_example(argument, depth + 1) for argument in inner]
    if origin is dict:
        return {"key": _example(arguments[1], depth + 1)}
    if arguments:
        return _example(arguments[0], depth)
    return {str: "text", int: 7, float: 1.5, bool: True, type(None): None}[kind]  # type: ignore[index]


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_published_version_decodes_for_ever(name: str) -> None:
    """A missing file is written when COLDAISLE_WRITE_GOLDEN is set; an existing one is never changed."""
    for schema in range(1, SCHEMAS[name] + 1):
        file = GOLDEN / f"{name}.v{schema}.json"
        if not file.exists() and os.environ.get("COLDAISLE_WRITE_GOLDEN"):
            file.write_text(json.dumps(_example(EVENT_TYPES[name]), indent=1) + "\n")
        body = parse_body(name, file.read_bytes())
        assert type(body).__name__ == name
        for key, value in json.loads(file.read_text()).items():
            assert json.loads(encode_body(body))[key] == value


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_a_body_survives_the_round_trip_and_has_a_stream(name: str) -> None:
    body = parse_body(name, (GOLDEN / f"{name}.v1.json").read_bytes())
    assert parse_body(name, encode_body(body)) == body
    category, _, identifier = stream_of(body).partition("-")
    assert category
    assert identifier


def test_no_golden_file_is_without_its_type() -> None:
    assert {file.name.split(".")[0] for file in GOLDEN.glob("*.json")} == set(EVENT_TYPES)


def recorded(type_name: str, data: bytes) -> Recorded:
    return Recorded(9, "asset-a", 0, bytes(16), type_name, 1, 0, 0, "t", data)


def test_a_type_of_a_newer_program_is_passed_over() -> None:
    assert decode(recorded("FromTheFuture", b"{}")) is None


def test_a_body_that_does_not_fit_its_type_is_an_error_with_its_place() -> None:
    with pytest.raises(EventError, match=r"position 9 \(AssetRemoved\).*asset"):
        decode(recorded("AssetRemoved", b'{"asset": 4}'))


def nested(depth: int) -> bytes:
    return b'{"asset":"a","kind":"rack","new":%s1%s}' % (b"[" * depth, b"]" * depth)


def test_json_that_is_nested_too_deep_is_refused_and_what_was_taken_is_read_wherever_that_is() -> None:
    """A reader with more calls under way than the writer had meets its end earlier."""
    depth = 10
    while True:
        try:
            parse_body("AssetObserved", nested(depth + 1))
        except EventError as error:
            assert "nested too deep" in str(error)  # noqa: PT017 - where that begins is looked for
            break
        depth += 1

    def read(calls: int) -> object:
        return read(calls - 1) if calls else decode(recorded("AssetObserved", nested(depth)))

    assert read(0) == read(100)
    assert depth > 500


@given(st.sampled_from(sorted(EVENT_TYPES)), st.binary(max_size=200))
def test_nothing_but_our_own_error_leaves_the_decoder(name: str, data: bytes) -> None:
    try:
        body: AnyEvent | None = parse_body(name, data)
    except EventError:
        body = None
    assert body is None or type(body).__name__ == name


@given(st.integers(0, 2**62), st.text(max_size=20), st.integers(0, 2**40 - 1))
def test_sequenced_ids_are_uuids_that_sort_by_time_and_carry_their_number(
    time: int, origin: str, sequence: int
) -> None:
    event_id = sequenced_id(time, origin, sequence)
    assert parse_id(id_text(event_id)) == event_id
    assert id_text(event_id)[14] == "7"
    assert sequence_of(event_id) == sequence
    assert event_id == sequenced_id(time, origin, sequence)
    later = sequenced_id(time + 1_000_000, origin, 0)
    assert later[:6] > event_id[:6] or time // 1_000_000 % (1 << 48) == (1 << 48) - 1


def test_derived_ids_differ_by_cause_reactor_and_ordinal() -> None:
    ids = {
        derived_id(5, cause, reactor, ordinal)
        for cause in (b"a" * 16, b"b" * 16)
        for reactor in ("detector", "policy")
        for ordinal in (0, 1)
    }
    assert len(ids) == 8
    assert new_id(5) != new_id(5)


_polls = st.lists(
    st.sampled_from(
        [
            b'{"asset":"a","metrics":["x","y"],"values":[1.0,2.5],"quality":"good"}',
            b'{"asset":"a","metrics":["x","y"],"values":[3.0,null],"quality":"partial"}',
            b'{"asset":"a","metrics":["x"],"values":[4.0],"quality":"good"}',
            b'{"asset":"a","metrics":["x","y"],"values":[4.0],"quality":"good"}',
            b'{"asset":"a","metrics":["x","y"],"values":[4.0,5.0,6.0],"quality":"good"}',
            b'{"asset":"a","metrics":["x","y"],"values":[4,null],"quality":"good"}',
            b'{"asset":"a","metrics":["x","y"],"values":[],"quality":"good"}',
            b'{"asset":"b","metrics":["x","y"],"values":[5.0,6.0]}',
            b'{"metrics":["x","y"],"asset":"a","values":[7.0,8.0]}',
            b'{"asset":"a","metrics":["x","y"],"values":[9.0,1.0],"metrics":["z","z"]}',
            b'{"asset":"a","metrics":["x","y"],"values":[2.0,2.0],"new":{"values":[0.0]}}',
            b'{"asset":"a","new":{"b":1,"values":[0.0]},"metrics":["x","y"],"values":[3.0,3.0]}',
            b'{"asset":"a","metrics":["x","y"],"values":[1.0,"no"]}',
            b'{"asset":"a","metrics":["x","y"],"values":[1.0,2.0]',
        ]
    ),
    max_size=12,
)


@pytest.mark.parametrize("count", [0, 1, 512, 513, 5_000])
def test_a_poll_of_any_number_of_values_decodes_again_and_again(count: int) -> None:
    poll = SamplesRecorded("a", tuple(f"m_{n}" for n in range(count)), tuple(n / 2 for n in range(count)))
    for position in range(1, 4):
        event = Recorded(
            position, f"telemetry-{count}", 0, bytes(16), "SamplesRecorded", 1, 0, 0, "t", encode_body(poll)
        )
        fact = decode(event)
        assert fact is not None
        assert fact.body == poll


@given(_polls)
def test_what_was_decoded_before_never_changes_what_a_poll_says(polls: list[bytes]) -> None:
    """A stream's polls decode by their likeness to the last one: only faster, never otherwise."""

    def outcome(stream: str, data: bytes) -> object:
        event = Recorded(1, stream, 0, bytes(16), "SamplesRecorded", 1, 0, 0, "t", data)
        try:
            fact = decode(event)
        except EventError:
            return "refused"
        return fact.body if fact else None

    for number, data in enumerate(polls):
        assert outcome("telemetry-shared", data) == outcome(f"telemetry-fresh-{id(polls)}-{number}", data)
