"""Which events a client wants: its expressions, compiled where they cannot take exponential time; pure.

Clients send regular expressions with search semantics. RE2 runs them in linear time, but has no look-ahead;
the one shape that clients do send, "none of these", is recognised and turned round.
"""

import re
from collections.abc import Callable, Sequence

import re2
from msgspec import Struct

from coldaisle.core.events.envelope import Recorded
from coldaisle.core.store.port import EVERYTHING, EventFilter
from coldaisle.server.kurrent.errors import bad_request

MAX_EXPRESSION_CHARACTERS = 1_024
MAX_PREFIXES = 100
MAX_CACHED_VERDICTS = 10_000
_MAX_PROGRAM_BYTES = 1 << 20
_EXCLUDE = re.compile(r"\^\(\?!(?P<inside>.+)\)", re.DOTALL)

Verdict = Callable[[str], bool]


class WireFilter(Struct, frozen=True):
    """What to ask the store for, and what to sort out of its answer."""

    only: EventFilter = EVERYTHING
    by_stream: Verdict | None = None
    by_type: Verdict | None = None

    def admits(self, event: Recorded) -> bool:
        """Whether the client wants the event."""
        if self.by_stream is not None:
            return self.by_stream(event.stream)
        return self.by_type is None or self.by_type(event.type)


def build_filter(stream_names: bool, regex: str, prefixes: Sequence[str]) -> WireFilter:
    """The filter of a request; ``stream_names`` tells what it looks at, else types."""
    if len(prefixes) > MAX_PREFIXES or any(len(prefix) > MAX_EXPRESSION_CHARACTERS for prefix in prefixes):
        raise bad_request(f"at most {MAX_PREFIXES} prefixes of {MAX_EXPRESSION_CHARACTERS} characters")
    if prefixes and stream_names:
        return WireFilter(only=EventFilter(stream_prefixes=tuple(prefixes)))
    verdict = _cached(_starts_with(tuple(prefixes)) if prefixes else compile_expression(regex))
    return WireFilter(by_stream=verdict) if stream_names else WireFilter(by_type=verdict)


def compile_expression(regex: str) -> Verdict:
    """A search for the expression. Raises WireRefusal for what is too long or not regular."""
    if len(regex) > MAX_EXPRESSION_CHARACTERS:
        raise bad_request(f"a filter of {len(regex)} characters, the bound is {MAX_EXPRESSION_CHARACTERS}")
    exclude = _EXCLUDE.fullmatch(regex)
    if exclude is None:
        search = _compiled(regex)
        return lambda text: search(text) is not None
    _compiled(exclude["inside"])  # by itself: else the outer bracket could close before the end
    inside = _compiled(f"^(?:{exclude['inside']})")
    return lambda text: inside(text) is None


def _compiled(regex: str) -> Callable[[str], object]:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_PROGRAM_BYTES
    try:
        search: Callable[[str], object] = re2.compile(regex, options=options).search
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")
        hint = "; write it without look-around" if "perl operator" in reason else ""
        raise bad_request(f"filter {regex!r}: {reason}{hint}") from error
    return search


def _starts_with(prefixes: tuple[str, ...]) -> Verdict:
    return lambda text: text.startswith(prefixes)


def _cached(verdict: Verdict) -> Verdict:
    known: dict[str, bool] = {}

    def decide(text: str) -> bool:
        found = known.get(text)
        if found is None:
            if len(known) >= MAX_CACHED_VERDICTS:
                known.clear()
            found = known[text] = verdict(text)
        return found

    return decide
