"""A small hall, its history, and a cooling device for the tests of playbooks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from coldaisle.core.actions import ActionRequest, ActionResult
from coldaisle.core.events import encode, new_id, stream_of
from coldaisle.core.events import types as t
from coldaisle.core.events.envelope import Fact, NewEvent
from coldaisle.core.store import Append, Appended, EventStore, LiveTwin
from coldaisle.core.store.memory import MemoryStore
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.twin import Run, Twin, fold
from coldaisle.playbooks import Runner, approve, make_plan, propose, read_playbook
from coldaisle.playbooks.language import Playbook

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND

COOL = """
playbook: cool
title: Cool a rack
parameters:
  asset: {type: asset, kind: rack, description: the rack}
  celsius: {type: number, default: 14, minimum: 10, maximum: 22}
steps:
  - id: lower
    action: snmp.set
    for_each: {related_by: cooled_by, to: "${asset}", where: {metric: cooling_percent, above: 0}}
    with: {metric: supply_setpoint_celsius, value: "${celsius}"}
    timeout_seconds: 0.2
verify:
  assets: "${asset}"
  metric: inlet_temperature_celsius
  below: 26.5
  for_seconds: 10
  within_seconds: 600
"""


def hall_bodies() -> list[t.AnyEvent]:
    """rack-a01 is cooled by crac-1, crac-2, crac-10 and crac-3; rack-b01 by crac-1 only."""
    bodies: list[t.AnyEvent] = [
        t.AssetObserved("rack-a01", "rack"),
        t.AssetObserved("rack-b01", "rack"),
        t.AssetObserved("pdu-a", "pdu"),
    ]
    for name, cooling in [("crac-10", 50.0), ("crac-2", 60.0), ("crac-1", 70.0), ("crac-3", 0.0)]:
        bodies.append(t.AssetObserved(name, "crac"))
        bodies.append(t.AssetLinked("rack-a01", "cooled_by", name))
        bodies.append(t.SamplesRecorded(name, ("cooling_percent",), (cooling,)))
    bodies.append(t.AssetLinked("rack-b01", "cooled_by", "crac-1"))
    return bodies


def alert_body(alert: str = "al-1", asset: str = "rack-a01", severity: t.Severity = "page") -> t.AlertOpened:
    """A rack is too warm."""
    evidence = t.Evidence("value", 31.0, 27.0, "limit", START)
    return t.AlertOpened(
        alert, asset, "inlet_temperature_celsius", "limit", severity, f"{asset} is warm", evidence
    )  # fmt: skip


def facts_of(bodies: Sequence[t.AnyEvent], step_seconds: float = 1.0) -> list[Fact]:
    """The bodies as a history: position n at START + n steps."""
    facts: list[Fact] = []
    versions: dict[str, int] = {}
    for position, body in enumerate(bodies, start=1):
        stream = stream_of(body)
        versions[stream] = versions.get(stream, -1) + 1
        time = START + round(position * step_seconds * SECOND)
        facts.append(
            Fact(position, stream, versions[stream], position.to_bytes(16), time, time, "t", None, None, body)
        )
    return facts


@pytest.fixture(scope="session")
def twin() -> Twin:
    return fold(Twin(), facts_of(hall_bodies()))


@pytest.fixture(scope="session")
def hall_after() -> Callable[..., Twin]:
    """The hall's twin after further bodies."""
    return lambda *bodies: fold(Twin(), facts_of([*hall_bodies(), *bodies]))


@pytest.fixture(scope="session")
def history() -> Callable[..., list[Fact]]:
    """The hall's history with further bodies, ten seconds from event to event."""
    return lambda *bodies: facts_of([*hall_bodies(), *bodies], step_seconds=10)


@pytest.fixture(scope="session")
def alert() -> Callable[..., t.AlertOpened]:
    return alert_body


@pytest.fixture(scope="session")
def cool() -> Playbook:
    return read_playbook(COOL, "cool.yaml")


class Clock:
    """A wall clock that moves when told, and a little at each look."""

    def __init__(self) -> None:
        self.now = START + 1_000 * SECOND

    def __call__(self) -> int:
        self.now += 1_000
        return self.now


class Device:
    """Cooling units that hold set-points. ``mode`` says how they answer a perform of an asset."""

    def __init__(self) -> None:
        self.setpoints: dict[str, float] = {}
        self.requests: list[ActionRequest] = []
        self.modes: dict[str, str] = {}
        self.blind = False
        """Set: nobody can be asked what happened."""
        self.before: Callable[[ActionRequest], None] = lambda request: None

    def performed(self) -> list[str]:
        return [request.asset for request in self.requests if request.verb == "perform"]

    async def carry_out(self, request: ActionRequest) -> ActionResult:
        self.requests.append(request)
        self.before(request)
        wanted = float(str(request.arguments["value"]))
        if request.verb == "probe":
            return self._probe(request.asset, wanted)
        return await self._set(request, wanted)

    def _probe(self, asset: str, wanted: float) -> ActionResult:
        if self.blind:
            return ActionResult("unknown", "it does not answer")
        held = self.setpoints.get(asset, 18.0)
        shown = {"value": held}
        if held == wanted:
            return ActionResult("done", observed=shown)
        return ActionResult("not_done", f"the device shows {held:g}", shown)

    async def _set(self, request: ActionRequest, wanted: float) -> ActionResult:
        mode = self.modes.pop(f"{request.verb} {request.asset}", "")
        if mode == "refuse":
            return ActionResult("not_done", "noAccess")
        if mode == "hang":
            await asyncio.Event().wait()
        former = self.setpoints.get(request.asset, 18.0)
        self.setpoints[request.asset] = wanted
        if mode == "break":
            raise ConnectionResetError("peer went away")
        return ActionResult("done", observed={"value": wanted}, undo={"value": former})


class CrashError(Exception):
    """The process died."""


class CrashingStore(MemoryStore):
    """A store whose process dies at the n-th append of a runner, before or after it is on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.crash_at: int | None = None
        self.after_disk = False
        self.runner_appends = 0

    async def append_many(self, appends: Sequence[Append]) -> list[Appended]:
        by_runner = appends[0].events[0].actor.startswith("runner")
        self.runner_appends += by_runner
        if not by_runner or self.runner_appends != self.crash_at:
            return await super().append_many(appends)
        if self.after_disk:
            await super().append_many(appends)
        raise CrashError


class Hall:
    """A store with the hall in it, its twin, its device and a clock."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.live = LiveTwin(store)
        self.device = Device()
        self.clock = Clock()

    async def say(self, *bodies: t.AnyEvent, time: int | None = None, actor: str = "test") -> Twin:
        """Append what happened and wait until the twin has seen it."""
        moment = self.clock() if time is None else time
        appended = Appended(-1, 0)
        for body in bodies:
            event: NewEvent = encode(body, id=new_id(moment), time=moment, actor=actor)
            appended = await self.store.append(stream_of(body), [event])
        return await self.live.at_least(appended.position)

    async def propose(self, playbook: Playbook, run: str = "r-1") -> Run:
        twin = self.live.current
        plan = make_plan(playbook, {"asset": "rack-a01"}, twin, self.clock())
        return (await self.say(propose(twin, run, plan, "too warm"))).runs[run]

    async def approve(self, playbook: Playbook, run: str = "r-1") -> Run:
        proposed = await self.propose(playbook, run)
        approval = approve(proposed, proposed.plan.hash, self.clock())
        return (await self.say(approval, actor="anna")).runs[run]

    async def until(self, holds: Callable[[Run], bool], run: str = "r-1") -> Run:
        """The run, once this holds."""
        twin = self.live.current
        while run not in twin.runs or not holds(twin.runs[run]):
            twin = await self.live.beyond(twin.position)
        return twin.runs[run]

    async def until_state(self, *states: str, run: str = "r-1") -> Run:
        return await self.until(lambda seen: seen.state in states, run)

    async def show(self, celsius: float, *seconds: float) -> None:
        """Record the rack's inlet at these moments after the start of the verification."""
        since = self.live.current.runs["r-1"].verifying_since or 0
        for moment in seconds:
            body = t.SamplesRecorded("rack-a01", ("inlet_temperature_celsius",), (celsius,))
            await self.say(body, time=since + round(moment * SECOND))

    async def overdue(self) -> None:
        """Let the time pass, and let something happen so that everybody looks at the clock."""
        self.clock.now += 3_600 * SECOND
        await self.say(t.SamplesRecorded("pdu-a", ("power_watts",), (1.0,)))

    def runner(self, actor: str = "runner") -> Runner:
        return Runner(self.store, self.live, self.device, actor, self.clock)

    @asynccontextmanager
    async def running(self, *actors: str) -> AsyncIterator[None]:
        """Runners at work; they are stopped at the end."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.runner(actor).run()) for actor in actors or ("runner",)]
            yield
            for task in tasks:
                task.cancel()

    async def events(self, run: str = "r-1") -> list[str]:
        """The types of the run's events."""
        return [event.type for event in await self.store.read_stream(f"run-{run}")]


@asynccontextmanager
async def _opened(store: EventStore) -> AsyncIterator[Hall]:
    async with asyncio.TaskGroup() as group:
        hall = Hall(store)
        following = group.create_task(hall.live.run())
        await hall.say(*hall_bodies())
        yield hall
        following.cancel()


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    async with CrashingStore() as store, _opened(store) as hall:
        yield hall


@pytest.fixture
async def on_disk(tmp_path: Path) -> AsyncIterator[Hall]:
    async with SqliteStore(tmp_path / "events.db") as store, _opened(store) as hall:
        yield hall
