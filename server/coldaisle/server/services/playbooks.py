"""PlaybookService: playbooks, plans, runs, and what people decide about them."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import msgspec

from coldaisle.core.events.types import AnyEvent, Plan, RunApproved, RunCancelled, RunRejected, Scalar
from coldaisle.core.store import EventStore, Expected, LiveTwin
from coldaisle.core.twin import ENDED_RUN_STATES, Run, Twin
from coldaisle.core.twin.model import Playbook
from coldaisle.playbooks import decide, make_plan, read_playbook
from coldaisle.server.convert import json_text, plan_message, run_message
from coldaisle.server.deciding import checked_text, chosen_id, record, recorded_before
from coldaisle.server.errors import InvalidRequest, NotFound
from coldaisle.server.moments import Moments
from coldaisle.server.paging import keep, page_of, parse_filter, resource_id
from coldaisle.server.watching import Watchers
from coldaisle.v1 import playbooks_pb2, playbooks_pb2_grpc

FILTER_FIELDS = ("state", "playbook", "alert", "policy")
_parameters_decoder = msgspec.json.Decoder(dict[str, Scalar])
Decision = playbooks_pb2.ApproveRunRequest | playbooks_pb2.RejectRunRequest | playbooks_pb2.CancelRunRequest
Make = Callable[[Run], AnyEvent]
_KIND_OF: dict[type[Decision], type[AnyEvent]] = {
    playbooks_pb2.ApproveRunRequest: RunApproved,
    playbooks_pb2.RejectRunRequest: RunRejected,
    playbooks_pb2.CancelRunRequest: RunCancelled,
}


class PlaybookService(playbooks_pb2_grpc.PlaybookServiceServicer):
    """See playbooks.proto."""

    def __init__(self, store: EventStore, live: LiveTwin, moments: Moments, watchers: Watchers) -> None:
        self._store = store
        self._live = live
        self._moments = moments
        self._watchers = watchers

    async def GetPlaybook(  # noqa: N802 - the API's name
        self, request: playbooks_pb2.GetPlaybookRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> playbooks_pb2.Playbook:
        """One playbook with its source."""
        return _playbook_message(_playbook(await self._moments.now(), request.name, "name"))

    async def ListPlaybooks(  # noqa: N802 - the API's name
        self, request: playbooks_pb2.ListPlaybooksRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> playbooks_pb2.ListPlaybooksResponse:
        """Playbooks in force, by name."""
        known = sorted((await self._moments.now()).playbooks.values(), key=lambda playbook: playbook.id)
        page, next_token = page_of(
            known,
            request.page_size,
            request.page_token,
            key=lambda playbook: playbook.id,
            message=_playbook_message,
        )
        return playbooks_pb2.ListPlaybooksResponse(playbooks=page, next_page_token=next_token)

    async def RunPlaybook(  # noqa: N802 - the API's name
        self, request: playbooks_pb2.RunPlaybookRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> playbooks_pb2.Run:
        """Propose a run; with validate_only answer the plan alone."""
        now, twin = time.time_ns(), await self._moments.now()
        run = chosen_id("r", request.request_id, now)
        if run in twin.runs:
            return self._run_message(run)
        plan = _plan(twin, request, now)
        body = decide.propose(twin, run, plan, checked_text(request.reason, "reason"))
        if request.validate_only:
            return playbooks_pb2.Run(plan=plan_message(plan), reason=request.reason)
        position = await record(self._store, body, request.request_id, now, expected=Expected.NO_STREAM)
        await self._live.at_least(position)
        return self._run_message(run)

    async def GetRun(  # noqa: N802 - the API's name
        self, request: playbooks_pb2.GetRunRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> playbooks_pb2.Run:
        """One run at a moment."""
        twin = await self._moments.twin(request.moment)
        return run_message(_run(twin, request.name), twin)

    async def ListRuns(  # noqa: N802 - the API's name
        self, request: playbooks_pb2.ListRunsRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> playbooks_pb2.ListRunsResponse:
        """Runs, newest first."""
        twin = await self._moments.twin(request.moment)
        newest = sorted(twin.runs.values(), key=lambda run: -run.proposed_position)
        found = keep(
            newest,
            parse_filter(request.filter, FILTER_FIELDS),
            {
                "state": lambda run: (run.state,),
                "playbook": lambda run: (run.plan.playbook,),
                "alert": lambda run: (run.alert,),
                "policy": lambda run: (run.policy,),
            },
        )
        page, next_token = page_of(
            found,
            request.page_size,
            request.page_token,
            key=lambda run: -run.proposed_position,
            message=lambda run: run_message(run, twin),
        )
        return playbooks_pb2.ListRunsResponse(
            runs=page,
            next_page_token=next_token,
            total_size=len(found),
            revision=twin.position,
        )

    async def ApproveRun(  # noqa: N802 - the API's name
        self, request: playbooks_pb2.ApproveRunRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> playbooks_pb2.Run:
        """Approve the very plan whose hash is given."""
        if not request.plan_hash:
            raise InvalidRequest("plan_hash", "missing; give the hash of the plan that you read")
        note = checked_text(request.note, "note")
        return await self._decide(
            request, lambda run: decide.approve(run, request.plan_hash, time.time_ns(), note)
        )

    async def RejectRun(  # noqa: N802 - the API's name
        self, request: playbooks_pb2.RejectRunRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> playbooks_pb2.Run:
        """Turn the proposal down."""
        reason = checked_text(request.reason, "reason")
        return await self._decide(request, lambda run: decide.reject(run, reason))

    async def CancelRun(  # noqa: N802 - the API's name
        self, request: playbooks_pb2.CancelRunRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> playbooks_pb2.Run:
        """Stop the run before its next step."""
        reason = checked_text(request.reason, "reason")
        return await self._decide(request, lambda run: decide.cancel(run, reason))

    async def WatchRun(  # noqa: N802 - the API's name
        self, request: playbooks_pb2.WatchRunRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[playbooks_pb2.WatchRunResponse]:
        """The run now and at each change, until it ends."""
        seen = 0
        with self._watchers.admitted():
            while True:
                twin = self._live.current
                run = _run(twin, request.name)
                if run.revision > seen:
                    yield playbooks_pb2.WatchRunResponse(run=run_message(run, twin), revision=run.revision)
                if run.state in ENDED_RUN_STATES:
                    return
                seen = run.revision
                await self._live.beyond(twin.position)

    async def _decide(self, request: Decision, make: Make) -> playbooks_pb2.Run:
        """Decide on the run as it is now; refused when it changes meanwhile."""
        run = _run(await self._moments.now(), request.name)
        if await recorded_before(self._store, f"run-{run.id}", request.request_id, _KIND_OF[type(request)]):
            return self._run_message(run.id)
        body = make(run)
        if request.validate_only:
            return self._run_message(run.id)
        (latest,) = await self._store.read_stream(f"run-{run.id}", backwards=True, limit=1)
        position = await record(
            self._store, body, request.request_id, time.time_ns(), expected=run.version, cause=latest
        )  # fmt: skip
        await self._live.at_least(position)
        return self._run_message(run.id)

    def _run_message(self, run: str) -> playbooks_pb2.Run:
        twin = self._live.current
        return run_message(_run(twin, f"runs/{run}"), twin)


def _plan(twin: Twin, request: playbooks_pb2.RunPlaybookRequest, now: int) -> Plan:
    source = _playbook(twin, request.playbook, "playbook")
    try:
        parameters = _parameters_decoder.decode(request.parameters_json or "{}")
    except msgspec.MsgspecError as error:
        raise InvalidRequest("parameters_json", str(error)) from error
    return make_plan(read_playbook(source.source, source.id), parameters, twin, now)


def _run(twin: Twin, name: str) -> Run:
    run = twin.runs.get(resource_id(name, "runs"))
    if run is None:
        raise NotFound(
            f"{name} is not known at position {twin.position}: `coldaisle playbook runs` lists what is"
        )
    return run


def _playbook(twin: Twin, name: str, field: str) -> Playbook:
    playbook = twin.playbooks.get(resource_id(name, "playbooks", field))
    if playbook is None:
        raise NotFound(f"{name} is not in force: `coldaisle playbook list` lists what is")
    return playbook


def _playbook_message(known: Playbook) -> playbooks_pb2.Playbook:
    playbook = read_playbook(known.source, known.id)
    return playbooks_pb2.Playbook(
        name=f"playbooks/{playbook.id}",
        revision=known.revision,
        title=playbook.title,
        description=playbook.description,
        source=known.source,
        parameters=[
            playbooks_pb2.Parameter(
                name=name,
                type=parameter.type,
                description=parameter.description,
                required=parameter.required,
                default_json="" if parameter.default is None else json_text(parameter.default),
            )
            for name, parameter in playbook.parameters.items()
        ],
    )
