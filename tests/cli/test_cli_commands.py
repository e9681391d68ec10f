"""The commands against a real server: forms, positions, exit codes."""

import json
import re
import subprocess

import pytest
import yaml

from coldaisle.cli.errors import EXIT_CODE_MEANINGS
from coldaisle.cli.main import run
from coldaisle.v1 import playbooks_pb2

ESCAPE = "\x1b"


def test_a_table_states_the_position_on_stderr(cli):
    ran = cli("get", "assets")
    assert ran.code == 0
    assert ran.out.splitlines()[0].split()[:3] == ["NAME", "KIND", "LOCATION"]
    assert "true at @4711" in ran.err


def test_all_pages_are_read_and_merged(cli):
    ran = cli("get", "assets", "-o", "json")
    document = json.loads(ran.out)
    assert [each["name"] for each in document["assets"]] == [f"assets/rack-a0{n}" for n in range(1, 6)]
    assert (document["totalSize"], document["nextPageToken"], document["revision"]) == (5, "", "4711")


def test_limit_stops_and_says_that_there_is_more(cli):
    ran = cli("get", "assets", "--limit", "3", "-o", "name")
    assert ran.out.split() == ["assets/rack-a01", "assets/rack-a02", "assets/rack-a03"]
    assert "stopped after 3 of 5" in ran.err


def test_every_form_says_the_same(cli):
    document = json.loads(cli("get", "assets", "rack-a01", "-o", "json").out)
    assert yaml.safe_load(cli("get", "assets", "rack-a01", "-o", "yaml").out) == document
    assert json.loads(cli("get", "assets", "rack-a01", "-o", "jsonl").out) == document
    assert cli("get", "assets", "rack-a01", "-o", "name").out == "assets/rack-a01\n"


@pytest.mark.parametrize("form", ["table", "wide", "json", "jsonl", "yaml", "name"])
@pytest.mark.parametrize("command", [["get", "assets"], ["alerts"], ["replay"], ["describe", "run", "r-1"]])
def test_nothing_is_coloured_off_a_terminal(cli, command, form):
    ran = cli(*command, "-o", form, FORCE_COLOR="1", CLICOLOR_FORCE="1")
    assert ran.code == 0, ran.err
    assert ESCAPE not in ran.out + ran.err


HOSTILE = "x\x1b[2J\x1b]0;owned\x07\r\nroot# \x9b31m\x7f\u202egnp\u2028"
UNSEEN = set(HOSTILE) - set("x[2J]0;owned\nroot# 31mgnp")


@pytest.mark.parametrize("form", ["table", "wide", "json", "jsonl", "yaml", "name"])
@pytest.mark.parametrize(
    "command",
    [["get", "assets", "rack-a01"], ["replay"],
     ["describe", "asset", "rack-a01"], ["describe", "alert", "a-1"], ["describe", "run", "r-1"]],
)  # fmt: skip
def test_text_of_a_device_never_reaches_the_terminal_as_a_command(cli, command, form):
    cli.canned.rack.name = f"assets/{HOSTILE}"
    cli.canned.rack.attributes[HOSTILE] = HOSTILE
    cli.canned.alert.summary = cli.canned.run.reason = HOSTILE
    cli.canned.run.plan.steps[0].asset = cli.canned.run.name = HOSTILE
    cli.canned.rack.open_alerts.append("alerts/a-1")
    ran = cli(*command, "-o", form)
    assert ran.code == 0, ran.err
    assert not UNSEEN & set(ran.out + ran.err)
    if form in ("table", "wide", "name"):
        assert not [line for line in ran.out.splitlines() if line.startswith("root#")]


def test_a_machine_reads_the_text_of_a_device_as_it_is(cli):
    cli.canned.rack.attributes["model"] = HOSTILE
    for form, read in (("json", json.loads), ("jsonl", json.loads), ("yaml", yaml.safe_load)):
        told = read(cli("get", "assets", "rack-a01", "-o", form).out)
        assert told["attributes"]["model"] == HOSTILE


def test_a_plan_to_approve_hides_no_step_behind_escapes(cli):
    cli.canned.run.plan.steps[0].arguments_json = json.dumps({"value": HOSTILE})
    ran = cli("playbook", "approve", "r-1", "--yes")
    assert ran.code == 0, ran.err
    assert "snmp.set" in ran.err
    assert not UNSEEN & set(ran.out + ran.err)


def test_an_error_of_the_server_is_text_and_no_command(cli):
    cli.canned.refusal = HOSTILE
    ran = cli("playbook", "run", "other", "--reason", "w")
    assert ran.code == 6
    assert not UNSEEN & set(ran.err)


def test_as_of_reaches_the_server(cli):
    assert cli("get", "assets", "--as-of", "@17", "--filter", "kind=rack").code == 0
    assert cli.canned.requests[0].moment.as_of_revision == 17
    assert cli.canned.requests[0].filter == "kind=rack"
    assert cli("get", "assets", "--as-of", "-3h").code == 0
    assert cli.canned.requests[-1].moment.HasField("as_of_time")


def test_alerts_are_the_open_ones_by_default(cli):
    cli("alerts")
    assert cli.canned.requests[-1].filter == "state=open"
    cli("alerts", "--all")
    assert cli.canned.requests[-1].filter == ""


def test_the_evidence_of_an_alert_is_told(cli):
    told = cli("describe", "alert", "a-1").out
    assert "is 28.40: above 27 (ASHRAE A1 recommended) by 1.40" in told
    assert "it hangs on crac-2" in told
    assert "coldaisle get events @4000" in told


def test_the_detail_of_the_evidence_is_told_in_words(cli):
    told = cli("alert", "describe", "a-1").out
    assert "it was always between 18.2 and 26.2 since 2026-10-26" in told
    assert "28% of that range outside" in told
    assert "at 27.1, and closer to the range, the value alone is no alert" in told
    assert "usual at this hour: 22.4" in told
    assert "moved at the same time: power_watts" in told
    assert "similar before: a-0 (coldaisle alert describe a-0)" in told
    assert "weights: value 1.25, diff 0.25" in told
    assert "judged by river 0.26.1" in told


def test_the_whole_evidence_is_in_the_machine_form(cli):
    told = json.loads(cli("alert", "describe", "a-1", "-o", "json").out)
    evidence = json.loads(told["evidenceJson"])
    assert (evidence["detail"]["quiet_at"], evidence["upstream"]) == (27.1, ["crac-2"])


@pytest.mark.parametrize("group", ["alerts", "alert"])
def test_an_acknowledgement_carries_its_note(cli, group):
    assert cli(group, "ack", "a-1", "--note", "on my way").code == 0
    request = cli.canned.requests[-1]
    assert (request.name, request.note, bool(request.request_id)) == ("alerts/a-1", "on my way", True)


def test_replay_draws_the_hall_and_names_its_state(cli):
    told = cli("replay", "--as-of", "@4711").out
    assert re.search(r"row-a +a01 +a02", told)
    assert "29.0^" in told
    assert "12" * 32 in told


def test_replay_says_what_a_bound_keeps_out_of_the_picture(cli, monkeypatch, capsys):
    monkeypatch.setattr("coldaisle.cli.hall.MAX_ASSETS", 3)
    options = ["--server", cli.server, "--token-file", str(cli.token_file)]
    assert run([*options, "replay"]) == 0
    told = capsys.readouterr()
    assert "a03" in told.out
    assert "a04" not in told.out
    assert "only 3 of 5 assets are shown" in told.err


def test_another_state_than_expected_is_an_integrity_error(cli):
    assert cli("replay", "--verify", "12" * 8).code == 0
    ran = cli("replay", "--verify", "34" * 8)
    assert ran.code == 8
    assert "next:" in ran.err


def test_events_are_followed_across_a_lost_connection(cli):
    ran = cli("events", "-f", "--after", "7", "-o", "name")
    assert ran.out.split() == ["@8", "@9"]
    assert [each.resume_after_revision for each in cli.canned.requests] == [7, 8, 9]
    assert ran.code == 1  # the canned server refuses the third stream


def test_a_run_is_followed_across_lost_connections_until_it_ends(cli):
    cli.canned.run_losses = 2
    ran = cli("watch", "runs", "r-1")
    assert ran.code == 0, ran.err
    assert [line.split()[2] for line in ran.out.splitlines()] == ["proposed", "failed"]
    assert "connection lost" in ran.err


def test_what_is_not_there_is_3(cli):
    ran = cli("get", "assets", "rack-z99")
    assert ran.code == 3
    assert ran.err.splitlines()[0] == "error: there is no asset 'assets/rack-z99'"
    assert ran.err.splitlines()[1].startswith("next:  ")


def test_a_wrong_token_is_4_and_the_servers_advice_is_the_next_step(cli):
    cli.token_file.write_text("wrong")
    ran = cli("get", "assets")
    assert ran.code == 4
    assert ran.err.splitlines() == [
        "error: a valid token is needed",
        "next:  use the file that the server wrote",
    ]


@pytest.mark.parametrize(
    "content", [b"secret\nsecond line\n", b"sec\x01ret", b"\x00" * 10_000, b"secret" * 1_000, b"\xffsecret"]
)
def test_what_is_in_a_file_that_is_no_token_is_not_told(cli, content):
    cli.token_file.write_bytes(content)
    ran = cli("status")
    assert ran.code == 4
    assert "is no token file" in ran.err
    assert "secret" not in ran.err
    assert len(ran.err.splitlines()) == 2


def test_a_token_file_that_never_ends_is_refused(cli):
    assert cli("--token-file", "/dev/zero", "status").code == 4


def test_a_server_that_is_away_is_9(cli):
    ran = cli("--server", "127.0.0.1:1", "status")
    assert ran.code == 9
    assert "coldaisle serve" in ran.err


def test_wrong_usage_is_2(cli):
    assert cli("get", "nonsense").code == 2
    assert cli("get", "assets", "--as-of", "yesterday").code == 2
    assert cli("nonsense").code == 2


BEYOND = "9" * 20


@pytest.mark.parametrize(
    "arguments",
    [["get", "events", f"@{BEYOND}"], ["get", "events", "@" + "9" * 5_000], ["events", "--after", BEYOND],
     ["watch", "alerts", "--after", BEYOND], ["get", "assets", "--as-of", "@" + "9" * 5_000],
     ["get", "assets", "--as-of", "0001-01-01T00:00+05:00"],
     ["get", "assets", "--as-of", "9999-12-31T23:59-05:00"],
     ["silence", "add", "--asset", "x", "--for", "1h", "--reason", "r", "--start", "+999999w"],
     ["alert", "ack", "a-\udcff"], ["get", "assets", "--filter", "kind=\udcff"],
     ["--server", "127.0.0.1", "status"], ["--server", "localhost:http", "status"],
     ["--server", "127.0.0.1:72978", "status"], ["--server", ":7443", "status"],
     ["--tls-ca", __file__ + ".none", "status"], ["--tls-ca", "/dev/null", "status"]],
)  # fmt: skip
def test_a_value_that_cannot_be_is_wrong_usage(cli, arguments):
    ran = cli(*arguments)
    assert ran.code == 2, ran.err
    assert "report it" not in ran.err


def test_the_reader_of_a_pipe_may_leave(cli):
    for form in ("table", "json", "jsonl", "name"):
        ran = cli.into("get", "assets", "-o", form, output=subprocess.PIPE)
        assert (ran.code, ran.err) == (0, "")


def test_a_full_disk_is_said(cli):
    with open("/dev/full", "wb") as full:
        ran = cli.into("get", "assets", "-o", "json", output=full)
    assert ran.code == 1
    assert ran.err.splitlines()[1] == "next:  make room, or write elsewhere"


def test_a_token_never_leaves_this_machine_in_clear(cli):
    ran = cli("--server", "192.0.2.1:7443", "status")
    assert ran.code == 2
    assert "--tls-ca" in ran.err


def test_an_unhealthy_system_is_1(cli):
    assert cli("status").code == 0
    cli.canned.healthy = False
    ran = cli("status")
    assert ran.code == 1
    assert "look here" in ran.out


def test_a_trace_shows_only_on_debug(cli):
    assert "Traceback" not in cli("get", "assets", "x").err
    assert "Traceback" in cli("--debug", "get", "assets", "x").err


def test_a_proposed_run_waits_with_7(cli):
    ran = cli(
        "playbook",
        "run",
        "boost-cooling",
        "-p",
        "asset=rack-a01",
        "-p",
        "setpoint_celsius=14",
        "--reason",
        "w",
    )
    assert ran.code == 7
    assert "coldaisle playbook approve r-1" in ran.err
    request = cli.canned.requests[-1]
    assert json.loads(request.parameters_json) == {"asset": "rack-a01", "setpoint_celsius": 14}


def test_a_run_that_can_have_no_plan_is_blocked_with_6(cli):
    assert cli("playbook", "run", "other", "--reason", "w").code == 6


def test_a_dry_run_only_asks_for_the_plan(cli):
    ran = cli("playbook", "run", "boost-cooling", "--reason", "w", "--dry-run")
    assert ran.code == 0
    assert cli.canned.requests[-1].validate_only
    assert "snmp.set" in ran.out


def test_a_run_that_did_not_help_ends_with_5(cli):
    assert cli("playbook", "run", "boost-cooling", "--reason", "w", "--wait").code == 5


def test_approval_is_never_asked_for_without_a_terminal(cli):
    ran = cli("playbook", "approve", "r-1")
    assert ran.code == 2
    assert "--yes" in ran.err
    assert not cli.canned.requests


def test_approval_is_bound_to_the_plan_that_was_shown(cli):
    ran = cli("playbook", "approve", "r-1", "--yes")
    assert ran.code == 0
    assert cli.canned.requests[-1].plan_hash == "ab" * 32
    assert "snmp.set" in ran.err
    assert cli("playbook", "approve", "r-1", "--yes", "--plan-hash", "cd").code == 1


def test_an_approved_run_is_shown_with_the_one_that_it_waits_for(cli, make_run):
    cli.canned.run = make_run(playbooks_pb2.Run.STATE_APPROVED)
    cli.canned.run.waits_for = "runs/r-0"
    assert "waits for r-0" in cli("get", "runs").out
    assert "r-0" in cli("describe", "run", "r-1").out.partition("waits for:")[2].splitlines()[0]


def test_only_what_waits_can_be_approved(cli, make_run):
    cli.canned.run = make_run(playbooks_pb2.Run.STATE_REJECTED)
    assert cli("playbook", "approve", "r-1", "--yes").code == 1


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --no-files")]
)
def test_completion_scripts_are_printed(cli, shell, mark):
    ran = cli("completion", shell)
    assert mark in ran.out
    assert "_COLDAISLE_COMPLETE" in ran.out


def test_completion_answers_from_the_table(cli):
    ran = cli("playb", _COLDAISLE_COMPLETE="bash_complete", COMP_WORDS="coldaisle playb", COMP_CWORD="1")
    assert ran.out == "plain,playbook\n"


def test_exit_codes_are_documented(cli):
    told = cli("help", "exit-codes").out
    assert [int(line.split()[0]) for line in told.splitlines()] == [code.value for code in EXIT_CODE_MEANINGS]
    assert "130" in cli("--help").out
