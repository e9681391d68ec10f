"""What systemd hears."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from coldaisle.agent.service import keep_alive, notify, watchdog_seconds


def heard(path: str) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(path)
    receiver.settimeout(5)
    return receiver


def test_a_state_reaches_the_socket_that_systemd_named(tmp_path: Path) -> None:
    with heard(str(tmp_path / "notify")) as receiver:
        notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert receiver.recv(100) == b"READY=1"


def test_an_abstract_socket_is_understood() -> None:
    name = f"coldaisle-{os.getpid()}"
    with heard(f"\0{name}") as receiver:
        notify("STOPPING=1", {"NOTIFY_SOCKET": f"@{name}"})
        assert receiver.recv(100) == b"STOPPING=1"


def test_the_watchdog_is_for_this_process_only() -> None:
    assert watchdog_seconds({}) is None
    assert watchdog_seconds({"WATCHDOG_USEC": "3000000"}) == 3.0
    assert watchdog_seconds({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}) == 3.0
    assert watchdog_seconds({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}) is None


async def test_the_watchdog_hears_twice_in_its_time(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
    with heard(environment["NOTIFY_SOCKET"]) as receiver:
        task = asyncio.create_task(keep_alive(environment))
        said = [await asyncio.to_thread(receiver.recv, 100) for _ in range(3)]
        task.cancel()
        await asyncio.wait([task])
    assert said == [b"WATCHDOG=1"] * 3


async def test_without_systemd_nothing_is_said() -> None:
    notify("READY=1", {})
    await keep_alive({})


def test_a_systemd_that_is_busy_or_gone_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
            others.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    others.sendto(b"WATCHDOG=1", path)
        notify("WATCHDOG=1", {"NOTIFY_SOCKET": path})
    notify("STOPPING=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert [record.__dict__["state"] for record in caplog.records] == ["WATCHDOG=1", "STOPPING=1"]
