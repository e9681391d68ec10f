"""SystemService: how the system itself is."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import grpc

from coldaisle.core.store import LiveTwin
from coldaisle.core.store.reactions import ReactorRunner
from coldaisle.server.convert import timestamp
from coldaisle.server.hub import AgentHub
from coldaisle.v1 import system_pb2, system_pb2_grpc

MAX_LAG_EVENTS = 10_000
MAX_AHEAD_SECONDS = 60.0
"""How far the history may be ahead of the clock."""


class SystemService(system_pb2_grpc.SystemServiceServicer):
    """See system.proto."""

    def __init__(
        self, store: str, live: LiveTwin, hub: AgentHub, reactors: Sequence[ReactorRunner], started: int
    ) -> None:
        self._store = store
        self._live = live
        self._hub = hub
        self._reactors = reactors
        self._started = started

    async def GetStatus(  # noqa: N802 - the API's name
        self, request: system_pb2.GetStatusRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> system_pb2.Status:
        """Counts, agents, reactors, and what needs a person."""
        return self.status()

    def status(self) -> system_pb2.Status:
        """The same, for whoever is in this process."""
        twin, head = self._live.current, self._live.current.position
        status = system_pb2.Status(
            version=version("coldaisle"),
            store=self._store,
            position=head,
            start_time=timestamp(self._started),
            agents=self._agents(),
            reactors=[
                system_pb2.ReactorStatus(
                    name=runner.reactor.name,
                    position=runner.position,
                    lag_events=max(0, head - runner.position),
                )
                for runner in self._reactors
            ],
            asset_count=len(twin.assets),
            series_count=twin.series_count(),
            open_alert_count=len(twin.open_alerts()),
            waiting_run_count=sum(run.state == "proposed" for run in twin.runs.values()),
        )
        status.problems.extend(
            f"reactor {runner.reactor.name} waits: {runner.problem}"
            for runner in self._reactors
            if runner.problem
        )
        status.problems.extend(_problems(status))
        status.problems.extend(_clock_problems(self._live.recorded, time.time_ns()))
        status.healthy = not status.problems
        return status

    def _agents(self) -> list[system_pb2.AgentStatus]:
        found = []
        for agent in sorted(self._live.current.agents.values(), key=lambda agent: agent.id):
            link = self._hub.links.get(agent.id)
            found.append(
                system_pb2.AgentStatus(
                    name=f"agents/{agent.id}",
                    connected=link is not None,
                    last_seen_time=timestamp(link.seen if link else agent.seen),
                    spool_events=link.spool_events if link else 0,
                    received_events=link.received_events if link else 0,
                )
            )
        return found


def _problems(status: system_pb2.Status) -> list[str]:
    problems = [
        f"{agent.name} is not connected: look at its log, or start it again"
        for agent in status.agents
        if not agent.connected
    ]
    problems += [
        f"reactor {reactor.name} is {reactor.lag_events} events behind: the server is overloaded"
        for reactor in status.reactors
        if reactor.lag_events > MAX_LAG_EVENTS
    ]
    if not status.agents:
        problems.append("no agent has ever connected: start one with `coldaisle agent run --config FILE`")
    return problems


def _clock_problems(recorded: int, now: int) -> list[str]:
    """A clock that was set back; until it has caught up, what is measured now counts as late."""
    ahead_seconds = (recorded - now) / 1e9
    if ahead_seconds <= MAX_AHEAD_SECONDS:
        return []
    until = datetime.fromtimestamp(recorded / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        f"the clock is {ahead_seconds:.0f} s behind the history: it was set back or is wrong. Readings count "
        f"as late, and silence is not noticed, until {until}: correct the clock, or watch by other means"
    ]
