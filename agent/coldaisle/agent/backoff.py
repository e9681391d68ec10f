"""Waiting times between attempts: exponential, capped, with jitter so that agents do not return in step."""

import random


class Backoff:
    """``next_seconds`` after each failure, ``reset`` after a success."""

    def __init__(self, first_seconds: float, max_seconds: float, seed: int | None = None) -> None:
        self._first_seconds = first_seconds
        self._max_seconds = max_seconds
        self._random = random.Random(seed)
        self._failures: int = 0

    def next_seconds(self) -> float:
        """Between half and all of the doubled time."""
        ceiling = min(self._max_seconds, self._first_seconds * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return ceiling * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """The next failure is a first one again."""
        self._failures = 0
