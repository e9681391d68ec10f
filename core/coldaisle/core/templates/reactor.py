"""The log reactor: lines in; templates as facts and counts by the minute as samples out.

What a template is, is decided here and nowhere else, from the lines in the order of the history. A minute of
a host closes when its agent reported something later, by the store's clock at most: an agent that comes
back after an outage closes its minutes one by one, and no sender's clock can close another's.
"""

import math
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import MsgspecError, Struct

from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Fact
from coldaisle.core.reactor import Reaction, form_number
from coldaisle.core.templates.drain import Drain, DrainState, Mined
from coldaisle.core.templates.gravity import gravity
from coldaisle.core.templates.minutes import OTHER, HostMinutes

MINUTE_NANOSECONDS = 60_000_000_000
MAX_HOSTS = 10_000
MAX_NEW_TEMPLATES_A_MINUTE = 100
MAX_EXAMPLE_CHARACTERS = 500
LEARNING_MINUTES = 1_440
"""How long every error is new, because everything is."""
NEW_MINUTES = 60
"""How long a template counts as new."""
REACTION_MEANING = 2
"""Raise it when the reactor answers otherwise from the same state."""
LN_2 = 0.693147180559945


class TemplatesState(Struct, frozen=True):
    """All that the reactor knows; times are minutes since 1970."""

    drain: DrainState
    hosts: dict[str, HostMinutes]
    clocks: dict[str, int]
    new_errors: dict[str, int]
    first_minute: int
    budget_minute: int
    founded_in_minute: int


class TemplateReactor:
    """See the module. One instance a process."""

    name = "templates"
    snapshot_schema = form_number(TemplatesState, REACTION_MEANING)

    def __init__(self) -> None:
        self._drain = Drain()
        self._hosts: dict[str, HostMinutes] = {}
        self._clocks: dict[str, int] = {}
        self._new_errors: dict[str, int] = {}
        self._first_minute = 0
        self._budget_minute = 0
        self._founded_in_minute = 0

    def react(self, facts: Sequence[Fact]) -> list[Reaction]:
        """See Reactor."""
        reactions: list[Reaction] = []
        for fact in facts:
            minute = min(fact.time, fact.recorded) // MINUTE_NANOSECONDS
            is_log = isinstance(fact.body, t.LogLinesRecorded)
            if is_log or fact.actor in self._clocks:
                reactions += self._advance(fact, minute)
            if isinstance(fact.body, t.LogLinesRecorded):
                reactions += self._take(fact, fact.body)
        return reactions

    def save(self) -> bytes:
        """See Remembering."""
        return msgspec.msgpack.encode(
            TemplatesState(
                self._drain.state(), self._hosts, self._clocks, self._new_errors,
                self._first_minute, self._budget_minute, self._founded_in_minute,
            )
        )  # fmt: skip

    def load(self, data: bytes) -> None:
        """See Remembering."""
        try:
            state = msgspec.msgpack.decode(data, type=TemplatesState)
        except MsgspecError as error:
            raise ValueError(f"not the state of the log templates: {error}") from error
        self._drain = Drain.of(state.drain)
        self._hosts, self._clocks, self._new_errors = state.hosts, state.clocks, state.new_errors
        self._first_minute, self._budget_minute = state.first_minute, state.budget_minute
        self._founded_in_minute = state.founded_in_minute

    def _advance(self, fact: Fact, minute: int) -> Iterator[Reaction]:
        """Close the minutes that the fact's agent has passed."""
        if minute <= self._clocks.get(fact.actor, -1):
            return
        self._clocks[fact.actor] = minute
        for asset, host in self._hosts.items():
            if host.actor == fact.actor:
                yield from _closed(fact, asset, host, minute)

    def _take(self, fact: Fact, body: t.LogLinesRecorded) -> Iterator[Reaction]:
        host = self._host(body.asset, fact.actor)
        ceiling = fact.recorded // MINUTE_NANOSECONDS
        for line in body.lines:
            mined = self._drain.mine(line.app, line.message, self._may_found(ceiling))
            if mined is not None:
                yield from self._said(fact, body.asset, line, mined)
            minute = min(line.time // MINUTE_NANOSECONDS, ceiling)
            if host is not None:
                minute = max(minute, self._clocks.get(fact.actor, 0))
                yield from _closed(fact, body.asset, host, minute)
                self._count(host, minute, line, mined)

    def _host(self, asset: str, actor: str) -> HostMinutes | None:
        """None where there are too many: host names are the senders' choice."""
        host = self._hosts.get(asset)
        if host is None:
            if len(self._hosts) >= MAX_HOSTS:
                sleeping = next((name for name, each in self._hosts.items() if each.minute < 0), None)
                if sleeping is None:
                    return None
                del self._hosts[sleeping]
            host = self._hosts[asset] = HostMinutes(actor)
        host.actor = actor
        return host

    def _may_found(self, minute: int) -> bool:
        """A flood of nonsense founds MAX_NEW_TEMPLATES_A_MINUTE templates and no more."""
        if minute != self._budget_minute:
            self._budget_minute, self._founded_in_minute = minute, 0
        return self._founded_in_minute < MAX_NEW_TEMPLATES_A_MINUTE

    def _said(self, fact: Fact, asset: str, line: t.LogLine, mined: Mined) -> Iterator[Reaction]:
        template = mined.template
        if mined.retired is not None:
            self._forget(mined.retired.id)
            yield Reaction(fact, t.LogTemplateRetired(mined.retired.id, "the least recently used made room"))
        if mined.is_new:
            self._founded_in_minute += 1
            self._note_new(template.id, line)
            yield Reaction(
                fact,
                t.LogTemplateAdded(
                    template.id, template.program, template.text, asset, line.severity,
                    line.message[:MAX_EXAMPLE_CHARACTERS],
                ),
            )  # fmt: skip
        elif mined.is_generalised:
            yield Reaction(fact, t.LogTemplateGeneralised(template.id, template.text))

    def _note_new(self, template: str, line: t.LogLine) -> None:
        now = self._budget_minute
        self._first_minute = self._first_minute or now
        self._new_errors = {key: minute for key, minute in self._new_errors.items() if _is_new(minute, now)}
        if gravity(line.severity, line.message) == "error" and now - self._first_minute >= LEARNING_MINUTES:
            self._new_errors[template] = now

    def _forget(self, template: str) -> None:
        self._new_errors.pop(template, None)
        for host in self._hosts.values():
            host.forget(template)

    def _count(self, host: HostMinutes, minute: int, line: t.LogLine, mined: Mined | None) -> None:
        template = mined.template.id if mined else OTHER
        known_lines = mined.template.lines - 1 if mined else 0
        grave = gravity(line.severity, line.message)
        since = self._new_errors.get(template)
        is_new_error = grave == "error" and since is not None and _is_new(since, self._budget_minute)
        host.add(minute, template, grave, rarity(known_lines, self._drain.lines - 1), is_new_error)


def rarity(template_lines: int, all_lines: int) -> float:
    """ln((all + 1) / (template's + 1)), in nats; both counts are of earlier lines.

    The logarithm is linear between powers of two: a true one may differ in its last bit between machines.
    """
    mantissa, exponent = math.frexp((max(all_lines, 0) + 1) / (template_lines + 1))
    return round(LN_2 * (exponent + 2 * mantissa - 2), 3)


def _is_new(since: int, now: int) -> bool:
    return now - since < NEW_MINUTES


def _closed(fact: Fact, asset: str, host: HostMinutes, minute: int) -> Iterator[Reaction]:
    for closed, samples in host.close(asset, minute):
        yield Reaction(fact, samples, time=(closed + 1) * MINUTE_NANOSECONDS)
