"""The reads behind ``get``, ``alerts``, ``events`` and ``playbook runs``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from coldaisle.cli import columns
from coldaisle.cli.client import Client, moment_of
from coldaisle.cli.errors import CliError, ExitCode
from coldaisle.cli.moments import AsOf, parse_position
from coldaisle.cli.output import Column, M, emit, note, note_position
from coldaisle.cli.paging import read_all
from coldaisle.cli.words import named
from coldaisle.v1.alerts_pb2 import GetAlertRequest, ListAlertsRequest
from coldaisle.v1.assets_pb2 import GetAssetRequest, ListAssetsRequest
from coldaisle.v1.common_pb2 import Event
from coldaisle.v1.history_pb2 import EventFilter, ListEventsRequest
from coldaisle.v1.playbooks_pb2 import (
    GetPlaybookRequest,
    GetRunRequest,
    ListPlaybooksRequest,
    ListRunsRequest,
)
from coldaisle.v1.system_pb2 import AgentStatus, GetStatusRequest


@dataclass(frozen=True, slots=True)
class Query:
    """What to read. ``name`` set: that one thing."""

    name: str = ""
    terms: tuple[str, ...] = ()
    as_of: AsOf | None = None
    limit: int = 1_000
    form: str = "table"

    @property
    def filter(self) -> str:
        """The terms as the API takes them."""
        return " ".join(self.terms)


def show_assets(client: Client, query: Query) -> None:
    """Print assets."""
    moment = moment_of(query.as_of)
    if query.name:
        asset = client.call(
            client.assets.GetAsset, GetAssetRequest(name=named("assets", query.name), moment=moment)
        )
        _show(query, asset, [asset], columns.ASSETS, lambda each: each.name, asset.revision)
        return
    request = ListAssetsRequest(filter=query.filter, moment=moment)
    answer = read_all(client, client.assets.ListAssets, request, "assets", query.limit)
    _show(query, answer, answer.assets, columns.ASSETS, lambda each: each.name, answer.revision)
    _note_more(query, answer.next_page_token, answer.total_size)


def show_alerts(client: Client, query: Query) -> None:
    """Print alerts."""
    moment = moment_of(query.as_of)
    if query.name:
        alert = client.call(
            client.alerts.GetAlert, GetAlertRequest(name=named("alerts", query.name), moment=moment)
        )
        _show(query, alert, [alert], columns.ALERTS, lambda each: each.name, alert.revision)
        return
    request = ListAlertsRequest(filter=query.filter, moment=moment)
    answer = read_all(client, client.alerts.ListAlerts, request, "alerts", query.limit)
    _show(query, answer, answer.alerts, columns.ALERTS, lambda each: each.name, answer.revision)
    _note_more(query, answer.next_page_token, answer.total_size)


def show_runs(client: Client, query: Query) -> None:
    """Print runs."""
    moment = moment_of(query.as_of)
    if query.name:
        run = client.call(
            client.playbooks.GetRun, GetRunRequest(name=named("runs", query.name), moment=moment)
        )  # fmt: skip
        _show(query, run, [run], columns.RUNS, lambda each: each.name, run.revision)
        return
    request = ListRunsRequest(filter=query.filter, moment=moment)
    answer = read_all(client, client.playbooks.ListRuns, request, "runs", query.limit)
    _show(query, answer, answer.runs, columns.RUNS, lambda each: each.name, answer.revision)
    _note_more(query, answer.next_page_token, answer.total_size)


def show_playbooks(client: Client, query: Query) -> None:
    """Print playbooks."""
    _refuse(query, "playbooks", as_of=query.as_of is not None, terms=bool(query.terms))
    if query.name:
        request = GetPlaybookRequest(name=named("playbooks", query.name))
        playbook = client.call(client.playbooks.GetPlaybook, request)
        _show(query, playbook, [playbook], columns.PLAYBOOKS, lambda each: each.name, 0)
        return
    answer = read_all(
        client, client.playbooks.ListPlaybooks, ListPlaybooksRequest(), "playbooks", query.limit
    )
    _show(query, answer, answer.playbooks, columns.PLAYBOOKS, lambda each: each.name, 0)


def show_agents(client: Client, query: Query) -> None:
    """Print agents, as the system's status knows them."""
    _refuse(query, "agents", as_of=query.as_of is not None, terms=bool(query.terms))
    status = client.call(client.system.GetStatus, GetStatusRequest())
    agents: Sequence[AgentStatus] = status.agents
    if query.name:
        agents = [each for each in agents if each.name == named("agents", query.name)]
        if not agents:
            raise CliError(
                f"there is no agent {query.name!r}", "coldaisle get agents", ExitCode.NOT_FOUND
            )  # fmt: skip
    document = type(status)(agents=agents, position=status.position, version=status.version)
    _show(query, document, agents, columns.AGENTS, lambda each: each.name, status.position)


def show_events(client: Client, query: Query) -> None:
    """Print events; a name is a position, a term a stream prefix or a type."""
    if query.name:
        position = _position(query.name)
        request = ListEventsRequest(after_revision=position - 1)
        answer = read_all(client, client.history.ListEvents, request, "events", 1)
        if not answer.events or answer.events[0].position != position:
            raise CliError(f"there is no event at @{position}", "coldaisle events", ExitCode.NOT_FOUND)
        emit(query.form, answer, answer.events, columns.EVENTS, event_name)
        return
    request = ListEventsRequest(filter=event_filter(query.terms), moment=moment_of(query.as_of))
    show_event_list(client, request, query.limit, query.form)


def show_event_list(client: Client, request: ListEventsRequest, limit: int, form: str) -> None:
    """Print the events that the request asks for."""
    answer = read_all(client, client.history.ListEvents, request, "events", limit)
    query = Query(limit=limit, form=form)
    _show(query, answer, answer.events, columns.EVENTS, event_name, answer.revision)
    _note_more(query, answer.next_page_token, 0)


def event_name(event: Event) -> str:
    """The position, as every ``--as-of`` takes it."""
    return f"@{event.position}"


def event_filter(terms: Sequence[str]) -> EventFilter:
    """``stream=…`` and ``type=…`` terms as a filter."""
    found = EventFilter()
    for term in terms:
        key, _, value = term.partition("=")
        match key:
            case "stream":
                found.stream_prefixes.append(value)
            case "type":
                found.types.append(value)
            case _:
                raise CliError(f"events have no {key!r}", "filter by stream=… or type=…", ExitCode.USAGE)
    return found


READS: dict[str, Callable[[Client, Query], None]] = {
    "assets": show_assets,
    "alerts": show_alerts,
    "runs": show_runs,
    "playbooks": show_playbooks,
    "events": show_events,
    "agents": show_agents,
}


def _show(
    query: Query,
    document: Message,
    items: Sequence[M],
    shown: Sequence[Column[M]],
    name: Callable[[M], str],
    position: int,
) -> None:
    emit(query.form, document, items, shown, name)
    if position:
        note_position(position, query.form)


def _note_more(query: Query, next_page_token: str, total: int) -> None:
    if next_page_token:
        of = f" of {total}" if total else ""
        note(f"stopped after {query.limit}{of}: raise --limit for more")


def _refuse(query: Query, what: str, **given: bool) -> None:
    for option, is_given in given.items():
        if is_given:
            name = {"as_of": "--as-of", "terms": "--filter"}[option]
            raise CliError(f"{what} cannot be read with {name}", f"leave {name} out", ExitCode.USAGE)


def _position(text: str) -> int:
    try:
        position = parse_position(f"@{text.removeprefix('@')}")
    except ValueError as error:
        raise CliError(f"{text!r} is no position", "write it as @4711", ExitCode.USAGE) from error
    if position == 0:
        raise CliError("events begin at @1", "write it as @4711", ExitCode.USAGE)
    return position
