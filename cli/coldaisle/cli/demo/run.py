"""Brings the demonstration up, shows it, and takes all of it down again."""

import fcntl
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
from coldaisle.cli.errors import CliError, ExitCode
from coldaisle.cli.output import note

LOCK_FILE = "demo.lock"


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
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup wants to outlive its terminal
            signal.signal(number, _interrupt)
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


def _made(directory: Path | None) -> Path:
    try:
        if directory is None:
            return Path(tempfile.mkdtemp(prefix="coldaisle-"))
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CliError(
            f"the demonstration has no directory: {error}", "choose another --directory"
        ) from error
    return directory.resolve()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the directory: a second demonstration would take the files of the first one's programs."""
    with (directory / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CliError(
                f"a demonstration runs in {directory} already", "stop it, or choose another --directory"
            ) from error
        yield


@contextmanager
def _directory(wishes: Wishes) -> Iterator[Path]:
    """The directory to work in; a temporary one goes away afterwards unless it is to be kept."""
    directory = _made(wishes.directory)
    if wishes.directory is not None:
        with _alone(directory):
            yield directory
        return
    try:
        yield directory
    finally:
        if wishes.keep:
            note(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
