"""What the machines of a running lab tell by themselves: log lines, and the servers' kernel files."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from coldaisle.lab.devices.server import identity_files, kernel_files
from coldaisle.lab.hall import Hall
from coldaisle.lab.inputs import Inputs
from coldaisle.lab.logs import lines_between
from coldaisle.lab.notices import Notice
from coldaisle.lab.plant import Plant

SERVERS = "servers"
"""The folder with a root directory for each server, as a host collector reads it."""
MAX_LINES_A_STEP = 200
"""Of each machine: an accelerated storm says no more between two steps of the plant."""


def lines_of(hall: Hall, inputs: Inputs, since: float, until: float) -> Iterator[Notice]:
    """Return what all machines say between two plant seconds."""
    for logger in hall.loggers:
        said = lines_between(hall, inputs, logger, since, until)
        yield from (each.notice for each in islice(said, MAX_LINES_A_STEP))


def write_identities(directory: Path, hall: Hall) -> None:
    """Write what never changes of each server."""
    for index, name in enumerate(hall.servers):
        for place, text in identity_files(hall, index).items():
            path = directory / SERVERS / name / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        (directory / SERVERS / name / "proc/net").mkdir(exist_ok=True)


def write_kernel_files(directory: Path, hall: Hall, plant: Plant) -> None:
    """Write what the kernels show now, in place: a reader that keeps files open sees it."""
    for index, name in enumerate(hall.servers):
        for place, text in kernel_files(hall, plant, index).items():
            (directory / SERVERS / name / place).write_text(text, "utf-8")
