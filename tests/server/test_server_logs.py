"""Log lines through the server: templates and counts are in the history, and a replay says them again."""

import time

from coldaisle.core.events.types import LogLine, LogLinesRecorded, SamplesRecorded
from coldaisle.server.store_options import STORE_FILE
from coldaisle.server.verify import verify_file

MINUTE = 60_000_000_000


async def test_templates_and_counts_are_recorded_and_replay_to_the_same(data, serving, agent_of, on_wire):
    begin = time.time_ns() // MINUTE * MINUTE - 3 * MINUTE
    lines = tuple(
        LogLine(begin + n, 6, "sshd", f"Failed password for root from 10.0.0.{n}") for n in range(9)
    )
    async with serving(data) as api:
        agent = agent_of(api)
        await agent.hello()
        await agent.send(
            on_wire(LogLinesRecorded("host-a", lines, "syslog"), time_unix_nano=begin),
            on_wire(SamplesRecorded("rack-1", ("power_watts",), (1.0,)), time_unix_nano=begin + 2 * MINUTE),
        )
        [added] = await api.event("LogTemplateAdded")
        counted = [e for e in await api.event("SamplesRecorded", count=3) if "log_lines" in str(e)]
        agent.cut()
    assert "Failed password for root from <*>" in str(added)
    assert [each.time.seconds for each in counted] == [
        (begin + MINUTE) // 1_000_000_000, (begin + 2 * MINUTE) // 1_000_000_000
    ]  # fmt: skip
    verdict = await verify_file(data / STORE_FILE, None, lambda done, end: None)
    assert verdict.faults == ()
    assert verdict.answers["templates"] == 3
