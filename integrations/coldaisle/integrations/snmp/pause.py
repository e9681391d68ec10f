"""The wait between two polls of a device, which something that the device says can end early."""

import asyncio


class Pause:
    """Ended early at most once in ``seconds``: whoever sends traps shall not rule how often we ask."""

    __slots__ = ("_again_at", "_is_ended", "_seconds", "_waiting")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._again_at = 0.0
        self._is_ended = False
        self._waiting: asyncio.Future[None] | None = None

    async def until(self, due: float) -> None:
        """Wait until a moment of the loop's clock; not at all when the pause was ended before it began."""
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = loop.call_at(due, self._wake)
        if self._is_ended:
            self._wake()
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._waiting, self._is_ended = None, False

    def end(self) -> None:
        """Wait no longer, this time or, while nothing waits, the next."""
        now = asyncio.get_running_loop().time()
        if now >= self._again_at:
            self._again_at = now + self._seconds
            self._is_ended = True
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
