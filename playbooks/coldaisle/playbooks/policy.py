"""Remediation policy: which alerts propose which playbook. A reactor, so what it says follows from history.

A policy in mode ``observe`` says what it would have run, and refuses it at once. So does one whose plan
cannot be made: the refusal, with its reason, is in the history where people look for runs.
"""

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from coldaisle.core.errors import ColdaisleError
from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Fact
from coldaisle.core.events.types import AnyEvent, Plan, Policy
from coldaisle.core.pieces import encode_in_pieces
from coldaisle.core.reactor import Reaction, form_number
from coldaisle.core.twin import Alert, Twin, fold
from coldaisle.playbooks.errors import PlanError
from coldaisle.playbooks.plan import make_plan, plan_hash
from coldaisle.playbooks.reading import read_playbook
from coldaisle.playbooks.select import is_series_of
from coldaisle.playbooks.template import fill_scalar

UNRECORDED_SECONDS = 60.0
"""How long (event time) an own proposal counts as pending before it is seen in the history."""

REACTION_MEANING = 2
"""Raise it when the same state answers otherwise, or the twin in it is folded otherwise; a change of the
state's fields needs none."""

_SECOND = 1_000_000_000


class _Last(Struct, frozen=True):
    """A policy's last proposal; ``time`` is that of the alert that caused it, UTC ns."""

    run: str
    time: int
    recorded: bool = False
    approved: bool = False
    ended: bool = False
    expires_at: int = 0

    def is_unfinished(self, now: int) -> bool:
        """Whether it may still be carried out."""
        if not self.recorded:
            return now <= self.time + UNRECORDED_SECONDS * _SECOND
        return not self.ended and (self.approved or now <= self.expires_at)


class _State(Struct, frozen=True):
    """All that the reactor knows."""

    policies: tuple[Policy, ...]
    twin: Twin
    last: dict[str, _Last]


_DEPTH = 3
"""The state, its twin, and that one's maps."""
_decoder = msgspec.msgpack.Decoder(_State)


class PolicyReactor:
    """Answers alerts with proposals; at most one unfinished run for each policy.

    Which policies are in force it learns from the history, like everything else.
    """

    name = "policy"
    snapshot_schema = form_number(_State, REACTION_MEANING)

    def __init__(self) -> None:
        self._policies: tuple[Policy, ...] = ()
        self._twin = Twin()
        self._last: dict[str, _Last] = {}

    def react(self, facts: Sequence[Fact]) -> list[Reaction]:
        """See Reactor. The twin is folded up to an alert that a policy may answer: that costs its size."""
        reactions: list[Reaction] = []
        folded = 0
        for index, fact in enumerate(facts):
            self._follow(fact)
            if isinstance(fact.body, t.AlertOpened | t.AlertEscalated) and self._may_answer(fact, fact.body):
                self._twin = fold(self._twin, facts[folded : index + 1])
                folded = index + 1
                reactions += self._answer(fact, fact.body)
        self._twin = fold(self._twin, facts[folded:])
        return reactions

    def save(self) -> bytes:
        """See Remembering."""
        return encode_in_pieces(_State(self._policies, self._twin, self._last), _DEPTH)

    def load(self, data: bytes) -> None:
        """See Remembering."""
        try:
            state = _decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not a policy reactor's state: {error}") from error
        self._policies, self._twin, self._last = state.policies, state.twin, dict(state.last)

    def _follow(self, fact: Fact) -> None:
        """Keep up with what became of the proposals."""
        match fact.body:
            case t.PoliciesConfigured(policies=policies):
                self._policies = policies
            case t.RunProposed(run=run, policy=policy, plan=plan) if policy:
                known = self._last.get(policy)
                time = known.time if known is not None and known.run == run else fact.time
                self._last[policy] = _Last(run, time, recorded=True, expires_at=plan.expires_at)
            case t.RunApproved(run=run):
                self._mark(run, approved=True)
            case t.RunRejected(run=run) | t.RunCancelled(run=run) | t.RunSucceeded(run=run):
                self._mark(run, ended=True)
            case t.RunFailed(run=run):
                self._mark(run, ended=True)
            case _:
                pass

    def _mark(self, run: str, **changes: bool) -> None:
        for policy, last in self._last.items():
            if last.run == run:
                self._last[policy] = replace(last, **changes)

    def _may_answer(self, fact: Fact, body: t.AlertOpened | t.AlertEscalated) -> bool:
        """Whether any policy may act, as far as that is seen without the twin."""
        return any(
            policy.severity != "warn"
            if isinstance(body, t.AlertEscalated)
            else policy.kind in ("", body.kind) and (policy.severity == "warn" or body.severity == "page")
            for policy in self._policies
            if not self._holds_back(policy, fact.time)
        )

    def _answer(self, fact: Fact, body: t.AlertOpened | t.AlertEscalated) -> list[Reaction]:
        alert = self._twin.alerts.get(body.alert)
        if alert is None:
            return []  # its opening is older than what the twin remembers
        if alert.suppressed_by is not msgspec.UNSET:
            return []  # silenced, or under maintenance
        escalated = isinstance(body, t.AlertEscalated)
        return [
            reaction
            for policy in self._policies
            if self._matches(policy, alert, escalated) and not self._holds_back(policy, fact.time)
            for reaction in self._propose(policy, alert, fact)
        ]

    def _matches(self, policy: Policy, alert: Alert, escalated: bool) -> bool:
        asset = self._twin.assets.get(alert.asset)
        if escalated and policy.severity == "warn":
            return False  # it had its turn when the alert opened
        return (
            policy.kind in ("", alert.kind)
            and (not policy.metric or is_series_of(alert.metric, policy.metric))
            and (policy.severity == "warn" or alert.severity == "page")
            and policy.asset_kind in ("", asset.kind if asset is not None else "unknown")
        )

    def _holds_back(self, policy: Policy, now: int) -> bool:
        last = self._last.get(policy.name)
        if last is None:
            return False
        return last.is_unfinished(now) or now < last.time + policy.cooldown_seconds * _SECOND

    def _propose(self, policy: Policy, alert: Alert, fact: Fact) -> list[Reaction]:
        run = run_id(fact.id, policy.name)
        self._last[policy.name] = _Last(run, fact.time)
        plan, refusal = self._plan(policy, alert, fact.time)
        if policy.mode == "observe" and not refusal:
            refusal = "observed only: the policy may not act"
        proposed = t.RunProposed(run, plan, alert.summary, alert.id, policy.name)
        bodies: list[AnyEvent] = [proposed, t.RunRejected(run, refusal)] if refusal else [proposed]
        return [Reaction(fact, body) for body in bodies]

    def _plan(self, policy: Policy, alert: Alert, now: int) -> tuple[Plan, str]:
        """The plan, or an empty one and why."""
        given = {"asset": alert.asset, "metric": alert.metric, "alert": alert.id}
        published = self._twin.playbooks.get(policy.playbook)
        try:
            if published is None:
                raise PlanError(f"playbook {policy.playbook!r} is not published; publish it")
            parameters = {name: fill_scalar(value, given) for name, value in policy.parameters.items()}
            playbook = read_playbook(published.source, policy.playbook)
            return make_plan(playbook, parameters, self._twin, now), ""
        except KeyError as error:
            reason = f"policy {policy.name!r} refers to ${{{error.args[0]}}}; use one of: {', '.join(given)}"
        except ColdaisleError as error:
            reason = str(error)
        empty = Plan(
            policy.playbook,
            published.revision if published is not None else "",
            dict(policy.parameters),
            self._twin.position,
            steps=(),
            verification=None,
            expires_at=now,
        )
        return replace(empty, hash=plan_hash(empty)), f"no plan could be made: {reason}"


def run_id(cause: bytes, policy: str) -> str:
    """The id of the run that a policy proposes because of an event: the same one, however often."""
    return "r-" + hashlib.sha256(cause + policy.encode()).hexdigest()[:10]
