"""Notifications against a real HTTP server on loopback."""

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from coldaisle.core.actions import ActionRequest, ActionResult, Verb
from coldaisle.core.events.types import Argument
from coldaisle.integrations.notify import NotifyActions


class Webhook(ThreadingHTTPServer):
    """Keeps what it received; ``/500`` fails, ``/404`` refuses, ``/silent`` never answers.

    ``/drip`` never ends its answer, though none of its bytes is late.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.arrived = threading.Event()
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), body))
        self.server.arrived.set()
        if self.path == "/silent":
            self.server.released.wait(30)
            self.close_connection = True
        elif self.path == "/drip":
            self.send_response(200)
            self.send_header("Content-Length", "60000")
            self.end_headers()
            with contextlib.suppress(OSError):
                while not self.server.released.wait(0.05):
                    self.wfile.write(b" ")
            self.close_connection = True
        elif self.path == "/drop":
            self.close_connection = True
        else:
            self.send_response(int(self.path[1:] or "200"))
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def request(
    url: str, verb: Verb = "perform", timeout_seconds: float = 5.0, id: str = "run-7/tell"
) -> ActionRequest:
    arguments: dict[str, Argument] = {"channel": "webhook", "message": "cooling lost", "url": url}
    return ActionRequest(id, verb, "notify", "crac-1", arguments, timeout_seconds)


async def carry_out(made: ActionRequest) -> ActionResult:
    return await NotifyActions().carry_out(made)


async def test_a_webhook_receives_the_run_the_step_and_the_text(webhook: Webhook) -> None:
    result = await carry_out(request(webhook.url + "/200"))
    assert result == ActionResult("done", observed={"status": 200})
    [(headers, body)] = webhook.received
    assert json.loads(body) == {"run": "run-7", "step": "tell", "text": "cooling lost"}
    assert headers["Idempotency-Key"] == "run-7/tell"
    assert headers["Content-Type"] == "application/json"


async def test_a_refused_notification_is_not_done(webhook: Webhook) -> None:
    result = await carry_out(request(webhook.url + "/404"))
    assert (result.outcome, result.reason) == ("not_done", "the webhook answered 404")


async def test_a_redirect_is_not_followed(webhook: Webhook) -> None:
    assert (await carry_out(request(webhook.url + "/302"))).outcome == "not_done"
    assert len(webhook.received) == 1


async def test_a_server_error_leaves_the_outcome_unknown(webhook: Webhook) -> None:
    assert (await carry_out(request(webhook.url + "/500"))).outcome == "unknown"


async def test_silence_after_the_message_leaves_the_outcome_unknown(webhook: Webhook) -> None:
    result = await carry_out(request(webhook.url + "/silent", timeout_seconds=0.2))
    assert result.outcome == "unknown"
    assert len(webhook.received) == 1


async def test_a_broken_connection_after_the_message_leaves_the_outcome_unknown(webhook: Webhook) -> None:
    assert (await carry_out(request(webhook.url + "/drop"))).outcome == "unknown"


async def test_nobody_listening_is_not_done() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = await carry_out(request(f"http://127.0.0.1:{unused.getsockname()[1]}/"))
    assert result.outcome == "not_done"
    assert "cannot connect" in result.reason


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "http://", "http://host:99999/", "host"]
)
async def test_only_http_addresses_are_allowed(url: str) -> None:
    result = await carry_out(request(url))
    assert result.outcome == "not_done"
    assert "url" in result.reason


async def test_a_line_break_in_the_id_cannot_forge_a_header(webhook: Webhook) -> None:
    assert (await carry_out(request(webhook.url + "/200", id="a\r\nX-Forged: 1"))).outcome == "not_done"
    assert webhook.received == []


async def test_a_probe_of_a_webhook_is_unknown_and_sends_nothing(webhook: Webhook) -> None:
    assert (await carry_out(request(webhook.url + "/200", verb="probe"))).outcome == "unknown"
    assert webhook.received == []


async def test_the_log_channel_is_done_at_once(caplog: pytest.LogCaptureFixture) -> None:
    made = ActionRequest("run-1/a", "perform", "notify", "", {"channel": "log", "message": "hello"})
    with caplog.at_level(logging.INFO):
        assert await carry_out(made) == ActionResult("done")
    assert caplog.records[-1].__dict__["text"] == "hello"


async def test_a_probe_of_the_log_is_done() -> None:
    made = ActionRequest("run-1/a", "probe", "notify", "", {"channel": "log", "message": "hello"})
    assert (await carry_out(made)).outcome == "done"


async def test_what_was_said_cannot_be_undone(webhook: Webhook) -> None:
    assert (await carry_out(request(webhook.url, verb="undo"))).outcome == "not_done"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"channel": "pager", "message": "x"}, "pager"),
        ({"message": "x"}, "channel"),
        ({"channel": "webhook", "message": "x"}, "url"),
        ({"channel": "log", "message": "x", "colour": "red"}, "colour"),
        ({"channel": "log", "message": 5}, "message"),
    ],
)
async def test_a_wrong_argument_is_named(arguments: dict[str, Argument], named: str) -> None:
    result = await carry_out(ActionRequest("r/s", "perform", "notify", "", arguments))
    assert result.outcome == "not_done"
    assert named in result.reason


async def thread_is_free() -> bool:
    async with asyncio.timeout(20):
        return await asyncio.to_thread(lambda: True)


async def test_a_webhook_that_drips_its_answer_keeps_no_thread(webhook: Webhook) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    result = await carry_out(request(webhook.url + "/drip", timeout_seconds=0.5))
    assert result == ActionResult("unknown", "no answer within 0.5 s")
    assert await thread_is_free()


async def test_a_notification_that_is_given_up_keeps_no_thread(webhook: Webhook) -> None:
    """The agent's process ends when its threads do."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    task = asyncio.create_task(carry_out(request(webhook.url + "/silent", timeout_seconds=300)))
    with ThreadPoolExecutor(1) as beside:
        await asyncio.get_running_loop().run_in_executor(beside, webhook.arrived.wait, 60)
    task.cancel()
    await asyncio.wait([task])
    assert await thread_is_free()
