"""``coldaisle backtest`` over a history that a server recorded."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coldaisle.core.detect import Detector
from coldaisle.core.events import encode, sequenced_id, stream_of
from coldaisle.core.events.types import AssetObserved, SamplesRecorded
from coldaisle.core.store.chain_keys import load_or_make_chain_keys
from coldaisle.core.store.reactions import ReactorRunner
from coldaisle.core.store.sqlite import SqliteStore
from coldaisle.playbooks import PolicyReactor
from coldaisle.server.backtest_commands import backtest
from coldaisle.server.main import running
from coldaisle.server.settings import ServeSettings, Settings

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND
POLLS = 120
HOT_FROM, HOT_UNTIL = 60, 80
HOT = 34.0  # over the A1 allowable limit of 32 °C


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A rack that was too warm for 200 seconds; judged, and answered by the policy."""
    asyncio.run(record(tmp_path))
    return tmp_path


async def record(folder: Path) -> None:
    async with running(Settings(serve=ServeSettings(data_dir=str(folder), listen="127.0.0.1:0"))):
        pass  # says its configuration, policies and playbooks
    keys = load_or_make_chain_keys(folder / "chain.key")
    async with SqliteStore(folder / "events.db", chain=keys) as store:
        for number in range(POLLS):
            time = START + number * 10 * SECOND
            inlet = HOT if HOT_FROM <= number < HOT_UNTIL else 21.0 + number % 3 / 10
            for n, body in enumerate((
                AssetObserved("rack-1", "rack", {}, "test"),
                SamplesRecorded("rack-1", ("inlet_temperature_celsius",), (inlet,)),
            )):  # fmt: skip
                event = encode(
                    body, id=sequenced_id(time, "test", 2 * number + n), time=time, actor="agent/test"
                )
                await store.append(stream_of(body), [event])
        await judge(store)


async def judge(store: SqliteStore) -> None:
    """Detection first, then the policy on what it said, each to the end."""
    for reactor in (Detector(), PolicyReactor()):
        runner = ReactorRunner(store, reactor)
        task = asyncio.create_task(runner.run())
        await runner.caught_up.wait()
        task.cancel()
        await asyncio.wait([task])


def run(folder: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(backtest, ["--data", str(folder), *map(str, arguments)])


def compared(folder: Path, *arguments: str | Path) -> dict[str, object]:
    done = run(folder, "-o", "json", *arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def candidate(folder: Path, text: str) -> Path:
    file = folder / "candidate.toml"
    file.write_text(text)
    return file


def test_what_was_in_force_says_again_exactly_what_was_recorded(folder: Path) -> None:
    found = compared(folder)
    assert found["recorded"] == found["tried"]
    assert found["differences"] == []
    recorded = found["recorded"]
    assert [alert["kind"] for alert in recorded["alerts"].values()] == ["limit"]
    (alert,) = recorded["alerts"].values()
    assert (alert["opened"], alert["cleared"]) == (
        START + (HOT_FROM + 2) * 10 * SECOND,  # 3 of 5
        START + (HOT_UNTIL + 2) * 10 * SECOND,
    )
    assert [run["policy"] for run in recorded["runs"].values()] == ["cool-hot-racks"]
    assert found["series_days"] == pytest.approx((POLLS - 1) * 10 / 86_400)
    assert "no difference" in run(folder).output


def test_another_configuration_shows_what_moves_and_what_is_lost(folder: Path) -> None:
    slower = compared(folder, "--config", candidate(folder, "[detect]\nraise_count = 5\n"))
    (moved,) = slower["differences"]
    assert moved["what"] == "moved"
    assert moved["tried"]["opened"] - moved["recorded"]["opened"] == 20 * SECOND
    assert "opens 20 s later" in run(folder, "--config", folder / "candidate.toml").output

    tolerant = candidate(folder, '[detect]\nashrae_class = "A4"\n')
    (changed,) = compared(folder, "--config", tolerant)["differences"]
    assert (changed["what"], changed["recorded"]["severity"], changed["tried"]["severity"]) == (
        "changed", "page", "warn",
    )  # fmt: skip

    patient = candidate(folder, "[detect]\nraise_count = 30\nraise_window = 30\n")
    found = compared(folder, "--config", patient)
    assert [difference["what"] for difference in found["differences"]] == ["lost"]
    assert found["tried"]["runs"] == {}
    assert "not started" in run(folder, "--config", patient).output


def test_policies_on_trial_change_runs_and_no_alert(folder: Path) -> None:
    found = compared(folder, "--config", candidate(folder, "policies = []\n"))
    assert (found["differences"], found["tried"]["runs"]) == ([], {})
    assert len(found["recorded"]["runs"]) == 1


def test_a_span_counts_causes_on_both_sides_alike(folder: Path) -> None:
    before = compared(folder, "--to", "2027-01-15T08:10:00+00:00")
    assert before["recorded"] == before["tried"] == {"alerts": {}, "runs": {}}
    after = compared(folder, "--from", "2027-01-15T08:12:00Z")
    assert after["recorded"] == after["tried"]


def test_a_history_that_another_version_judged_is_refused_by_name(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("coldaisle.server.startup.REACTION_MEANING", 999)
    refused = run(folder)
    assert refused.exit_code == 1
    assert "was judged by detector" in refused.output
    assert "--allow-mixed-versions" in refused.output
    assert run(folder, "--allow-mixed-versions").exit_code == 0


def test_a_moment_without_its_zone_is_refused(folder: Path) -> None:
    refused = run(folder, "--from", "2027-01-15T08:10:00")
    assert refused.exit_code == 2
    assert "with its zone" in refused.output
