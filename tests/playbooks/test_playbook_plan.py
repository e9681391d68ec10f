"""Plans: concrete, bound by their hash, and helpful when they cannot be made."""

import os
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from coldaisle.core.events import types as t
from coldaisle.playbooks import PlanError, builtin_playbooks, make_plan, plan_hash, read_playbook

BUILTIN = {playbook.id: playbook for playbook in builtin_playbooks()}
NOW = 1_700_000_000_000_000_000

_HASH_IN_A_FRESH_PROCESS = """
from coldaisle.core.events import types as t
from coldaisle.core.twin import Asset, Link, Reading, Twin
from coldaisle.playbooks import builtin_playbooks, make_plan
names = {"crac-1", "crac-2", "crac-3", "crac-10"}
assets = {name: Asset(name, "crac") for name in names}
assets["rack-a01"] = Asset("rack-a01", "rack", links=tuple(Link("cooled_by", name) for name in names))
readings = {name: {"cooling_percent": Reading(50.0, 1, 1)} for name in names}
playbook = {playbook.id: playbook for playbook in builtin_playbooks()}["boost-cooling"]
print(make_plan(playbook, {"asset": "rack-a01"}, Twin(7, assets, readings), 5).hash)
"""


def test_selected_assets_become_steps_in_natural_order(twin, cool):
    plan = make_plan(cool, {"asset": "rack-a01"}, twin, NOW)
    assert [step.id for step in plan.steps] == ["lower.crac-1", "lower.crac-2", "lower.crac-10"]
    assert plan.steps[0].arguments == {"metric": "supply_setpoint_celsius", "value": 14}
    assert plan.verification.assets == ("rack-a01",)
    assert plan.twin_position == twin.position
    assert plan.expires_at == NOW + 900_000_000_000


def test_the_hash_covers_everything(twin, cool):
    plan = make_plan(cool, {"asset": "rack-a01"}, twin, NOW)
    others = [
        replace(plan, revision="x"),
        replace(plan, parameters={**plan.parameters, "celsius": 15}),
        replace(plan, twin_position=plan.twin_position + 1),
        replace(plan, steps=plan.steps[::-1]),
        replace(plan, verification=None),
        replace(plan, expires_at=plan.expires_at + 1),
    ]
    assert len({plan_hash(other) for other in [plan, *others]}) == 7


@given(celsius=st.floats(10, 22) | st.integers(10, 22))
def test_the_hash_survives_the_store(twin, celsius):
    values = {"asset": "rack-a01", "setpoint_celsius": celsius}
    plan = make_plan(BUILTIN["boost-cooling"], values, twin, NOW)
    stored = msgspec.json.decode(msgspec.json.encode(plan), type=t.Plan)
    assert plan_hash(stored) == plan.hash


def test_a_number_is_the_same_number_over_any_wire(twin, cool):
    plans = [make_plan(cool, {"asset": "rack-a01", "celsius": value}, twin, NOW) for value in (15, 15.0)]
    assert plans[0] == plans[1]
    assert plans[0].hash == plans[1].hash


def test_the_plan_does_not_depend_on_the_process():
    hashes = {
        subprocess.run(
            [sys.executable, "-c", _HASH_IN_A_FRESH_PROCESS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        ({}, "parameter 'asset' (asset) is missing; the rack"),
        ({"asset": "rack-a02"}, "'rack-a02': not in the twin; did you mean rack-a01"),
        ({"asset": "crac-1"}, "is a crac; name a rack"),
        ({"asset": "rack-a01", "celsius": 9}, "parameter 'celsius' = 9: below the minimum 10"),
        ({"asset": "rack-a01", "celsius": 23.5}, "above the maximum 22"),
        ({"asset": "rack-a01", "celsius": "15"}, "not of type number"),
        ({"asset": "rack-a01", "celsius": True}, "not of type number"),
        ({"asset": "rack-a01", "celsius": float("nan")}, "not of type number"),
        ({"asset": "rack-a01", "color": 1}, "cool has no parameter 'color'; it has: asset, celsius"),
    ],
)
def test_wrong_parameters_are_named(twin, cool, given_values, message):
    with pytest.raises(PlanError) as caught:
        make_plan(cool, given_values, twin, NOW)
    assert message in str(caught.value)


def test_an_empty_selection_says_what_was_considered_and_why_not(hall_after):
    twin = hall_after(
        t.DeviceLost("crac-1", "", "a", "timeout"),
        t.AssetObserved("crac-2", "crac"),
        t.AlertOpened("al", "crac-2", "fan", "limit", "warn", "slow", t.Evidence("value", 1, 2, "x", 0)),
        t.AssetRemoved("crac-10"),
    )
    with pytest.raises(PlanError) as caught:
        make_plan(BUILTIN["boost-cooling"], {"asset": "rack-a01"}, twin, NOW)
    assert str(caught.value) == (
        "step 'lower-setpoint': 0 selected by cooled_by of 'rack-a01', at least 1 needed; "
        "crac-1: does not answer, crac-2: has an open alert, "
        "crac-3: cooling_percent is 0, not above 0, crac-10: not in the twin"
    )


def test_an_asset_without_links_says_so(twin):
    with pytest.raises(PlanError, match="pdu-a has no cooled_by link"):
        make_plan(BUILTIN["boost-cooling"], {"asset": "pdu-a"}, twin, NOW)


def test_peers_are_all_that_share_a_target(twin):
    text = """
playbook: peers
title: Peers
parameters: {asset: {type: asset}}
steps: [{id: tell, action: notify, with: {channel: log, message: "hot: ${asset}"}}]
verify:
  assets: {related_by: cooled_by, to: "${asset}", peers: true, kind: rack}
  metric: inlet_temperature_celsius
  below: 27
"""
    plan = make_plan(read_playbook(text), {"asset": "rack-b01"}, twin, NOW)
    assert plan.verification.assets == ("rack-a01", "rack-b01")
    assert plan.steps[0].arguments["message"] == "hot: rack-b01"


def test_text_that_looks_like_a_reference_is_not_followed(twin):
    """A parameter's value is put in its place once; nothing in it is read again."""
    plan = make_plan(BUILTIN["notify-oncall"], {"asset": "rack-a01", "message": "${asset} {{x}}"}, twin, NOW)
    assert plan.steps[0].arguments["message"] == "rack-a01: ${asset} {{x}}"


def test_a_metric_with_labels_is_filled_in(twin):
    plan = make_plan(BUILTIN["power-cycle-outlet"], {"pdu": "pdu-a", "outlet": 3}, twin, NOW)
    assert [step.id for step in plan.steps] == ["switch-off", "see-it-off", "switch-on"]
    assert {step.arguments["metric"] for step in plan.steps} == {'outlet_state{outlet="3"}'}
    assert plan.steps[1].timeout_seconds == 120


def test_a_wait_whose_parameter_is_no_number_is_refused(twin):
    text = """
playbook: wait
title: Wait
parameters: {bound: {type: text}}
steps: [{id: wait, action: wait_until, asset: rack-a01, with: {metric: m, below: "${bound}"}}]
"""
    with pytest.raises(PlanError, match="step 'wait': wait_until: Expected"):
        make_plan(read_playbook(text), {"bound": "low"}, twin, NOW)


@pytest.mark.parametrize(
    ("wait", "message"),
    [
        ("within_seconds: ${number}", "within_seconds = 1e\\+12 is not from 0 to 604800"),
        ("for_seconds: ${number}", "for_seconds = 1e\\+12 is not from 0 to within_seconds = 60"),
        ("within_seconds: -1", "within_seconds = -1 is not"),
        ("above: null", "no bound"),
    ],
)
def test_a_wait_without_end_or_bound_is_refused(twin, wait, message):
    """The run would wait for millions of years, or for nothing."""
    below = "" if "above" in wait else "below: 20, "
    text = f"""
playbook: wait
title: Wait
parameters: {{number: {{type: number}}}}
steps: [{{id: wait, action: wait_until, asset: rack-a01, with: {{metric: m, {below}{wait}}}}}]
"""
    text = text.replace("${number}", '"${number}"')
    with pytest.raises(PlanError, match=message):
        make_plan(read_playbook(text), {"number": 1e12}, twin, NOW)


def test_too_many_steps_are_refused(hall_after):
    bodies = []
    for number in range(101):
        name = f"unit-{number}"
        bodies += [t.AssetObserved(name, "crac"), t.AssetLinked("rack-a01", "cooled_by", name)]
        bodies.append(t.SamplesRecorded(name, ("cooling_percent",), (5.0,)))
    with pytest.raises(PlanError, match="at most 100 are allowed"):
        make_plan(BUILTIN["boost-cooling"], {"asset": "rack-a01"}, hall_after(*bodies), NOW)


def test_a_plan_that_fits_no_event_is_refused(hall_after):
    """A reference of seven characters may stand for five hundred, in each text of each step."""
    twin = hall_after(*(t.AssetLinked("rack-a01", "powered_by", f"pdu-{n}") for n in range(90)),
                      *(t.AssetObserved(f"pdu-{n}", "pdu") for n in range(90)))  # fmt: skip
    text = "${text}" * 20
    playbook = read_playbook(
        "playbook: long\ntitle: L\nparameters: {text: {type: text}}\n"
        "steps:\n  - {id: say, action: notify, for_each: {related_by: powered_by, to: rack-a01},"
        f' with: {{channel: log, message: "{text}"}}}}\n'
    )
    assert len(make_plan(playbook, {"text": "short"}, twin, NOW).steps) == 90
    with pytest.raises(PlanError, match="plan of over 262144 bytes"):
        make_plan(playbook, {"text": "x" * 500}, twin, NOW)
