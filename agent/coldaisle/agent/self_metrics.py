"""What the agent says of itself, as samples of an asset of its own."""

import asyncio
import os
import time
from pathlib import Path

from coldaisle.agent.pipeline import Pipeline
from coldaisle.agent.spool import Spool
from coldaisle.agent.uplink import Uplink
from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.events.types import AssetObserved, SamplesRecorded

SELF = "self"
"""The collector's name."""

_STATM = Path("/proc/self/statm")
_NANOSECONDS = 1e9


def agent_asset(agent: str) -> str:
    """The asset that stands for an agent."""
    return f"agent-{agent}"


class SelfMetrics:
    """Emits its samples every ``seconds``."""

    def __init__(self, agent: str, seconds: float, pipeline: Pipeline, uplink: Uplink, spool: Spool) -> None:
        self._asset = agent_asset(agent)
        self._seconds = seconds
        self._pipeline = pipeline
        self._uplink = uplink
        self._spool = spool

    async def run(self, emit: Emit) -> None:
        """Say that there is an agent, then how it does, until cancelled."""
        await emit(Observation(time.time_ns(), AssetObserved(self._asset, "agent", {}, "agent")))
        while True:
            await asyncio.sleep(self._seconds)
            found = await self.sample()
            await emit(
                Observation(time.time_ns(), SamplesRecorded(self._asset, tuple(found), tuple(found.values())))
            )

    async def sample(self) -> dict[str, float | None]:
        """The values now; None for what is not known."""
        size = self._spool.size()
        oldest = await self._spool.apart(self._spool.oldest)
        lag_seconds = max(0.0, (time.time_ns() - oldest) / _NANOSECONDS) if oldest else 0.0
        return {
            "agent_spool_bytes": size.bytes,
            "agent_spool_events": size.events,
            "agent_upload_lag_seconds": lag_seconds,
            "agent_queue_events": self._pipeline.queued_count,
            "agent_dropped_events_total": self._pipeline.dropped_count + self._spool.dropped_count,
            "agent_connected": float(self._uplink.is_connected),
            "agent_clock_offset_seconds": self._uplink.clock.offset_seconds,
            "agent_cpu_seconds_total": time.process_time(),
            "agent_resident_bytes": _resident_bytes(),
            **self._pipeline.emitted(),
        }


def _resident_bytes() -> float | None:
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return None
