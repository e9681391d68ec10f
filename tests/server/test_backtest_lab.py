"""A day of the lab, with faults in it, judged again by what was in force: exactly the recorded alerts."""

import asyncio
from pathlib import Path

import pytest

from coldaisle.core.detect import Detector
from coldaisle.core.store.chain_keys import load_or_make_chain_keys
from coldaisle.core.store.reactions import ReactorRunner
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.core.templates import TemplateReactor
from coldaisle.lab.faults import Fault
from coldaisle.lab.history import append
from coldaisle.lab.recording import Recorder
from coldaisle.playbooks import PolicyReactor
from coldaisle.server.backtest import BEGINNING, OPEN_END, Candidate, Span, backtest
from coldaisle.server.main import running
from coldaisle.server.settings import ServeSettings, Settings
from coldaisle.server.startup import model_versions

POLL_SECONDS = 300.0
HEALTHY_POLLS, POLLS = 295, 310  # the statistics warm up in a day


@pytest.mark.timeout(300)
async def test_a_lab_history_backtests_to_the_alerts_that_were_recorded(tmp_path: Path) -> None:
    async with running(Settings(serve=ServeSettings(data_dir=str(tmp_path), listen="127.0.0.1:0"))):
        pass  # says its configuration, policies and playbooks
    async with SqliteStore(
        tmp_path / "events.db", chain=load_or_make_chain_keys(tmp_path / "chain.key")
    ) as store:
        await record(store)
        for reactor in (TemplateReactor(), Detector(), PolicyReactor()):
            await judge(store, ReactorRunner(store, reactor))
        span = Span(BEGINNING, OPEN_END)
        found = await backtest(store, span, Candidate(), model_versions(), lambda *_: None)
    assert found.differences == ()
    assert found.tried == found.recorded
    assert {"crac-2", "rack-a03"} & {alert.asset for alert in found.recorded.alerts.values()}
    assert found.recorded.of_severity("page") > 0
    assert found.series_days > 1_000


async def record(store: SqliteStore) -> None:
    """A healthy day, then a fan and a feed that fail."""
    recorder = Recorder(1, POLL_SECONDS)
    number = await append(store, recorder.first(), 0)
    for poll in range(POLLS):
        if poll == HEALTHY_POLLS:
            recorder.inject(Fault("fan_failure", "crac-2"))
            recorder.inject(Fault("phase_overload", "pdu-a03-a"))
        number = await append(store, recorder.poll(), number)


async def judge(store: SqliteStore, runner: ReactorRunner) -> None:
    task = asyncio.create_task(runner.run())
    await runner.caught_up.wait()
    task.cancel()
    await asyncio.wait([task])
