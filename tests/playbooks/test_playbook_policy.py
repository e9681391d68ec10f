"""The policy reactor: one proposal where one is due, the same ones wherever pages are cut."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Fact
from coldaisle.core.events.types import Policy
from coldaisle.core.twin import fold
from coldaisle.playbooks import PolicyReactor, builtin_playbooks, plan_hash

BOOST = next(playbook for playbook in builtin_playbooks() if playbook.id == "boost-cooling")
PUBLISHED = t.PlaybookPublished(BOOST.id, BOOST.revision, BOOST.text)
POLICY = Policy(
    "cool-warm-racks",
    BOOST.id,
    {"asset": "${asset}", "setpoint_celsius": 12},
    kind="limit",
    metric="inlet_temperature_celsius",
    severity="page",
    asset_kind="rack",
    cooldown_seconds=100,
)
EVIDENCE = t.Evidence("value", 31.0, 27.0, "limit", 0)


def _reactor(*policies):
    """A reactor that has read, at the very beginning, which policies are in force."""
    reactor = PolicyReactor()
    reactor.react([Fact(0, "s", 0, bytes(16), 0, 0, "t", None, None, t.PoliciesConfigured(policies))])
    return reactor


def _bodies(facts, policy=POLICY):
    return [reaction.body for reaction in _reactor(policy).react(facts)]


def _recorded(facts, body, seconds_later=1):
    """The facts with one more at the end."""
    last = facts[-1]
    time = last.time + seconds_later * 1_000_000_000
    position = last.position + 1
    fact = Fact(position, "s", 0, position.to_bytes(16), time, time, "t", None, None, body)
    return [*facts, fact]


def test_an_alert_that_matches_proposes_the_planned_run(history, alert):
    facts = history(PUBLISHED, alert())
    [reaction] = _reactor(POLICY).react(facts)
    proposed = reaction.body
    assert reaction.cause is facts[-1]
    assert (proposed.alert, proposed.policy, proposed.reason) == ("al-1", POLICY.name, "rack-a01 is warm")
    assert proposed.plan.parameters == {"asset": "rack-a01", "setpoint_celsius": 12}
    assert proposed.plan.twin_position == facts[-1].position
    assert proposed.run.startswith("r-")
    assert len(proposed.run) == 12


@pytest.mark.parametrize(
    "changes",
    [{"kind": "state"}, {"metric": "power_watts"}, {"asset_kind": "crac"}],
)
def test_an_alert_that_does_not_match_is_left_alone(history, alert, changes):
    assert not _bodies(history(PUBLISHED, alert()), replace(POLICY, **changes))


def test_the_twin_is_not_folded_for_each_alert_that_no_policy_is_about(history, alert):
    """A fold copies what is known of every asset: a hall that warns costs no such copy an alert."""
    facts = history(PUBLISHED, alert())
    for _ in range(50):
        facts = _recorded(facts, alert(severity="warn"))
    reactor, folds = _reactor(POLICY), 0

    def note(frame, event, _argument):
        nonlocal folds
        folds += event == "call" and frame.f_code is fold.__code__

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        reactor.react(facts)
    finally:
        sys.setprofile(before)
    assert folds == 2


def test_a_suppressed_alert_is_left_alone(history, alert):
    assert not _bodies(history(PUBLISHED, replace(alert(), suppressed_by="silence-1")))


def test_a_warning_is_answered_when_it_becomes_a_page(history, alert):
    warning = history(PUBLISHED, alert(severity="warn"))
    assert not _bodies(warning)
    facts = _recorded(warning, t.AlertEscalated("al-1", "page", "worse", EVIDENCE))
    [proposed] = _bodies(facts)
    assert proposed.reason == "worse"


def test_no_second_run_while_the_first_is_unfinished_or_cools_down(history, alert):
    facts = history(PUBLISHED, alert())
    [proposed] = _bodies(facts)
    facts = _recorded(facts, proposed)
    facts = _recorded(facts, alert("al-2"), 200)
    assert len(_bodies(facts)) == 1, "the first still waits for a person"
    facts = _recorded(facts, t.RunApproved(proposed.run, proposed.plan.hash))
    facts = _recorded(facts, alert("al-3"), 5_000)
    assert len(_bodies(facts)) == 1, "the first is under way"
    facts = _recorded(facts, t.RunSucceeded(proposed.run, "cool"))
    facts = _recorded(facts, alert("al-4"))
    assert [body.alert for body in _bodies(facts)] == ["al-1", "al-4"]
    facts = _recorded(facts, alert("al-5"), 99)
    assert len(_bodies(facts)) == 2, "the second cools down"


def test_a_proposal_that_nobody_approved_in_time_does_not_block(history, alert):
    facts = history(PUBLISHED, alert())
    [proposed] = _bodies(facts)
    facts = _recorded(_recorded(facts, proposed), alert("al-2"), 1_000)
    assert len(_bodies(facts)) == 2


def test_observing_says_what_it_would_have_run_and_refuses_it(history, alert):
    proposed, rejected = _bodies(history(PUBLISHED, alert()), replace(POLICY, mode="observe"))
    assert proposed.plan.steps
    assert rejected == t.RunRejected(proposed.run, "observed only: the policy may not act")


@pytest.mark.parametrize(
    ("published", "changes", "reason"),
    [
        ([], {}, "playbook 'boost-cooling' is not published; publish it"),
        (
            [PUBLISHED],
            {"parameters": {"asset": "${rack}"}},
            "${rack}; use one of: asset, metric, alert",
        ),
        ([PUBLISHED], {"parameters": {"asset": "pdu-a"}}, "pdu-a has no cooled_by link"),
        ([t.PlaybookPublished(BOOST.id, "r", "steps: [")], {}, "boost-cooling:1: not YAML"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused_in_the_history(history, alert, published, changes, reason):
    facts = history(*published, alert())
    proposed, rejected = _bodies(facts, replace(POLICY, **changes))
    assert proposed.plan.steps == ()
    assert plan_hash(proposed.plan) == proposed.plan.hash
    assert rejected.reason.startswith("no plan could be made: ")
    assert reason in rejected.reason


def test_each_policy_answers_for_itself(history, alert):
    facts = history(PUBLISHED, alert())
    reactions = _reactor(POLICY, replace(POLICY, name="other")).react(facts)
    assert len({reaction.body.run for reaction in reactions}) == 2


@settings(deadline=None)
@given(data=st.data())
def test_pages_may_be_cut_anywhere(history, alert, data):
    facts = history(PUBLISHED, alert(), t.AssetObserved("crac-1", "crac"), alert("al-2"))
    first = _bodies(facts)[0]
    for body, seconds in [
        (first, 1),
        (t.RunRejected(first.run, "no"), 1),
        (t.DeviceLost("crac-1", "", "a", "x"), 200),
        (alert("al-3"), 1),
        (t.DeviceReached("crac-1", "", "a"), 1),
        (alert("al-4"), 300),
    ]:
        facts = _recorded(facts, body, seconds)
    whole = _reactor(POLICY).react(facts)
    assert [reaction.cause.body.alert for reaction in whole] == ["al-1", "al-3", "al-4"]
    reactor, reactions, rest = _reactor(POLICY), [], facts
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        reactions += reactor.react(rest[:size])
        rest = rest[size:]
    assert reactions == whole
