"""What people say of alerts, silences and maintenance, as the twin shows it."""

from msgspec import UNSET

from coldaisle.core.events import Fact, sequenced_id
from coldaisle.core.events import types as t
from coldaisle.core.twin import Twin, fold, state_hash

EVIDENCE = t.Evidence("limit", 40.0, 32.0, "ASHRAE", 0)


def facts(*bodies: t.AnyEvent) -> list[Fact]:
    """A fact a second."""
    return [
        Fact(n, "s", n, sequenced_id(1, "test", n), n * 1_000_000_000, 0, "test", None, None, body)
        for n, body in enumerate(bodies, start=1)
    ]


def opened(suppressed_by: str = "") -> t.AlertOpened:
    return t.AlertOpened("a-1", "rack-1", "m", "limit", "page", "hot", EVIDENCE, suppressed_by)


def test_an_alert_shows_what_was_said_of_it() -> None:
    twin = fold(Twin(), facts(
        opened("s-1"), t.AlertFlapping("a-1", 4), t.FeedbackGiven("a-1", "expected", "a test"),
        t.LearningResumed("a-1", "rack-1", "m", "open for 24 h"),
    ))  # fmt: skip
    alert = twin.alerts["a-1"]
    assert (alert.suppressed_by, alert.flapping, alert.feedback, alert.learned) == (
        "s-1",
        True,
        "expected",
        True,
    )
    assert alert.revision == 4


def test_silences_and_maintenance_are_shown_until_they_end() -> None:
    second = 1_000_000_000
    first, brief = t.SilenceCreated("s-1", 0, 100 * second), t.SilenceCreated("s-2", 0, 3 * second)
    work = t.MaintenanceScheduled("m-1", ("rack-1",), 0, 100 * second)
    twin = fold(Twin(), facts(first, brief, work))
    assert twin.silences == {"s-1": first, "s-2": brief}
    assert twin.maintenances == {"m-1": work}
    later = fold(Twin(), facts(first, brief, work, t.SilenceCreated("s-3", 0, 100 * second),
                               t.SilenceExpired("s-1"), t.MaintenanceEnded("m-1")))  # fmt: skip
    assert list(later.silences) == ["s-3"]
    assert later.maintenances == {}


def test_a_history_from_before_keeps_its_state_hash() -> None:
    """Nothing of what came later shows in a twin that has none of it."""
    twin = fold(Twin(), facts(opened()))
    assert twin.silences is UNSET
    assert state_hash(twin) == "0a6577469493d3cef5e2b42ebf68b3500b56f00006a58900b2a7ab3999110940"
