"""What can go wrong between a playbook and its run.

ColdaisleError
├── ConfigError         the playbook itself is wrong (core)
├── PlanError           this playbook cannot be planned on this twin
│   └── ParameterError  what it is given is wrong
└── DecisionError       the run does not admit this decision
    ├── WrongState      it is too late or too early for it
    ├── StalePlan       it was made about another plan
    └── Expired         the plan waited too long
"""

from coldaisle.core.errors import ColdaisleError


class PlanError(ColdaisleError):
    """Raised when a plan cannot be made; look why nothing was selected."""


class ParameterError(PlanError):
    """Raised when a parameter is missing, unknown or out of its bounds; correct the named one."""


class DecisionError(ColdaisleError):
    """Raised when a run does not admit a decision; look at the run again before you decide anew."""


class WrongState(DecisionError):  # noqa: N818 - named for the situation
    """Raised when the run has moved on, or does not exist; look at its state and decide anew."""


class StalePlan(DecisionError):  # noqa: N818 - named for the situation
    """Raised when the decision names another plan than the run's; read the plan as it is now."""


class Expired(DecisionError):  # noqa: N818 - named for the situation
    """Raised when a plan is older than its playbook allows; ask for a new run, planned on today's twin."""
