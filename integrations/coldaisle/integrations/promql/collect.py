"""Asks a Prometheus-compatible server at intervals, through ``prometheus-api-client``."""

import asyncio
import importlib.util
import logging
import time
from typing import Protocol

from coldaisle.core.errors import ConfigError, EventError
from coldaisle.core.events.envelope import Emit, Observation
from coldaisle.core.events.types import AssetObserved, DeviceLost, DeviceReached
from coldaisle.integrations.promql.asking import Asking, bounded_session
from coldaisle.integrations.promql.config import PromqlConfig, PromqlQuery
from coldaisle.integrations.promql.decode import Reading, group, parse_answer, public_address

logger = logging.getLogger(__name__)

_MAX_SERIES_BYTES = 2048
"""Of an answer, for each series that it may hold: names, labels and value take some hundreds."""

_MAX_REASON_CHARACTERS = 500  # an error may quote a whole answer


class _Client(Protocol):
    def custom_query(
        self, query: str, params: dict[str, str] | None = None, timeout: float = 0
    ) -> object: ...


def require_client() -> None:
    """Raise ConfigError that names the extra when the client is not installed; imports nothing."""
    if importlib.util.find_spec("prometheus_api_client") is None:
        raise ConfigError(
            "[[prometheus]] needs the package prometheus-api-client: pip install 'coldaisle[prometheus]'"
        )


class PromqlCollector:
    """Runs the queries of one server every ``poll_seconds``; says when the server is lost or back."""

    def __init__(self, config: PromqlConfig, agent: str) -> None:
        self._config = config
        self._agent = agent
        self._address = public_address(config.url)
        self._client: _Client | None = None
        self._asking = Asking()
        self._reached: bool | None = None

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled."""
        require_client()
        attributes = {"url": self._address, "system": "prometheus"}
        await emit(
            Observation(time.time_ns(), AssetObserved(self._config.name, "service", attributes, "prometheus"))
        )
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self.poll(emit)
            due = max(due + self._config.poll_seconds, loop.time())
            await asyncio.sleep(due - loop.time())

    async def poll(self, emit: Emit) -> None:
        """Run every query once and emit what came back."""
        readings: list[Reading] = []
        failure = ""
        for query in self._config.queries:
            try:
                readings += await self._ask(query)
            except (OSError, EventError) as error:  # requests' errors are OSErrors
                failure = f"{query.metric}: {error}"[:_MAX_REASON_CHARACTERS]
        for observation in group(readings):
            await emit(observation)
        await self._report(emit, failure)

    async def _report(self, emit: Emit, failure: str) -> None:
        if self._reached is (not failure):
            return
        self._reached = not failure
        name, address, now = self._config.name, self._address, time.time_ns()
        if failure:
            logger.warning("prometheus lost", extra={"server": name, "reason": failure})
            await emit(Observation(now, DeviceLost(name, address, self._agent, failure)))
        else:
            await emit(Observation(now, DeviceReached(name, address, self._agent)))

    async def _ask(self, query: PromqlQuery) -> list[Reading]:
        seconds = self._config.timeout_seconds + 1
        try:
            # The client's timeout bounds each wait for bytes, this one the whole answer.
            async with asyncio.timeout(seconds):
                answer = await self._asking.answer(lambda: self._query(query.query))
        except TimeoutError:
            raise EventError(f"no whole answer within {seconds:g} s") from None
        if isinstance(answer, list) and len(answer) > self._config.max_series:
            raise EventError(f"{len(answer)} series are over max_series = {self._config.max_series}")
        return parse_answer(query, answer)

    def _query(self, text: str) -> object:
        from prometheus_api_client.exceptions import PrometheusApiClientException

        if self._client is None:
            self._client = _connect(self._config)
        try:
            return self._client.custom_query(text, timeout=self._config.timeout_seconds)
        except (PrometheusApiClientException, ValueError) as error:
            raise EventError(str(error)) from error
        except (LookupError, TypeError, RecursionError) as error:  # other JSON than the API promises
            raise EventError(f"no answer of the query API: {error!r}; is it a Prometheus server?") from error


def _connect(config: PromqlConfig) -> _Client:
    from prometheus_api_client import PrometheusConnect
    from urllib3.util import Retry

    # Our own schedule is the retry: a second try inside the timeout would only hide a failure.
    session = bounded_session(config.max_series * _MAX_SERIES_BYTES)
    client: _Client = PrometheusConnect(config.url.rstrip("/"), retry=Retry(0), session=session)
    return client
