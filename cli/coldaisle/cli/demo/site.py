"""Where everything of one demonstration lies, on which ports, and what is started."""

import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from coldaisle.cli.demo.children import Program
from coldaisle.cli.errors import CliError
from coldaisle.cli.settings import Settings

LOOPBACK = "127.0.0.1"
LAB_SECONDS = 30.0
CALL_SECONDS = 5.0
FAULT = ("compressor_failure", "crac-2")


@dataclass(frozen=True, slots=True)
class Site:
    """One demonstration; ports are free at the time of asking."""

    directory: Path
    speed: float
    server_port: int
    metrics_port: int
    syslog_port: int
    syslog_tcp_port: int
    traps_port: int

    @property
    def hall(self) -> Path:
        """The lab's directory."""
        return self.directory / "hall"

    @property
    def server(self) -> str:
        """The server's address."""
        return f"{LOOPBACK}:{self.server_port}"

    @property
    def token_file(self) -> Path:
        """The token that the server writes."""
        return self.directory / "server" / "token"

    def settings(self) -> Settings:
        """How to talk to the server."""
        return Settings(self.server, self.token_file, timeout_seconds=CALL_SECONDS)

    def lab(self) -> Program:
        """The hall. A second start would be another hall, on other ports."""
        return Program(
            "lab",
            (
                "lab", "run", "--directory", str(self.hall), "--port", "0", "--speed", f"{self.speed:g}",
                "--syslog", f"{LOOPBACK}:{self.syslog_port}", "--traps", f"{LOOPBACK}:{self.traps_port}",
            ),
            ready="lab ready",
            restarts=False,
        )  # fmt: skip

    def serve(self) -> Program:
        """The server."""
        return Program(
            "server",
            (
                "serve", "--data", str(self.directory / "server"), "--listen", self.server,
                "--metrics", f"{LOOPBACK}:{self.metrics_port}",
            ),
            ready="serving on ",
        )  # fmt: skip

    def agent(self) -> Program:
        """The agent."""
        return Program("agent", ("agent", "run", "--config", str(self.directory / "agent.toml")))

    def agent_toml(self) -> str:
        """The agent's configuration; paths are relative to the file."""
        return f"""\
[agent]
name = "demo"
server = "{self.server}"
token_file = "server/token"
data_dir = "agent"
inventory = ["hall/inventory.toml"]

[host]
enabled = true
poll_seconds = 2.0

[syslog]
udp = "{LOOPBACK}:{self.syslog_port}"
tcp = "{LOOPBACK}:{self.syslog_tcp_port}"

[traps]
udp = "{LOOPBACK}:{self.traps_port}"

[snmp]
poll_seconds = 1.0
"""


def lay_out(directory: Path, speed: float) -> Site:
    """Make the directory and the agent's configuration."""
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    tcp, udp = free_ports(socket.SOCK_STREAM, 3), free_ports(socket.SOCK_DGRAM, 2)
    site = Site(directory, speed, tcp[0], tcp[1], udp[0], tcp[2], udp[1])
    (directory / "agent.toml").write_text(site.agent_toml(), encoding="utf-8")
    return site


def free_ports(kind: socket.SocketKind, count: int) -> list[int]:
    """Different ports that nobody uses now; the kernel chooses them at random."""
    sockets = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def inject_fault(site: Site) -> None:
    """Break the cooling unit of the story, through the lab's own command."""
    _lab(site, "fault", *FAULT)


def device_setpoints(site: Site) -> dict[str, float]:
    """The set-points that the devices truly hold, whatever any monitoring believes."""
    found = json.loads(_lab(site, "state", "-o", "json"))
    return {name: float(state["setpoint_celsius"]) for name, state in found["cracs"].items()}


def _lab(site: Site, *arguments: str) -> str:
    command = [sys.executable, "-m", "coldaisle.cli", "lab", *arguments, "--directory", str(site.hall)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LAB_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise CliError(
            f"the lab did not answer within {LAB_SECONDS:g} s", f"look into {site.directory}/lab.log"
        ) from error
    if done.returncode != 0:
        raise CliError(f"the lab refused: {done.stderr.strip()}", "coldaisle lab faults")
    return done.stdout
