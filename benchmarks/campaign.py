"""A fault campaign: one healthy hall, and many ways in which its second day goes wrong.

The healthy history is recorded once and judged by the detector as the server configures it. At moments
that the seed draws, hall and detector are forked, a fault of drawn kind, place and size is injected, and the
fork runs until an alert tells of it or its time is up. What counts as telling is in `TRUTH`: for each kind
of fault, the assets that it truly affects and, for each of them, the metrics that a person would blame.
"""

import random
import statistics
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import msgspec

from coldaisle.agent.inventory import inventory_events
from coldaisle.agent.settings import AssetSettings
from coldaisle.core.detect import Detector
from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Observation
from coldaisle.core.reactor import Reaction
from coldaisle.core.templates import LOG_METRICS, TemplateReactor
from coldaisle.core.templates.minutes import NEW_ERRORS
from coldaisle.lab.faults import FAULT_KINDS, Fault
from coldaisle.lab.hall import Hall
from coldaisle.lab.history import Numbering
from coldaisle.lab.inventory import inventory_toml
from coldaisle.lab.recording import FIRST_PORT, Recorder
from coldaisle.server.settings import DetectSettings, detector_event
from coldaisle.server.startup import MODEL_LIBRARIES

HOUR_SECONDS = 3600.0
DAY_SECONDS = 24 * HOUR_SECONDS
MAX_SUMMARIES = 40
Truth = dict[str, frozenset[str]]
"""By asset, the metrics that are right to name; a name without labels stands for all its rows."""

TEMPERATURES = {"supply_temperature_celsius", "return_temperature_celsius"}
THERMAL = frozenset(
    {"cooling_percent", "cooling_state", "alarm_active", "return_relative_humidity_percent"} | TEMPERATURES
)
INLET = frozenset({"inlet_temperature_celsius", "inlet_relative_humidity_percent"})
LOAD = frozenset({"power_watts", "phase_current_amperes", "energy_kilowatt_hours_total"})
UPS_OUTPUT = {"ups_output_current_amperes", "ups_output_power_watts", "ups_output_load_percent"}
UPS_LOAD = frozenset(UPS_OUTPUT | {"ups_input_current_amperes", "ups_battery_remaining_minutes"})
MEMORY = frozenset({"memory_available_bytes", "memory_used_ratio", "swap_used_bytes"})
LOGS = LOG_METRICS
OWN_WORDS = frozenset({NEW_ERRORS})
"""A device that complains of itself, in words never heard before, is rightly named by them."""


@dataclass(frozen=True)
class Trial:
    """How a kind of fault is tried: sizes that a person would call a fault, and the time to tell of it."""

    smallest: float
    limit_seconds: float
    truth: Callable[[Hall, str], Truth]


def _cooling(own: frozenset[str]) -> Callable[[Hall, str], Truth]:
    def truth(hall: Hall, crac: str) -> Truth:
        others = {name: THERMAL - {"alarm_active"} for name in hall.cracs}
        return {**{rack.name: INLET for rack in hall.racks}, **others, crac: own | OWN_WORDS}

    return truth


def _overload(hall: Hall, pdu: str) -> Truth:
    index = hall.pdus.index(pdu)
    return {pdu: LOAD | OWN_WORDS, hall.upses[index % 2]: UPS_LOAD, hall.racks[index // 2].name: INLET}


def _supply(hall: Hall, place: str) -> Truth:
    pdu, _, outlet = place.partition(":")
    metrics = LOAD | {f'outlet_power_watts{{outlet="{outlet}"}}'}
    return {pdu: metrics, hall.pdus[hall.pdus.index(pdu) ^ 1]: metrics}


def _errors(hall: Hall, port: str) -> Truth:
    switch, _, number = port.partition(":")
    return {switch: frozenset({f'if_in_errors_per_second{{interface="Ethernet{number}"}}'})}


TRUTH: dict[str, Trial] = {
    "fan_failure": Trial(0.15, HOUR_SECONDS, _cooling(THERMAL | {"fan_percent"})),
    "compressor_failure": Trial(0.2, HOUR_SECONDS, _cooling(THERMAL)),
    "clogged_filter": Trial(0.3, HOUR_SECONDS, _cooling(THERMAL)),
    "phase_overload": Trial(0.3, HOUR_SECONDS, _overload),
    "psu_failure": Trial(0.3, HOUR_SECONDS, _supply),
    "link_errors": Trial(0.01, HOUR_SECONDS, _errors),
    "stuck_sensor": Trial(1.0, 4 * HOUR_SECONDS, lambda hall, rack: {rack: INLET}),
    "memory_leak": Trial(0.2, 6 * HOUR_SECONDS, lambda hall, server: {server: MEMORY}),
    "log_storm": Trial(0.05, HOUR_SECONDS, lambda hall, logger: {logger: LOGS}),
}


@dataclass(frozen=True)
class Injection:
    """One drawn fault; `poll` counts the polls of the measured day before it."""

    fault: Fault
    poll: int


@dataclass(frozen=True)
class Outcome:
    """What came of it; `seconds` is None when nothing told of it in time."""

    injection: Injection
    seconds: float | None
    asset: str = ""
    metric: str = ""
    kind: str = ""
    severity: str = ""
    right: bool = False


@dataclass
class Healthy:
    """What was said while nothing was wrong."""

    series_count: int = 0
    days: float = 0.0
    warns: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    summaries: list[str] = field(default_factory=list)
    """The lines that a person would have read, up to MAX_SUMMARIES."""

    @property
    def warns_per_series_day(self) -> float:
        """The rate that the bar is about."""
        return sum(self.warns.values()) / (self.series_count * self.days)


@dataclass(frozen=True)
class Campaign:
    """How long, how often, how many."""

    seed: int = 1
    poll_seconds: float = 60.0
    warm_up_hours: float = 26.0
    healthy_hours: float = 24.0
    injections_count: int = 36
    patience_hours: float = 6.0
    """No fault is waited for longer than this, whatever its kind allows."""

    def injections(self, hall: Hall) -> list[Injection]:
        """Every kind in turn, at drawn moments, places and sizes; in order of time.

        Small faults are drawn as often as large ones: sizes are even in their logarithm.
        """
        source = random.Random(self.seed)
        kinds = list(TRUTH)
        last_poll = int(self.healthy_hours * HOUR_SECONDS / self.poll_seconds) - 1
        drawn = []
        for number in range(self.injections_count):
            kind = kinds[number % len(kinds)]
            asset = source.choice(list(FAULT_KINDS[kind].assets(hall)))
            size = round(TRUTH[kind].smallest ** source.random(), 3)
            drawn.append(Injection(Fault(kind, asset, size), source.randint(0, last_poll)))
        return sorted(drawn, key=lambda each: each.poll)


class Watch:
    """A recorded hall, and log templates and detector that follow it, as a server lets them."""

    def __init__(
        self, recorder: Recorder, templates: TemplateReactor, detector: Detector, numbering: Numbering
    ) -> None:
        self.recorder, self.templates, self.detector = recorder, templates, detector
        self.numbering = numbering
        self._answers: list[Observation] = []

    @classmethod
    def begun(cls, campaign: Campaign) -> "Watch":
        """A hall at its first moment, its inventory told, the detector configured."""
        watch = cls(
            Recorder(campaign.seed, campaign.poll_seconds), TemplateReactor(), Detector(), Numbering()
        )
        told = [configuration(), *inventory(watch.recorder.hall)]
        watch._see([*(Observation(watch.recorder.time, body) for body in told), *watch.recorder.first()])
        return watch

    def fork(self) -> "Watch":
        """The same at this moment, to go on apart."""
        templates, detector = TemplateReactor(), Detector()
        templates.load(self.templates.save())
        detector.load(self.detector.save())
        other = Watch(self.recorder.fork(), templates, detector, self.numbering.fork())
        other._answers = list(self._answers)
        return other

    def poll(self) -> list[t.AnyEvent]:
        """Go on to the next poll; what the detector says of it."""
        return self._see(self.recorder.poll())

    def _see(self, observations: Sequence[Observation]) -> list[t.AnyEvent]:
        """What templates say is read at once, the detector's own answers with the next page."""
        facts = self.numbering.facts([*self._answers, *observations])
        facts += self.numbering.facts(_answered(self.templates.react(facts)))
        reactions = self.detector.react(facts)
        self._answers = _answered(reactions)
        return [each.body for each in reactions]


def _answered(reactions: Iterable[Reaction]) -> list[Observation]:
    """Reactions as they come to stand in the history."""
    return [Observation(each.cause.time if each.time is None else each.time, each.body) for each in reactions]


def configuration() -> t.DetectorConfigured:
    """What a server with default settings appends at its start."""
    return detector_event(DetectSettings(), {name: version(name) for name in MODEL_LIBRARIES})


def inventory(hall: Hall) -> Iterable[t.AnyEvent]:
    """What an agent tells of the hall's inventory file."""
    ports = {name: FIRST_PORT + index for index, name in enumerate(hall.devices)}
    assets = tomllib.loads(inventory_toml(hall, ports))["assets"]
    return inventory_events(msgspec.convert(assets, list[AssetSettings]))


def run(campaign: Campaign) -> tuple[Healthy, list[Outcome]]:
    """The whole campaign."""
    watch = Watch.begun(campaign)
    for _ in range(_polls(campaign, campaign.warm_up_hours)):
        watch.poll()
    healthy = Healthy(days=campaign.healthy_hours * HOUR_SECONDS / DAY_SECONDS)
    waiting = campaign.injections(watch.recorder.hall)
    outcomes: list[Outcome] = []
    where: dict[str, str] = {}
    for poll in range(_polls(campaign, campaign.healthy_hours)):
        while waiting and waiting[0].poll == poll:
            outcomes.append(tried(watch.fork(), waiting.pop(0), campaign.patience_hours * HOUR_SECONDS))
        count_alarms(watch.poll(), healthy, where)
    healthy.series_count = watch.detector.series_count
    return healthy, outcomes


def count_alarms(said: Iterable[t.AnyEvent], healthy: Healthy, where: dict[str, str]) -> None:
    """Add what was said to the false alarms, by kind of asset, kind of alert and metric."""
    for body in said:
        if isinstance(body, t.AlertOpened):
            place = f"{body.asset.split('-')[0]} {body.kind} {culprit(body).partition('{')[0]}"
            where[body.alert] = place
            (healthy.pages if body.severity == "page" else healthy.warns)[place] += 1
            if len(healthy.summaries) < MAX_SUMMARIES:
                healthy.summaries.append(f"{body.severity} {body.summary}")
        elif isinstance(body, t.AlertEscalated):
            healthy.pages[where.get(body.alert, "opened before")] += 1


def tried(watch: Watch, injection: Injection, patience_seconds: float) -> Outcome:
    """Inject, and wait for the first alert on an asset that the fault affects."""
    fault, trial = injection.fault, TRUTH[injection.fault.kind]
    truth = trial.truth(watch.recorder.hall, fault.asset)
    watch.recorder.inject(fault)
    waited = 0.0
    while waited < min(trial.limit_seconds, patience_seconds):
        waited += watch.recorder.poll_seconds
        for body in watch.poll():
            if isinstance(body, t.AlertOpened) and body.asset in truth:
                named = culprit(body)
                right = bool({named, named.partition("{")[0]} & truth[body.asset])
                return Outcome(injection, waited, body.asset, named, body.kind, body.severity, right)
    return Outcome(injection, None)


def culprit(alert: t.AlertOpened) -> str:
    """The metric that the alert blames; an entity's alert blames the first of its shares."""
    if alert.metric:
        return alert.metric
    return alert.evidence.entity_shares[0][0] if alert.evidence.entity_shares else ""


def recall(outcomes: Sequence[Outcome]) -> float:
    """The share of faults that were told of in time."""
    return sum(each.seconds is not None for each in outcomes) / len(outcomes)


def culprits_right(outcomes: Sequence[Outcome]) -> float:
    """The share of those told of whose alert blames a right metric."""
    told = [each for each in outcomes if each.seconds is not None]
    return sum(each.right for each in told) / len(told) if told else 0.0


def on_the_faulted_asset(outcomes: Sequence[Outcome]) -> float:
    """The share of those told of whose first alert stands on the broken asset, not on one that suffers."""
    told = [each for each in outcomes if each.seconds is not None]
    own = sum(each.asset == each.injection.fault.asset.partition(":")[0] for each in told)
    return own / len(told) if told else 0.0


def median_seconds(outcomes: Sequence[Outcome]) -> float | None:
    """The median time from injection to alert, of those told of."""
    told = [each.seconds for each in outcomes if each.seconds is not None]
    return statistics.median(told) if told else None


def _polls(campaign: Campaign, hours: float) -> int:
    return round(hours * HOUR_SECONDS / campaign.poll_seconds)
