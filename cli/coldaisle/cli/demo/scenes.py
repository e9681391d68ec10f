"""The scenes of the story: each looks once and tells what it saw, or nothing yet."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from coldaisle.cli.client import Client
from coldaisle.cli.demo.chronicle import Chronicle
from coldaisle.cli.demo.proof import body, planned_steps
from coldaisle.cli.demo.site import FAULT, Site, device_setpoints, inject_fault
from coldaisle.cli.errors import CliError
from coldaisle.cli.hall import INLET_METRIC, bare, read_hall
from coldaisle.cli.words import pairs
from coldaisle.v1.common_pb2 import Event, Moment
from coldaisle.v1.playbooks_pb2 import ApproveRunRequest, GetRunRequest, Run

HEALTHY_CELSIUS = 27.0
RISE_CELSIUS = 1.0
FALL_CELSIUS = 0.5
SETPOINT_TOLERANCE_CELSIUS = 0.05
SETPOINT_METRIC = "supply_setpoint_celsius"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a scene saw: the position of the event that shows it (0: none does), what, and by whom."""

    position: int
    what: str
    actor: str = ""


@dataclass(slots=True)
class Stage:
    """What the scenes have in common; each fills in what later ones need."""

    site: Site
    client: Client
    chronicle: Chronicle = field(default_factory=Chronicle)
    before: dict[str, float] = field(default_factory=dict)
    injected_position: int = 0
    peak: dict[str, float] = field(default_factory=dict)
    alert: str = ""
    asset: str = ""
    threshold_celsius: float = HEALTHY_CELSIUS
    run: str = ""
    proposal: Event | None = None
    acted_position: int = 0
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def refresh(self) -> None:
        """Read on, and remember how warm each rack became."""
        self.chronicle.read(self.client)
        for rack, inlet in self.chronicle.inlets.items():
            self.peak[rack] = max(self.peak.get(rack, inlet.celsius), inlet.celsius)

    def run_events(self, kind: str) -> list[Event]:
        """Events of a type of the story's run."""
        return [event for event in self.chronicle.of_type(kind) if body(event).get("run") == self.run]


Look = Callable[[Stage], Seen | None]


@dataclass(frozen=True, slots=True)
class Scene:
    """A step of the story: what must be seen."""

    title: str
    look: Look


def healthy(stage: Stage) -> Seen | None:
    """Every rack's inlet is read and within the recommended range, every cooling unit answers."""
    hall = read_hall(stage.client, Moment())
    inlets = {rack.name: rack.inlet_celsius for rack in hall.racks if rack.inlet_celsius is not None}
    if not inlets or len(inlets) < len(hall.racks) or max(inlets.values()) > HEALTHY_CELSIUS:
        return None
    if any(not unit.reached or unit.supply_celsius is None for unit in hall.cooling) or not hall.cooling:
        return None
    if any(_is_inlet_limit(alert.kind, alert.metric) for alert in hall.alerts):
        return None
    stage.before, stage.injected_position = inlets, hall.position
    coldest, warmest = min(inlets.values()), max(inlets.values())
    what = f"{len(inlets)} racks observed, inlets {coldest:.1f} to {warmest:.1f} °C"
    return Seen(hall.position, what, "agent/demo")


def broken(stage: Stage) -> Seen | None:
    """The fault is injected, in the plant and nowhere else."""
    inject_fault(stage.site)
    stage.peak.clear()
    kind, asset = FAULT
    return Seen(0, f"{kind} of {asset} injected in the plant; the twin is not told", "the story")


def warming(stage: Stage) -> Seen | None:
    """Some inlet is clearly warmer than before the fault."""
    for rack, inlet in stage.chronicle.inlets.items():
        rise = inlet.celsius - stage.before.get(rack, inlet.celsius)
        if inlet.position > stage.injected_position and rise >= RISE_CELSIUS:
            return Seen(
                inlet.position, f"inlet of {rack} rose to {inlet.celsius:.1f} °C ({rise:+.1f})", "agent/demo"
            )
    return None


def alerted(stage: Stage) -> Seen | None:
    """An alert on an inlet temperature opened, with its evidence."""
    for event in stage.chronicle.of_type("AlertOpened", stage.injected_position):
        if _is_inlet_limit(str(body(event).get("kind")), str(body(event).get("metric"))):
            return Seen(
                event.position, f"alert {body(event)['alert']}: {body(event)['summary']}", event.actor
            )
    return None


def proposed(stage: Stage) -> Seen | None:
    """A policy proposed a run for such an alert."""
    alerts = {
        str(body(event)["alert"]): event
        for event in stage.chronicle.of_type("AlertOpened", stage.injected_position)
        if _is_inlet_limit(str(body(event).get("kind")), str(body(event).get("metric")))
    }
    for event in stage.chronicle.of_type("RunProposed", stage.injected_position):
        told = body(event)
        alert = alerts.get(str(told.get("alert")))
        if alert is None or not told.get("policy"):
            continue
        stage.alert, stage.run, stage.proposal = str(told["alert"]), str(told["run"]), event
        stage.asset, stage.threshold_celsius = str(body(alert)["asset"]), _threshold(alert)
        count = len(planned_steps(event))
        what = (
            f"run {stage.run}: {count} steps, by policy {told['policy']} for {stage.alert} on {stage.asset}"
        )
        return Seen(event.position, what, event.actor)
    return None


def approved(stage: Stage) -> Seen | None:
    """A person read the plan and approved it, by its hash, through the API."""
    found = stage.run_events("RunApproved")
    if found:
        what = f"run {stage.run} approved, plan {str(body(found[0])['plan_hash'])[:12]}…"
        return Seen(found[0].position, what, found[0].actor)
    run = stage.client.call(stage.client.playbooks.GetRun, GetRunRequest(name=f"runs/{stage.run}"))
    if run.state == Run.STATE_PROPOSED:
        request = ApproveRunRequest(
            name=run.name, plan_hash=run.plan.hash, note="story", request_id=stage.request_id
        )
        stage.client.call(stage.client.playbooks.ApproveRun, request)
    return None


def acted(stage: Stage) -> Seen | None:
    """Every step succeeded; those that set something read it back."""
    failed = stage.run_events("StepFailed")
    if failed:
        raise CliError(f"step {body(failed[0])['step']} failed: {body(failed[0])['reason']}")
    assert stage.proposal is not None
    steps = planned_steps(stage.proposal)
    done = {str(body(event)["step"]): event for event in stage.run_events("StepSucceeded")}
    if any(step["id"] not in done for step in steps):
        return None
    stage.acted_position = max(event.position for event in done.values())
    told = [_told(step, done[str(step["id"])]) for step in steps if step.get("action") == "snmp.set"]
    actor = done[str(steps[0]["id"])].actor
    return Seen(stage.acted_position, f"{len(steps)} steps succeeded; read back: {', '.join(told)}", actor)


def _told(step: dict[str, object], event: Event) -> str:
    observed = body(event).get("observed")
    return f"{step.get('asset')} {pairs(observed) if isinstance(observed, dict) else '?'}"


def at_the_device(stage: Stage) -> Seen | None:
    """The devices themselves hold the planned set-points."""
    assert stage.proposal is not None
    held = device_setpoints(stage.site)
    wanted = _wanted(stage.proposal)
    if not wanted:
        raise CliError("the plan sets no set-point", f"coldaisle describe run {stage.run}")
    if any(abs(held[unit] - value) > SETPOINT_TOLERANCE_CELSIUS for unit, value in wanted.items()):
        return None
    told = ", ".join(f"{unit} {held[unit]:.1f} °C" for unit in wanted)
    return Seen(0, f"asked at the plant: set-points {told}", "the story")


def _wanted(proposal: Event) -> dict[str, float]:
    found = {}
    for step in planned_steps(proposal):
        arguments = step.get("arguments")
        if isinstance(arguments, dict) and arguments.get("metric") == SETPOINT_METRIC:
            found[str(step["asset"])] = float(arguments["value"])
    return found


def cooling_down(stage: Stage) -> Seen | None:
    """The alerted rack is below the limit again, and clearly below its peak."""
    inlet = stage.chronicle.inlets.get(stage.asset)
    if inlet is None or inlet.position <= stage.acted_position:
        return None
    peak = stage.peak[stage.asset]
    if inlet.celsius >= stage.threshold_celsius or inlet.celsius > peak - FALL_CELSIUS:
        return None
    what = f"inlet of {stage.asset} fell to {inlet.celsius:.1f} °C from {peak:.1f} °C"
    return Seen(inlet.position, what, "agent/demo")


def verified(stage: Stage) -> Seen | None:
    """The run succeeded: telemetry showed that it helped."""
    failed = stage.run_events("RunFailed")
    if failed:
        raise CliError(f"run {stage.run} failed: {body(failed[0])['reason']}")
    found = stage.run_events("RunSucceeded")
    if not found:
        return None
    return Seen(found[0].position, f"run {stage.run} verified: {body(found[0])['summary']}", found[0].actor)


def cleared(stage: Stage) -> Seen | None:
    """The alert cleared."""
    for event in stage.chronicle.of_type("AlertCleared"):
        if body(event).get("alert") == stage.alert:
            return Seen(event.position, f"alert {stage.alert} cleared: {body(event)['summary']}", event.actor)
    return None


def _is_inlet_limit(kind: str, metric: str) -> bool:
    return kind == "limit" and bare(metric) == INLET_METRIC


def _threshold(alert: Event) -> float:
    evidence = body(alert).get("evidence")
    value = evidence.get("threshold") if isinstance(evidence, dict) else None
    return float(value) if isinstance(value, int | float) else HEALTHY_CELSIUS


SCENES: tuple[Scene, ...] = (
    Scene("healthy", healthy),
    Scene("broken", broken),
    Scene("warming", warming),
    Scene("AlertOpened", alerted),
    Scene("RunProposed", proposed),
    Scene("RunApproved", approved),
    Scene("StepSucceeded", acted),
    Scene("device", at_the_device),
    Scene("recovering", cooling_down),
    Scene("RunSucceeded", verified),
)
BONUS = Scene("AlertCleared", cleared)
