"""Coarse series: how far a value moved, in the steps that its series moves in.

A voltage in whole volts that was 229 to 231 for a day leaves its range by half of it with a single step:
that is rounding, and no news. The step is read from what a record holds (lowest, highest, first and last
value) and the new value: the largest number of which all of them are multiples, where all are decimals.
"""

from math import gcd, inf

from msgspec import Struct

MAX_DECIMALS = 3
TOLERANCE = 1e-3
"""Of the last decimal: records keep 24 bits of a value."""

MIN_STEPS_OUTSIDE = 2.0
MIN_RANGE_STEPS = 5.0


class Steps(Struct, frozen=True):
    """How far a value lies outside its range, and how wide that is, in steps; infinite without a step."""

    outside: float
    span: float

    @property
    def is_far(self) -> bool:
        """Whether it left its range by more than rounding."""
        return self.outside >= MIN_STEPS_OUTSIDE

    @property
    def is_fine(self) -> bool:
        """Whether averages of the series mean more than how its values were rounded."""
        return self.span >= MIN_RANGE_STEPS

    @property
    def is_first_change(self) -> bool:
        """Whether the series was constant, and is not any more."""
        return self.span == 0.0 < self.outside


def steps(value: float, low: float, high: float, seen: tuple[float, ...]) -> Steps:
    """Of a value against its range; ``seen`` are other values of the series."""
    outside = max(value - high, low - value, 0.0)
    step = _step((low, high, value, *seen))
    if not step:
        return Steps(inf if outside else 0.0, inf if high > low else 0.0)
    return Steps(outside / step, (high - low) / step)


def _step(values: tuple[float, ...]) -> float:
    """The largest step that explains all of them, 0 where none does.

    Of a series that was constant only the decimals are known: its first change is not its step.
    """
    for decimals in range(MAX_DECIMALS + 1):
        scaled = [value * 10.0**decimals for value in values]
        whole = [round(each) for each in scaled]
        if all(abs(each - near) <= TOLERANCE for each, near in zip(scaled, whole, strict=True)):
            known = {each - whole[0] for each in whole} - {0}
            return (gcd(*known) if len(known) > 1 else 1) / 10.0**decimals
    return 0.0
