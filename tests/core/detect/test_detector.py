"""The detector as a reactor: what opens, what clears, what it says, and that a replay says the same."""

import os
import subprocess
import sys
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from coldaisle.core.detect import Detector, default_rules
from coldaisle.core.detect.neighbours import MAX_UPSTREAM_CHARACTERS, Neighbourhood
from coldaisle.core.events import Fact, sequenced_id
from coldaisle.core.events import types as t
from coldaisle.core.reactor import Reaction

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def history(bodies: Sequence[tuple[float, t.AnyEvent]]) -> list[Fact]:
    """Facts at seconds after START, in this order."""
    return [
        Fact(number, "s", number, sequenced_id(START, "test", number), START + int(at * SECOND),
             START + int(at * SECOND), "test", None, None, body)
        for number, (at, body) in enumerate(bodies, start=1)
    ]  # fmt: skip


def configured(**changes: object) -> tuple[float, t.AnyEvent]:
    return 0.0, t.DetectorConfigured(
        default_rules(),
        assumed_attributes={"ashrae_class": "A1"},
        **changes,  # type: ignore[arg-type]  # the test names fields of the event
    )


def inlet(at: float, celsius: float | None, asset: str = "rack-1") -> tuple[float, t.AnyEvent]:
    return at, t.SamplesRecorded(asset, ("inlet_temperature_celsius",), (celsius,))


def hall() -> list[tuple[float, t.AnyEvent]]:
    return [
        (0, t.AssetObserved("rack-1", "rack", {"ashrae_class": "A1"})),
        (0, t.AssetObserved("crac-1", "crac")),
        (0, t.AssetLinked("rack-1", "cooled_by", "crac-1")),
    ]


def bodies(reactions: Sequence[Reaction]) -> list[t.AnyEvent]:
    return [reaction.body for reaction in reactions]


def test_an_inlet_above_the_recommended_range_opens_one_alert_and_clears_with_hysteresis() -> None:
    values = [24, 26, 27.5, 26.9, 27.6, 28, 29, 28, 26.8, 26.4, 26.3, 26.2, 26.1]
    facts = history([configured(), *hall(), *(inlet(n, v) for n, v in enumerate(values))])
    opened, cleared = bodies(Detector().react(facts))
    assert isinstance(opened, t.AlertOpened)
    assert (opened.asset, opened.kind, opened.severity) == ("rack-1", "limit", "warn")
    assert opened.evidence.value == 28
    assert opened.evidence.threshold == 27
    assert opened.evidence.since == START + 2 * SECOND
    assert "27 °C" in opened.summary
    assert opened.evidence.cause_position == 4 + 6
    assert cleared == t.AlertCleared(opened.alert, cleared.summary, 26.2)  # type: ignore[union-attr]


def test_an_open_alert_escalates_once_when_the_allowable_range_is_left() -> None:
    values = [28, 28, 28, 33, 33, 33, 33, 33]
    facts = history([configured(), *hall(), *(inlet(n, v) for n, v in enumerate(values))])
    opened, escalated = bodies(Detector().react(facts))
    assert isinstance(opened, t.AlertOpened)
    assert isinstance(escalated, t.AlertEscalated)
    assert (escalated.alert, escalated.severity) == (opened.alert, "page")


def test_an_alert_names_what_is_wrong_upstream() -> None:
    alarm = (1.0, t.SamplesRecorded("crac-1", ("alarm_active",), (1.0,)))
    facts = history([configured(), *hall(), alarm, *(inlet(n, 28) for n in range(3))])
    crac, rack = bodies(Detector().react(facts))
    assert isinstance(crac, t.AlertOpened)
    assert isinstance(rack, t.AlertOpened)
    assert crac.kind == "state"
    assert crac.alert in rack.evidence.upstream[0]
    assert "upstream: crac-1" in rack.summary


def test_what_an_observed_asset_costs_does_not_grow_with_the_plant(count_steps) -> None:
    """An agent that starts tells all of its assets."""
    racks = 1_000
    seen = [(0.0, t.AssetObserved(f"rack-{n}", "rack")) for n in range(racks)]
    facts = history([configured(), *seen, *(inlet(1.0, 20.0, f"rack-{n}") for n in range(racks)), *seen[:10]])
    detector = Detector()
    detector.react(facts[:-10])
    assert count_steps(lambda: detector.react(facts[-10:])) < 10 * racks


def test_alerts_that_name_each_other_in_turn_do_not_grow() -> None:
    """Two devices that are linked both ways, of which always one is alerting when the other begins again."""
    linked = [(0.0, t.AssetLinked(f"rack-{n}", "connected_to", f"rack-{3 - n}")) for n in (1, 2)]
    values = [20.0] * 8 + [28.0] * 12
    polls = [inlet(n, values[(n + 10 * m) % 20], f"rack-{m}") for n in range(400) for m in (1, 2)]
    said = bodies(Detector().react(history([configured(), *linked, *polls])))
    summaries = [body.summary for body in said if isinstance(body, t.AlertOpened)]
    assert len(summaries) > 20
    assert all("upstream: rack-" in summary for summary in summaries[1:])
    assert max(map(len, summaries)) < 2 * MAX_UPSTREAM_CHARACTERS


def test_missing_values_neither_open_nor_clear() -> None:
    values = [28.0, None, 28.0, None, 28.0, None, None, None, None]
    facts = history([configured(), *hall(), *(inlet(n, v) for n, v in enumerate(values))])
    (opened,) = bodies(Detector().react(facts))
    assert isinstance(opened, t.AlertOpened)


def test_another_ashrae_class_has_other_limits() -> None:
    a4 = (0.0, t.AssetObserved("rack-1", "rack", {"ashrae_class": "A4"}))
    facts = history([configured(), *hall(), a4, *(inlet(n, 40) for n in range(5))])
    (opened,) = bodies(Detector().react(facts))
    assert isinstance(opened, t.AlertOpened)
    assert opened.severity == "warn"


def test_a_lost_device_opens_and_its_return_clears() -> None:
    lost = t.DeviceLost("crac-1", "127.0.0.1:161", "hall", "timeout")
    facts = history([(0, lost), (1, lost), (2, t.DeviceReached("crac-1", "127.0.0.1:161", "hall"))])
    opened, cleared = bodies(Detector().react(facts))
    assert isinstance(opened, t.AlertOpened)
    assert opened.kind == "unreachable"
    assert isinstance(cleared, t.AlertCleared)


def test_novelty_is_silent_on_the_first_day_and_finds_a_record_later() -> None:
    """Ten days of a daily wave, polled each ten minutes, then twice the height it ever had: one sample of it
    warns, the second one pages."""
    wave = [20 + 2 * abs((n % 144) - 72) / 72 for n in range(1_440)]
    usual = [(n * 600.0, t.SamplesRecorded("pump", ("flow",), (v,))) for n, v in enumerate(wave)]
    surprise = [((1_440 + n) * 600.0, t.SamplesRecorded("pump", ("flow",), (26.0,))) for n in range(2)]
    opened, escalated = bodies(Detector().react(history([configured(), *usual, *surprise])))
    assert isinstance(opened, t.AlertOpened)
    assert (opened.kind, opened.severity) == ("novelty", "warn")
    assert isinstance(escalated, t.AlertEscalated)
    assert (escalated.alert, escalated.severity) == (opened.alert, "page")
    assert "above the highest" in opened.summary
    assert opened.evidence.novelty_shares[0][1] > 0


def test_counters_are_judged_by_their_rate() -> None:
    """A counter that rises evenly is nothing new, however high; a restart is a gap, no spike."""
    polls = [(n * 600.0, float(n * 1_000)) for n in range(600)]
    polls += [((600 + n) * 600.0, float(n * 1_000)) for n in range(100)]
    facts = history(
        [configured(), *((at, t.SamplesRecorded("sw", ("octets_total",), (v,))) for at, v in polls)]
    )
    assert bodies(Detector().react(facts)) == []


def test_a_counter_whose_rate_comes_with_it_is_one_series() -> None:
    """Each would warn of the same: the source's rate is judged, which knows of its counter's restarts."""
    metrics = ('octets_total{port="1"}', 'octets_per_second{port="1"}', 'errors_total{port="1"}')
    polls = [t.SamplesRecorded("sw", metrics, (1e3 * n, 5.0 if n else None, 1.0 * n)) for n in range(3)]
    detector = Detector()
    detector.react(history([configured(), *((n * 60.0, poll) for n, poll in enumerate(polls))]))
    assert detector.series_count == 2


def _busy_history() -> list[Fact]:
    events: list[tuple[float, t.AnyEvent]] = [configured(), *hall()]
    for n in range(120):
        for rack in range(4):
            celsius = 22 + 0.1 * ((n * 7 + rack * 3) % 13) + (8 if n > 90 and rack == 2 else 0)
            metrics = ("inlet_temperature_celsius", "power_watts", "energy_joules_total")
            events.append((n * 60.0, t.SamplesRecorded(f"rack-{rack}", metrics, (celsius, 5e3 + n, 1e6 * n))))
    return history(events)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 483), max_size=8))
def test_where_pages_are_cut_changes_nothing(cuts: list[int]) -> None:
    facts = _busy_history()
    whole = Detector().react(facts)
    detector, pieces = Detector(), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(facts)], strict=True):
        pieces += detector.react(facts[begin:end])
    assert pieces == whole
    assert whole


def test_another_process_with_another_hash_seed_says_the_same() -> None:
    code = (
        "import test_detector as d; "
        "print([(r.cause.position, r.body) for r in d.Detector().react(d._busy_history())])"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.path.dirname(__file__)},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(answers) == 1
    assert "AlertOpened" in answers.pop()


def row_of(count: int) -> list[tuple[float, t.AnyEvent]]:
    """A unit and the racks that it cools."""
    racks = [f"rack-{n}" for n in range(1, count + 1)]
    return [
        (0, t.AssetObserved("crac-1", "crac")),
        *((0, t.AssetObserved(rack, "rack", {"ashrae_class": "A1"})) for rack in racks),
        *((0, t.AssetLinked(rack, "cooled_by", "crac-1")) for rack in racks),
    ]


def warm(count: int, start: float = 10) -> list[tuple[float, t.AnyEvent]]:
    """Every rack above the recommended range, each for long enough to warn."""
    return [inlet(start + n, 28, f"rack-{rack}") for n in range(4) for rack in range(1, count + 1)]


ALARM = (1.0, t.SamplesRecorded("crac-1", ("alarm_active",), (1.0,)))


def test_a_warning_on_what_is_linked_makes_one_page_however_many_feel_the_fault() -> None:
    facts = history([configured(escalate_related=2), *row_of(4), ALARM, *warm(4)])
    said = bodies(Detector().react(facts))
    (page,) = [body for body in said if isinstance(body, t.AlertEscalated)]
    crac, rack, *others = [body for body in said if isinstance(body, t.AlertOpened)]
    assert (crac.severity, rack.severity, [one.severity for one in others]) == ("warn", "warn", ["warn"] * 3)
    assert (page.alert, page.severity, page.evidence) == (rack.alert, "page", rack.evidence)
    assert page.summary.endswith(f"page, for what is linked warns too: crac-1 [{crac.alert}]")


def test_warnings_on_what_is_not_linked_make_no_page_nor_do_they_when_it_is_off() -> None:
    for count, config in ((4, configured(escalate_related=2)), (4, configured())):
        facts = history([config, *row_of(count), *([ALARM] if config == configured() else []), *warm(count)])
        said = bodies(Detector().react(facts))
        assert [body for body in said if isinstance(body, t.AlertEscalated)] == []
        assert len(said) >= count


def test_a_silenced_or_ended_warning_bears_out_nothing() -> None:
    quiet = (0, t.SilenceCreated("s-1", START, START + 600 * SECOND, asset="crac-1"))
    over = [(float(n), t.SamplesRecorded("crac-1", ("alarm_active",), (0.0,))) for n in range(2, 9)]
    for first in ([quiet, ALARM], [ALARM, *over]):
        facts = history([configured(escalate_related=2), *row_of(1), *first, *warm(1)])
        assert [body for body in bodies(Detector().react(facts)) if isinstance(body, t.AlertEscalated)] == []


def test_devices_that_fall_silent_together_make_no_page() -> None:
    lost = [(float(n), t.DeviceLost(a, "192.0.2.1", "hall", "x")) for n, a in enumerate(("crac-1", "rack-1"))]
    said = bodies(Detector().react(history([configured(escalate_related=2), *row_of(1), *lost])))
    assert [type(body).__name__ for body in said] == ["AlertOpened", "AlertOpened"]


def test_what_a_warning_costs_does_not_grow_with_those_that_are_open(count_steps) -> None:
    """As when the cooling of a whole hall fails."""
    plant = Neighbourhood()
    for n in range(1_000):
        plant.observe(t.AssetLinked(f"rack-{n}", "cooled_by", f"crac-{n}"))
        plant.warned(f"rack-{n}", f"a-{n}")
    plant.warned("rack-7", "b-7")
    assert plant.related_warnings("crac-7") == {"a-7": "rack-7", "b-7": "rack-7"}
    assert count_steps(lambda: plant.related_warnings("crac-7")) < 1_000


def test_an_escalation_is_the_same_from_any_snapshot() -> None:
    facts = history([configured(escalate_related=2), *row_of(2), ALARM, *warm(2)])
    whole = Detector().react(facts)
    for cut in range(1, len(facts)):
        first, second = Detector(), Detector()
        before = first.react(facts[:cut])
        second.load(first.save())
        assert before + second.react(facts[cut:]) == whole


def error_minute(at: float, lines: float) -> tuple[float, t.AnyEvent]:
    metrics = ("log_lines_per_minute", 'log_new_error_lines_per_minute{template="t1"}')
    return at, t.SamplesRecorded("rack-1", metrics, (lines, lines))


def test_a_minute_of_log_lines_is_judged_though_it_ended_before_the_last_poll() -> None:
    facts = history([configured(), *hall(), inlet(90, 22.0), error_minute(60, 3.0)])
    (opened,) = bodies(Detector().react(facts))
    assert isinstance(opened, t.AlertOpened)
    assert (opened.asset, opened.kind) == ("rack-1", "state")


def test_a_minute_of_log_lines_is_no_sign_of_life() -> None:
    """The log reactor goes on to count nothing for half an hour after the last line."""
    polls = [inlet(n * 10.0, 22.0) for n in range(10)]
    silence = [(at, t.AssetObserved("crac-1", "crac")) for at in (400.0, 500.0)]
    minutes = [error_minute(at, 0.0) for at in (420.0, 480.0)]
    events = [*hall(), *polls, silence[0], *minutes, silence[1]]
    (opened,) = bodies(Detector().react(history([configured(stale_seconds=120.0), *events])))
    assert isinstance(opened, t.AlertOpened)
    assert (opened.asset, opened.kind) == ("rack-1", "no_data")
