"""The detector, told: how it judges, what it learns, what it leaves alone."""

from collections.abc import Sequence
from datetime import UTC, datetime

from coldaisle.cli.columns import MAINTENANCES, SILENCES
from coldaisle.cli.describing import grid, labelled, section
from coldaisle.cli.output import table_lines
from coldaisle.cli.words import age, clock, json_object, pairs, short, value_text
from coldaisle.v1.detectors_pb2 import Detector, Held

_THRESHOLDS = (
    "raise_count", "raise_window", "clear_count", "novelty_warn_score", "novelty_page_score",
    "entity_warn_factor", "peer_deviations", "stale_seconds", "flap_cycles", "escalate_related",
)  # fmt: skip
_LEARNING = ("warmup_seconds", "warmup_samples", "learn_after_seconds", "seed", "assumed_attributes")
_BOUNDS = ("warn_below", "page_below", "warn_above", "page_above", "per_seconds")
MAX_SHOWN = 20


def detector_lines(detector: Detector) -> list[str]:
    """All of it, a section each; what is empty is left out."""
    config = json_object(detector.configuration_json)
    now = datetime.now(UTC)
    head = {
        "configured": f"{clock(detector.configured_time)} at @{detector.configured_position}",
        "models": pairs(dict(sorted(detector.versions.items()))),
        "follows": f"{detector.series_count} series of {detector.asset_count} assets",
        "position": f"@{detector.revision}",
    }
    return [
        *labelled(head),
        *section("Thresholds", _settings(config, _THRESHOLDS)),
        *section("Learning", _settings(config, _LEARNING)),
        *section("Limits", _limits(config)),
        *section("Does not learn, an alert is open", _shown([_held(each, now) for each in detector.held])),
        *section("Learned as the new normal, unjudged", _names(detector.learned_alerts)),
        *section("Flapping", _names(detector.flapping_alerts)),
        *section("Open, but quiet", _names(detector.suppressed_alerts)),
        *section("Silences", table_lines(SILENCES, detector.silences) if detector.silences else []),
        *section(
            "Maintenance", table_lines(MAINTENANCES, detector.maintenances) if detector.maintenances else []
        ),
    ]


def _settings(config: dict[str, object], names: Sequence[str]) -> list[str]:
    """As they are set: a threshold that is rounded is another one."""
    shown = {name: config[name] for name in names if name in config}
    return grid([(n, f"{v:g}" if isinstance(v, float) else value_text(v)) for n, v in shown.items()])


def _limits(config: dict[str, object]) -> list[str]:
    """A line a limit: where it applies, its bounds, where it is from."""
    rules = config.get("limits")
    found = [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
    return grid([_limit(rule) for rule in found])


def _limit(rule: dict[str, object]) -> tuple[str, str, str, str]:
    where = rule.get("where")
    place = [str(rule.get("asset_kind") or "any"), *(f"{k}={v}" for k, v in _object(where).items())]
    bounds = {name: rule[name] for name in _BOUNDS if rule.get(name) is not None}
    return str(rule.get("metric")), " ".join(place), pairs(bounds), str(rule.get("source") or "")


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _held(held: Held, now: datetime) -> tuple[str, str, str]:
    what = f"{short(held.asset)} {held.metric or '(models of the asset)'}"
    return what, short(held.alert), f"for {age(held.since, now)}"


def _names(alerts: Sequence[str]) -> list[str]:
    return _shown([(short(name),) for name in alerts])


def _shown(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first rows, and how many more there are."""
    more = [f"and {len(rows) - MAX_SHOWN} more: -o json has them all"] if len(rows) > MAX_SHOWN else []
    return [*grid(rows[:MAX_SHOWN]), *more]
