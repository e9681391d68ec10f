"""Does the history show the whole story? Judged from recorded events alone. Pure."""

from collections.abc import Sequence

from coldaisle.cli.words import json_object
from coldaisle.v1.common_pb2 import Event

MAX_LINKS = 100
"""How many causes back a chain is followed."""

Body = dict[str, object]


def missing_links(events: Sequence[Event], alert: str, run: str) -> list[str]:
    """What the events of this alert and this run fail to show; nothing when all is there."""
    proof = _Proof(events, alert, run)
    return [*proof.of_alert(), *proof.of_proposal(), *proof.of_approval(), *proof.of_steps(), *proof.of_end()]


def body(event: Event) -> Body:
    """The event's body."""
    return json_object(event.data_json)


def planned_steps(proposal: Event) -> list[Body]:
    """The steps of the plan in a RunProposed event."""
    plan = body(proposal).get("plan")
    steps = plan.get("steps") if isinstance(plan, dict) else None
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


class _Proof:
    def __init__(self, events: Sequence[Event], alert: str, run: str) -> None:
        self._by_id = {event.id: event for event in events}
        self._alert = self._first(events, "AlertOpened", "alert", alert)
        of_run = [event for event in events if body(event).get("run") == run]
        self._run_events = of_run
        self._proposal = self._first(of_run, "RunProposed", "alert", alert)
        self._approval = self._first(of_run, "RunApproved", "run", run)

    @staticmethod
    def _first(events: Sequence[Event], kind: str, key: str, value: str) -> Event | None:
        return next((each for each in events if each.type == kind and body(each).get(key) == value), None)

    def of_alert(self) -> list[str]:
        if self._alert is None:
            return ["no AlertOpened for the alert"]
        evidence = body(self._alert).get("evidence")
        if not isinstance(evidence, dict) or not {"value", "threshold", "since"} <= evidence.keys():
            return [f"AlertOpened at @{self._alert.position} carries no evidence"]
        return []

    def of_proposal(self) -> list[str]:
        if self._proposal is None:
            return ["no RunProposed that names the alert"]
        missing = []
        if not body(self._proposal).get("policy"):
            missing.append(f"RunProposed at @{self._proposal.position} names no policy")
        if self._alert is None or self._proposal.causation_id != self._alert.id:
            missing.append(f"RunProposed at @{self._proposal.position} is not caused by AlertOpened")
        return missing

    def of_approval(self) -> list[str]:
        if self._approval is None or self._proposal is None:
            return ["no RunApproved of the proposed run"]
        plan = body(self._proposal).get("plan")
        planned = plan.get("hash") if isinstance(plan, dict) else None
        if body(self._approval).get("plan_hash") != planned:
            return [f"RunApproved at @{self._approval.position} is not of the proposed plan"]
        return []

    def of_steps(self) -> list[str]:
        if self._proposal is None:
            return []
        steps = planned_steps(self._proposal)
        missing = [] if steps else ["the plan has no steps"]
        for step in steps:
            missing += self._of_step(step)
        return missing

    def _of_step(self, step: Body) -> list[str]:
        missing = []
        for kind in ("StepStarted", "StepSucceeded"):
            found = self._first(self._run_events, kind, "step", str(step["id"]))
            if found is None:
                missing.append(f"no {kind} of step {step['id']}")
            elif not self._caused_by_decision(found):
                missing.append(f"{kind} at @{found.position} is not caused by the run's approval")
            elif kind == "StepSucceeded" and not _read_back(step, found):
                missing.append(f"StepSucceeded at @{found.position} did not read back what was set")
        return missing

    def of_end(self) -> list[str]:
        end = next((each for each in self._run_events if each.type == "RunSucceeded"), None)
        if end is None:
            return ["no RunSucceeded: telemetry did not verify the run"]
        missing = [] if self._caused_by_decision(end) else [f"RunSucceeded at @{end.position} has no cause"]
        if not any(each.type == "VerificationStarted" for each in self._run_events):
            missing.append("no VerificationStarted")
        return missing

    def _caused_by_decision(self, event: Event) -> bool:
        """Whether the chain of causes leads back to the proposal or its approval."""
        decisions = {each.id for each in (self._proposal, self._approval) if each is not None}
        for _ in range(MAX_LINKS):
            if event.causation_id in decisions:
                return True
            before = self._by_id.get(event.causation_id)
            if before is None:
                return False
            event = before
        return False


def _read_back(step: Body, succeeded: Event) -> bool:
    """Whether a step that sets a value found it at the device; other steps have nothing to read."""
    arguments, observed = step.get("arguments"), body(succeeded).get("observed")
    if step.get("action") != "snmp.set":
        return True
    return (
        isinstance(arguments, dict)
        and isinstance(observed, dict)
        and observed.get("value") is not None
        and observed.get("value") == arguments.get("value")
    )
