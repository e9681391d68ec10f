"""Clients' expressions: what they mean, and that none of them stops the server."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kurrentdbclient import AsyncKurrentDBClient, NewEvent, StreamState
from kurrentdbclient import exceptions as refused

from coldaisle.core.events.envelope import Recorded
from coldaisle.server.kurrent.errors import WireRefusal
from coldaisle.server.kurrent.filters import build_filter, compile_expression

NAMES = ("A", "AB", "B", "xB", "Ax", "$metadata", "PersistentConfig1", "Result", "", "a.b")


@pytest.mark.parametrize(
    "regex",
    [r"^A|B$", r"^(?!(A$|B$))", r"^(?!(\$.+$|PersistentConfig\d+$|Result$))", r"^[^\$].*", r"", r"a\.b"],
)
def test_expressions_mean_what_they_mean_elsewhere(regex: str) -> None:
    admits = compile_expression(regex)
    assert [name for name in NAMES if admits(name)] == [name for name in NAMES if re.search(regex, name)]


@given(st.lists(st.text("ab$", min_size=1, max_size=4), min_size=1, max_size=4), st.text("ab$", max_size=5))
def test_what_python_clients_send_means_the_same_in_both_engines(patterns: list[str], name: str) -> None:
    escaped = [re.escape(pattern) for pattern in patterns]
    for regex in ("^" + "|".join(escaped) + "$", "^(?!(" + "|".join(p + "$" for p in escaped) + "))"):
        assert compile_expression(regex)(name) == (re.search(regex, name) is not None)


@pytest.mark.parametrize(
    "regex", ["(?=a)", "^(?!a)b(c)", "(a", r"(a)\1", "x" * 1_025, "(?<!a)b", "((a{1000}){1000})"]
)
def test_what_is_not_regular_or_too_long_is_refused(regex: str) -> None:
    with pytest.raises(WireRefusal):
        compile_expression(regex)


def test_a_pattern_that_explodes_elsewhere_is_answered_at_once() -> None:
    admits = compile_expression("^(a+)+$")
    started = time.perf_counter()
    assert not admits("a" * 50_000 + "b")
    assert time.perf_counter() - started < 1


def test_prefixes_of_streams_are_left_to_the_store() -> None:
    assert build_filter(True, "", ["a-", "b-"]).only.stream_prefixes == ("a-", "b-")
    by_type = build_filter(False, "", ["Temp"])
    made = [Recorded(1, "s", 0, b"", name, 1, 0, 0, "", b"") for name in ("TempRead", "aTemp")]
    assert [by_type.admits(one) for one in made] == [True, False]


@pytest.mark.parametrize(
    ("regex", "reason"),
    [("[", r"^filter '\[': missing \]: \[$"), ("a(?=b)", r"\(\?=; write it without look-around$")],
)
def test_what_is_wrong_with_an_expression_is_told(regex: str, reason: str) -> None:
    with pytest.raises(WireRefusal, match=reason):
        compile_expression(regex)


async def test_filters_travel(client: AsyncKurrentDBClient) -> None:
    for name in ("Alpha", "Beta", "Alphabet"):
        await client.append_to_stream(f"s-{name}", events=NewEvent(type=name, data=b"1"),
                                      current_version=StreamState.ANY)  # fmt: skip

    async def types(**options: object) -> list[str]:
        return [e.type async for e in await client.read_all(**options)]

    assert await types(filter_include=("Alpha",)) == ["Alpha"]
    assert await types(filter_exclude=("Alpha",)) == ["Beta", "Alphabet"]
    assert await types(filter_include=("Alpha.*",)) == ["Alpha", "Alphabet"]
    assert await types(filter_include=("s-B.*",), filter_by_stream_name=True) == ["Beta"]
    assert await types(filter_include=("Al",), filter_by_prefix=True) == ["Alpha", "Alphabet"]
    with pytest.raises(refused.GrpcError, match="INVALID_ARGUMENT"):
        await types(filter_include=("x" * 2_000,))
