"""Is the hall quiet when it is well, and is every fault told of when it is not?

24 accelerated hours of a healthy lab hall, then at least 30 faults of random kind, place, size and moment;
see `campaign.py`. `--short` is the form that fits into the tests: longer polls, one fault of each kind.

    python benchmarks/faults.py [--seed 1] [--poll-seconds 60] [--injections 36] [--short]
"""

import argparse
from collections import Counter

from campaign import (
    TRUTH,
    Campaign,
    Healthy,
    Outcome,
    culprits_right,
    median_seconds,
    on_the_faulted_asset,
    recall,
    run,
)
from measure import Bar, report

SHORT = Campaign(
    poll_seconds=300.0,
    warm_up_hours=24.5,
    healthy_hours=2.0,
    injections_count=len(TRUTH),
    patience_hours=1.0,
)
MOST_COMMON = 12


def asked() -> Campaign:
    """The campaign that the command line asks for."""
    full = Campaign()
    parser = argparse.ArgumentParser(description="Quiet when well, loud when not.")
    parser.add_argument("--seed", type=int, default=full.seed)
    parser.add_argument("--poll-seconds", type=float, default=full.poll_seconds)
    parser.add_argument("--injections", type=int, default=full.injections_count)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    if options.short:
        return SHORT
    return Campaign(options.seed, options.poll_seconds, injections_count=options.injections)


def figures(campaign: Campaign, healthy: Healthy, outcomes: list[Outcome]) -> dict[str, object]:
    """What a person looks at when a bar is missed."""
    found: dict[str, object] = {
        "seed": campaign.seed,
        "poll_seconds": campaign.poll_seconds,
        "series": healthy.series_count,
        "healthy_hours": campaign.healthy_hours,
        "injections": len(outcomes),
        "median_seconds_to_detect": median_seconds(outcomes),
        "first_alert_on_the_faulted_asset": on_the_faulted_asset(outcomes),
        "warns": sum(healthy.warns.values()),
        "pages": sum(healthy.pages.values()),
        "warns_by_place": _top(healthy.warns),
        "pages_by_place": _top(healthy.pages),
    }
    for kind in TRUTH:
        own = [each for each in outcomes if each.injection.fault.kind == kind]
        if own:
            found[f"{kind}"] = (
                f"{sum(each.seconds is not None for each in own)}/{len(own)} told of, "
                f"{sum(each.right for each in own)} rightly, median {median_seconds(own)} s"
            )
    return found


def bars(healthy: Healthy, outcomes: list[Outcome]) -> dict[str, Bar]:
    """What detection must reach on the lab."""
    return {
        "series": Bar(healthy.series_count, 500),
        "pages_while_healthy": Bar(sum(healthy.pages.values()), 0, "at_most"),
        "warns_per_series_day_while_healthy": Bar(healthy.warns_per_series_day, 0.06, "at_most"),
        "recall": Bar(recall(outcomes), 0.95),
        "culprit_right": Bar(culprits_right(outcomes), 0.9),
    }


def _top(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common(MOST_COMMON))


def _line(outcome: Outcome) -> str:
    fault = outcome.injection.fault
    what = f"{fault.kind} {fault.asset} size {fault.size:g} at poll {outcome.injection.poll}: "
    if outcome.seconds is None:
        return what + "MISSED"
    blamed = f"{outcome.severity} {outcome.kind} {outcome.asset} {outcome.metric}"
    return what + f"{outcome.seconds:g} s, {blamed}, {'right' if outcome.right else 'WRONG'}"


def main() -> None:
    """Run, print, and end with the JSON line."""
    campaign = asked()
    healthy, outcomes = run(campaign)
    print(*("healthy: " + line for line in healthy.summaries), *map(_line, outcomes), sep="\n")
    found = figures(campaign, healthy, outcomes)
    report("faults", found, bars(healthy, outcomes))


if __name__ == "__main__":
    main()
