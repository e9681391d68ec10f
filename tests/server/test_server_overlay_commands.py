"""The commands about one alert, silences, maintenance and the detector, against a real server."""

import asyncio
import json
import os
import re
import sys
from dataclasses import dataclass

import pytest

WAIT_SECONDS = 30


@dataclass(frozen=True)
class Ran:
    """What a finished command left."""

    code: int | None
    out: str
    err: str


@pytest.fixture
async def cli(api, agent, plant, data):
    """Runs ``coldaisle`` in a process of its own, beside a server that knows the hall."""
    await agent.report(*plant)
    env = os.environ | {"COLDAISLE_SERVER": api.address, "COLDAISLE_TOKEN_FILE": str(data / "token")}

    async def run(*arguments: str) -> Ran:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "coldaisle.cli", *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=env,
        )  # fmt: skip
        async with asyncio.timeout(WAIT_SECONDS):
            out, err = await process.communicate()
        return Ran(process.returncode, out.decode(), err.decode())

    return run


@pytest.fixture
async def alert(cli, api, agent, losing) -> str:
    """The id of an open alert on rack-1."""
    await agent.report(losing("rack-1"))
    (event,) = await api.event("AlertOpened")
    return json.loads(event.data_json)["alert"]


async def test_an_alert_is_described_by_both_commands_alike(cli, alert) -> None:
    told = await cli("alert", "describe", alert)
    assert told.code == 0, told.err
    assert "rack-1 does not answer" in told.out
    assert re.sub(r"\d+s ago", "", told.out) == re.sub(
        r"\d+s ago", "", (await cli("describe", "alert", alert)).out
    )


async def test_notice_and_verdict_are_recorded_and_told(cli, api, alert) -> None:
    assert (await cli("alert", "ack", alert, "--note", "on my way")).code == 0
    judged = await cli("alert", "feedback", alert, "false", "--note", "cable pulled on purpose")
    assert judged.code == 0
    assert "stays open while that holds" in judged.err
    (event,) = await api.events("FeedbackGiven")
    assert json.loads(event.data_json) == {
        "alert": alert, "verdict": "false", "note": "cable pulled on purpose",
    }  # fmt: skip
    told = (await cli("alert", "describe", alert)).out
    assert re.search(r"verdict: +false", told)
    assert "open, seen" in told


async def test_a_wrong_verdict_or_alert_says_what_to_do(cli, alert) -> None:
    assert (await cli("alert", "feedback", alert, "maybe")).code == 2
    missing = await cli("alert", "feedback", "a-0", "false")
    assert missing.code == 3
    assert "coldaisle alerts --all" in missing.err


async def test_an_alert_is_silenced_by_what_it_is_about(cli, api, alert, agent, losing) -> None:
    tried = await cli("alert", "silence", alert, "--for", "2h", "--reason", "known", "--dry-run")
    assert "not recorded" in tried.out
    assert await api.events("SilenceCreated") == []
    made = await cli("alert", "silence", alert, "--for", "2h", "--reason", "known", "-o", "json")
    silence = json.loads(made.out)
    assert silence["matcher"] == {"asset": "assets/rack-1", "metric": "", "kind": "unreachable"}
    listed = await cli("silence", "list")
    assert "asset=rack-1 kind=unreachable" in listed.out
    assert (await cli("silence", "expire", silence["name"])).code == 0
    assert (await cli("silence", "list", "-o", "name")).out == ""


async def test_a_silence_needs_a_matcher_and_a_span(cli) -> None:
    without = await cli("silence", "add", "--for", "1h", "--reason", "x")
    assert (without.code, "matcher" in without.err) == (2, True)
    assert (await cli("silence", "add", "--kind", "limit", "--for", "soon", "--reason", "x")).code == 2
    wrong = await cli("silence", "add", "--kind", "limit", "--for", "1h", "--start", "later", "--reason", "x")
    assert (wrong.code, "+2h" in wrong.err) == (2, True)
    right = await cli("silence", "add", "--kind", "limit", "--for", "1h", "--start", "+2h", "--reason", "x")
    assert right.code == 0, right.err


async def test_work_is_scheduled_listed_and_ended(cli, api) -> None:
    arguments = ("maintenance", "schedule", "crac-1", "--dependents", "--for", "4h", "--reason", "filter")
    tried = await cli(*arguments, "--dry-run")
    assert "covers 3 assets" in tried.err
    assert await api.events("MaintenanceScheduled") == []
    name = (await cli(*arguments, "-o", "name")).out.strip()
    assert "crac-1, rack-1, rack-2" in (await cli("maintenance", "list")).out
    assert (await cli("maintenance", "end", name.removeprefix("maintenances/"))).code == 0
    assert (await cli("maintenance", "list", "-o", "name")).out == ""
    assert (await cli("maintenance", "end", name)).code == 3


async def test_the_detector_is_told_with_thresholds_and_what_it_holds(cli, alert) -> None:
    await cli("silence", "add", "--kind", "novelty", "--for", "1h", "--reason", "load test")
    told = (await cli("detectors")).out
    assert re.search(r"novelty_page_score +0\.111", told)
    assert re.search(rf"rack-1 \(models of the asset\) +{alert}", told)
    assert re.search(r"inlet_temperature_celsius +any ashrae_class=A1 +.*warn_above=27", told)
    assert "load test" in told
    assert "follows:       3 series" in told
    told = json.loads((await cli("detectors", "-o", "json")).out)
    assert json.loads(told["configurationJson"])["clear_count"] == 3
