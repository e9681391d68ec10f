"""The twin as a fold: from any cut it is the same, nothing given is changed, and its hash says so."""

import hashlib
import os
import subprocess
import sys

import msgspec
import networkx
from hypothesis import given, settings
from hypothesis import strategies as st

from coldaisle.core.events import Fact
from coldaisle.core.events import types as t
from coldaisle.core.twin import Twin, fold, state_hash
from coldaisle.core.twin.fold import MAX_ENDED_ALERTS
from coldaisle.core.twin.graph import Relations, dependency_graph
from coldaisle.core.twin.runs import MAX_PAST_RUNS

EVIDENCE = t.Evidence("limit", 28.0, 27.0, "a limit", 5)
PLAN = t.Plan(
    "cool", "rev", {"asset": "rack-0"}, 3, (t.PlannedStep("s1", "snmp.set", "crac-0", {}),), None, 99, "h"
)

_names = st.integers(0, 3).map(lambda n: f"rack-{n}")
_values = st.one_of(st.none(), st.floats(0, 50))
_bodies = st.one_of(
    st.builds(
        lambda asset, value: t.SamplesRecorded(asset, ("inlet_celsius", "power_watts"), (value, 1.0)),
        _names,
        _values,
    ),
    st.builds(lambda a, k: t.AssetObserved(a, "rack", {"k": k}), _names, st.sampled_from("ab")),
    st.builds(lambda a, b: t.AssetLinked(a, "cooled_by", b), _names, _names),
    st.builds(t.AssetRemoved, _names),
    st.builds(lambda a: t.DeviceLost(a, "x:161", "agent", "timeout"), _names),
    st.builds(lambda a: t.DeviceReached(a, "x:161", "agent"), _names),
    st.builds(lambda a: t.AlertOpened(f"a-{a}", a, "m", "limit", "warn", "s", EVIDENCE), _names),
    st.builds(lambda a: t.AlertCleared(f"a-{a}", "over"), _names),
    st.builds(lambda a: t.RunProposed(f"r-{a}", PLAN, "why"), _names),
    st.builds(lambda a: t.RunApproved(f"r-{a}", "h"), _names),
    st.builds(lambda a: t.StepStarted(f"r-{a}", "s1", 1), _names),
    st.builds(lambda a: t.StepSucceeded(f"r-{a}", "s1", {"value": 14}), _names),
    st.builds(lambda a: t.RunFailed(f"r-{a}", "no"), _names),
    st.builds(lambda a: t.AgentConnected(a, "peer"), _names),
)
_histories = st.lists(st.tuples(_bodies, st.integers(0, 20)), max_size=40).map(
    lambda items: [
        Fact(n, "s", n, n.to_bytes(16), time, 1_000 + n, "t", None, None, body)
        for n, (body, time) in enumerate(items, start=1)
    ]
)


@settings(deadline=None)
@given(_histories, st.integers(0, 40))
def test_folding_from_any_cut_gives_the_same_twin(history: list[Fact], cut: int) -> None:
    whole = fold(Twin(), history)
    part = fold(Twin(), history[:cut])
    before = state_hash(part)
    assert fold(part, history[cut:]) == whole
    assert state_hash(part) == before, "fold changed the twin that it was given"


def fact(position: int, body: t.AnyEvent, time: int = 0) -> Fact:
    return Fact(position, "s", position, position.to_bytes(16), time, 7, "t", None, None, body)


def test_a_late_sample_is_history_but_not_state() -> None:
    new = t.SamplesRecorded("rack-1", ("inlet_celsius",), (25.0,))
    old = t.SamplesRecorded("rack-1", ("inlet_celsius",), (20.0,))
    twin = fold(Twin(), [fact(1, new, time=10), fact(2, old, time=5)])
    assert twin.readings["rack-1"]["inlet_celsius"].value == 25.0


def test_a_value_that_is_not_available_is_no_reading() -> None:
    twin = fold(
        Twin(),
        [
            fact(1, t.SamplesRecorded("rack-1", ("inlet_celsius",), (25.0,)), 1),
            fact(2, t.SamplesRecorded("rack-1", ("inlet_celsius",), (None,)), 2),
        ],
    )
    assert twin.readings["rack-1"] == {}


def test_an_asset_that_was_removed_may_come_back_in_the_same_page() -> None:
    seen = t.SamplesRecorded("rack-1", ("inlet_celsius",), (25.0,))
    history = [fact(1, seen, 1), fact(2, t.AssetRemoved("rack-1"), 2), fact(3, seen, 3)]
    assert fold(Twin(), history).readings["rack-1"]["inlet_celsius"].position == 3


def opened_and_cleared(first: int, count: int) -> list[Fact]:
    """Alerts from the position ``first`` on, each cleared as soon as it was opened."""
    bodies = [
        body
        for n in range(first, first + 2 * count, 2)
        for body in (
            t.AlertOpened(f"a-{n}", "rack-1", "m", "limit", "warn", "s", EVIDENCE),
            t.AlertCleared(f"a-{n}", "over"),
        )
    ]
    return [fact(n, body) for n, body in enumerate(bodies, first)]


def test_the_cleared_alert_that_changed_least_recently_is_forgotten() -> None:
    full = fold(Twin(), opened_and_cleared(1, MAX_ENDED_ALERTS))
    at = full.position
    news = [
        fact(at + 1, t.AlertOpened("open", "rack-1", "m", "limit", "warn", "s", EVIDENCE)),
        fact(at + 2, t.FeedbackGiven("a-1", "confirmed")),
        fact(at + 3, t.AlertOpened("a-3", "rack-1", "m", "limit", "warn", "s", EVIDENCE)),
        *opened_and_cleared(at + 4, 3),
    ]
    for twin in (fold(full, news), fold(fold(full, news[:5]), news[5:])):
        assert full.alerts.keys() - twin.alerts.keys() == {"a-5", "a-7"}
        assert twin.alerts["open"].cleared is None
        assert sum(alert.cleared is not None for alert in twin.alerts.values()) == MAX_ENDED_ALERTS


def test_what_a_cleared_alert_costs_does_not_grow_with_those_remembered(count_steps) -> None:
    full = fold(Twin(), opened_and_cleared(1, MAX_ENDED_ALERTS))
    news = opened_and_cleared(full.position + 1, 50)
    assert count_steps(lambda: fold(full, news)) < 50 * MAX_ENDED_ALERTS


def test_what_a_page_does_not_touch_is_not_copied() -> None:
    """Whoever remembers something of the assets or alerts sees by that whether it still holds."""
    linked = t.AssetLinked("rack-1", "cooled_by", "crac-1")
    twin = fold(Twin(), [fact(1, linked), *opened_and_cleared(2, 1)])
    later = fold(twin, [fact(9, t.SamplesRecorded("rack-1", ("inlet_celsius",), (25.0,)))])
    assert later.assets is twin.assets
    assert later.alerts is twin.alerts
    removed = fold(twin, [fact(9, t.AssetRemoved("rack-1"))])
    assert "rack-1" in twin.assets
    assert "rack-1" not in removed.assets


def test_a_run_walks_through_its_states() -> None:
    walk = [
        (t.RunProposed("r", PLAN, "why"), "proposed"),
        (t.RunApproved("r", "h"), "approved"),
        (t.StepStarted("r", "s1", 1), "running"),
        (t.StepSucceeded("r", "s1"), "running"),
        (t.VerificationStarted("r", 5), "verifying"),
        (t.RunSucceeded("r", "it helped"), "succeeded"),
    ]
    twin = Twin()
    for position, (body, state) in enumerate(walk, start=1):
        twin = fold(twin, [fact(position, body)])
        assert twin.runs["r"].state == state
    assert twin.runs["r"].steps[0].state == "succeeded"


def test_a_step_whose_outcome_is_unknown_makes_the_run_unknown() -> None:
    twin = fold(
        Twin(),
        [
            fact(1, t.RunProposed("r", PLAN, "why")),
            fact(2, t.RunApproved("r", "h")),
            fact(3, t.StepStarted("r", "s1", 1)),
            fact(4, t.StepFailed("r", "s1", "no answer", outcome_unknown=True)),
            fact(5, t.RunFailed("r", "no answer")),
        ],
    )
    assert twin.runs["r"].state == "unknown"


def test_proposals_that_nobody_decided_on_are_forgotten_once_they_are_many_and_late() -> None:
    """PLAN can be approved until 99; what was approved, or still can be, is remembered however many come."""
    history = [fact(1, t.RunProposed("r-kept", PLAN, "why")), fact(2, t.RunApproved("r-kept", "h"))]
    for number in range(MAX_PAST_RUNS + 3):
        history.append(fact(3 + number, t.RunProposed(f"r-{number}", PLAN, "why"), time=99))
    early = fold(Twin(), history)
    assert len(early.runs) == MAX_PAST_RUNS + 4
    late = fold(early, [fact(len(history) + 1, t.RunProposed("r-late", PLAN, "why"), time=100)])
    assert len(late.runs) == MAX_PAST_RUNS + 1
    assert {"r-kept", "r-late", "r-4"} < set(late.runs)
    assert {"r-0", "r-1", "r-2", "r-3"}.isdisjoint(late.runs)


def test_dependents_follow_dependencies_and_not_containment() -> None:
    links = [
        t.AssetLinked("pdu", "powered_by", "ups"),
        t.AssetLinked("rack", "powered_by", "pdu", "feed", 1),
        t.AssetLinked("rack", "located_in", "row"),
    ]
    twin = fold(Twin(), [fact(n, link) for n, link in enumerate(links, start=1)])
    relations = Relations(twin.assets)
    assert relations.dependents("ups") == ["pdu", "rack"]
    assert relations.dependents("row") == relations.dependents("ghost") == []
    ((link, asset),) = relations.pointing_at("pdu")
    assert (link.edge, link.target, link.group, asset) == ("powered_by", "pdu", "feed", "rack")


def test_assets_that_depend_on_each_other_are_no_dependents_of_their_own() -> None:
    links = [t.AssetLinked("a", "depends_on", "b"), t.AssetLinked("b", "depends_on", "a")]
    relations = Relations(fold(Twin(), [fact(n, link) for n, link in enumerate(links, start=1)]).assets)
    assert relations.dependents("a") == ["b"]
    assert relations.dependents("a", "b") == []


_ids = st.integers(0, 8).map(lambda n: f"a-{n}")
_links = st.builds(t.AssetLinked, _ids, st.sampled_from(["powered_by", "depends_on", "located_in"]), _ids)


@given(st.lists(_links, max_size=30), st.lists(_ids, min_size=1, max_size=3, unique=True))
def test_dependents_are_the_descendants_that_networkx_finds(
    links: list[t.AssetLinked], asked: list[str]
) -> None:
    assets = fold(Twin(), [fact(n, link) for n, link in enumerate(links, start=1)]).assets
    graph = dependency_graph(assets)
    descendants = {each for one in asked if one in graph for each in networkx.descendants(graph, one)}
    assert Relations(assets).dependents(*asked) == sorted(descendants.difference(asked))


def test_the_dependency_graph_tells_what_its_edges_are() -> None:
    links = [
        t.AssetLinked("rack", "powered_by", "pdu", "feed", 2),
        t.AssetLinked("rack", "located_in", "row"),
    ]
    graph = dependency_graph(fold(Twin(), [fact(n, link) for n, link in enumerate(links, start=1)]).assets)
    assert list(graph.edges(data=True)) == [
        ("pdu", "rack", {"kind": "powered_by", "group": "feed", "need": 2})
    ]


@settings(deadline=None)
@given(_histories)
def test_the_hash_is_that_of_the_whole_twin_as_json(history: list[Fact]) -> None:
    silence = t.SilenceCreated("s-ä", 0, 1 << 40, metric="\x00")
    names = [t.AssetObserved(name, "rack") for name in ("\U0001f9ca", "\uffff", "ä", '"', "")]
    for twin in (Twin(), fold(Twin(), [*history, *(fact(99, body) for body in (silence, *names))])):
        whole = msgspec.json.encode(twin, order="deterministic")
        assert state_hash(twin) == hashlib.sha256(whole).hexdigest()


def test_the_hash_leaves_others_their_turn(count_steps) -> None:
    """It goes by pieces, where the interpreter passes by: one call held up a whole server."""
    twin = fold(Twin(), [fact(n, t.AssetObserved(f"rack-{n}", "rack")) for n in range(1, 500)])
    assert count_steps(lambda: state_hash(twin)) > 500


def test_the_hash_does_not_depend_on_the_process() -> None:
    code = (
        "from coldaisle.core.events import Fact; from coldaisle.core.events import types as t;"
        "from coldaisle.core.twin import *;"
        "names = [f'rack-{n}' for n in range(50)];"
        "facts = [Fact(n, 's', n, bytes(16), n, 1, 't', None, None, t.AssetObserved(name, 'rack', "
        "{k: 'v' for k in {'a', 'b', 'c', 'd'}})) for n, name in enumerate(set(names), 1)];"
        "facts.sort(key=lambda f: f.body.asset);"
        "facts = [Fact(n, 's', n, bytes(16), 1, 1, 't', None, None, f.body) for n, f in enumerate(facts, 1)];"
        "print(state_hash(fold(Twin(), facts)))"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed},
            check=True, capture_output=True, text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(hashes) == 1
