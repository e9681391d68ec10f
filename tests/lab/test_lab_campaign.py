"""The fault campaign in its short form, as `make bench` runs the long one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "faults.py"
SHORT_SECONDS, LONG_SECONDS = 110, 1_500
PLAIN = (
    "fan_failure", "compressor_failure", "clogged_filter", "phase_overload", "psu_failure", "link_errors",
)  # fmt: skip
"""Faults whose size leaves no doubt: they step far outside all that was seen before."""


def campaign(*options: str, seconds: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *options], capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(result, dict)
    return result


def test_plain_faults_of_each_kind_are_told_of_with_their_cause() -> None:
    result = campaign("--short", seconds=SHORT_SECONDS)
    figures, bars = result["figures"], result["bars"]
    assert figures["injections"] == 9
    assert bars["series"]["holds"], bars
    for kind in PLAIN:
        assert str(figures[kind]).startswith("1/1 told of, 1 rightly"), (kind, figures[kind])


@pytest.mark.skipif(not os.environ.get("COLDAISLE_SOAK"), reason="ten minutes: COLDAISLE_SOAK=1")
@pytest.mark.timeout(LONG_SECONDS)
def test_a_healthy_day_is_quiet_and_thirty_faults_are_told_of() -> None:
    bars = campaign(seconds=LONG_SECONDS)["bars"]
    assert all(bar["holds"] for bar in bars.values()), bars
