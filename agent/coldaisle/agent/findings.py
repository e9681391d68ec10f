"""What ``agent check`` and ``agent doctor`` found: one line each, with the next step where it is needed."""

from collections.abc import Iterable

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One thing that was looked at; without a ``remedy`` it is as it should be."""

    what: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """As people read it."""
        return f"failed  {self.what}; {self.remedy}" if self.remedy else f"ok      {self.what}"


def failures(findings: Iterable[Finding]) -> int:
    """How many are not as they should be."""
    return sum(bool(finding.remedy) for finding in findings)
