"""Decisions about runs: pure, bound to the state and to the very plan."""

import pytest
from msgspec.structs import replace

from coldaisle.core.events import types as t
from coldaisle.core.twin import Run
from coldaisle.playbooks import (
    DecisionError,
    Expired,
    StalePlan,
    WrongState,
    approve,
    cancel,
    make_plan,
    propose,
    reject,
)

NOW = 1_700_000_000_000_000_000


@pytest.fixture
def proposed(twin, cool):
    plan = make_plan(cool, {"asset": "rack-a01"}, twin, NOW)
    return Run("r-1", plan, "warm", "", "", "proposed", (), NOW, 1, "otto", 0)


def test_a_proposed_run_can_be_approved_until_it_expires(proposed):
    expected = t.RunApproved("r-1", proposed.plan.hash, "go")
    assert approve(proposed, proposed.plan.hash, proposed.plan.expires_at, "go") == expected
    with pytest.raises(Expired, match="expired 2 s ago; ask for a new run"):
        approve(proposed, proposed.plan.hash, proposed.plan.expires_at + 2_000_000_000)


def test_an_approval_counts_for_the_very_plan_only(proposed):
    with pytest.raises(StalePlan, match="read the plan again"):
        approve(proposed, "0" * 64, NOW)
    changed = replace(proposed, plan=replace(proposed.plan, steps=proposed.plan.steps[:1]))
    with pytest.raises(StalePlan):
        approve(changed, proposed.plan.hash, NOW)


@pytest.mark.parametrize("state", ["approved", "running", "verifying", "succeeded", "rejected", "unknown"])
def test_only_a_proposed_run_is_approved_or_rejected(proposed, state):
    run = replace(proposed, state=state)
    with pytest.raises(WrongState, match=f"is {state}, only a proposed one can be approved"):
        approve(run, run.plan.hash, NOW)
    with pytest.raises(WrongState, match=f"is {state}, only a proposed one can be rejected"):
        reject(run, "no")


def test_a_rejection_and_a_cancellation_say_why(proposed):
    assert reject(proposed, "not now") == t.RunRejected("r-1", "not now")
    assert cancel(proposed, "not now") == t.RunCancelled("r-1", "not now")
    for decide in (reject, cancel):
        with pytest.raises(DecisionError, match="no reason given"):
            decide(proposed, "  ")


def test_an_ended_run_cannot_be_cancelled(proposed):
    with pytest.raises(WrongState, match="nothing to cancel"):
        cancel(replace(proposed, state="failed"), "late")


def test_a_run_is_proposed_once(twin, proposed):
    assert propose(twin, "r-1", proposed.plan, "warm", alert="al-1").alert == "al-1"
    with pytest.raises(WrongState, match="exists already"):
        propose(replace(twin, runs={"r-1": proposed}), "r-1", proposed.plan, "warm")
