"""Proposing, approving and following runs."""

import json
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import click

from coldaisle.cli.client import Client
from coldaisle.cli.columns import ENDED, RUNS, run_state
from coldaisle.cli.describing import grid, run_lines, section
from coldaisle.cli.errors import CliError, ExitCode
from coldaisle.cli.following import run_line
from coldaisle.cli.output import emit, note
from coldaisle.cli.resuming import pause_seconds
from coldaisle.cli.telling import tell
from coldaisle.cli.words import NOTHING, named, short
from coldaisle.v1.playbooks_pb2 import (
    ApproveRunRequest,
    CancelRunRequest,
    GetRunRequest,
    Playbook,
    RejectRunRequest,
    Run,
    RunPlaybookRequest,
    WatchRunRequest,
)


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person approves, and how sure they are. ``plan_hash`` empty: the plan that will be shown."""

    run: str
    plan_hash: str = ""
    note: str = ""
    yes: bool = False
    dry_run: bool = False


def run_request(
    name: str, parameters: Sequence[str], reason: str, *, dry_run: bool
) -> RunPlaybookRequest:  # fmt: skip
    """The request for a run."""
    return RunPlaybookRequest(
        playbook=named("playbooks", name),
        parameters_json=json.dumps(dict(parameter(each) for each in parameters)),
        reason=reason,
        request_id=str(uuid.uuid4()),
        validate_only=dry_run,
    )


def parameter(text: str) -> tuple[str, object]:
    """``key=value``; the value is JSON where it is valid JSON, and text otherwise."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise CliError(f"{text!r} is no parameter", "write it as -p key=value", ExitCode.USAGE)
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def playbook_lines(playbook: Playbook) -> list[str]:
    """A playbook: what it is for, what it takes, its source."""
    rows = [
        (each.name, each.type, "required" if each.required else f"default {each.default_json or NOTHING}",
         each.description)
        for each in playbook.parameters
    ]  # fmt: skip
    title = f"{short(playbook.name)}: {playbook.title}" if playbook.title else short(playbook.name)
    return [
        title,
        *([playbook.description] if playbook.description else []),
        *section("Parameters", grid(rows)),
        *section(f"Source (revision {playbook.revision[:12]})", playbook.source.splitlines()),
    ]


def print_run(run: Run, form: str, *, brief: bool = False) -> None:
    """Print a run; for a person the whole plan, or one line where it was just shown."""
    if form in ("table", "wide"):
        tell([run_line(run)] if brief else run_lines(run))
    else:
        emit(form, run, [run], RUNS, lambda each: each.name)


def tell_approval(run: Run) -> None:
    """Say how to approve a run that waits."""
    if run.state == Run.STATE_PROPOSED:
        note(f"waits for approval: coldaisle playbook approve {short(run.name)}")


def approve(client: Client, approval: Approval) -> Run:
    """Show the plan, ask, and approve the plan that was shown."""
    name = named("runs", approval.run)
    run = client.call(client.playbooks.GetRun, GetRunRequest(name=name))
    if run.state != Run.STATE_PROPOSED:
        raise CliError(
            f"{short(name)} is {run_state(run)} and does not wait for approval",
            f"coldaisle describe run {short(name)}",
        )
    if approval.plan_hash and approval.plan_hash != run.plan.hash:
        raise CliError(
            f"the plan of {short(name)} is {run.plan.hash}, not {approval.plan_hash}",
            f"read it again: coldaisle describe run {short(name)}",
        )
    tell(run_lines(run), err=True)
    if not (approval.yes or approval.dry_run):
        _ask(f"Approve these {len(run.plan.steps)} steps of {short(name)}?", short(name))
    request = ApproveRunRequest(
        name=name,
        plan_hash=run.plan.hash,
        note=approval.note,
        request_id=str(uuid.uuid4()),
        validate_only=approval.dry_run,
    )
    return client.call(client.playbooks.ApproveRun, request)


def _ask(question: str, run: str) -> None:
    if not sys.stdin.isatty():
        raise CliError(
            "there is no terminal to ask on",
            f"if you are sure: coldaisle playbook approve {run} --yes",
            ExitCode.USAGE,
        )
    click.confirm(question, abort=True, err=True)


def reject(client: Client, run: str, reason: str, *, dry_run: bool) -> Run:
    """Reject a run."""
    request = RejectRunRequest(
        name=named("runs", run), reason=reason, request_id=str(uuid.uuid4()), validate_only=dry_run
    )
    return client.call(client.playbooks.RejectRun, request)


def cancel(client: Client, run: str, reason: str, *, dry_run: bool) -> Run:
    """Stop a run."""
    request = CancelRunRequest(
        name=named("runs", run), reason=reason, request_id=str(uuid.uuid4()), validate_only=dry_run
    )
    return client.call(client.playbooks.CancelRun, request)


def wait_for(client: Client, name: str, seconds: float) -> ExitCode:
    """Follow a run on stderr until it ends or the time is up."""
    deadline, losses = time.monotonic() + seconds, 0
    run = client.call(client.playbooks.GetRun, GetRunRequest(name=name))
    while run.state not in ENDED and (left := deadline - time.monotonic()) > 0:
        try:
            for answer in client.stream(client.playbooks.WatchRun, WatchRunRequest(name=name), left):
                run, losses = answer.run, 0
                note(run_line(run))
        except CliError as error:
            if error.exit_code is not ExitCode.UNAVAILABLE:
                raise
        losses += 1
        time.sleep(min(pause_seconds(losses), max(deadline - time.monotonic(), 0.0)))
    if run.state not in ENDED and run.state != Run.STATE_PROPOSED:
        note(f"{short(name)} is still {run_state(run)} after {seconds:g} s")
        return ExitCode.UNAVAILABLE
    return exit_code(run)


def exit_code(run: Run) -> ExitCode:
    """What the state of a run means to the caller."""
    match run.state:
        case Run.STATE_PROPOSED:
            return ExitCode.WAITING
        case Run.STATE_FAILED if run.steps and all(step.state == "succeeded" for step in run.steps):
            return ExitCode.NOT_VERIFIED
        case Run.STATE_FAILED | Run.STATE_REJECTED | Run.STATE_CANCELLED | Run.STATE_UNKNOWN:
            return ExitCode.FAILED
        case _:
            return ExitCode.OK
