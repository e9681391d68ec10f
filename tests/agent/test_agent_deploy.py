"""The files of ``deploy/`` are what systemd accepts, and call what exists."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from coldaisle.agent.commands import agent

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "coldaisle-agent.service"


def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "coldaisle"
    program.symlink_to(sys.executable)  # the unit names the installed program, which is not here
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/bin/coldaisle", str(program)))
    found = subprocess.run(
        [verify, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


@pytest.mark.parametrize("file", [UNIT, DEPLOY / "agent.Containerfile"], ids=lambda file: file.name)
def test_the_commands_that_are_called_exist(file: Path) -> None:
    text = file.read_text()
    assert "run" in agent.commands
    assert "--config" in text
    result = CliRunner().invoke(agent, ["check", "--help"])
    assert "--no-contact" in result.output


def test_the_container_runs_the_agent(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no docker daemon answers here")
    build = [docker, "build", "-q", "-f", str(DEPLOY / "agent.Containerfile"), str(DEPLOY.parent)]
    image = subprocess.run(build, capture_output=True, text=True, check=True).stdout.strip()
    said = subprocess.run(
        [docker, "run", "--rm", image, "--help"], capture_output=True, text=True, check=True
    )
    assert "doctor" in said.stdout
