"""What a service tells systemd: that it is ready, alive, stopping. Without systemd nothing is said."""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping

logger = logging.getLogger(__name__)

_MICROSECONDS = 1e6


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """One message such as ``READY=1`` to the socket that systemd named; see sd_notify(3).

    What cannot be told is logged: a systemd that is busy with itself must not end the agent.
    """
    path = environment.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        try:
            # a leading @ stands for the zero byte of an abstract address
            sender.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)
        except OSError as error:
            logger.warning("systemd not told", extra={"state": state, "reason": str(error)})


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often systemd wants to hear from this process; None when it does not."""
    interval, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not interval.isdecimal() or (process and process != str(os.getpid())):
        return None
    return int(interval) / _MICROSECONDS


async def keep_alive(environment: Mapping[str, str] = os.environ) -> None:
    """Tell the watchdog twice in its time that the loop turns, until cancelled."""
    seconds = watchdog_seconds(environment)
    while seconds is not None:
        notify("WATCHDOG=1", environment)
        await asyncio.sleep(seconds / 2)
