"""Limits that are known beforehand: ASHRAE classes, and states that a device itself calls a fault."""

from coldaisle.core.events.types import LimitRule, Severity

# Dry bulb at the inlet in Celsius, ASHRAE TC 9.9 thermal guidelines (2021): recommended, then allowable.
RECOMMENDED_CELSIUS = (18.0, 27.0)
ALLOWABLE_CELSIUS = {
    "A1": (15.0, 32.0),
    "A2": (10.0, 35.0),
    "A3": (5.0, 40.0),
    "A4": (5.0, 45.0),
}
CLEAR_MARGIN_CELSIUS = 0.5

MAX_CHANGE_CELSIUS = 5.0
CHANGE_SECONDS = 900.0
"""ASHRAE TC 9.9 (2021): with tape storage at most 5 K in 15 min; without, 20 K in an hour holds too then."""


def ashrae_rules() -> tuple[LimitRule, ...]:
    """One rule a class: warn outside the recommended, page outside the allowable range."""
    return tuple(
        LimitRule(
            name=f"ashrae-{name.lower()}-inlet",
            metric="inlet_temperature_celsius",
            warn_below=None,
            warn_above=RECOMMENDED_CELSIUS[1],
            page_below=low,
            page_above=high,
            clear_margin=CLEAR_MARGIN_CELSIUS,
            where={"ashrae_class": name},
            source=f"ASHRAE class {name}: 27 °C recommended, {low:g} to {high:g} °C allowable",
        )
        for name, (low, high) in ALLOWABLE_CELSIUS.items()
    )


CHANGE_RULES = (
    LimitRule(
        name="ashrae-inlet-change",
        metric="inlet_temperature_celsius",
        warn_below=-MAX_CHANGE_CELSIUS,
        warn_above=MAX_CHANGE_CELSIUS,
        clear_margin=CLEAR_MARGIN_CELSIUS,
        source="ASHRAE TC 9.9: at most 5 K in 15 min with tape storage",
        where={"storage": "tape"},
        per_seconds=CHANGE_SECONDS,
    ),
)

STATE_RULES = (
    LimitRule(
        name="cooling-unit-alarm",
        metric="alarm_active",
        asset_kind="crac",
        warn_above=0.0,
        kind="state",
        source="the unit reports an alarm",
    ),
)

LOG_RULES = (
    LimitRule(
        name="new-error-lines",
        metric="log_new_error_lines_per_minute",
        warn_above=0.0,
        kind="state",
        source="logs errors of a kind that was never seen before",
    ),
)


def default_rules() -> tuple[LimitRule, ...]:
    """What a hall gets without any configuration."""
    return ashrae_rules() + CHANGE_RULES + STATE_RULES + LOG_RULES


def broken(rule: LimitRule, value: float) -> Severity | None:
    """How badly the value breaks the rule."""
    if _outside(value, rule.page_below, rule.page_above):
        return "page"
    if _outside(value, rule.warn_below, rule.warn_above):
        return "warn"
    return None


def well_inside(rule: LimitRule, value: float) -> bool:
    """Whether the value keeps every limit of the rule by its margin."""
    margin = rule.clear_margin
    return not any(
        (low is not None and value < low + margin) or (high is not None and value > high - margin)
        for low, high in ((rule.warn_below, rule.warn_above), (rule.page_below, rule.page_above))
    )


def threshold(rule: LimitRule, value: float) -> float:
    """The limit that the value breaks, the worse one first; the nearest upper one when it breaks none."""
    for low, high in ((rule.page_below, rule.page_above), (rule.warn_below, rule.warn_above)):
        if low is not None and value < low:
            return low
        if high is not None and value > high:
            return high
    return next((x for x in (rule.warn_above, rule.page_above, rule.warn_below) if x is not None), 0.0)


def _outside(value: float, low: float | None, high: float | None) -> bool:
    return (low is not None and value < low) or (high is not None and value > high)
