"""What people say, and what happens around an alert: feedback, silences, maintenance, silence of a source."""

import math
import random
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from coldaisle.core.detect import Detector, default_rules
from coldaisle.core.detect.overlays import MAX_OVERLAYS, Overlays
from coldaisle.core.events import Fact, sequenced_id
from coldaisle.core.events import types as t
from coldaisle.core.reactor import Reaction

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
STEP = 300.0
DAYS = 15


def facts_from(bodies: Sequence[tuple[float, t.AnyEvent]], first: int = 1) -> list[Fact]:
    """Facts at seconds after START, in this order."""
    return [
        Fact(number, "s", number, sequenced_id(START, "test", number), START + int(at * SECOND),
             START + int(at * SECOND), "test", None, None, body)
        for number, (at, body) in enumerate(bodies, start=first)
    ]  # fmt: skip


def configured(**changes: object) -> tuple[float, t.AnyEvent]:
    given = {"novelty_warn_score": 0.08, "novelty_page_score": 0.111} | changes
    return 0.0, t.DetectorConfigured(
        default_rules(),
        assumed_attributes={"ashrae_class": "A1"},
        **given,  # type: ignore[arg-type]  # the test names fields of the event
    )


def bodies_of(reactions: Sequence[Reaction]) -> list[t.AnyEvent]:
    return [reaction.body for reaction in reactions]


class Flow:
    """A pump's flow, polled each five minutes, and the detector that follows it."""

    def __init__(self, **config: object) -> None:
        self.detector = Detector()
        self._random = random.Random(1)
        self._said = 0
        self.now = 0.0
        self.react([configured(**config)])
        self.poll([self.usual(n * STEP) for n in range(DAYS * 288)])

    def usual(self, later: float = 0.0) -> float:
        """A value as ever, now or seconds later: a daily wave."""
        wave = 5 * math.sin((self.now + later) / 86_400 * 2 * math.pi)
        return 50 + wave + self._random.gauss(0, 0.2)

    def poll(self, values: Sequence[float]) -> list[t.AnyEvent]:
        """Samples, one each step."""
        polls: list[tuple[float, t.AnyEvent]] = [
            (self.now + n * STEP, t.SamplesRecorded("pump", ("flow",), (value,)))
            for n, value in enumerate(values)
        ]
        self.now += STEP * len(values)
        return self.react(polls)

    def say(self, fact: t.AnyEvent) -> list[t.AnyEvent]:
        """Another fact, at this moment."""
        return self.react([(self.now, fact)])

    def react(self, events: list[tuple[float, t.AnyEvent]]) -> list[t.AnyEvent]:
        """What the detector says to these."""
        facts = facts_from(events, self._said + 1)
        self._said += len(facts)
        return bodies_of(self.detector.react(facts))

    def wrong(self) -> t.AlertOpened:
        """A record, far outside."""
        (opened,) = self.poll([80.0])
        assert isinstance(opened, t.AlertOpened)
        return opened


@pytest.fixture
def flow() -> Flow:
    return Flow()


def cleared(said: Sequence[t.AnyEvent]) -> list[str]:
    return [body.alert for body in said if isinstance(body, t.AlertCleared)]


def opened(said: Sequence[t.AnyEvent]) -> list[t.AlertOpened]:
    return [body for body in said if isinstance(body, t.AlertOpened)]


def test_an_alert_carries_what_it_takes_to_check_it(flow: Flow) -> None:
    evidence = flow.wrong().evidence
    assert isinstance(evidence.detail, t.EvidenceDetail)
    detail = evidence.detail
    assert detail.low < 46 < 54 < detail.high < 60
    assert detail.known_since == START
    assert detail.exceedance == pytest.approx((80 - detail.high) / (detail.high - detail.low))
    assert detail.high < detail.quiet_at < 62
    assert detail.usual == pytest.approx(50, abs=6)
    assert dict(detail.weights)["value"] == 1.25
    assert detail.moved == ("flow",)
    assert "value" in dict(evidence.novelty_shares)


def test_a_value_below_the_counterfactual_would_have_been_quiet(flow: Flow) -> None:
    detail = flow.wrong().evidence.detail
    assert isinstance(detail, t.EvidenceDetail)
    again = Flow(novelty_warn_score=0.99)
    assert opened(again.poll([detail.quiet_at - 0.01])) == []
    third = Flow(novelty_warn_score=0.99)
    assert len(opened(third.poll([detail.quiet_at + 0.01]))) == 1


def test_an_alert_ends_by_the_level_and_what_was_usual_is_usual_again(flow: Flow) -> None:
    """The next record of the same height is as surprising as the first one was."""
    first = flow.wrong()
    assert cleared(flow.poll([flow.usual() for _ in range(6)])) == [first.alert]
    second = flow.wrong()
    assert isinstance(second.evidence.detail, t.EvidenceDetail)
    assert isinstance(first.evidence.detail, t.EvidenceDetail)
    assert second.evidence.detail.high == pytest.approx(first.evidence.detail.high, abs=0.5)
    assert second.evidence.detail.similar[0] == first.alert


def test_a_false_alert_ends_at_once_and_is_no_surprise_again(flow: Flow) -> None:
    alert = flow.wrong().alert
    assert cleared(flow.say(t.FeedbackGiven(alert, "false"))) == [alert]
    assert [x for x in opened(flow.poll([flow.usual()] * 3 + [80.0])) if x.severity == "page"] == []


def test_expected_after_the_end_widens_the_range(flow: Flow) -> None:
    alert = flow.wrong().alert
    flow.poll([flow.usual() for _ in range(6)])
    flow.say(t.FeedbackGiven(alert, "expected"))
    assert [x for x in opened(flow.poll([80.0])) if x.severity == "page"] == []


def test_nobody_judged_it_so_it_is_learned_and_says_so() -> None:
    flow = Flow(learn_after_seconds=86_400.0)
    alert = flow.wrong().alert
    said = flow.poll([80.0 + flow.usual() / 100 for _ in range(400)])
    assert [body.alert for body in said if isinstance(body, t.LearningResumed)] == [alert]


def test_a_confirmed_alert_is_never_learned() -> None:
    flow = Flow(learn_after_seconds=86_400.0)
    flow.say(t.FeedbackGiven(flow.wrong().alert, "confirmed"))
    said = flow.poll([80.0 + flow.usual() / 100 for _ in range(400)])
    assert [type(body) for body in said] == [t.AlertEscalated]


def test_a_silenced_alert_opens_and_names_its_silence(flow: Flow) -> None:
    starts = START + int(flow.now) * SECOND
    flow.say(t.SilenceCreated("s-1", starts, starts + 3_600 * SECOND, asset="pump"))
    assert flow.wrong().suppressed_by == "s-1"


def test_a_silence_that_expired_suppresses_nothing(flow: Flow) -> None:
    starts = START + int(flow.now) * SECOND
    flow.say(t.SilenceCreated("s-1", starts, starts + 3_600 * SECOND, kind="novelty"))
    flow.say(t.SilenceExpired("s-1"))
    assert flow.wrong().suppressed_by == ""


def test_statistics_are_mute_during_work_and_begin_anew_after_it(flow: Flow) -> None:
    starts = START + int(flow.now) * SECOND
    flow.say(t.MaintenanceScheduled("m-1", ("pump",), starts, starts + 7_200 * SECOND, "new impeller"))
    assert flow.poll([80.0] * 24) == []
    assert opened(flow.poll([90.0] * 20)) == []


def test_limits_hold_during_work_but_bother_nobody() -> None:
    work = (0.0, t.MaintenanceScheduled("m-1", ("rack-1",), START, START + 3_600 * SECOND))
    hot = [(float(n), t.SamplesRecorded("rack-1", ("inlet_temperature_celsius",), (40.0,))) for n in range(5)]
    (alert,) = opened(
        bodies_of(
            Detector().react(facts_from([configured(), (0.0, t.AssetObserved("rack-1", "rack")), work, *hot]))
        )
    )
    assert (alert.kind, alert.suppressed_by) == ("limit", "m-1")


def test_a_source_that_falls_silent_is_an_alert_until_it_speaks() -> None:
    speaks = [(n * 10.0, t.SamplesRecorded("a", ("m",), (1.0,))) for n in range(10)]
    others = [(n * 10.0, t.SamplesRecorded("b", ("m",), (1.0 + n % 3,))) for n in range(60)]
    again = (600.0, t.SamplesRecorded("a", ("m",), (2.0,)))
    facts = facts_from(
        [configured(stale_seconds=300.0), *sorted([*speaks, *others, again], key=lambda x: x[0])]
    )
    alert, end = bodies_of(Detector().react(facts))
    assert isinstance(alert, t.AlertOpened)
    assert (alert.asset, alert.kind, alert.evidence.since) == ("a", "no_data", START + 90 * SECOND)
    assert alert.evidence.value == pytest.approx(300, abs=11)
    assert end == t.AlertCleared(alert.alert, "a speaks again", None)


def polls(asset: str, first: int, last: int) -> list[tuple[float, t.AnyEvent]]:
    """A poll each ten seconds, and never the same value twice in a row."""
    return [(at, t.SamplesRecorded(asset, ("m",), (1.0 + at // 10 % 3,))) for at in range(first, last, 10)]


def arriving(bodies: Sequence[tuple[float, t.AnyEvent]], at: float, seconds: float) -> list[Fact]:
    """Facts of these times that reach the store one after the other, from ``at`` on, within so long."""
    step = seconds / len(bodies)
    return [
        replace(fact, recorded=START + int((at + n * step) * SECOND))
        for n, fact in enumerate(facts_from(bodies))
    ]


def test_after_a_time_without_server_nobody_is_silent_before_he_could_speak() -> None:
    """Both agents kept polling for an hour; one brings what it kept a minute before the other."""
    before = sorted([*polls("a", 0, 300), *polls("b", 0, 300)], key=lambda poll: poll[0])
    facts = [
        *facts_from([configured(stale_seconds=120.0), *before]),
        *facts_from([(3_900.0, t.ServerStarted("host", "1"))]),
        *arriving(polls("a", 300, 3_900), 3_900, 5),
        *facts_from(polls("a", 3_910, 3_960)),
        *arriving(polls("b", 300, 3_960), 3_960, 5),
        *facts_from(sorted([*polls("a", 3_970, 4_300), *polls("b", 3_970, 4_000)], key=lambda poll: poll[0])),
    ]
    (alert,) = bodies_of(Detector().react(facts))
    assert isinstance(alert, t.AlertOpened)
    assert (alert.asset, alert.kind, alert.evidence.since) == ("b", "no_data", START + 3_990 * SECOND)
    assert alert.evidence.value == pytest.approx(120, abs=21)


def test_what_was_silent_as_the_server_went_and_stays_so_is_found() -> None:
    before = sorted([*polls("a", 0, 300), *polls("b", 0, 300)], key=lambda poll: poll[0])
    facts = facts_from([
        configured(stale_seconds=120.0), *before, (3_900.0, t.ServerStarted("host", "1")),
        *polls("a", 3_910, 4_100),
    ])  # fmt: skip
    (alert,) = bodies_of(Detector().react(facts))
    assert isinstance(alert, t.AlertOpened)
    assert (alert.asset, alert.summary) == ("b", "b: no data for 3740 s")


def test_an_agent_that_was_cut_off_and_brings_what_it_kept_ends_its_silence_once() -> None:
    before = sorted([*polls("a", 0, 300), *polls("b", 0, 300)], key=lambda poll: poll[0])
    kept = arriving(polls("b", 300, 3_900), 3_900, 60)
    live = facts_from(polls("a", 300, 4_200))
    back = facts_from(polls("b", 3_960, 4_200))
    facts = [
        *facts_from([configured(stale_seconds=120.0), *before]),
        *sorted([*live, *kept, *back], key=lambda fact: fact.recorded),
    ]
    said = bodies_of(Detector().react(facts))
    assert [type(body).__name__ for body in said] == ["AlertOpened", "AlertCleared"]


def test_what_came_late_or_twice_is_not_judged() -> None:
    config = configured(raise_count=2, raise_window=5)
    same = [(10.0, t.SamplesRecorded("rack-1", ("inlet_temperature_celsius",), (40.0,)))] * 5
    late = (5.0, t.SamplesRecorded("rack-1", ("inlet_temperature_celsius",), (41.0,)))
    assert (
        bodies_of(
            Detector().react(facts_from([config, (0.0, t.AssetObserved("rack-1", "rack")), *same, late]))
        )
        == []
    )


def row(warm: dict[str, float], common: float = 0.0) -> list[tuple[float, t.AnyEvent]]:
    """Six racks of a row, polled each 10 s; after ten minutes some are warmer, or all."""
    source = random.Random(3)
    events: list[tuple[float, t.AnyEvent]] = [configured(peer_deviations=8.0)]
    for n in range(6):
        events += [(0.0, t.AssetObserved(f"rack-{n}", "rack")),
                   (0.0, t.AssetLinked(f"rack-{n}", "located_in", "row-1"))]  # fmt: skip
    for poll in range(90):
        for n in range(6):
            extra = warm.get(f"rack-{n}", 0.0) + common if poll >= 60 else 0.0
            value = 20 + n / 3 + source.gauss(0, 0.1) + extra
            events.append(
                (poll * 10.0, t.SamplesRecorded(f"rack-{n}", ("inlet_temperature_celsius",), (value,)))
            )
    return events


def test_a_rack_that_leaves_its_row_is_found_within_a_minute_and_below_any_limit() -> None:
    (alert,) = opened(bodies_of(Detector().react(facts_from(row({"rack-2": 5.0})))))
    assert (alert.asset, alert.kind) == ("rack-2", "peer")
    assert alert.evidence.since == START + 600 * SECOND
    assert "expected from the others" in alert.summary


def test_a_row_that_warms_together_accuses_no_rack() -> None:
    assert opened(bodies_of(Detector().react(facts_from(row({}, common=4.0))))) == []


def test_all_of_it_is_the_same_from_any_snapshot() -> None:
    facts = facts_from([*row({"rack-2": 5.0}), (2_000.0, t.SilenceCreated("s", 0, 1))])
    whole = Detector().react(facts)
    for cut in (1, 14, 300, 450, len(facts)):
        first, second = Detector(), Detector()
        before = first.react(facts[:cut])
        second.load(first.save())
        assert before + second.react(facts[cut:]) == whole


def test_what_a_poll_costs_does_not_grow_with_the_maintenances(count_steps) -> None:
    overlays = Overlays()
    for n in range(MAX_OVERLAYS + 1):
        overlays.observe(
            t.MaintenanceScheduled(f"m-{n}", (f"rack-{n}", "row"), START, START + (1 + n) * SECOND)
        )
    assert count_steps(lambda: overlays.maintenance("ghost", START + SECOND)) < MAX_OVERLAYS
    asked = [overlays.maintenance(asset, START + SECOND) for asset in ("rack-0", "rack-7", "row")]
    assert asked == ["", "m-7", "m-1"], "the first to end is forgotten, the first scheduled is named"
    overlays.observe(t.MaintenanceEnded("m-1"))
    assert overlays.maintenance("row", START + SECOND) == "m-2"
    assert Overlays(overlays.state).maintenance("row", START + SECOND) == "m-2"
