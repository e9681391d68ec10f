"""``/metrics`` for Prometheus: the server's own figures, read from live values when asked."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from coldaisle.core.errors import ConfigError
from coldaisle.v1 import system_pb2

GetStatus = Callable[[], system_pb2.Status]
Stop = Callable[[], None]


class _StatusCollector:
    """The status as metrics. Called in the HTTP server's thread; it only reads."""

    def __init__(self, status: GetStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        status = self._status()
        yield _counter("coldaisle_events", "Events in the history.", status.position)
        yield _gauge("coldaisle_assets", "Assets in the twin.", status.asset_count)
        yield _gauge("coldaisle_series", "Metrics of assets with a reading.", status.series_count)
        yield _gauge("coldaisle_open_alerts", "Alerts that have not cleared.", status.open_alert_count)
        yield _gauge("coldaisle_waiting_runs", "Runs that wait for approval.", status.waiting_run_count)
        yield _labelled(
            "coldaisle_reactor_lag_events", "Events that a reactor has still to take in.", "reactor",
            ((reactor.name, reactor.lag_events) for reactor in status.reactors),
        )  # fmt: skip
        agents = [(agent.name.removeprefix("agents/"), agent) for agent in status.agents]
        yield _labelled(
            "coldaisle_agent_connected", "1 while the agent's stream is open.", "agent",
            ((name, float(agent.connected)) for name, agent in agents),
        )  # fmt: skip
        yield _labelled(
            "coldaisle_agent_spool_events", "Events that wait at the agent.", "agent",
            ((name, agent.spool_events) for name, agent in agents),
        )  # fmt: skip


def serve_metrics(host: str, port: int, status: GetStatus) -> Stop:
    """Answer on host:port until the returned function is called."""
    registry = CollectorRegistry()
    registry.register(_StatusCollector(status))
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigError(
            f"metrics: {host}:{port} cannot be opened ({error.strerror}); name a free one"
        ) from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family
