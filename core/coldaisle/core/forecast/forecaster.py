"""A series followed step by step, and what it will be, with intervals.

At each of some leads, further and further apart, the model with the smallest recent error there speaks;
what it said is kept until its time has come, and judged. So an interval rests on errors of forecasts that
were really made in this way, choice of the model included.
"""

from bisect import bisect_left
from collections import deque

from msgspec import Struct

from coldaisle.core.forecast.intervals import Errors
from coldaisle.core.forecast.models import DAY_SECONDS, models

COVERAGE = 0.9
ERROR_GAIN = 0.02
"""Weight of the newest error in the running mean by which a model is chosen."""
MAX_STEPS_AHEAD = 400


class Point(Struct, frozen=True):
    """What will be, ``lead`` steps ahead; low and high are None where too little is known to say."""

    lead: int
    value: float
    low: float | None
    high: float | None
    model: str


class _Said(Struct, frozen=True):
    """What was said about a step: every model's forecast, and the chosen one's with its interval."""

    forecasts: tuple[float | None, ...]
    chosen: float | None
    interval: tuple[float, float] | None


class _Lead:
    """Forecasts so many steps ahead: who is best, and how far off they were."""

    def __init__(self, steps: int, model_count: int, coverage: float) -> None:
        self.steps = steps
        self.errors = Errors(coverage, steps)
        self.best = 0
        self._mean_errors: list[float | None] = [None] * model_count
        self._pending: deque[_Said | None] = deque([None] * steps)

    def judge(self, value: float | None) -> None:
        """The step about which the oldest pending forecast was made."""
        said = self._pending.popleft()
        if said is None or value is None:
            return
        for index, forecast in enumerate(said.forecasts):
            if forecast is not None:
                self._note(index, abs(value - forecast))
        if said.interval is not None:
            self.errors.judge(said.interval[0], value, said.interval[1])
        if said.chosen is not None:
            self.errors.learn(value - said.chosen)
        known = [(error, index) for index, error in enumerate(self._mean_errors) if error is not None]
        self.best = min(known)[1] if known else 0

    def say(self, forecasts: tuple[float | None, ...]) -> None:
        """Keep what is said now until its step comes."""
        chosen = self.choose(forecasts)
        interval = None if chosen is None else self.errors.interval(chosen)
        self._pending.append(_Said(forecasts, chosen, interval))

    def choose(self, forecasts: tuple[float | None, ...]) -> float | None:
        """The best model's forecast, or any while that has none."""
        best = forecasts[self.best]
        return best if best is not None else next((each for each in forecasts if each is not None), None)

    def _note(self, index: int, error: float) -> None:
        mean = self._mean_errors[index]
        self._mean_errors[index] = error if mean is None else mean + ERROR_GAIN * (error - mean)


class Forecaster:
    """See the module. ``step_seconds`` divides a day; the first update is at ``first_step`` since 1970."""

    def __init__(
        self, step_seconds: int, steps_ahead: int, first_step: int = 0, coverage: float = COVERAGE
    ) -> None:
        if DAY_SECONDS % step_seconds or not 1 <= steps_ahead <= MAX_STEPS_AHEAD:
            raise ValueError(
                f"a step of {step_seconds} s, {steps_ahead} ahead: a step must divide a day, at most "
                f"{MAX_STEPS_AHEAD} can be told ahead"
            )
        self._models = models(DAY_SECONDS // step_seconds)
        self._names = tuple(self._models)
        self._step = first_step - 1
        self._steps_ahead = steps_ahead
        self._leads = [_Lead(steps, len(self._names), coverage) for steps in _lead_steps(steps_ahead)]

    @property
    def record(self) -> tuple[int, int]:
        """How many intervals at the furthest lead held, and how many were said."""
        errors = self._leads[-1].errors
        return errors.hits, errors.said

    def update(self, value: float | None) -> None:
        """The next step's value; None where there was none."""
        self._step += 1
        for lead in self._leads:
            lead.judge(value)
        if value is not None:
            for model in self._models.values():
                model.update(self._step, value)
        for lead in self._leads:
            lead.say(self._forecasts(lead.steps))

    def forecast(self) -> list[Point]:
        """Every step ahead; empty before the first value."""
        points = [self._point(steps) for steps in range(1, self._steps_ahead + 1)]
        return [point for point in points if point is not None]

    def at(self, steps: int) -> float | None:
        """The forecast of one step ahead, without its interval."""
        lead = self._leads[bisect_left(self._leads, steps, key=lambda lead: lead.steps)]
        return lead.choose(self._forecasts(steps))

    def _point(self, steps: int) -> Point | None:
        index = bisect_left(self._leads, steps, key=lambda lead: lead.steps)
        lead = self._leads[index]
        value = lead.choose(self._forecasts(steps))
        if value is None:
            return None
        interval = _between(self._leads[max(index - 1, 0)], lead, steps, value)
        low, high = interval or (None, None)
        return Point(steps, value, low, high, self._names[lead.best])

    def _forecasts(self, steps: int) -> tuple[float | None, ...]:
        return tuple(model.forecast(self._step, steps) for model in self._models.values())


def _between(nearer: _Lead, further: _Lead, steps: int, value: float) -> tuple[float, float] | None:
    """The interval of a lead between two that are followed."""
    far, near = further.errors.interval(value), nearer.errors.interval(value)
    if far is None or near is None or further.steps == nearer.steps:
        return far
    share = (steps - nearer.steps) / (further.steps - nearer.steps)
    return near[0] + share * (far[0] - near[0]), near[1] + share * (far[1] - near[1])


def _lead_steps(steps_ahead: int) -> list[int]:
    """1, 2, 4, 8 … and the last: errors grow slowly further out."""
    doubled = [1 << power for power in range(steps_ahead.bit_length()) if 1 << power < steps_ahead]
    return [*doubled, steps_ahead]
