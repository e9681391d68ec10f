"""A real gRPC server on loopback with canned answers, and the command line run against it."""

# ruff: noqa: N802 - the methods are named by the API

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status as RpcStatus
from grpc_status import rpc_status

from coldaisle.v1 import (
    alerts_pb2,
    alerts_pb2_grpc,
    assets_pb2,
    assets_pb2_grpc,
    common_pb2,
    forecasts_pb2,
    forecasts_pb2_grpc,
    history_pb2,
    history_pb2_grpc,
    playbooks_pb2,
    playbooks_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
)

TOKEN = "good-token"
HEAD = 4711
PLAN_HASH = "ab" * 32


def stamp(seconds: int = 1_795_000_000) -> Timestamp:
    return Timestamp(seconds=seconds)


def canned_rack(number: int, celsius: float = 22.5) -> assets_pb2.Asset:
    return assets_pb2.Asset(
        name=f"assets/rack-a{number:02d}",
        kind="rack",
        attributes={"ashrae_class": "A1"},
        links=[assets_pb2.Link(edge="located_in", asset="assets/row-a")],
        readings=[assets_pb2.Reading(metric="inlet_temperature_celsius", value=celsius, time=stamp())],
        revision=HEAD,
    )


def canned_alert() -> alerts_pb2.Alert:
    evidence = {
        "statistic": "inlet_temperature_celsius", "value": 28.4, "threshold": 27.0,
        "reference": "ASHRAE A1 recommended", "since": 1_795_000_000_000_000_000,
        "samples": [[1, 26.0], [2, 27.5], [3, 28.4]], "upstream": ["crac-2"], "cause_position": 4000,
        "detail": {
            "low": 18.2, "high": 26.2, "known_since": 1_793_000_000_000_000_000, "exceedance": 0.275,
            "quiet_at": 27.1, "usual": 22.4, "weights": [["value", 1.25], ["diff", 0.25]],
            "similar": ["a-0"], "moved": ["inlet_temperature_celsius", "power_watts"],
            "versions": {"river": "0.26.1"},
        },
    }  # fmt: skip
    return alerts_pb2.Alert(
        name="alerts/a-1", asset="assets/rack-a01", metric="inlet_temperature_celsius", kind="limit",
        severity=alerts_pb2.Alert.SEVERITY_WARN, state=alerts_pb2.Alert.STATE_OPEN,
        summary="rack-a01 inlet is 28.4 °C", open_time=stamp(), evidence_json=json.dumps(evidence),
        open_position=4001, revision=4001,
    )  # fmt: skip


def canned_run(state: playbooks_pb2.Run.State = playbooks_pb2.Run.STATE_PROPOSED) -> playbooks_pb2.Run:
    step = playbooks_pb2.PlannedStep(
        id="lower-1",
        action="snmp.set",
        asset="assets/crac-1",
        arguments_json='{"value": 14}',
        timeout_seconds=30,
    )
    plan = playbooks_pb2.Plan(
        playbook="playbooks/boost-cooling", revision="cd" * 32, parameters_json='{"asset": "rack-a01"}',
        twin_revision=4001, steps=[step], verification="inlet below 26.5", hash=PLAN_HASH,
    )  # fmt: skip
    return playbooks_pb2.Run(
        name="runs/r-1", state=state, plan=plan, reason="too warm", alert="alerts/a-1", policy="cool-hot",
        steps=[playbooks_pb2.StepStatus(id="lower-1", state="waiting")],
        proposed_position=4002, revision=4002,
    )  # fmt: skip


def canned_event(position: int) -> common_pb2.Event:
    return common_pb2.Event(
        position=position, stream="alert-a-1", id=f"e-{position}", type="AlertAcknowledged", time=stamp(),
        recorded=stamp(), actor="user/someone", data_json='{"alert": "a-1", "note": "seen"}',
    )  # fmt: skip


def refuse(context: grpc.ServicerContext, code: grpc.StatusCode, message: str, reason: str) -> None:
    """End the call as the server does: with ErrorInfo."""
    detail = Any()
    detail.Pack(ErrorInfo(reason=reason, domain="coldaisle"))
    status = RpcStatus(code=code.value[0], message=message, details=[detail])
    context.abort_with_status(rpc_status.to_status(status))


class Tokens(grpc.ServerInterceptor):
    """Lets only the good token in."""

    def intercept_service(self, continuation, details):
        if ("authorization", f"Bearer {TOKEN}") in details.invocation_metadata:
            return continuation(details)

        def refused(request, context):
            told = "a valid token is needed; use the file that the server wrote"
            refuse(context, grpc.StatusCode.UNAUTHENTICATED, told, "NOT_AUTHENTICATED")

        return grpc.unary_unary_rpc_method_handler(refused)


def canned_forecast(request: forecasts_pb2.GetForecastRequest) -> forecasts_pb2.Forecast:
    """A metric that rose by one a step and goes on; the interval widens."""
    answer = forecasts_pb2.Forecast(
        asset=request.asset, metric=request.metric, coverage=0.9, intervals_said=200, intervals_held=182
    )
    for step in range(10):
        answer.recent.add(time=stamp(1_795_000_000 + step * 60), value=20.0 + step)
        answer.points.add(
            time=stamp(1_795_000_600 + step * 60), value=30.0 + step,
            low=30.0 + step / 2, high=30.0 + 2 * step, model="last value",
        )  # fmt: skip
    if request.HasField("limit"):
        answer.crossing.limit = request.limit
        answer.crossing.sentence = "in 5 h (4 h to 7 h, 90 %)"
    return answer


@dataclass
class Canned(
    assets_pb2_grpc.AssetServiceServicer,
    alerts_pb2_grpc.AlertServiceServicer,
    forecasts_pb2_grpc.ForecastServiceServicer,
    history_pb2_grpc.HistoryServiceServicer,
    playbooks_pb2_grpc.PlaybookServiceServicer,
    system_pb2_grpc.SystemServiceServicer,
):
    """Every service; remembers the requests that it was sent."""

    run: playbooks_pb2.Run = field(default_factory=canned_run)
    rack: assets_pb2.Asset = field(default_factory=lambda: canned_rack(1))
    alert: alerts_pb2.Alert = field(default_factory=canned_alert)
    refusal: str = "no unit can help"
    healthy: bool = True
    requests: list = field(default_factory=list)
    watches: int = 0
    run_losses: int = 0

    def GetAsset(self, request, context):
        self.requests.append(request)
        if request.name != "assets/rack-a01":
            refuse(context, grpc.StatusCode.NOT_FOUND, f"there is no asset {request.name!r}", "NOT_FOUND")
        return self.rack

    def ListAssets(self, request, context):
        self.requests.append(request)
        start = int(request.page_token or 1)
        end = min(start + min(request.page_size, 2), 6)
        return assets_pb2.ListAssetsResponse(
            assets=[canned_rack(number, 20.0 + 3 * number) for number in range(start, end)],
            next_page_token=str(end) if end < 6 else "", total_size=5, revision=HEAD,
        )  # fmt: skip

    def GetAlert(self, request, context):
        return self.alert

    def ListAlerts(self, request, context):
        self.requests.append(request)
        return alerts_pb2.ListAlertsResponse(alerts=[self.alert], total_size=1, revision=HEAD)

    def AcknowledgeAlert(self, request, context):
        self.requests.append(request)
        return canned_alert()

    def ListEvents(self, request, context):
        self.requests.append(request)
        found = [canned_event(request.after_revision + 1)] if request.after_revision < 3 else []
        return history_pb2.ListEventsResponse(events=found, revision=HEAD)

    def WatchEvents(self, request, context):
        """The first stream breaks after one event; the second goes on after it; the third is refused."""
        self.requests.append(request)
        self.watches += 1
        if self.watches > 2:
            refuse(context, grpc.StatusCode.OUT_OF_RANGE, "gone", "REVISION_COMPACTED")
        position = request.resume_after_revision + 1
        yield history_pb2.WatchEventsResponse(events=[canned_event(position)], revision=position)
        refuse(context, grpc.StatusCode.UNAVAILABLE, "going away", "STOPPING")

    def GetState(self, request, context):
        self.requests.append(request)
        return history_pb2.State(revision=HEAD, state_hash="12" * 32, asset_count=5)

    def GetRun(self, request, context):
        return self.run

    def ListRuns(self, request, context):
        return playbooks_pb2.ListRunsResponse(runs=[self.run], total_size=1, revision=HEAD)

    def RunPlaybook(self, request, context):
        self.requests.append(request)
        if request.playbook != "playbooks/boost-cooling":
            refuse(context, grpc.StatusCode.FAILED_PRECONDITION, self.refusal, "NO_PLAN")
        return self.run

    def ApproveRun(self, request, context):
        self.requests.append(request)
        return canned_run(playbooks_pb2.Run.STATE_APPROVED)

    def WatchAlerts(self, request, context):
        """One alert, and then nothing for as long as anybody waits."""
        gone = threading.Event()
        context.add_callback(gone.set)
        yield alerts_pb2.WatchAlertsResponse(alert=self.alert, revision=request.resume_after_revision + 1)
        gone.wait()

    def WatchRun(self, request, context):
        """A watch breaks after the run as it stands, as often as ``run_losses`` says."""
        if self.run_losses:
            self.run_losses -= 1
            yield playbooks_pb2.WatchRunResponse(run=self.run, revision=self.run.revision)
            refuse(context, grpc.StatusCode.UNAVAILABLE, "going away", "STOPPING")
        self.run = canned_run(playbooks_pb2.Run.STATE_FAILED)
        self.run.steps[0].state = "succeeded"
        yield playbooks_pb2.WatchRunResponse(run=self.run, revision=HEAD)

    def GetForecast(self, request, context):
        self.requests.append(request)
        return canned_forecast(request)

    def GetOutlook(self, request, context):
        self.requests.append(request)
        life = forecasts_pb2.RemainingLife(
            metric="fan_speed_rpm", part="fan", sentence="fan: not within 365 days"
        )
        return forecasts_pb2.Outlook(
            asset=request.asset, metrics=["fan_speed_rpm", "power_watts"], lives=[life], alerts_last_30_days=2
        )

    def GetStatus(self, request, context):
        return system_pb2.Status(version="0.1.0", position=HEAD, healthy=self.healthy, problems=["look here"])


@dataclass(frozen=True)
class Ran:
    """What a finished command left."""

    code: int
    out: str
    err: str


@dataclass
class Cli:
    """Runs ``coldaisle`` in a process of its own, off any terminal."""

    canned: Canned
    server: str
    token_file: Path

    def into(self, *arguments: str, output: int | BinaryIO) -> Ran:
        """With another output; a pipe is one that nobody reads."""
        process = subprocess.Popen(
            [sys.executable, "-m", "coldaisle.cli", *arguments],
            env=self._environment(), stdout=output, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if process.stdout is not None:
            process.stdout.close()
        with process:
            assert process.stderr is not None
            err = process.stderr.read().decode()
        return Ran(process.returncode, "", err)

    def _environment(self, **more: str) -> dict[str, str]:
        told = {"COLDAISLE_SERVER": self.server, "COLDAISLE_TOKEN_FILE": str(self.token_file)}
        return {**os.environ, **told, **more}

    def __call__(self, *arguments: str, limit_seconds: float = 60, **environment: str) -> Ran:
        env = self._environment(**environment)
        command = [sys.executable, "-m", "coldaisle.cli", *arguments]
        done = subprocess.run(
            command,
            env=env,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=limit_seconds,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """The command line beside a running server."""
    canned = Canned()
    server = grpc.server(futures.ThreadPoolExecutor(4), interceptors=(Tokens(),))
    for add in (
        assets_pb2_grpc.add_AssetServiceServicer_to_server,
        alerts_pb2_grpc.add_AlertServiceServicer_to_server,
        forecasts_pb2_grpc.add_ForecastServiceServicer_to_server,
        history_pb2_grpc.add_HistoryServiceServicer_to_server,
        playbooks_pb2_grpc.add_PlaybookServiceServicer_to_server,
        system_pb2_grpc.add_SystemServiceServicer_to_server,
    ):
        add(canned, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    yield Cli(canned, f"127.0.0.1:{port}", token_file)
    server.stop(None).wait()


@pytest.fixture
def make_run() -> Callable[..., playbooks_pb2.Run]:
    return canned_run
