"""What tests of several areas share."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings

SMALL_DISK_BYTES = 1 << 20

# Hypothesis allows an example 200 ms: a first import takes longer where others use the disk.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, to be filled."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(disk)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Takes all the room that is left, and answers the file to delete for making room again."""
    ballast = disk / "ballast"
    with pytest.raises(OSError, match="No space left"), ballast.open("ab", buffering=0) as out:
        while True:
            out.write(b"x" * 4_096)
    return ballast


@pytest.fixture
def fill_disk() -> Callable[[Path], Path]:
    """How to fill it."""
    return fill


def steps_of(work: Callable[[], object]) -> int:
    """How many instructions of Python code it takes: a cost that no busy machine changes."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.fixture(scope="session")
def count_steps() -> Callable[[Callable[[], object]], int]:
    """How to count them."""
    return steps_of
