"""What each entry of a profile gives on a device: its value, its unit, and what is wrong with it."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.plausible import compare
from coldaisle.integrations.snmp.poll import Round, identify, plan_for, poll
from coldaisle.integrations.snmp.profile import Metric, Profile
from coldaisle.integrations.snmp.target import Target
from coldaisle.integrations.snmp.units import unit_of

DEADLINE_SECONDS = 60.0


class Finding(Struct, frozen=True):
    """One metric: ``verdict`` is ``ok``, or what is wrong with it."""

    metric: str
    value: float | None
    unit: str
    verdict: str


class Survey(Struct, frozen=True):
    """A profile held against a device; ``relations`` are lines, each ending in ok or wrong."""

    profile: Profile
    findings: tuple[Finding, ...]
    relations: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def is_plausible(self) -> bool:
        """Whether nothing is out of its range, no relation fails and every question was answered."""
        strange = any(finding.verdict.startswith("outside") for finding in self.findings)
        return (
            not strange and not self.problems and not any(line.endswith("wrong") for line in self.relations)
        )


async def survey(
    client: SnmpClient, target: Target, profiles: Mapping[str, Profile], name: str = ""
) -> Survey:
    """Poll once with the named profile, or the one that the sysObjectID chooses. Raises SnmpError."""
    profile = profiles[name] if name else await identify(client, target, profiles)
    found = await poll(client, target, plan_for(profile), DEADLINE_SECONDS)
    return Survey(
        profile,
        tuple(_findings(profile, found)),
        tuple(_relations(profile, found)),
        tuple(map(str, found.problems)),
    )


def entries_at(profiles: Mapping[str, Profile], text: str) -> list[tuple[str, Metric]]:
    """The entries, by profile, that an OID lies in, or that have this name without labels."""
    bare = text.partition("{")[0]
    entries = [(profile.name, metric) for profile in profiles.values() for metric in profile.metrics]
    if not text.strip(".").replace(".", "").isdigit():
        return [(name, metric) for name, metric in entries if metric.metric == bare]
    raw = encode_oid(text)
    places = ((name, metric, (metric.oid, metric.fallback_oid, metric.write_oid)) for name, metric in entries)
    return [
        (name, metric)
        for name, metric, oids in places
        if any(oid and raw.startswith(encode_oid(oid)) for oid in oids)
    ]


def _findings(profile: Profile, found: Round) -> Iterator[Finding]:
    for name, value in found.readings.items():
        yield _finding(name, value, found.decoded.strange)
    seen = {name.partition("{")[0] for name in found.readings}
    for metric in dict.fromkeys(metric.metric for metric in profile.metrics):
        if metric not in seen:
            yield Finding(metric, None, unit_of(metric), "absent")


def _finding(name: str, value: float | None, strange: Mapping[str, float]) -> Finding:
    unit = unit_of(name)
    if name in strange:
        return Finding(name, strange[name], unit, "outside its sanity range")
    return Finding(name, value, unit, "not available" if value is None else "ok")


def _relations(profile: Profile, found: Round) -> Iterable[str]:
    for comparison in compare(profile, found.readings):
        relation, verdict = comparison.relation, "ok" if comparison.holds else "wrong"
        terms = " x ".join(relation.terms)
        bounds = f"{relation.low:g} to {relation.high:g}"
        total = f"{relation.total}{comparison.label}"
        yield f"{terms} over {total} = {comparison.share:.2f}, expected {bounds}: {verdict}"
