"""What an agent needs of the machine that it runs on: permissions, limits, clock, disk, spool."""

import os
import resource
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from coldaisle.agent.config import AgentConfig, split_address
from coldaisle.agent.findings import Finding
from coldaisle.core.version import VERSION

WANTED_RECEIVE_BYTES = 4 * 1024 * 1024
WANTED_FILES = 256
_RMEM_MAX = Path("/proc/sys/net/core/rmem_max")
_PORT_START = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_STATUS = Path("/proc/self/status")
_CAP_NET_BIND_SERVICE = 10
_TIMEX_BYTES = 256  # larger than any kernel's struct timex
_TIME_ERROR = 5  # what adjtimex answers while nothing disciplines the clock


def machine(config: AgentConfig) -> Iterator[Finding]:
    """Everything that can be told without the network."""
    yield versions()
    yield from secrets(config)
    yield data_folder(config.path(config.agent.data_dir))
    yield disk_space(config)
    yield spool(config.path(config.agent.data_dir) / "spool.db")
    yield open_files()
    yield from receive_buffer(config)
    yield from ports(config)
    yield clock()


def versions() -> Finding:
    """What runs here."""
    python = ".".join(map(str, sys.version_info[:3]))
    return Finding(f"coldaisle {VERSION}, Python {python}, SQLite {sqlite3.sqlite_version}")


def secrets(config: AgentConfig) -> Iterator[Finding]:
    """Files with secrets can be read by this user and by no others."""
    agent = config.agent
    named = {config.path(name) for name in (agent.token_file, agent.key_file) if name}
    named |= {Path(d.read_community_file) for d in config.devices if d.read_community_file}
    named |= {Path(d.write_community_file) for d in config.devices if d.write_community_file}
    for path in sorted(named):
        yield _secret(path)


def _secret(path: Path) -> Finding:
    if not os.access(path, os.R_OK):
        return Finding(f"{path} cannot be read by user {os.geteuid()}", "change its owner or mode")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & stat.S_IROTH:
        return Finding(f"{path} can be read by everybody (mode {mode:o})", f"chmod 600 {path}")
    return Finding(f"{path} is readable here, and not by everybody")


def data_folder(folder: Path) -> Finding:
    """The folder can be written, or made."""
    place = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        what = f"data_dir {folder} cannot be written by user {os.geteuid()}: {error.strerror}"
        return Finding(what, f"change the owner of {place}")
    return Finding(f"data_dir {folder} can be written")


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())


def disk_space(config: AgentConfig) -> Finding:
    """What the spool may grow to has room."""
    folder = config.path(config.agent.data_dir)
    found = os.statvfs(_existing(folder))
    free = found.f_bavail * found.f_frsize
    used = sum(path.stat().st_size for path in folder.glob("spool.db*")) if folder.is_dir() else 0
    what = f"{free / 1e6:.0f} MB are free for a spool of up to {config.spool.max_bytes / 1e6:.0f} MB"
    if free + used < config.spool.max_bytes:
        return Finding(what, "free some, or lower spool.max_bytes")
    return Finding(what)


def spool(path: Path) -> Finding:
    """The spool is whole; also beside an agent that runs."""
    if not path.exists():
        return Finding(f"no spool at {path} yet")
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            [verdict] = connection.execute("PRAGMA integrity_check(1)").fetchone()
            count, size = connection.execute(
                "SELECT count(*), coalesce(sum(bytes), 0) FROM batches"
            ).fetchone()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        verdict, count, size = str(error), 0, 0
    if verdict != "ok":
        return Finding(f"spool {path}: {verdict}", "restart the agent: it moves the file aside and says so")
    return Finding(f"spool {path} is whole; {count} batches of {size} bytes wait")


def open_files() -> Finding:
    """There are descriptors enough for connections of syslog and files of the kernel."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    what = f"{soft} files may be open"
    return Finding(what) if soft >= WANTED_FILES else Finding(what, f"allow {WANTED_FILES} (ulimit -n)")


def receive_buffer(config: AgentConfig, rmem_max: Path = _RMEM_MAX) -> Iterator[Finding]:
    """Bursts of datagrams fit into the kernel's buffer, where datagrams are received at all."""
    if not (config.devices or config.traps.udp or config.syslog.udp) or not rmem_max.exists():
        return
    limit = int(rmem_max.read_text())
    what = f"a UDP socket may buffer {limit} bytes"
    remedy = f"sysctl -w net.core.rmem_max={WANTED_RECEIVE_BYTES}"
    yield Finding(what) if limit >= WANTED_RECEIVE_BYTES else Finding(what, remedy)


def ports(config: AgentConfig) -> Iterator[Finding]:
    """Ports below the first free one need a capability."""
    first = int(_PORT_START.read_text()) if _PORT_START.exists() else 1024
    for address in (config.syslog.udp, config.syslog.tcp, config.traps.udp):
        if address and 0 < split_address(address)[1] < first:
            what = f"{address} is below port {first}"
            yield (
                Finding(f"{what}, and allowed")
                if _may_bind()
                else Finding(what, "give the service CAP_NET_BIND_SERVICE, or take a higher port")
            )


def _may_bind() -> bool:
    if not _STATUS.exists():
        return os.geteuid() == 0
    [line] = [line for line in _STATUS.read_text().splitlines() if line.startswith("CapEff:")]
    return bool(int(line.split()[1], 16) >> _CAP_NET_BIND_SERVICE & 1)


def clock() -> Finding:
    """The kernel says whether something keeps the clock right."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "adjtimex"):
        return Finding("this system does not say whether its clock is kept right")
    state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state == _TIME_ERROR:
        return Finding("nothing keeps this machine's clock right", "run chrony, ntpd or systemd-timesyncd")
    return Finding("the clock is kept right" if state >= 0 else "the clock's state cannot be read here")
