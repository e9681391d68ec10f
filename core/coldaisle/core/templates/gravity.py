"""How grave a line is: what its sender declared, and its words only where nothing was declared."""

import re
from typing import Literal

Gravity = Literal["error", "warning", "other"]

ERROR_SEVERITY = 3
WARNING_SEVERITY = 4
UNDECLARED_SEVERITY = 5
"""Notice: what a line without a priority is taken for (RFC 3164, section 4.3.3); many send nothing else."""

_ERROR_WORDS = re.compile(r"\b(?:fatal|panic|critical|error|fail)", re.IGNORECASE)


def gravity(severity: int, message: str) -> Gravity:
    """``severity`` is syslog's number, 0 (emergency) to 7 (debug)."""
    if severity <= ERROR_SEVERITY:
        return "error"
    if severity == WARNING_SEVERITY:
        return "warning"
    if severity == UNDECLARED_SEVERITY and _ERROR_WORDS.search(message):
        return "error"
    return "other"
