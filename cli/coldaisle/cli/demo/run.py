"""Brings the demonstration up, shows it, and takes all of it down again."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from coldaisle.cli.demo.children import Children
from coldaisle.cli.demo.show import show_live, show_plain
from coldaisle.cli.demo.site import Site, lay_out
from coldaisle.cli.demo.story import tell_story
from coldaisle.cli.errors import ExitCode
from coldaisle.cli.output import note


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for on the command line."""

    directory: Path | None
    speed: float
    keep: bool
    headless_seconds: float | None
    story: bool
    limit_seconds: float
    supervise: bool


def run_demo(wishes: Wishes) -> int:
    """Run until the story is told, the time is up or somebody interrupts."""
    signal.signal(signal.SIGTERM, _interrupt)
    with (
        _directory(wishes) as directory,
        Children(directory, supervise=wishes.supervise, tell=note) as children,
    ):
        site = lay_out(directory, wishes.speed)
        note(f"everything is in {directory}")
        for program in (site.lab(), site.serve(), site.agent()):
            note(f"starting {program.name} …")
            children.start(program)
        return _shown(wishes, site, children)


def _shown(wishes: Wishes, site: Site, children: Children) -> int:
    if wishes.story:
        return tell_story(site, children, wishes.limit_seconds)
    try:
        if wishes.headless_seconds is not None or not sys.stdout.isatty():
            return show_plain(site, children, wishes.headless_seconds)
        return show_live(site, children)
    except KeyboardInterrupt:
        note("stopping …")
        return ExitCode.OK  # the live view ends no other way


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _directory(wishes: Wishes) -> Iterator[Path]:
    """The directory to work in; a temporary one goes away afterwards unless it is to be kept."""
    if wishes.directory is not None:
        wishes.directory.mkdir(parents=True, exist_ok=True)
        yield wishes.directory.resolve()
        return
    directory = Path(tempfile.mkdtemp(prefix="coldaisle-"))
    try:
        yield directory
    finally:
        if wishes.keep:
            note(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
