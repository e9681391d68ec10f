"""The connection to a cluster, and the one place where calls to it are repeated."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from coldaisle.core.errors import ConfigError, StoreError
from coldaisle.integrations.kurrent.config import KurrentConfig

if TYPE_CHECKING:
    from coldaisle.integrations.kurrent.batches import BatchClient

Result = TypeVar("Result")
log = logging.getLogger(__name__)


class Link:
    """A client of the cluster. The client finds a new leader; this repeats until it has, within bounds."""

    def __init__(self, config: KurrentConfig) -> None:
        self._config = config
        self._client: BatchClient | None = None
        self._jitter = random.Random()  # spreads clients in time; nothing recorded depends on it

    @property
    def timeout_seconds(self) -> float:
        """How long one call may take."""
        return self._config.timeout_seconds

    async def open(self) -> None:
        """Connect. Raises ConfigError for a wrong address and StoreError when nobody answers."""
        try:
            from coldaisle.integrations.kurrent.batches import BatchClient
        except ImportError as error:
            raise ConfigError(
                f"KurrentDB needs the package {error.name}: pip install 'coldaisle[kurrent]'"
            ) from error
        try:
            self._client = BatchClient(self._config.uri, self._config.certificate())
        except (ValueError, OSError) as error:
            raise ConfigError(f"the cluster's address or certificate is wrong: {error}") from error
        await self.call(lambda client: client.connect())

    async def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            await self._client.close()

    async def call(self, work: Callable[["BatchClient"], Awaitable[Result]]) -> Result:
        """The result of ``work``, repeated while the cluster is away or chooses a leader.

        Repetition is safe because ids are given before the first attempt. Raises StoreError.
        """
        from kurrentdbclient.exceptions import AccessDeniedError, KurrentDBClientError, UnauthenticatedError

        assert self._client is not None, "open the store before use"
        pause_seconds = self._config.first_pause_seconds
        for attempt in range(1, self._config.max_attempts + 1):
            try:
                return await _whole(work(self._client))
            except (AccessDeniedError, UnauthenticatedError) as error:
                raise StoreError(
                    f"KurrentDB refused ({type(error).__name__}: {error}): check user and password in the "
                    "store's address, and what the user may do"
                ) from error
            except KurrentDBClientError as error:
                if not _passes(error):
                    raise
                if attempt == self._config.max_attempts:
                    raise StoreError(
                        f"KurrentDB gave no answer in {attempt} attempts ({type(error).__name__}: {error}): "
                        "check that the cluster runs and has a leader"
                    ) from error
                log.info("the cluster did not answer", extra={"attempt": attempt, "error": str(error)})
            await asyncio.sleep(self._jitter.uniform(0, pause_seconds))
            pause_seconds = min(2 * pause_seconds, self._config.max_pause_seconds)
        raise AssertionError("the last attempt returns or raises")


async def _whole(work: Awaitable[Result]) -> Result:
    """The work's result. A cancellation that the package swallowed, where it ends an answer, is raised here:
    else who follows a cluster follows it for ever, and its server does not stop.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        return await work
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError


def _passes(error: Exception) -> bool:
    """Whether waiting may help."""
    from kurrentdbclient import exceptions as e

    if "UNIMPLEMENTED" in str(error):
        return False
    return isinstance(
        error,
        (
            e.GrpcError,  # also when a reconnection for another call ended this one
            e.SubscriptionConfirmationError,
            e.DeadlineExceededError,
            e.NodeIsNotLeaderError,
            e.DiscoveryFailedError,
            e.AbortedByServerError,
        ),
    ) and not isinstance(error, (e.TransactionMaxSizeExceededError, e.MultiAppendToSameStreamError))
