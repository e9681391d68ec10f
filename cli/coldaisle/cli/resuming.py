"""Streams that survive a lost connection: they go on after the last revision that arrived."""

import random
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from coldaisle.cli.errors import CliError, ExitCode
from coldaisle.cli.output import note

FIRST_PAUSE_SECONDS = 0.25
MAX_PAUSE_SECONDS = 5.0


class Revised(Protocol):
    """An answer that says where to go on."""

    @property
    def revision(self) -> int: ...


R = TypeVar("R", bound=Revised)


def resumed(
    open_after: Callable[[int], Iterator[R]],
    revision: int = 0,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[R]:
    """Yield what ``open_after(revision)`` streams, opened again after each loss.

    A server that cannot be reached at the very first try is an error, not a loss.
    """
    ever, losses = False, 0
    while True:
        try:
            for answer in open_after(revision):
                ever, losses = True, 0
                revision = max(revision, answer.revision)
                yield answer
        except CliError as error:
            if error.exit_code is not ExitCode.UNAVAILABLE or not ever:
                raise
        ever = True
        losses += 1
        if losses == 1:
            note(f"connection lost; going on after @{revision}")
        pause(pause_seconds(losses))


def pause_seconds(losses: int) -> float:
    """Capped exponential back-off with jitter, so that many watchers do not return at once."""
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** (losses - 1), MAX_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1.0)
