"""The log reactor: templates as facts, counts as samples, and what detection makes of them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldaisle.core.detect import Detector, default_rules
from coldaisle.core.events import Fact, sequenced_id
from coldaisle.core.events import types as t
from coldaisle.core.reactor import Reaction, stamp
from coldaisle.core.templates import TemplateReactor
from coldaisle.core.templates.gravity import gravity
from coldaisle.core.templates.minutes import MAX_HOST_TEMPLATES, NEW_ERRORS, QUIET_MINUTES, TOTAL
from coldaisle.core.templates.reactor import MAX_NEW_TEMPLATES_A_MINUTE
from coldaisle.core.twin import Twin, fold

MINUTE = 60_000_000_000
START = 28_000_000 * MINUTE
DAY_MINUTES = 1_440
INFO, ERROR = 6, 3

Said = tuple[float, t.AnyEvent]


def fact(number: int, time: int, body: t.AnyEvent, actor: str = "agent/hall") -> Fact:
    return Fact(number, "s", number, sequenced_id(time, "test", number), time, time, actor, None, None, body)


def facts_of(said: Sequence[Said]) -> list[Fact]:
    """Facts at minutes after START."""
    return [fact(n, START + int(at * MINUTE), body) for n, (at, body) in enumerate(said, start=1)]


def lines(at: float, *messages: str, severity: int = INFO, asset: str = "host-a") -> Said:
    time = START + int(at * MINUTE)
    return at, t.LogLinesRecorded(asset, tuple(t.LogLine(time, severity, "app", m) for m in messages))


def poll(at: float) -> Said:
    """What moves an agent's clock."""
    return at, t.SamplesRecorded("rack-1", ("inlet_temperature_celsius",), (22.0,))


def samples(reactions: Sequence[Reaction], metric: str) -> list[tuple[int, float | None]]:
    """The series as (minutes after START, value)."""
    return [
        ((reaction.time - START) // MINUTE, reaction.body.values[reaction.body.metrics.index(metric)])
        for reaction in reactions
        if isinstance(reaction.body, t.SamplesRecorded) and metric in reaction.body.metrics
        if reaction.time is not None
    ]


def judged(said: Sequence[Said]) -> list[t.AnyEvent]:
    """What the detector says about a history and what the log reactor answered to it, in their order."""
    configured = fact(0, START, t.DetectorConfigured(default_rules()))
    history = [configured, *facts_of(said)]
    answers: dict[int, list[Reaction]] = {}
    for reaction in TemplateReactor().react(history):
        answers.setdefault(reaction.cause.position, []).append(reaction)
    detector, found = Detector(), []
    for each in history:
        derived = [fact(0, r.time or each.time, r.body, "reactor/templates")
                   for r in answers.get(each.position, ())]  # fmt: skip
        found += [reaction.body for reaction in detector.react([each, *derived])]
    return found


def test_a_template_first_seen_is_a_fact_once_and_says_when_it_widens() -> None:
    said = [lines(0, "fan 1 of unit left is slow", "fan 2 of unit left is slow"),
            lines(1, "fan 2 of unit right is slow")]  # fmt: skip
    bodies = [r.body for r in TemplateReactor().react(facts_of(said))]
    assert bodies[0] == t.LogTemplateAdded(
        "t1", "app", "fan <*> of unit left is slow", "host-a", INFO, "fan 1 of unit left is slow"
    )
    assert bodies[-1] == t.LogTemplateGeneralised("t1", "fan <*> of unit <*> is slow")
    assert sum(isinstance(body, t.LogTemplateAdded) for body in bodies) == 1


def test_a_minute_is_counted_by_template_and_gravity_when_it_is_over() -> None:
    said = [lines(0.1, "job 1 done", "job 2 done"), lines(0.2, "disk gone", severity=ERROR), poll(1.1)]
    reactions = TemplateReactor().react(facts_of(said))
    assert samples(reactions, TOTAL) == [(1, 3.0)]
    assert samples(reactions, TOTAL + '{severity="error"}') == [(1, 1.0)]
    assert samples(reactions, TOTAL + '{template="t1"}') == [(1, 2.0)]
    event = stamp("templates", reactions)[-1]
    assert event.time == START + MINUTE


def test_zero_counts_are_samples_until_the_series_ends() -> None:
    said = [lines(0.5, "tick"), *(poll(minute + 0.5) for minute in range(1, 60))]
    found = samples(TemplateReactor().react(facts_of(said)), TOTAL)
    assert found[:3] == [(1, 1.0), (2, 0.0), (3, 0.0)]
    assert found[-1] == (QUIET_MINUTES + 2, None)
    assert len(found) == QUIET_MINUTES + 2


def test_the_series_of_a_template_that_retires_end() -> None:
    """A flood of kinds of line retires them within minutes; each left a reading in the twin for ever."""
    words = ["".join(chr(97 + n // 26**k % 26) for k in range(4)) for n in range(300)]
    said = [lines(n / 50, f"same same {word} {word} {word}") for n, word in enumerate(words)]
    facts = facts_of([*said, *(poll(7.5 + n) for n in range(QUIET_MINUTES + 5))])
    reactions = TemplateReactor().react(facts)
    retired = [r.body for r in reactions if isinstance(r.body, t.LogTemplateRetired)]
    assert len(retired) > 100
    told = [Fact(n, "s", n, r.cause.id, r.time or r.cause.time, 0, "test", None, None, r.body)
            for n, r in enumerate(reactions, start=1)]  # fmt: skip
    assert fold(Twin(), told).readings == {"host-a": {}}


def test_a_clock_that_is_wrong_counts_when_its_lines_arrive() -> None:
    late = t.LogLinesRecorded("host-a", (t.LogLine(START - 99 * MINUTE, INFO, "app", "old"),
                                         t.LogLine(START + 99 * MINUTE, INFO, "app", "early")))  # fmt: skip
    reactions = TemplateReactor().react(facts_of([(5.5, late), poll(7)]))
    assert samples(reactions, TOTAL) == [(6, 2.0), (7, 0.0)]


def test_times_before_1970_and_far_ahead_are_taken() -> None:
    times = (-(10**18), 2**62)
    strange = t.LogLinesRecorded("host-a", tuple(t.LogLine(time, INFO, "app", "tick") for time in times))
    reactor = TemplateReactor()
    reactor.react([fact(1, -(10**18), strange)])
    later = reactor.react([fact(2, START, strange), fact(3, START + MINUTE, poll(0)[1])])
    assert samples(later, TOTAL)[-1] == (1, 2.0)


def test_an_agent_that_was_away_closes_its_minutes_one_by_one() -> None:
    """Its backlog arrives in one moment by the store's clock, and is no flood."""
    arrived = START + 60 * MINUTE
    backlog = []
    for minute in range(10):
        at, body = lines(minute + 0.5, "tick")
        backlog.append(fact(minute + 1, START + int(at * MINUTE), body))
    backlog = [Fact(f.position, f.stream, f.version, f.id, f.time, arrived, f.actor, None, None, f.body)
               for f in backlog]  # fmt: skip
    assert samples(TemplateReactor().react(backlog), TOTAL) == [(n, 1.0) for n in range(1, 10)]


def test_a_flood_of_nonsense_founds_a_bounded_number_of_templates_and_series() -> None:
    words = ["".join(chr(97 + n // 26**k % 26) for k in range(4)) for n in range(3_000)]
    said = [lines(0.5, *(" ".join([word] * (2 + n % 7)) for n, word in enumerate(words))), poll(1.5)]
    reactions = TemplateReactor().react(facts_of(said))
    added = [r for r in reactions if isinstance(r.body, t.LogTemplateAdded)]
    assert len(added) == MAX_NEW_TEMPLATES_A_MINUTE
    (body,) = [r.body for r in reactions if isinstance(r.body, t.SamplesRecorded)]
    assert len(body.metrics) <= MAX_HOST_TEMPLATES + 2
    assert body.values[body.metrics.index(TOTAL)] == 3_000
    assert body.values[body.metrics.index(TOTAL + '{template="other"}')] > 2_000


def quiet_days(days: int) -> list[Said]:
    """A line or two each minute, with a few more each hour."""
    return [
        lines(minute + 0.3, *(f"request {n} served" for n in range(1 + minute % 2 + 5 * (minute % 60 == 0))))
        for minute in range(days * DAY_MINUTES)
    ]


def test_a_flood_of_lines_opens_an_alert_that_clears_afterwards() -> None:
    begin = 3 * DAY_MINUTES
    flood = [lines(begin + n + 0.5, *["connection refused by peer"] * 300) for n in range(5)]
    after = [lines(begin + 5 + n + 0.5, "request 1 served") for n in range(15)]
    found = judged([*quiet_days(3), *flood, *after])
    opened = [body for body in found if isinstance(body, t.AlertOpened)]
    assert TOTAL in {body.metric for body in opened}
    assert {(body.asset, body.kind, body.severity) for body in opened} == {("host-a", "novelty", "warn")}
    assert not [body for body in found if isinstance(body, t.AlertEscalated)]
    assert sum(isinstance(body, t.AlertCleared) for body in found) == len(opened)


@pytest.mark.parametrize("severity", [INFO, 4])
def test_a_new_template_alone_opens_nothing(severity: int) -> None:
    new = lines(3 * DAY_MINUTES + 1, "the moon is in the seventh house", severity=severity)
    assert judged([*quiet_days(3), new, *(poll(3 * DAY_MINUTES + 2 + n) for n in range(5))]) == []


def test_a_new_kind_of_error_warns_and_never_pages() -> None:
    begin = 3 * DAY_MINUTES
    new = lines(begin + 1, "uncorrectable memory fault in bank left", severity=ERROR)
    found = judged([*quiet_days(3), new, *(poll(begin + 2 + n) for n in range(6))])
    opened, cleared = found
    assert isinstance(opened, t.AlertOpened)
    assert (opened.severity, opened.kind) == ("warn", "state")
    assert opened.metric == NEW_ERRORS + '{template="t2"}'
    assert isinstance(cleared, t.AlertCleared)


def test_on_the_first_day_every_error_is_new_and_none_warns() -> None:
    said = [lines(n, f"{word} went wrong", severity=ERROR) for n, word in enumerate(("pump", "fan", "valve"))]
    assert judged([*said, poll(5)]) == []


def test_gravity_is_what_was_declared_and_words_only_where_nothing_was() -> None:
    assert gravity(2, "all is well") == "error"
    assert gravity(6, "fatal error") == "other"
    assert gravity(5, "kernel PANIC") == "error"
    assert gravity(5, "terrorism") == "other"
    assert gravity(4, "hm") == "warning"


def busy() -> list[Fact]:
    said: list[Said] = []
    for minute in range(90):
        host = f"host-{'ab'[minute % 2]}"
        text = [f"job {n} of {['red', 'blue', 'green'][n % 3]} ended" for n in range(minute % 7)]
        said.append(lines(minute + 0.2, "tick", *text, severity=3 + minute % 4, asset=host))
        said.append(poll(minute + 0.7))
    return facts_of(said)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 179), max_size=6), saved=st.integers(0, 6))
def test_neither_pages_nor_a_snapshot_change_what_is_said(cuts: list[int], saved: int) -> None:
    facts = busy()
    whole = TemplateReactor().react(facts)
    reactor, pieces = TemplateReactor(), []
    bounds = [0, *sorted(cuts), len(facts)]
    for number, (begin, end) in enumerate(pairwise(bounds)):
        if number == saved:
            other = TemplateReactor()
            other.load(reactor.save())
            reactor = other
        pieces += reactor.react(facts[begin:end])
    assert pieces == whole
    assert len(whole) > 100


def test_another_process_with_another_hash_seed_says_the_same() -> None:
    code = (
        "import test_template_reactor as x, hashlib; r = x.TemplateReactor(); "
        "said = [(e.id, e.time, e.data) for e in x.stamp('templates', r.react(x.busy()))]; "
        "print(len(said), hashlib.sha256(repr(said).encode() + r.save()).hexdigest())"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.path.dirname(__file__)},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(answers) == 1
