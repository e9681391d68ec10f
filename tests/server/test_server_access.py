"""Who is let in, what is said of who is not, and clients that are not ours."""

import asyncio
import json
import logging
import re
import resource
import stat

import grpc
import grpc_requests
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from coldaisle.core.errors import ConfigError
from coldaisle.core.events.types import AssetObserved
from coldaisle.server.access import MAX_RECORDED_REFUSALS_PER_MINUTE, load_token
from coldaisle.v1 import (
    agent_pb2,
    alerts_pb2,
    assets_pb2,
    forecasts_pb2,
    history_pb2,
    playbooks_pb2,
    system_pb2,
    telemetry_pb2,
)

SERVICES = {
    "AgentService", "AlertService", "AssetService", "ForecastService", "HistoryService", "PlaybookService",
    "SystemService", "TelemetryService",
}  # fmt: skip
MODULES = (
    agent_pb2, alerts_pb2, assets_pb2, forecasts_pb2, history_pb2, playbooks_pb2, system_pb2, telemetry_pb2,
)  # fmt: skip
METHODS = [
    (service.full_name, method)
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


async def called(channel, service, method, metadata) -> grpc.StatusCode:
    """The status of a call by its name alone, with an empty request."""
    path = f"/{service}/{method.name}"
    if method.client_streaming:
        call = channel.stream_stream(path)(iter([b""]), metadata=metadata, timeout=10)
    elif method.server_streaming:
        call = channel.unary_stream(path)(b"", metadata=metadata, timeout=10)
    else:
        call = channel.unary_unary(path)(b"", metadata=metadata, timeout=10)
    return await call.code()


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer ", "wrong", "Bearer \xe4"])
async def test_without_the_token_nothing_of_ours_answers(api, header) -> None:
    metadata = () if header is None else (("authorization", header),)
    if header is not None and not header.isascii():
        metadata = (("authorization", header.encode("ascii", "replace").decode()),)
    assert len(METHODS) > 20
    for service, method in METHODS:
        code = await called(api.channel, service, method, metadata)
        assert code is grpc.StatusCode.UNAUTHENTICATED, (service, method.name)


async def test_health_and_reflection_answer_anybody(api) -> None:
    health = health_pb2_grpc.HealthStub(api.channel)
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == 1
    reflection = reflection_pb2_grpc.ServerReflectionStub(api.channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    answers = [answer async for answer in reflection.ServerReflectionInfo(iter([asked]))]
    found = {each.name for each in answers[0].list_services_response.service}
    assert {f"coldaisle.v1.{name}" for name in SERVICES} < found


async def test_a_refused_change_is_an_event_and_a_refused_read_is_none(api) -> None:
    wrong = (("authorization", "Bearer wrong"),)
    for method, request, metadata in (
        (api.playbooks.ApproveRun, playbooks_pb2.ApproveRunRequest(name="runs/r-1"), wrong),
        (api.playbooks.GetRun, playbooks_pb2.GetRunRequest(name="runs/r-1"), ()),
        (api.alerts.AcknowledgeAlert, alerts_pb2.AcknowledgeAlertRequest(name="alerts/a"), ()),
    ):
        assert await method(request, metadata=metadata).code() is grpc.StatusCode.UNAUTHENTICATED
    told = [json.loads(event.data_json) for event in await api.events("AccessRefused")]
    assert [(each["method"], each["reason"]) for each in told] == [
        ("/coldaisle.v1.PlaybookService/ApproveRun", "wrong token"),
        ("/coldaisle.v1.AlertService/AcknowledgeAlert", "no token"),
    ]
    assert told[0]["address"].startswith("ipv4:127.0.0.1:")


async def test_who_knocks_for_long_does_not_fill_the_history(api) -> None:
    for _ in range(MAX_RECORDED_REFUSALS_PER_MINUTE + 40):
        await api.alerts.AcknowledgeAlert(alerts_pb2.AcknowledgeAlertRequest()).code()
    recorded = len(await api.events("AccessRefused"))
    # two minutes, where the test runs over the change of one
    assert MAX_RECORDED_REFUSALS_PER_MINUTE <= recorded <= 2 * MAX_RECORDED_REFUSALS_PER_MINUTE


def test_the_token_is_made_once_for_its_owner_only(tmp_path) -> None:
    path = tmp_path / "token"
    token = load_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_token(path) == token
    assert len(token) >= 43


def test_a_token_that_cannot_be_written_leaves_no_file(tmp_path) -> None:
    """An empty one would stop the next start, too."""
    path = tmp_path / "token"
    bound = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, bound[1]))  # as on a full disk: a write fails
    try:
        with pytest.raises(ConfigError, match="check the folder"):
            load_token(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, bound)
    assert len(load_token(path)) >= 43


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_token_file_without_a_token_is_an_error(tmp_path, content) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="delete it"):
        load_token(path)


async def test_the_token_is_in_no_event_and_no_log(api, agent, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    await agent.report(AssetObserved("rack-1", "rack"))
    await api.alerts.AcknowledgeAlert(
        alerts_pb2.AcknowledgeAlertRequest(), metadata=(("authorization", f"Basic {api.token}"),)
    ).code()
    assert all(api.token not in str(event) for event in await api.events())
    assert api.token not in caplog.text


async def test_a_users_name_cannot_break_a_line(api, agent, losing) -> None:
    await agent.report(losing("rack-1"))
    (opened,) = await api.event("AlertOpened")
    request = alerts_pb2.AcknowledgeAlertRequest(name=f"alerts/{json.loads(opened.data_json)['alert']}")
    metadata = (*api.metadata[:1], ("coldaisle-user", "eve; /../" + "x" * 100))
    await api.alerts.AcknowledgeAlert(request, metadata=metadata)
    (event,) = await api.events("AlertAcknowledged")
    assert re.fullmatch(r"user/eve\.\.x{59}", event.actor)


async def test_a_client_that_is_not_ours_finds_its_way_by_reflection(api, agent, plant) -> None:
    await agent.report(*plant)

    def strangers_view():
        client = grpc_requests.Client.get_by_endpoint(api.address)
        try:
            status = client.request(
                "coldaisle.v1.SystemService", "GetStatus", {}, metadata=api.metadata
            )  # fmt: skip
            assets = client.request(
                "coldaisle.v1.AssetService", "ListAssets", {"filter": "kind=rack"}, metadata=api.metadata
            )
            return set(client.service_names), status, assets
        finally:
            client.channel.close()

    services, status, assets = await asyncio.to_thread(strangers_view)
    assert {f"coldaisle.v1.{name}" for name in SERVICES} < services
    assert status["asset_count"] == 4
    assert [asset["name"] for asset in assets["assets"]] == ["assets/rack-1", "assets/rack-2"]


async def fetched(address: str) -> str:
    """The body of ``/metrics``."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return text.partition("\r\n\r\n")[2]


async def test_metrics_are_what_prometheus_reads(data, serving, agent_of, plant, free_port) -> None:
    address = f"127.0.0.1:{free_port}"
    async with serving(data, metrics=address) as api:
        agent = agent_of(api)
        await agent.hello()
        await agent.report(*plant)
        head = (await api.call(api.assets.ListAssets, assets_pb2.ListAssetsRequest())).revision
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(await fetched(address))
            for sample in family.samples
        }
        agent.cut()
    assert samples["coldaisle_events_total",] >= head
    assert samples["coldaisle_assets",] == 4
    assert samples["coldaisle_series",] == 3
    assert samples["coldaisle_agent_connected", "hall-1"] == 1
    assert {key[1] for key in samples if key[0] == "coldaisle_reactor_lag_events"} == {
            "detector", "policy", "templates",
        }  # fmt: skip
