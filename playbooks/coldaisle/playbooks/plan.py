"""A playbook, its parameters and the twin make a plan: every step concrete, nothing left to decide. Pure.

The plan's hash covers the playbook's revision, the parameters, the steps, the verification, the position of
the twin that it was made from and its expiry: whoever approves the hash approves all of that.
"""

import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from coldaisle.core.events.types import Argument, Condition, Plan, PlannedStep, Scalar
from coldaisle.core.twin import Twin
from coldaisle.playbooks.checks import value_fault
from coldaisle.playbooks.errors import ParameterError, PlanError
from coldaisle.playbooks.language import (
    EACH,
    MAX_SECONDS,
    WAIT_UNTIL,
    Parameter,
    Playbook,
    PlaybookStep,
    Selector,
    TemplateArgument,
    Verify,
    WaitUntil,
)
from coldaisle.playbooks.select import Selection, select
from coldaisle.playbooks.template import fill_scalar, fill_text, whole_number

MAX_PLANNED_STEPS = 100
MAX_PLAN_BYTES = 256 * 1024
"""Of the steps, as JSON: a plan is one event, and the store takes none of over a megabyte."""
MAX_VERIFIED_ASSETS = 256
MAX_SHOWN = 12
"""Candidates that an error lists; the rest it counts."""

_SECOND = 1_000_000_000

_encoder = msgspec.json.Encoder(order="deterministic")


def make_plan(playbook: Playbook, parameters: Mapping[str, Scalar], twin: Twin, now: int) -> Plan:
    """The plan of this playbook on this twin; ``now`` (UTC ns) starts its expiry.

    Raises ParameterError that names the parameter, PlanError that names the selector and what it considered.
    """
    values = _values(playbook, parameters, twin)
    steps = _bounded(playbook, (s for step in playbook.steps for s in _plan_step(step, values, twin)))
    plan = Plan(
        playbook=playbook.id,
        revision=playbook.revision,
        parameters=values,
        twin_position=twin.position,
        steps=steps,
        verification=_condition(playbook.verify, values, twin) if playbook.verify else None,
        expires_at=now + round(playbook.approval.expires_seconds * _SECOND),
    )
    return replace(plan, hash=plan_hash(plan))


def _bounded(playbook: Playbook, planned: Iterable[PlannedStep]) -> tuple[PlannedStep, ...]:
    """The steps, taken one by one: what is too much is not even made."""
    steps: list[PlannedStep] = []
    room_bytes = MAX_PLAN_BYTES
    for step in planned:
        steps.append(step)
        room_bytes -= len(_encoder.encode(step))
        if room_bytes < 0:
            raise PlanError(f"{playbook.id}: a plan of over {MAX_PLAN_BYTES} bytes; shorten its texts")
        if len(steps) > MAX_PLANNED_STEPS:
            raise PlanError(
                f"{playbook.id}: too many steps, at most {MAX_PLANNED_STEPS} are allowed; select less"
            )
    return tuple(steps)


def plan_hash(plan: Plan) -> str:
    """SHA-256, hex, of the plan as JSON with sorted keys, without the hash itself."""
    return hashlib.sha256(_encoder.encode(replace(plan, hash=""))).hexdigest()


def _values(playbook: Playbook, given: Mapping[str, Scalar], twin: Twin) -> dict[str, Scalar]:
    unknown = sorted(set(given) - set(playbook.parameters))
    if unknown:
        known = ", ".join(sorted(playbook.parameters)) or "none"
        raise ParameterError(f"{playbook.id} has no parameter {unknown[0]!r}; it has: {known}")
    return {name: _value(name, parameter, given, twin) for name, parameter in playbook.parameters.items()}


def _value(name: str, parameter: Parameter, given: Mapping[str, Scalar], twin: Twin) -> Scalar:
    value = given.get(name, parameter.default)
    if value is None:
        raise ParameterError(
            f"parameter {name!r} ({parameter.type}) is missing; {parameter.description or 'give it'}"
        )
    value = whole_number(value)
    what = value_fault(parameter, value)
    if what:
        raise ParameterError(f"parameter {name!r} = {value!r}: {what}; correct it")
    if parameter.type == "asset":
        _check_asset(f"parameter {name!r}", str(value), twin, parameter.kind)
    return value


def _check_asset(place: str, asset: str, twin: Twin, kind: str = "") -> None:
    known = twin.assets.get(asset)
    if known is None:
        close = ", ".join(difflib.get_close_matches(asset, sorted(twin.assets), n=3))
        remedy = f"did you mean {close}?" if close else "look at the list of assets"
        raise ParameterError(f"{place} = {asset!r}: not in the twin; {remedy}")
    if kind and known.kind != kind:
        raise ParameterError(f"{place} = {asset!r}: is a {known.kind}; name a {kind}")


def _plan_step(step: PlaybookStep, values: dict[str, Scalar], twin: Twin) -> Iterator[PlannedStep]:
    if step.for_each is not None:
        for asset in _selected(f"step {step.id!r}", step.for_each, values, twin):
            yield _planned(step, f"{step.id}.{asset}", asset, {**values, EACH: asset})
        return
    asset = fill_text(step.asset, values)
    if asset:
        _check_asset(f"step {step.id!r}: asset", asset, twin)
    yield _planned(step, step.id, asset, values)


def _planned(step: PlaybookStep, step_id: str, asset: str, values: Mapping[str, Scalar]) -> PlannedStep:
    arguments = {name: _fill(value, values) for name, value in step.arguments.items()}
    timeout_seconds = step.timeout_seconds
    if step.action == WAIT_UNTIL:
        wait = wait_condition(step_id, asset, arguments)
        _check_wait(step_id, wait)
        timeout_seconds = wait.within_seconds
    return PlannedStep(step_id, step.action, asset, arguments, timeout_seconds)


def _check_wait(step_id: str, wait: Condition) -> None:
    """What the playbook's checks hold for written numbers, for those that parameters gave."""
    fault = ""
    if wait.below is None and wait.above is None:
        fault = "no bound; give below or above"
    elif not 0 < wait.within_seconds <= MAX_SECONDS:
        fault = f"within_seconds = {wait.within_seconds:g} is not from 0 to {MAX_SECONDS:g}"
    elif not 0 <= wait.for_seconds < wait.within_seconds:
        fault = (
            f"for_seconds = {wait.for_seconds:g} is not from 0 to within_seconds = {wait.within_seconds:g}"
        )
    if fault:
        raise PlanError(f"step {step_id!r}: wait_until: {fault}")


def wait_condition(step_id: str, asset: str, arguments: Mapping[str, Argument]) -> Condition:
    """What a planned ``wait_until`` waits for. Raises PlanError when its arguments do not say."""
    try:
        wait = msgspec.convert(arguments, WaitUntil)
    except msgspec.ValidationError as error:
        raise PlanError(f"step {step_id!r}: wait_until: {error}; correct its arguments") from error
    return Condition(
        (asset,), wait.metric, wait.below, wait.above, wait.for_seconds, wait.within_seconds
    )  # fmt: skip


def _fill(value: TemplateArgument, values: Mapping[str, Scalar]) -> Argument:
    match value:
        case None:
            return None
        case list():
            return [whole_number(fill_scalar(part, values)) for part in value]
        case dict():
            return {key: whole_number(fill_scalar(part, values)) for key, part in value.items()}
        case _:
            return whole_number(fill_scalar(value, values))


def _condition(verify: Verify, values: dict[str, Scalar], twin: Twin) -> Condition:
    assets = _verified_assets(verify, values, twin)
    if len(assets) > MAX_VERIFIED_ASSETS:
        raise PlanError(f"verify: {len(assets)} assets, at most {MAX_VERIFIED_ASSETS}; narrow its selector")
    return Condition(
        assets, verify.metric, verify.below, verify.above, verify.for_seconds, verify.within_seconds
    )  # fmt: skip


def _verified_assets(verify: Verify, values: dict[str, Scalar], twin: Twin) -> tuple[str, ...]:
    if isinstance(verify.assets, Selector):
        return _selected("verify", verify.assets, values, twin)
    named = [verify.assets] if isinstance(verify.assets, str) else verify.assets
    assets = tuple(dict.fromkeys(fill_text(asset, values) for asset in named))
    for asset in assets:
        _check_asset("verify: assets", asset, twin)
    return assets


def _selected(place: str, selector: Selector, values: dict[str, Scalar], twin: Twin) -> tuple[str, ...]:
    to = fill_text(selector.to, values)
    _check_asset(f"{place}: selector to", to, twin)
    selection = select(selector, to, twin)
    if len(selection.chosen) < selector.at_least:
        raise PlanError(_too_few(place, selector, to, selection))
    return selection.chosen


def _too_few(place: str, selector: Selector, to: str, selection: Selection) -> str:
    seen = f"{place}: {len(selection.chosen)} selected by {selector.related_by} of {to!r}"
    considered = [f"{asset}: chosen" for asset in selection.chosen]
    considered += [f"{asset}: {reason}" for asset, reason in selection.left_out]
    listed = _listed(considered) or f"{to} has no {selector.related_by} link"
    return f"{seen}, at least {selector.at_least} needed; {listed}"


def _listed(parts: Iterable[str]) -> str:
    every = list(parts)
    more = len(every) - MAX_SHOWN
    return ", ".join(every[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")
