"""Three ways to say what comes, each O(1) a step: the last value, the same time yesterday, a daily profile.

None of them wins everywhere: on some series the last value beats every season, on others the reverse. A step
without a value leaves them as they are. Lead 1 is the next step.
"""

from typing import Protocol

DAY_SECONDS = 86_400
PERIOD_SECONDS = 300
"""The sampling period at which the profile's constants were found."""
OFFSET_GAIN = 0.05
OFFSET_DECAY = 0.98
PROFILE_GAIN = 0.2


class Model(Protocol):
    """Follows a series step by step."""

    def update(self, step: int, value: float) -> None:
        """Take in the value of a step; steps rise."""
        ...

    def forecast(self, step: int, lead: int) -> float | None:
        """What it will be ``lead`` steps after ``step``; None while there is nothing to go by."""
        ...


class LastValue:
    """What it is now, it will be."""

    def __init__(self) -> None:
        self._value: float | None = None

    def update(self, step: int, value: float) -> None:
        """See Model."""
        self._value = value

    def forecast(self, step: int, lead: int) -> float | None:
        """See Model."""
        return self._value


class SeasonalNaive:
    """What it was at this time of day the last time that there was a value."""

    def __init__(self, day_steps: int) -> None:
        self._slots: list[float | None] = [None] * day_steps

    def update(self, step: int, value: float) -> None:
        """See Model."""
        self._slots[step % len(self._slots)] = value

    def forecast(self, step: int, lead: int) -> float | None:
        """See Model."""
        return self._slots[(step + lead) % len(self._slots)]


class Profile:
    """What is usual at this time of day, plus how far it is from it now, fading."""

    def __init__(self, day_steps: int) -> None:
        periods = DAY_SECONDS / day_steps / PERIOD_SECONDS
        self._slots: list[float | None] = [None] * day_steps
        self._offset = 0.0
        self._gain = 1 - (1 - OFFSET_GAIN) ** periods
        self._decay = OFFSET_DECAY**periods

    def update(self, step: int, value: float) -> None:
        """See Model."""
        slot = step % len(self._slots)
        usual = self._slots[slot]
        if usual is None:
            self._slots[slot] = value
            return
        residual = value - usual
        self._offset += self._gain * (residual - self._offset)
        self._slots[slot] = usual + PROFILE_GAIN * residual

    def forecast(self, step: int, lead: int) -> float | None:
        """See Model."""
        usual = self._slots[(step + lead) % len(self._slots)]
        return None if usual is None else usual + self._offset * self._decay**lead


def models(day_steps: int) -> dict[str, Model]:
    """One of each, by the name that people read; the plainest first: it wins a tie."""
    return {
        "last value": LastValue(),
        "same time yesterday": SeasonalNaive(day_steps),
        "daily profile": Profile(day_steps),
    }
