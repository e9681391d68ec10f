"""The playbook language, the run, the runner and the built-in playbooks."""

from coldaisle.playbooks.actions import Actions, is_wanted
from coldaisle.playbooks.builtin import builtin_playbooks
from coldaisle.playbooks.decide import approve, cancel, propose, reject
from coldaisle.playbooks.errors import DecisionError, Expired, PlanError, StalePlan, WrongState
from coldaisle.playbooks.language import Parameter, Playbook
from coldaisle.playbooks.plan import make_plan, plan_hash
from coldaisle.playbooks.policy import PolicyReactor
from coldaisle.playbooks.reading import read_playbook
from coldaisle.playbooks.runner import Runner
from coldaisle.playbooks.source import MAX_PLAYBOOK_BYTES
from coldaisle.playbooks.turns import waits_for
from coldaisle.playbooks.watch import bound_text

__all__ = [
    "MAX_PLAYBOOK_BYTES",
    "Actions",
    "DecisionError",
    "Expired",
    "Parameter",
    "PlanError",
    "Playbook",
    "PolicyReactor",
    "Runner",
    "StalePlan",
    "WrongState",
    "approve",
    "bound_text",
    "builtin_playbooks",
    "cancel",
    "is_wanted",
    "make_plan",
    "plan_hash",
    "propose",
    "read_playbook",
    "reject",
    "waits_for",
]
