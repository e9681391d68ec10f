"""A server that hangs, or that the network cut off: nothing comes, not even the end of a stream."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator

import pytest

from coldaisle.cli import client as clients
from coldaisle.cli.client import Client
from coldaisle.cli.resuming import resumed
from coldaisle.cli.settings import Settings
from coldaisle.v1.alerts_pb2 import WatchAlertsRequest


class Line:
    """A line to a server that can fall silent: what is connected stays so, and nothing passes any more."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._poll = selectors.DefaultSelector()
        self._poll.register(self._listener, selectors.EVENT_READ, None)
        self._silent: set[socket.socket] = set()
        self._ended: list[socket.socket] = []
        self._lock = threading.Lock()
        self._stopped, self._stop = socket.socketpair()
        self._poll.register(self._stopped, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """End every connection."""
        self._stop.close()
        self._thread.join()
        for key in list(self._poll.get_map().values()):
            key.fileobj.close()
        for each in self._ended:
            each.close()
        self._poll.close()

    def silence(self) -> None:
        """Carry nothing more over what is connected now."""
        with self._lock:
            self._silent |= {key.data for key in self._poll.get_map().values() if key.data is not None}

    def _carry(self) -> None:
        while True:
            for key, _ in self._poll.select():
                if key.fileobj is self._stopped:
                    return
                with self._lock:
                    if key.data is None:
                        self._connect()
                    else:
                        self._pass_on(key.fileobj, key.data)

    def _connect(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(self._server)
        self._poll.register(near, selectors.EVENT_READ, far)
        self._poll.register(far, selectors.EVENT_READ, near)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        found = source.recv(65_536)
        if not found:
            self._poll.unregister(source)
            self._ended.append(source)
        elif target not in self._silent:
            target.sendall(found)


@pytest.fixture
def line(cli) -> Iterator[Line]:
    with contextlib.closing(Line(cli.server)) as line:
        yield line


def test_a_watch_goes_on_when_the_server_fell_silent(cli, line, monkeypatch, capsys):
    monkeypatch.setattr(clients, "KEEPALIVE_MILLISECONDS", 1_000)
    monkeypatch.setattr(clients, "KEEPALIVE_TIMEOUT_MILLISECONDS", 1_000)
    with Client(Settings(line.address, cli.token_file)) as client:
        watch = resumed(
            lambda revision: client.stream(
                client.alerts.WatchAlerts, WatchAlertsRequest(resume_after_revision=revision)
            )
        )
        assert next(watch).revision == 1
        line.silence()
        assert next(watch).revision == 2
        assert "connection lost; going on after @1" in capsys.readouterr().err
        watch.close()
