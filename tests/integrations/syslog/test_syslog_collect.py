"""The receiver on real sockets, and with the real ``logger`` of util-linux."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from coldaisle.core.errors import ConfigError
from coldaisle.core.events.envelope import Observation
from coldaisle.core.events.types import GapRecorded, InputRejected, LogLinesRecorded
from coldaisle.integrations.syslog import SyslogCollector, SyslogConfig

Bodies = list[LogLinesRecorded | GapRecorded | InputRejected]


class Receiver:
    """A collector that runs, and what it emitted."""

    task: asyncio.Task[None]

    def __init__(self, collector: SyslogCollector) -> None:
        self.collector = collector
        self.bodies: Bodies = []
        self.changed = asyncio.Condition()
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def emit(self, observation: Observation) -> None:
        self.asked.set()
        await self.gate.wait()
        assert isinstance(observation.body, LogLinesRecorded | GapRecorded | InputRejected)
        async with self.changed:
            self.bodies.append(observation.body)
            self.changed.notify_all()

    async def until(self, holds: Callable[[Bodies], bool]) -> None:
        async with self.changed, asyncio.timeout(20):
            await self.changed.wait_for(lambda: holds(self.bodies))

    def lines(self) -> list[str]:
        found = [body.lines for body in self.bodies if isinstance(body, LogLinesRecorded)]
        return [line.message for lines in found for line in lines]

    def lost(self) -> int:
        return sum(body.lost_count for body in self.bodies if isinstance(body, GapRecorded))

    @property
    def udp(self) -> tuple[str, int]:
        assert self.collector.udp_address
        return self.collector.udp_address

    @property
    def tcp(self) -> tuple[str, int]:
        assert self.collector.tcp_address
        return self.collector.tcp_address


@contextlib.asynccontextmanager
async def receiving(
    known: tuple[str, ...] = (), max_pending_lines: int = 20_000, receive_buffer_bytes: int = 65_536
) -> AsyncIterator[Receiver]:
    config = SyslogConfig(
        udp="127.0.0.1:0", tcp="127.0.0.1:0", group_seconds=0.02,
        max_pending_lines=max_pending_lines, receive_buffer_bytes=receive_buffer_bytes,
    )  # fmt: skip
    receiver = Receiver(SyslogCollector(config, known, "edge"))
    receiver.task = asyncio.create_task(receiver.collector.run(receiver.emit))
    try:
        await receiver.collector.listening.wait()
        yield receiver
    finally:
        receiver.task.cancel()
        await asyncio.wait([receiver.task])


def require_logger() -> str:
    found = shutil.which("logger")
    if found:
        return found
    if os.environ.get("COLDAISLE_REQUIRE_PEERS") == "1":
        pytest.fail("logger of util-linux is not installed")
    pytest.skip("logger of util-linux is not installed")


async def run_logger(*arguments: str, text: str) -> None:
    process = await asyncio.create_subprocess_exec(
        require_logger(), "--server", "127.0.0.1", *arguments, stdin=asyncio.subprocess.PIPE
    )
    await process.communicate(text.encode())
    assert process.returncode == 0


@pytest.mark.peers
@pytest.mark.parametrize("form", ["--rfc5424", "--rfc3164"])
async def test_logger_reaches_us_over_udp(form: str) -> None:
    async with receiving(known=(socket.gethostname(),)) as receiver:
        await run_logger(
            "--udp", "--port", str(receiver.udp[1]), form, "-t", "fan", "-p", "daemon.err", text="slow\n"
        )
        await receiver.until(lambda bodies: bool(bodies))
        [body] = receiver.bodies
        assert isinstance(body, LogLinesRecorded)
        assert body.asset == socket.gethostname().split(".")[0] or body.asset == socket.gethostname()
        assert [(line.severity, line.app, line.message) for line in body.lines] == [(3, "fan", "slow")]


@pytest.mark.peers
@pytest.mark.parametrize("framing", [("--octet-count",), ()], ids=["counted", "lines"])
async def test_every_line_of_logger_arrives_over_tcp(framing: tuple[str, ...]) -> None:
    sent = [f"line {number}" for number in range(2000)]
    async with receiving() as receiver:
        text = "".join(f"{line}\n" for line in sent)
        await run_logger("--tcp", "--port", str(receiver.tcp[1]), *framing, text=text)
        await receiver.until(lambda _: len(receiver.lines()) >= len(sent))
        assert receiver.lines() == sent


async def send_tcp(address: tuple[str, int], data: bytes) -> None:
    _, writer = await asyncio.open_connection(*address)
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def test_no_secret_leaves_the_receiver() -> None:
    """Neither in a line nor in what could not be understood."""
    async with receiving() as receiver:
        await send_tcp(receiver.tcp, b"<13>login password=S3CRET ok\n20 <13>token=S3CRET")
        await receiver.until(lambda bodies: len(bodies) >= 2)
        assert receiver.lines() == ["login password=[masked] ok"]
        [rejected] = [body for body in receiver.bodies if isinstance(body, InputRejected)]
        assert "S3CRET" not in rejected.raw


async def test_a_known_hostname_is_the_asset_and_an_unknown_one_is_made_safe() -> None:
    async with receiving(known=("server-a01",)) as receiver:
        stamp = b"<13>Feb  5 17:32:18 "
        await send_tcp(receiver.tcp, stamp + b"server-a01 x: 1\n" + stamp + b"Other_Host x: 2\nraw\n")
        await receiver.until(lambda _: len(receiver.lines()) == 3)
        assets = [body.asset for body in receiver.bodies if isinstance(body, LogLinesRecorded)]
        assert assets == ["server-a01", "host-other-host", "host-127-0-0-1"]


async def test_an_over_long_datagram_is_rejected() -> None:
    async with receiving() as receiver:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"<13>" + b"x" * 9000, receiver.udp)
        await receiver.until(lambda bodies: bool(bodies))
        [body] = receiver.bodies
        assert isinstance(body, InputRejected)
        assert "9004 bytes" in body.reason
        assert len(body.raw) <= 512


async def test_datagrams_that_the_kernel_dropped_are_a_gap() -> None:
    count = 3000
    async with receiving(receive_buffer_bytes=4096) as receiver:
        # Sent without giving the loop a turn, so that only the kernel's buffer can hold them.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(count):
                sender.sendto(b"<13>flood %d" % number, receiver.udp)
        await receiver.until(lambda _: receiver.lost() > 0)
        await receiver.until(lambda _: receiver.lost() + len(receiver.lines()) == count)


async def test_tcp_senders_wait_while_nothing_is_taken() -> None:
    count = 500
    async with receiving(max_pending_lines=50) as receiver:
        receiver.gate.clear()
        sending = asyncio.create_task(
            send_tcp(receiver.tcp, b"".join(b"<13>n %d\n" % n for n in range(count)))
        )
        await asyncio.wait([sending])
        receiver.gate.set()
        await receiver.until(lambda _: len(receiver.lines()) == count)
        assert receiver.lost() == 0
        assert receiver.lines() == [f"n {number}" for number in range(count)]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's table of connections")
async def test_the_kernel_asks_a_silent_sender_whether_it_is_still_there() -> None:
    """Without that the place of one that lost its power is taken for ever."""
    async with receiving() as receiver:
        _, writer = await asyncio.open_connection(*receiver.tcp)
        writer.write(b"<13>half a line\n<13>")
        await receiver.until(lambda bodies: bool(bodies))
        ours = f":{receiver.tcp[1]:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        timers = [row[5] for row in rows if row[1].endswith(ours) and row[3] == "01"]
        assert [timer.partition(":")[0] for timer in timers] == ["02"]  # keepalive, of proc(5)
        writer.close()


async def test_udp_lines_without_room_are_counted() -> None:
    async with receiving(max_pending_lines=10, receive_buffer_bytes=262_144) as receiver:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(200):
                sender.sendto(b"<13>n %d" % number, receiver.udp)
        await receiver.until(lambda _: receiver.lost() + len(receiver.lines()) == 200)


async def test_what_is_pending_at_the_end_is_still_emitted() -> None:
    async with receiving() as receiver:
        receiver.collector.datagram(b"<13>last words", "192.0.2.1")
    assert receiver.lines() == ["last words"]


async def test_what_waits_to_be_emitted_at_the_end_is_still_emitted() -> None:
    async with receiving() as receiver:
        receiver.gate.clear()
        for number in range(3):
            receiver.collector.datagram(b"<13>line %d" % number, f"192.0.2.{number}")
        await receiver.asked.wait()
        receiver.task.cancel()
        asyncio.get_running_loop().call_soon(receiver.gate.set)
        await asyncio.wait([receiver.task])
    assert receiver.lines() == ["line 0", "line 1", "line 2"]


async def test_a_port_in_use_is_named_with_the_remedy(tmp_path: Path) -> None:
    async with receiving() as receiver:
        taken = f"127.0.0.1:{receiver.tcp[1]}"
        with pytest.raises(ConfigError, match=rf"syslog\.tcp: cannot listen on '{taken}'.*another port"):
            await SyslogCollector(SyslogConfig(tcp=taken), ()).run(receiver.emit)
