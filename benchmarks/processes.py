"""What the kernel says about another process: CPU time of all its threads, memory, open files."""

import os
from pathlib import Path

_NANOSECONDS = 1e9
_KIB_A_MB = 1024


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads that live, in nanosecond steps (stat only counts ticks)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / _NANOSECONDS


def memory_mb(pid: int) -> dict[str, float]:
    """Resident and proportional (shared pages counted by their share) memory, and what is its alone."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss", "Anonymous"):
            found[f"{name.lower()}_mb"] = round(int(rest.split()[0]) / _KIB_A_MB, 1)
    return found


def open_files(pid: int) -> int:
    """How many descriptors are open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def compiled(folder: Path) -> dict[str, str]:
    """An environment in which modules are compiled once, as an installed package's are."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
