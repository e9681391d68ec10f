"""``/metrics`` for Prometheus: the server's own figures, read from live values when asked."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from coldaisle.core.errors import ConfigError
from coldaisle.server.retainer import Retainer
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


class _RetentionCollector:
    """What retention did. Called in the HTTP server's thread; it only reads."""

    def __init__(self, retainer: Retainer) -> None:
        self._retainer = retainer

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        retainer = self._retainer
        totals = dict(retainer.totals)
        removed = {category: total.removed_events for category, total in totals.items()}
        archived = {category: total.archived_events for category, total in totals.items()}
        yield _by_category("coldaisle_removed_events", "Events that retention removed.", removed)
        yield _by_category("coldaisle_archived_events", "Events that retention archived.", archived)
        yield _gauge(
            "coldaisle_retention_last_pass_timestamp_seconds", "When retention was last applied whole.",
            retainer.last_pass_seconds,
        )  # fmt: skip
        yield _gauge(
            "coldaisle_retention_failing",
            "1 while retention cannot be applied.",
            float(bool(retainer.problem)),
        )


def serve_metrics(host: str, port: int, status: GetStatus, retainer: Retainer | None = None) -> Stop:
    """Answer on host:port until the returned function is called."""
    registry = CollectorRegistry()
    registry.register(_StatusCollector(status))
    if retainer is not None:
        registry.register(_RetentionCollector(retainer))
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


def _by_category(name: str, text: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["category"])
    for category, value in values.items():
        family.add_metric([category], value)
    return family


def _labelled(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family
