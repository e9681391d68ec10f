"""What a program's log shows on a terminal."""

import os
import pty
import subprocess
import sys

PROGRAM = r"""
import logging
from coldaisle.core.logs import configure_logging

def ask(community):
    raise ValueError("no \x1b[2J answer")

configure_logging()
log = logging.getLogger("device")
log.warning("said %s", "\x1b]0;owned\x07 21 °C", extra={"reason": "a\x1b[2J\x9bb", "rows": ["\x1b[2J"]})
try:
    ask("a-secret-of-the-site")
except ValueError:
    log.exception("failed")
"""


def on_a_terminal(program: str) -> str:
    """What the program wrote to a terminal by stderr."""
    near, far = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=far, env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    )
    os.close(far)
    said = b""
    with process, os.fdopen(near, "rb", buffering=0) as terminal:
        try:
            while found := terminal.read(65_536):
                said += found
        except OSError:
            pass  # how Linux says that nobody has the other end any more
    return said.decode()


def test_what_devices_say_in_a_log_is_no_command_to_the_terminal():
    said = on_a_terminal(PROGRAM)
    assert "\\x1b]0;owned\\x07 21 °C" in said
    assert "ValueError: no \\x1b[2J answer" in said
    assert not [each for each in ("\x1b[2J", "\x1b]", "\x07", "\x9b") if each in said]


def test_a_trace_on_a_terminal_shows_no_values():
    said = on_a_terminal(PROGRAM)
    assert "Traceback" in said
    assert "a-secret-of-the-site" not in said
