"""Templates of log lines: grouping on labelled lines, parameters, bounds, and exact state."""

import csv
import gzip
import os
from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import product
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldaisle.core.templates import drain as drain_module
from coldaisle.core.templates.drain import MAX_LEAF_TEMPLATES, Drain, DrainState
from coldaisle.core.templates.tokens import MAX_TOKENS, Tokenizer, masked

SHARED = Path(os.environ.get("COLDAISLE_SHARED", Path(__file__).parents[4] / "shared"))
MIN_MEAN_ACCURACY = 0.85
MIN_ACCURACY = 0.75


def grouping_accuracy(found: Sequence[Hashable], labels: Sequence[Hashable]) -> float:
    """The share of lines whose group holds exactly the lines of their label."""
    groups: defaultdict[Hashable, set[int]] = defaultdict(set)
    classes: defaultdict[Hashable, set[int]] = defaultdict(set)
    for number, (group, label) in enumerate(zip(found, labels, strict=True)):
        groups[group].add(number)
        classes[label].add(number)
    exact = [lines for lines in groups.values() if classes[labels[min(lines)]] == lines]
    return sum(map(len, exact)) / len(labels)


def mined(drain: Drain, lines: Sequence[str]) -> list[str]:
    return [found.template.id for line in lines if (found := drain.mine("", line))]


def test_labelled_lines_of_sixteen_systems_are_grouped_as_people_did() -> None:
    files = sorted((SHARED / "data" / "loghub").glob("*.log_structured.csv.gz"))
    if not files:
        pytest.skip("Loghub's labelled lines are not here: COLDAISLE_SHARED names what holds data/loghub")
    accuracy = {}
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8", errors="replace") as text:
            rows = list(csv.DictReader(text))
        ids = mined(Drain(), [row["Content"] for row in rows])
        accuracy[file.name] = grouping_accuracy(ids, [row["EventId"] for row in rows])
    assert len(accuracy) == 16
    assert sum(accuracy.values()) / 16 >= MIN_MEAN_ACCURACY, accuracy
    assert min(accuracy.values()) >= MIN_ACCURACY, accuracy


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("Fan 3 speed 4200 rpm", "Fan <*> speed <*> rpm"),
        ("link down on eth0: 00:1b:21:3c:4d:5e", "link down on <*> : <*>"),
        ("read /var/lib/x/y failed", "read <*> failed"),
        ("10.0.0.1:514 closed", "<*> closed"),
        ("took 12 ms (0.4 s) at 12:30:05", "took <*> at <*>"),
        ("user= shell=/bin/sh -c", "user = <*> shell = <*> -c"),
        ("list 1, 2, 3 (none)", "list <*> , <*> , <*> ( none )"),
        ("ids a1 b2 c3 end", "ids <*> end"),
        ("com.example.cron.daily: it runs", "<*> it runs"),
        ("", ""),
    ],
)
def test_what_varies_is_masked(line: str, tokens: str) -> None:
    assert " ".join(masked(Tokenizer().pieces(line))) == tokens


def test_a_template_keeps_its_id_while_its_text_widens_and_its_parameters_are_kept() -> None:
    drain = Drain()
    first = drain.mine("sshd", "Accepted password for alice from 10.0.0.1 port 4022 on host a")
    second = drain.mine("sshd", "Accepted password for bob from 10.0.0.2 port 4023 on host a")
    assert first is not None
    assert second is not None
    assert (first.is_new, second.is_new, second.is_generalised) == (True, False, True)
    assert first.template is second.template
    assert second.template.text == "Accepted password for <*> from <*> port <*> on host a"
    assert second.parameters == ("bob", "10.0.0.2", "4023")


def test_programs_do_not_share_templates() -> None:
    drain = Drain()
    assert mined(drain, ["it is done"]) == ["t1"]
    found = drain.mine("other", "it is done")
    assert found is not None
    assert found.template.id == "t2"


def test_a_word_that_stood_long_is_not_generalised_away() -> None:
    drain = Drain()
    usual = [f"session {n} of the service opened by daemon" for n in range(200)]
    assert len(set(mined(drain, usual))) == 1
    assert mined(drain, ["session 7 of the service opened by intruder"]) == ["t2"]


def test_a_line_that_may_not_found_a_template_has_none() -> None:
    assert Drain().mine("", "never seen", may_found=False) is None


def test_the_least_recently_used_template_of_a_full_leaf_retires() -> None:
    drain = Drain()
    letters = [f"at once {word} not{word}" for word in map("".join, product("abcdefghijklm", repeat=2))]
    found = [drain.mine("", line) for line in letters]
    retired = [each.retired.id for each in found if each and each.retired]
    assert retired == [f"t{n + 1}" for n in range(len(retired))]
    assert len(drain.templates) == MAX_LEAF_TEMPLATES
    assert len(retired) == 169 - MAX_LEAF_TEMPLATES


def test_templates_are_bounded_and_what_retired_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "MAX_TEMPLATES", 3)
    drain = Drain()
    lines = ["alpha", "beta gamma", "delta epsilon zeta", "eta theta iota kappa", "alpha"]
    assert mined(drain, lines) == ["t1", "t2", "t3", "t4", "t5"]
    assert sorted(drain.templates) == ["t3", "t4", "t5"]


@given(st.lists(st.text(max_size=60), max_size=30))
def test_any_text_has_a_template_within_the_bounds(lines: list[str]) -> None:
    drain = Drain()
    for line in [*lines, " ".join(lines * 50), "(" * 9_000, "a=" * 5_000, "\0\0 \0"]:
        found = drain.mine("", line)
        assert found is not None
        assert len(found.template.tokens) <= MAX_TOKENS
        assert len(found.parameters) == found.template.tokens.count("<*>")


WORDS = st.sampled_from(["disk", "fan", "failed", "on", "7", "0x1f", "a", "b", "(", "key=", "/x/y/z"])


@given(st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), max_size=60), st.integers(0, 60))
def test_a_saved_state_goes_on_as_if_it_had_never_been_saved(lines: list[str], cut: int) -> None:
    whole, first = Drain(), Drain()
    expected = mined(whole, lines)
    begun = mined(first, lines[:cut])
    stored = msgspec.msgpack.encode(first.state())
    second = Drain.of(msgspec.msgpack.decode(stored, type=DrainState))
    assert begun + mined(second, lines[cut:]) == expected
    assert msgspec.msgpack.encode(second.state()) == msgspec.msgpack.encode(whole.state())


def test_a_state_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="template 't9'"):
        Drain.of(DrainState(1, 1, [], [("", ("a",), "t9")]))
