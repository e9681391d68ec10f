"""The composition root: builds the objects, passes them in, runs them until told to stop."""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from coldaisle.core.detect import Detector
from coldaisle.core.errors import ConfigError, StoreFull
from coldaisle.core.store import EventStore, LiveTwin
from coldaisle.core.store.reactions import ReactorRunner
from coldaisle.core.templates import TemplateReactor
from coldaisle.playbooks import PolicyReactor, Runner, is_wanted
from coldaisle.server.access import Guard, load_token
from coldaisle.server.actions import ActionRouter
from coldaisle.server.collecting import collecting_seldom, set_state_apart
from coldaisle.server.errors import ungrouped
from coldaisle.server.hub import AgentHub
from coldaisle.server.ingest import MAX_BATCH_BYTES
from coldaisle.server.kurrent.serve import kurrent_server
from coldaisle.server.metrics import serve_metrics
from coldaisle.server.moments import Moments
from coldaisle.server.opening import open_history
from coldaisle.server.retainer import Retainer, retainer_for
from coldaisle.server.services.agents import AgentService
from coldaisle.server.services.alerts import AlertService
from coldaisle.server.services.assets import AssetService
from coldaisle.server.services.detectors import DetectorService
from coldaisle.server.services.forecasts import ForecastService
from coldaisle.server.services.history import HistoryService
from coldaisle.server.services.maintenances import MaintenanceService
from coldaisle.server.services.playbooks import PlaybookService
from coldaisle.server.services.silences import SilenceService
from coldaisle.server.services.system import SystemService
from coldaisle.server.services.telemetry import TelemetryService
from coldaisle.server.settings import Settings, split_address
from coldaisle.server.startup import announce, load_playbooks, retried
from coldaisle.server.watching import Watchers
from coldaisle.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    alerts_pb2,
    alerts_pb2_grpc,
    assets_pb2,
    assets_pb2_grpc,
    detectors_pb2,
    detectors_pb2_grpc,
    forecasts_pb2,
    forecasts_pb2_grpc,
    history_pb2,
    history_pb2_grpc,
    maintenances_pb2,
    maintenances_pb2_grpc,
    playbooks_pb2,
    playbooks_pb2_grpc,
    silences_pb2,
    silences_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    telemetry_pb2,
    telemetry_pb2_grpc,
)

TOKEN_FILE = "token"
STOP_GRACE_SECONDS = 2.0
KEEPALIVE_MILLISECONDS = 20_000
KEEPALIVE_TIMEOUT_MILLISECONDS = 10_000
MIN_PING_MILLISECONDS = 10_000
MAX_MESSAGE_BYTES = 2 * MAX_BATCH_BYTES
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SWITCH_SECONDS = 0.0001
"""After which a computing event loop lets the store's threads in; with Python's 5 ms it can keep them out."""

_SERVICES = (
    agent_pb2.DESCRIPTOR,
    alerts_pb2.DESCRIPTOR,
    assets_pb2.DESCRIPTOR,
    detectors_pb2.DESCRIPTOR,
    forecasts_pb2.DESCRIPTOR,
    history_pb2.DESCRIPTOR,
    maintenances_pb2.DESCRIPTOR,
    playbooks_pb2.DESCRIPTOR,
    silences_pb2.DESCRIPTOR,
    system_pb2.DESCRIPTOR,
    telemetry_pb2.DESCRIPTOR,
)

log = logging.getLogger(__name__)
Say = Callable[[str], None]


async def serve(settings: Settings, say: Say) -> None:
    """Run until SIGTERM or SIGINT; ``say`` takes the line that tells that calls are answered."""
    sys.setswitchinterval(SWITCH_SECONDS)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(settings) as address:
        say(f"serving on {address}")
        await stop.wait()
        log.info("stopping")


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """A whole server as long as the block runs; gives the address that it answers on."""
    with ungrouped(), collecting_seldom():
        async with _running(settings) as address:
            yield address


@contextlib.asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[str]:
    host, port = split_address(settings.serve.listen, "serve.listen")
    _require_loopback(host)
    folder = _made(Path(settings.serve.data_dir))
    token = load_token(folder / TOKEN_FILE)
    playbooks = load_playbooks(settings.serve.playbooks_dir)
    async with open_history(settings.serve, folder) as opened, asyncio.TaskGroup() as group:
        store, snapshots = opened.store, opened.snapshots
        live = LiveTwin(store, snapshots)
        tasks = [group.create_task(live.run(), name="live twin")]
        await live.at_least(await store.head())

        async def tell() -> None:
            await announce(store, live.current, settings, playbooks)

        try:
            await tell()
        except StoreFull:  # what is there can be read meanwhile
            tasks.append(group.create_task(retried(tell, "the start")))
        hub = AgentHub(lambda request: is_wanted(live.current, request))
        reactors = [
            ReactorRunner(store, reactor, snapshots)
            for reactor in (TemplateReactor(), Detector(), PolicyReactor())
        ]
        runner = Runner(store, live, ActionRouter(hub), actor=opened.runner)
        for work in (
            *(reactor.run() for reactor in reactors),
            retried(runner.run, "runs"),
            set_state_apart(live, reactors),
        ):
            tasks.append(group.create_task(work))
        saves = [live.save, *(reactor.save for reactor in reactors)]
        retainer = retainer_for(store, settings.retention, saves)
        if retainer is not None:
            tasks.append(group.create_task(retainer.run()))
        system = SystemService(opened.name, live, hub, reactors, time.time_ns())
        moments = Moments(store, live, opened.history, snapshots)
        server = _server(store, live, moments, hub, system, token)
        bound = _bind(server, host, port)
        await server.start()
        try:
            async with _kurrent(settings, store):
                with _metrics(settings.serve.metrics, system, retainer):
                    yield f"{host}:{bound}"
        finally:
            hub.close()
            await server.stop(STOP_GRACE_SECONDS)
        for task in tasks:
            task.cancel()


def _server(
    store: EventStore, live: LiveTwin, moments: Moments, hub: AgentHub, system: SystemService, token: str
) -> grpc.aio.Server:
    watchers = Watchers()
    server = grpc.aio.server(
        interceptors=(Guard(token, store),),
        options=(
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            # an agent whose machine is gone says nothing, not even that
            ("grpc.keepalive_time_ms", KEEPALIVE_MILLISECONDS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MILLISECONDS),
            ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MILLISECONDS),  # that is what counts
            # who watches quiet alerts asks so whether we are there; by default that ends in a refusal
            ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_MILLISECONDS),
        ),
    )
    agent_pb2_grpc.add_AgentServiceServicer_to_server(AgentService(store, hub), server)
    assets_pb2_grpc.add_AssetServiceServicer_to_server(AssetService(moments), server)
    telemetry_pb2_grpc.add_TelemetryServiceServicer_to_server(TelemetryService(store, watchers), server)
    forecasts_pb2_grpc.add_ForecastServiceServicer_to_server(ForecastService(store, moments), server)
    alerts_pb2_grpc.add_AlertServiceServicer_to_server(AlertService(store, live, moments, watchers), server)
    history_pb2_grpc.add_HistoryServiceServicer_to_server(HistoryService(store, moments, watchers), server)
    playbooks_pb2_grpc.add_PlaybookServiceServicer_to_server(
        PlaybookService(store, live, moments, watchers), server
    )
    detectors_pb2_grpc.add_DetectorServiceServicer_to_server(DetectorService(store, moments), server)
    silences_pb2_grpc.add_SilenceServiceServicer_to_server(SilenceService(store, live, moments), server)
    maintenances_pb2_grpc.add_MaintenanceServiceServicer_to_server(
        MaintenanceService(store, live, moments), server
    )
    system_pb2_grpc.add_SystemServiceServicer_to_server(system, server)
    _add_health_and_reflection(server)
    return server


def _add_health_and_reflection(server: grpc.aio.Server) -> None:
    names = [service.full_name for file in _SERVICES for service in file.services_by_name.values()]
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)


def _bind(server: grpc.aio.Server, host: str, port: int) -> int:
    try:
        return server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise ConfigError(
            f"{host}:{port} cannot be opened: another process listens there; name another with --listen"
        ) from error


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"serve.data_dir = {str(folder)!r} cannot be made ({error.strerror}); name a writable folder"
        ) from error
    return folder


def _require_loopback(host: str) -> None:
    """Calls travel unencrypted: off this machine the token would be readable on the way."""
    if host not in LOOPBACK:
        raise ConfigError(
            f"serve.listen = {host!r}: this version speaks without TLS and so listens on loopback only; "
            "use 127.0.0.1, and an SSH tunnel from elsewhere"
        )


@contextlib.asynccontextmanager
async def _kurrent(settings: Settings, store: EventStore) -> AsyncIterator[None]:
    """The same history for KurrentDB's clients, where that is asked for."""
    if not settings.serve.kurrent:
        yield
        return
    host, port = split_address(settings.serve.kurrent, "serve.kurrent")
    async with kurrent_server(store, host, port, settings.kurrent) as bound:
        log.info("speaking KurrentDB's protocol", extra={"address": f"{host}:{bound}"})
        yield


@contextlib.contextmanager
def _metrics(address: str, system: SystemService, retainer: Retainer | None) -> Iterator[None]:
    if not address:
        yield
        return
    stop = serve_metrics(*split_address(address, "serve.metrics"), system.status, retainer)
    try:
        yield
    finally:
        stop()
