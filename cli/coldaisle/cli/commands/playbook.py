"""``coldaisle playbook``: remedies, their plans and approvals."""

import click

from coldaisle.cli import options
from coldaisle.cli.moments import AsOf
from coldaisle.cli.settings import Settings
from coldaisle.cli.telling import tell

DEFAULT_WAIT_SECONDS = 600.0


@click.group(short_help="Propose, approve and follow remedies.")
def playbook() -> None:
    """Propose, approve and follow remedies.

    \b
    coldaisle playbook list
    coldaisle playbook run boost-cooling -p asset=rack-a07 --reason "hot aisle" --dry-run
    coldaisle playbook approve r-3f2c
    """


@playbook.command("list", short_help="List the playbooks.")
@options.limit
@options.output
@click.pass_obj
def list_playbooks(settings: Settings, limit: int, form: str) -> None:
    """List the playbooks in force.

    \b
    coldaisle playbook list -o name
    """
    from coldaisle.cli.client import Client
    from coldaisle.cli.reading import Query, show_playbooks

    with Client(settings) as client:
        show_playbooks(client, Query(limit=limit, form=form))


@playbook.command(short_help="Show a playbook: its parameters and its source.")
@click.argument("name")
@options.output
@click.pass_obj
def show(settings: Settings, name: str, form: str) -> None:
    """Show the playbook NAME with its parameters and its source.

    \b
    coldaisle playbook show boost-cooling
    """
    from coldaisle.cli.client import Client
    from coldaisle.cli.output import emit
    from coldaisle.cli.running import playbook_lines
    from coldaisle.cli.words import named
    from coldaisle.v1.playbooks_pb2 import GetPlaybookRequest

    with Client(settings) as client:
        found = client.call(
            client.playbooks.GetPlaybook, GetPlaybookRequest(name=named("playbooks", name))
        )  # fmt: skip
    if form in ("table", "wide"):
        tell(playbook_lines(found))
    else:
        emit(form, found, [found], (), lambda each: each.name)


@playbook.command(short_help="List the runs.")
@options.filters
@options.as_of
@options.limit
@options.output
@click.pass_obj
def runs(settings: Settings, terms: tuple[str, ...], as_of: AsOf | None, limit: int, form: str) -> None:
    """List runs and where they stand.

    \b
    coldaisle playbook runs --filter state=proposed
    """
    from coldaisle.cli.client import Client
    from coldaisle.cli.reading import Query, show_runs

    with Client(settings) as client:
        show_runs(client, Query("", terms, as_of, limit, form))


@playbook.command("run", short_help="Propose a run of a playbook.")
@click.argument("name")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
@click.option("--reason", required=True, help="Why; it is kept in the history.")
@click.option("--wait", is_flag=True, help="Follow the run until it ends.")
@click.option(
    "--wait-seconds", type=click.FloatRange(min=1, max=86_400), default=DEFAULT_WAIT_SECONDS,
    show_default=True, help="How long --wait waits.",
)  # fmt: skip
@options.dry_run
@options.output
@click.pass_obj
def run_playbook(
    settings: Settings,
    name: str,
    parameters: tuple[str, ...],
    reason: str,
    wait: bool,
    wait_seconds: float,
    dry_run: bool,
    form: str,
) -> int:
    """Propose a run of the playbook NAME; it acts only once someone approved its plan.

    Values are JSON where they are valid JSON (30, true, "30"), and text otherwise. Exits with 7 while the
    run waits for approval.

    \b
    coldaisle playbook run boost-cooling -p asset=rack-a07 --reason "hot aisle" --dry-run
    coldaisle playbook run boost-cooling -p asset=rack-a07 --reason "hot aisle" --wait
    """
    from coldaisle.cli import running
    from coldaisle.cli.client import Client

    request = running.run_request(name, parameters, reason, dry_run=dry_run)
    with Client(settings) as client:
        found = client.call(client.playbooks.RunPlaybook, request)
        running.print_run(found, form)
        if dry_run:
            click.echo("nothing was recorded (--dry-run)", err=True)
            return 0
        running.tell_approval(found)
        return running.wait_for(client, found.name, wait_seconds) if wait else running.exit_code(found)


@playbook.command(short_help="Approve exactly the plan that is shown.")
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option("--plan-hash", default="", help="Approve only if the plan is this one.")
@click.option("--note", default="", help="Kept in the history.")
@click.option("--wait", is_flag=True, help="Follow the run until it ends.")
@options.dry_run
@options.output
@click.pass_obj
def approve(
    settings: Settings,
    run: str,
    yes: bool,
    plan_hash: str,
    note: str,
    wait: bool,
    dry_run: bool,
    form: str,
) -> int:
    """Show the exact steps of RUN, ask, and approve this very plan.

    \b
    coldaisle playbook approve r-3f2c
    coldaisle playbook approve r-3f2c --yes --plan-hash 9f86d081… --wait
    """
    from coldaisle.cli import running
    from coldaisle.cli.client import Client

    with Client(settings) as client:
        approval = running.Approval(run, plan_hash, note, yes=yes, dry_run=dry_run)
        approved = running.approve(client, approval)
        running.print_run(approved, form, brief=True)
        if dry_run:
            click.echo("nothing was recorded (--dry-run)", err=True)
            return 0
        return running.wait_for(client, approved.name, DEFAULT_WAIT_SECONDS) if wait else 0


@playbook.command(short_help="Reject a run that waits for approval.")
@click.argument("run")
@click.option("--reason", required=True, help="Why; it is kept in the history.")
@options.dry_run
@options.output
@click.pass_obj
def reject(settings: Settings, run: str, reason: str, dry_run: bool, form: str) -> None:
    """Reject RUN: it will never act.

    \b
    coldaisle playbook reject r-3f2c --reason "the unit is being serviced"
    """
    from coldaisle.cli import running
    from coldaisle.cli.client import Client

    with Client(settings) as client:
        found = running.reject(client, run, reason, dry_run=dry_run)
    running.print_run(found, form, brief=True)


@playbook.command(short_help="Stop a run; steps already taken stay taken.")
@click.argument("run")
@click.option("--reason", required=True, help="Why; it is kept in the history.")
@options.dry_run
@options.output
@click.pass_obj
def cancel(settings: Settings, run: str, reason: str, dry_run: bool, form: str) -> None:
    """Stop RUN. Steps already taken stay taken.

    \b
    coldaisle playbook cancel r-3f2c --reason "wrong unit"
    """
    from coldaisle.cli import running
    from coldaisle.cli.client import Client

    with Client(settings) as client:
        found = running.cancel(client, run, reason, dry_run=dry_run)
    running.print_run(found, form, brief=True)
