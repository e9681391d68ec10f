"""Every error of the lab.

ColdaisleError
└── LabError                the lab cannot do what was asked
    ├── LabNotRunning       no lab answers in this directory
    ├── LabRunning          a lab already runs in this directory
    └── FaultRefused        there is no such fault, or not on that asset
"""

from coldaisle.core.errors import ColdaisleError


class LabError(ColdaisleError):
    """Raised when the lab cannot do what was asked; the message names the next step."""


class LabNotRunning(LabError):  # noqa: N818 - named for the situation
    """Raised when no lab answers in a directory; start one there or name the right directory."""


class LabRunning(LabError):  # noqa: N818 - named for the situation
    """Raised when a lab already runs in a directory; stop it, or use another directory."""


class FaultRefused(LabError):  # noqa: N818 - named for the situation
    """Raised when a fault does not exist or does not fit the asset; choose from `coldaisle lab faults`."""
