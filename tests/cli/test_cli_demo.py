"""The parts of the demonstration: the proof, the children, the screen."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from coldaisle.cli.commands.demo import MAX_SPEED
from coldaisle.cli.demo.children import Children, Program
from coldaisle.cli.demo.proof import missing_links
from coldaisle.cli.demo.show import Frame, plain_line
from coldaisle.cli.demo.site import Site, lay_out
from coldaisle.cli.demo.view import screen
from coldaisle.cli.errors import CliError, ExitCode
from coldaisle.cli.hall import RAMP, Cooling, Hall, HostLoad, RackSpot, degrees, picture, ramp_colour, symbol
from coldaisle.lab import simulator
from coldaisle.v1 import alerts_pb2, assets_pb2, playbooks_pb2
from coldaisle.v1.common_pb2 import Event

STEP = {"id": "s1", "action": "snmp.set", "asset": "crac-1", "arguments": {"value": 14}}


def told(position: int, kind: str, causation: str = "", **body: object) -> Event:
    return Event(
        position=position, id=f"e{position}", type=kind, causation_id=causation, data_json=json.dumps(body)
    )


def whole_story() -> list[Event]:
    evidence = {"value": 28.0, "threshold": 27.0, "since": 1}
    plan = {"hash": "h", "steps": [STEP]}
    return [
        told(1, "AlertOpened", alert="a", evidence=evidence),
        told(2, "RunProposed", "e1", run="r", alert="a", policy="p", plan=plan),
        told(3, "RunApproved", run="r", plan_hash="h"),
        told(4, "StepStarted", "e3", run="r", step="s1"),
        told(5, "StepSucceeded", "e4", run="r", step="s1", observed={"value": 14}),
        told(6, "VerificationStarted", "e5", run="r"),
        told(7, "RunSucceeded", "e6", run="r"),
    ]


def test_a_whole_history_proves_the_story():
    assert missing_links(whole_story(), "a", "r") == []


@pytest.mark.parametrize("gone", range(7))
def test_no_event_of_the_story_can_be_left_out(gone):
    events = whole_story()
    del events[gone]
    assert missing_links(events, "a", "r")


@pytest.mark.parametrize("broken", [1, 3, 4, 6])
def test_a_broken_chain_of_causes_is_no_proof(broken):
    events = whole_story()
    events[broken].causation_id = "something-else"
    assert missing_links(events, "a", "r")


@pytest.mark.parametrize(
    ("at", "key", "value"),
    [
        (0, "evidence", {}),
        (1, "policy", ""),
        (2, "plan_hash", "other"),
        (4, "observed", {}),
        (4, "observed", {"value": 18}),
    ],
)
def test_a_body_that_tells_something_else_is_no_proof(at, key, value):
    events = whole_story()
    events[at].data_json = json.dumps({**json.loads(events[at].data_json), key: value})
    assert missing_links(events, "a", "r")


def children(directory: Path, *, supervise: bool, notes: list[str]) -> Children:
    return Children(directory, supervise=supervise, tell=notes.append)


def test_a_child_that_ends_is_reported_with_its_log(tmp_path):
    program = Program("one", ("get", "nonsense"), ready="never said")
    with children(tmp_path, supervise=False, notes=[]) as running, pytest.raises(CliError) as raised:
        running.start(program)
    assert "one ended with 2" in str(raised.value)
    assert "nonsense" in str(raised.value)


def lab_of(directory: Path) -> Program:
    return replace(lay_out(directory, 20.0).lab(), restarts=True)


def test_no_child_outlives_its_context(tmp_path):
    with children(tmp_path, supervise=False, notes=[]) as running:
        running.start(lab_of(tmp_path))
        pid = int((tmp_path / "lab.pid").read_text())
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (tmp_path / "lab.pid").exists()


def test_a_supervised_child_is_started_again(tmp_path):
    notes: list[str] = []
    with children(tmp_path, supervise=True, notes=notes) as running:
        running.start(lab_of(tmp_path))
        pid = int((tmp_path / "lab.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while not notes and time.monotonic() < deadline:
            running.check()
        assert notes == ["lab ended with -9; starting it again"]
        assert int((tmp_path / "lab.pid").read_text()) != pid


def test_a_death_without_supervision_is_an_error(tmp_path):
    with children(tmp_path, supervise=False, notes=[]) as running:
        running.start(lab_of(tmp_path))
        os.kill(int((tmp_path / "lab.pid").read_text()), signal.SIGKILL)
        with pytest.raises(CliError, match="lab ended with -9"):
            for _ in range(10_000_000):
                running.check()


@contextmanager
def demo(*arguments: str, temporary: Path) -> Iterator["subprocess.Popen[str]"]:
    """``coldaisle demo``, from when it has a directory."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, and it would too
    process = subprocess.Popen(
        [sys.executable, "-m", "coldaisle.cli", "demo", "--headless", "600", *arguments],
        env={**os.environ, "TMPDIR": str(temporary)}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    signal.signal(signal.SIGHUP, before)
    with process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("everything is in ")
        try:
            yield process
        finally:
            process.terminate()
            process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_nothing_stays_of_a_demo_whose_terminal_was_closed(tmp_path, number):
    with demo(temporary=tmp_path) as running:
        assert list(tmp_path.iterdir())
        running.send_signal(number)
        assert running.wait() == ExitCode.INTERRUPTED
        assert list(tmp_path.iterdir()) == []


def test_a_second_demo_in_a_directory_leaves_the_first_alone(cli, tmp_path):
    directory = tmp_path / "hall"
    with demo("--directory", str(directory), temporary=tmp_path):
        before = (directory / "agent.toml").read_text()
        second = cli("demo", "--headless", "1", "--directory", str(directory))
        assert second.code == ExitCode.FAILED
        assert f"a demonstration runs in {directory} already" in second.err
        assert (directory / "agent.toml").read_text() == before


def test_a_demo_without_a_directory_says_so(cli, tmp_path):
    (tmp_path / "file").touch()
    ran = cli("demo", "--directory", str(tmp_path / "file" / "below"))
    assert ran.code == ExitCode.FAILED
    assert "next:  choose another --directory" in ran.err


def test_a_demo_is_at_most_as_fast_as_its_lab():
    assert MAX_SPEED == simulator.MAX_SPEED


def busy_frame(make_run, alert_count: int) -> Frame:
    racks = tuple(
        RackSpot(f"rack-{row}{n:02d}", f"row-{row}", 18.0 + 2 * n) for row in "ab" for n in range(1, 9)
    )
    alert = alerts_pb2.Alert(name="alerts/a-1", asset="assets/rack-a01", summary="too warm " * 30)
    hall = Hall(
        4711,
        racks,
        tuple(Cooling(f"crac-{n}", True, 18.0, 18.0, 52.0) for n in range(1, 5)),
        (HostLoad("here", 5.0, 40.0, 51.0),),
        (alert,) * alert_count,
        (make_run(playbooks_pb2.Run.STATE_PROPOSED),),
    )
    site = Site(Path("/tmp/coldaisle-abcdefgh"), 20.0, 40001, 40002, 40003, 40004, 40005)
    return Frame(site, hall, 58.0, 42.0)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 40)])
@pytest.mark.parametrize("alert_count", [0, 1, 30])
def test_the_screen_fits_and_always_says_what_to_type(make_run, width, height, alert_count):
    lines = [line.plain for line in screen(busy_frame(make_run, alert_count), width, height)]
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "coldaisle playbook approve r-1" in text
    assert "export COLDAISLE_TOKEN_FILE=/tmp/coldaisle-abcdefgh/server/token" in text
    assert "coldaisle lab fault compressor_failure crac-2" in text
    assert "34.0!" in text


def test_a_plain_line_names_what_waits(make_run):
    line = plain_line(busy_frame(make_run, 2))
    assert "16/16 racks, inlets 20.0 to 34.0 °C" in line
    assert "waiting for approval: r-1" in line


@pytest.mark.parametrize(
    ("celsius", "mark"),
    [(14.9, "v"), (15.0, "-"), (18.0, " "), (27.0, " "), (27.1, "^"), (32.1, "!"), (None, "?")],
)
def test_each_band_has_a_sign_beside_its_colour(celsius, mark):
    assert symbol(celsius) == mark
    assert len(degrees(celsius)) == 4


def test_the_ramp_passes_through_its_stops_and_ends_there():
    assert [ramp_colour(celsius) for celsius, _ in RAMP] == [colour for _, colour in RAMP]
    assert (ramp_colour(-5.0), ramp_colour(60.0)) == (RAMP[0][1], RAMP[-1][1])


@pytest.mark.story
@pytest.mark.timeout(400)
def test_the_story_is_told_and_proved(cli, tmp_path):
    ran = cli("demo", "--story", "--directory", str(tmp_path), "--keep", limit_seconds=300)
    assert ran.code == 0, ran.out + ran.err
    assert "The history proves every step" in ran.out


def test_assets_are_in_the_order_of_their_numbers_whatever_their_names_hold():
    names = ["rack-10", "rack-2", "rack-1²3", "rack-٣"]
    assets = [assets_pb2.Asset(name=f"assets/{name}", kind="rack") for name in names]
    hall = picture(1, assets, (), ())
    assert [rack.name for rack in hall.racks][-2:] == ["rack-٣", "rack-10"]


def test_what_a_device_says_is_no_command_to_the_screen(make_run):
    frame = busy_frame(make_run, 1)
    frame.hall.alerts[0].summary = "down \x1b[2J\x1b]0;owned\x07"
    text = "\n".join(line.plain for line in screen(frame, 140, 40))
    assert "down  [2J ]0;owned" in text
    assert "\x1b" not in text
