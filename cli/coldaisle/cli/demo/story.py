"""``coldaisle demo --story``: told unattended, and believed only when the history shows it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import click

from coldaisle.cli.client import Client, moment_of
from coldaisle.cli.demo.children import Children
from coldaisle.cli.demo.proof import missing_links
from coldaisle.cli.demo.scenes import BONUS, SCENES, Scene, Seen, Stage
from coldaisle.cli.demo.site import Site
from coldaisle.cli.errors import CliError, ExitCode
from coldaisle.cli.output import note
from coldaisle.cli.paging import read_all
from coldaisle.cli.telling import tell
from coldaisle.v1.common_pb2 import Event
from coldaisle.v1.history_pb2 import EventFilter, GetStateRequest, ListEventsRequest, State

LOOK_SECONDS = 0.5
BONUS_SECONDS = 30.0
READ_BACK_SECONDS = 30.0
MAX_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since the story began, and when it must end."""

    started: float
    limit_seconds: float

    def offset(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.started

    def left(self) -> float:
        """Seconds until the limit."""
        return self.limit_seconds - self.offset()


def tell_story(site: Site, children: Children, limit_seconds: float) -> int:
    """Play every scene; ExitCode.OK only if all were seen and the history proves them."""
    clock = Clock(time.monotonic(), limit_seconds)
    with Client(site.settings()) as client:
        stage = Stage(site, client)
        for at, scene in enumerate(SCENES):
            if not _play(scene, stage, children, clock, clock.left()):
                _give_up([each.title for each in SCENES[at:]], clock)
                return ExitCode.FAILED
        if not _play(BONUS, stage, children, clock, min(clock.left(), BONUS_SECONDS)):
            note("the alert is still open: it clears when the inlet has stayed cool for a while")
        return _conclude(stage, children, clock)


def _play(scene: Scene, stage: Stage, children: Children, clock: Clock, seconds: float) -> bool:
    """Look until the scene is seen or the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        children.check()
        seen = _unless_away(lambda: _look(scene, stage))
        if seen is not None:
            _tell(scene.title, seen, clock)
            return True
        time.sleep(LOOK_SECONDS)
    return False


def _look(scene: Scene, stage: Stage) -> Seen | None:
    stage.refresh()
    return scene.look(stage)


def _unless_away(look: Callable[[], Seen | None]) -> Seen | None:
    """What was seen; nothing while the server is away, for it may be starting again."""
    try:
        return look()
    except CliError as error:
        if error.exit_code is not ExitCode.UNAVAILABLE:
            raise
        return None


def _tell(title: str, seen: Seen, clock: Clock) -> None:
    position = f"@{seen.position}" if seen.position else "-"
    by = f"  [{seen.actor}]" if seen.actor else ""
    tell([f"+{clock.offset():6.1f}s  {position:>8}  {title:<13}  {seen.what}{by}"])


def _give_up(titles: list[str], clock: Clock) -> None:
    note(f"error: not seen within {clock.limit_seconds:g} s: {', '.join(titles)}")
    note("next:  look into the logs (--keep), or allow longer with --limit-seconds")


def _conclude(stage: Stage, children: Children, clock: Clock) -> int:
    """Read the history back and judge it."""
    deadline = time.monotonic() + READ_BACK_SECONDS
    while True:
        children.check()
        try:
            events = _read_back(stage)
            state = stage.client.call(stage.client.history.GetState, GetStateRequest())
            break
        except CliError as error:
            if error.exit_code is not ExitCode.UNAVAILABLE or time.monotonic() > deadline:
                raise
            time.sleep(LOOK_SECONDS)
    missing = missing_links(events, stage.alert, stage.run)
    for line in missing:
        note(f"missing: {line}")
    _summarise(stage, events, state, clock, proved=not missing)
    return ExitCode.FAILED if missing else ExitCode.OK


def _read_back(stage: Stage) -> list[Event]:
    prefixes = [f"alert-{stage.alert}", f"run-{stage.run}"]
    request = ListEventsRequest(
        filter=EventFilter(stream_prefixes=prefixes), moment=moment_of(stage.chronicle.position)
    )
    client = stage.client
    return list(read_all(client, client.history.ListEvents, request, "events", MAX_EVENTS).events)


def _summarise(stage: Stage, events: list[Event], state: State, clock: Clock, *, proved: bool) -> None:
    verdict = "The history proves every step" if proved else "The history does not prove the story"
    click.echo(f"\n{verdict}: {len(events)} events of alert {stage.alert} and run {stage.run}:")
    for event in events:
        click.echo(
            f"  @{event.position:<7} {event.type:<20} {event.actor:<20} caused by {_cause(event, events)}"
        )
    click.echo(f"\ntook        {clock.offset():.1f} s")
    click.echo(f"state hash  {state.state_hash} at @{state.revision}")
    click.echo(f"replay it   coldaisle serve --data {stage.site.directory / 'server'}")
    click.echo(f"            coldaisle replay --as-of @{state.revision} --verify {state.state_hash[:16]}")
    click.echo("            (the data stays where --keep or --directory was given)")


def _cause(event: Event, events: list[Event]) -> str:
    before = next((each for each in events if each.id == event.causation_id), None)
    if before is not None:
        return f"@{before.position} {before.type}"
    return event.causation_id or "nothing recorded"
