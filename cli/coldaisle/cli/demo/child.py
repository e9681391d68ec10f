"""Starts one program of the demonstration so that it cannot outlive its parent, however that ends.

``python -m coldaisle.cli.demo.child PARENT_PID ARGUMENTS…`` is ``coldaisle ARGUMENTS…``.
"""

import ctypes
import os
import signal
import sys

from coldaisle.cli.main import run

_PR_SET_PDEATHSIG = 1


def _die_with(parent: int) -> None:
    """Ask Linux for SIGTERM when the parent dies; elsewhere the parent's own cleaning up must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    _die_with(int(sys.argv[1]))
    sys.exit(run(sys.argv[2:]))
